-- @model category_view
-- @key   category_id
SELECT k.category_id, k.category_name, k.description,
       (SELECT count(*) FROM products p WHERE p.category_id = k.category_id AND p.discontinued = 0) AS active_products,
       (SELECT min(p.unit_price::numeric(12,2)) FROM products p WHERE p.category_id = k.category_id) AS cheapest,
       (SELECT string_agg(p.product_name, ', ' ORDER BY p.product_id) FROM products p WHERE p.category_id = k.category_id) AS products
  FROM categories k
