-- 10,000 customers, 1,000 products, 50,000 orders with one to six lines. The same rows every time: all of it is arithmetic.
-- Customer 40 has exactly 40 orders.
BEGIN;

INSERT INTO customers (id, name, email, created_at)
SELECT n,
       (ARRAY['Ada','Boris','Chiara','Dmitri','Elif','Farid','Greta','Hugo','Ines','Jonas','Katya','Leon','Mina','Nils','Olga','Pia'])[1 + n % 16]
       || ' ' ||
       (ARRAY['Abel','Baker','Costa','Diaz','Engel','Fischer','Grün','Haas','Ivanov','Jansen','Kovač','Lindt','Meyer','Novák','Öz','Petit','Quist'])[1 + n % 17],
       'customer' || n || '@example.com',
       timestamptz '2024-01-01 00:00+00' + n * interval '47 minutes'
  FROM generate_series(1, 10000) AS n;

INSERT INTO products (sku, name, price, stock)
SELECT 'SKU-' || lpad(n::text, 4, '0'),
       (ARRAY['Red','Green','Blue','Small','Large','Light','Heavy','Quiet'])[1 + n % 8] || ' ' ||
       (ARRAY['kettle','lamp','chair','teapot','notebook','bicycle bell','umbrella','clock','scarf'])[1 + n % 9] || ' no. ' || n,
       ((n * 37) % 9900 + 100) / 100.0,
       CASE WHEN n % 50 = 0 THEN 3 ELSE 100 + (n * 17) % 400 END
  FROM generate_series(1, 1000) AS n;

INSERT INTO orders (id, customer_id, status, placed_at)
SELECT n,
       CASE WHEN n % 1250 = 0 THEN 40
            WHEN n * 7919::bigint % 10000 = 39 THEN 41
            ELSE 1 + n * 7919::bigint % 10000 END,
       CASE WHEN n % 23 = 0 THEN 'cancelled' WHEN n > 48000 THEN 'placed' ELSE 'shipped' END,
       timestamptz '2025-01-01 08:00+00' + n * interval '9 minutes'
  FROM generate_series(1, 50000) AS n;

INSERT INTO order_lines (order_id, line_no, sku, qty, price)
SELECT o.n, l.n, p.sku, 1 + (o.n + l.n) % 5, p.price
  FROM generate_series(1, 50000) AS o(n)
 CROSS JOIN LATERAL generate_series(1, 1 + o.n * 13 % 6) AS l(n)
  JOIN products p ON p.sku = 'SKU-' || lpad((1 + (o.n * 31 + l.n * 577) % 1000)::text, 4, '0');

SELECT setval(pg_get_serial_sequence('customers', 'id'), 10000), setval(pg_get_serial_sequence('orders', 'id'), 50000);
COMMIT;
ANALYZE;
