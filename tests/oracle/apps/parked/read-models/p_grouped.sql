-- @model p_grouped
-- @key   id
SELECT i.id, i.a, count(c.id) AS n, avg(12 / c.x) AS avg, 100 / count(c.id) AS share
  FROM item i LEFT JOIN child c ON c.item_id = i.id GROUP BY i.id HAVING 7 / count(*) >= 0
