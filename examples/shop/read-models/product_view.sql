-- @model product_view
-- @key   sku
SELECT p.sku, p.name, p.price, p.stock,
       CASE WHEN p.stock = 0 THEN 'sold out' WHEN p.stock < 10 THEN 'few left' ELSE 'in stock' END AS availability,
       (SELECT count(*) FROM order_lines l WHERE l.sku = p.sku) AS times_ordered,
       (SELECT coalesce(sum(l.qty), 0)
          FROM order_lines l JOIN orders o ON o.id = l.order_id
         WHERE l.sku = p.sku AND o.status <> 'cancelled') AS sold
  FROM products p
