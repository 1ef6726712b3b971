-- @key id
SELECT c.id, c.name, r.name AS region, count(o.id) AS orders, COALESCE(sum(o.total), 0) AS total, jsonb_agg(jsonb_build_object('id', o.id) ORDER BY o.placed_at) FILTER (WHERE o.id IS NOT NULL) AS list
FROM customers c LEFT JOIN regions r ON r.id = c.region_id LEFT JOIN orders o ON o.customer_id = c.id AND o.status <> 'draft' GROUP BY c.id, r.id HAVING count(*) > -5
