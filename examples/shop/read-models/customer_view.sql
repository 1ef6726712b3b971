-- A customer with all orders, newest first, each with its lines: two levels below the root.
-- @model customer_view
-- @key   id
SELECT c.id, c.name, c.email, c.created_at,
       (SELECT count(*) FROM orders o WHERE o.customer_id = c.id) AS order_count,
       (SELECT coalesce(sum(l.qty * l.price), 0)
          FROM orders o JOIN order_lines l ON l.order_id = o.id
         WHERE o.customer_id = c.id AND o.status <> 'cancelled') AS spent,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
                            'id', o.id, 'status', o.status, 'placed_at', o.placed_at,
                            'lines', (SELECT jsonb_agg(jsonb_build_object('sku', p.sku, 'product', p.name, 'qty', l.qty, 'price', l.price)
                                                       ORDER BY l.line_no)
                                        FROM order_lines l JOIN products p ON p.sku = l.sku
                                       WHERE l.order_id = o.id))
                        ORDER BY o.placed_at DESC, o.id DESC)
                   FROM orders o WHERE o.customer_id = c.id), '[]') AS orders
  FROM customers c
