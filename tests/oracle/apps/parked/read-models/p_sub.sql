-- @model p_sub
-- @key   id
SELECT i.id, (SELECT sum(12 / c.x) FROM child c WHERE c.item_id = i.id) AS sum,
       (SELECT jsonb_agg(c.id ORDER BY 12 / NULLIF(c.x, 0), c.id) FROM child c WHERE c.item_id = i.id) AS ids,
       (SELECT max(c.t::int) FILTER (WHERE c.t NOT IN ('a', 'b', 'long', '', ' pad ')) FROM child c WHERE c.item_id = i.id) AS t
  FROM item i
