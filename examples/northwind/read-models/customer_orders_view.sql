-- A customer with all orders, newest first.
-- @model customer_orders_view
-- @key   customer_id
SELECT c.customer_id, c.company_name, c.contact_name, c.country,
       (SELECT count(*) FROM orders o WHERE o.customer_id = c.customer_id) AS order_count,
       (SELECT max(o.order_date) FROM orders o WHERE o.customer_id = c.customer_id) AS last_order,
       (SELECT coalesce(sum(d.quantity * d.unit_price::numeric * (1 - d.discount::numeric)), 0)::numeric(14,2)
          FROM orders o JOIN order_details d ON d.order_id = o.order_id
         WHERE o.customer_id = c.customer_id) AS revenue,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
                            'order_id', o.order_id, 'order_date', o.order_date, 'shipped', o.shipped_date IS NOT NULL,
                            'products', (SELECT jsonb_agg(p.product_name ORDER BY d.product_id)
                                           FROM order_details d JOIN products p ON p.product_id = d.product_id
                                          WHERE d.order_id = o.order_id))
                        ORDER BY o.order_date DESC, o.order_id DESC)
                   FROM orders o WHERE o.customer_id = c.customer_id), '[]') AS orders
  FROM customers c
