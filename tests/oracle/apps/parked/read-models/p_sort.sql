-- @model p_sort
-- @key   id
SELECT i.id, (SELECT jsonb_agg(jsonb_build_object('x', c.x, 'item', j.a / 3) ORDER BY 12 / c.x DESC, c.id)
                FROM child c LEFT JOIN item j ON j.id = c.x WHERE c.item_id = i.id) AS list
  FROM item i
