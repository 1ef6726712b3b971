-- @key id
SELECT c.id, c.name, (SELECT jsonb_agg(jsonb_build_object('id', o.id, 'lines', (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'product', p.name) ORDER BY l.line_no) FROM order_lines l LEFT JOIN products p ON p.id = l.product_id WHERE l.order_id = o.id)) ORDER BY o.placed_at DESC) FROM orders o WHERE o.customer_id = c.id) AS orders
FROM customers c
