-- @key order_id, line_no
SELECT o.id AS order_id, l.line_no, l.sku, CASE l.qty WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END AS q, l.qty BETWEEN 1 AND 5 AS small, l.sku || '-' || l.qty AS tag FROM orders o, order_lines l, products p WHERE l.order_id = o.id AND p.id = l.product_id AND o.status IN ('a','b') AND NOT l.deleted
