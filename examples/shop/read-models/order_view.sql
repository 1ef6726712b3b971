-- @model order_view
-- @key   id
SELECT o.id, o.status, o.placed_at, c.id AS customer_id, c.name AS customer,
       (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'qty', l.qty, 'price', l.price) ORDER BY l.line_no)
          FROM order_lines l WHERE l.order_id = o.id) AS lines,
       (SELECT sum(l.qty * l.price) FROM order_lines l WHERE l.order_id = o.id) AS total
  FROM orders o JOIN customers c ON c.id = o.customer_id
