-- @model product_view
-- @key   product_id
SELECT p.product_id, p.product_name, p.quantity_per_unit, p.unit_price::numeric(12,2) AS unit_price,
       p.units_in_stock, p.discontinued <> 0 AS discontinued,
       CASE WHEN p.units_in_stock + p.units_on_order <= p.reorder_level THEN 'reorder' ELSE 'fine' END AS supply,
       k.category_name AS category,
       CASE WHEN s.supplier_id IS NOT NULL
            THEN jsonb_build_object('name', s.company_name, 'city', s.city, 'country', s.country, 'phone', s.phone) END AS supplier,
       (SELECT coalesce(sum(d.quantity), 0) FROM order_details d WHERE d.product_id = p.product_id) AS units_sold
  FROM products p
  LEFT JOIN categories k ON k.category_id = p.category_id
  LEFT JOIN suppliers s ON s.supplier_id = p.supplier_id
