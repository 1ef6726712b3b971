-- An order with everything a customer service desk wants to see. Prices are real in Northwind; money is added as numeric.
-- @model order_detail_view
-- @key   order_id
SELECT o.order_id, o.order_date, o.required_date, o.shipped_date, o.freight::numeric(12,2) AS freight,
       o.shipped_date IS NOT NULL AND o.shipped_date > o.required_date AS late,
       c.customer_id, c.company_name AS customer, c.city, c.country,
       e.first_name || ' ' || e.last_name AS employee,
       s.company_name AS shipper,
       (SELECT jsonb_agg(jsonb_build_object(
                   'product', p.product_name, 'category', k.category_name, 'quantity', d.quantity,
                   'unit_price', d.unit_price::numeric(12,2), 'discount', d.discount::numeric(4,3),
                   'amount', (d.quantity * d.unit_price::numeric * (1 - d.discount::numeric))::numeric(12,2))
               ORDER BY d.product_id)
          FROM order_details d
          JOIN products p ON p.product_id = d.product_id
          LEFT JOIN categories k ON k.category_id = p.category_id
         WHERE d.order_id = o.order_id) AS lines,
       (SELECT sum(d.quantity * d.unit_price::numeric * (1 - d.discount::numeric))::numeric(12,2)
          FROM order_details d WHERE d.order_id = o.order_id) AS total
  FROM orders o
  LEFT JOIN customers c ON c.customer_id = o.customer_id
  LEFT JOIN employees e ON e.employee_id = o.employee_id
  LEFT JOIN shippers s ON s.shipper_id = o.ship_via
