\set customer random(1, 10000)
\set a random(1000, 1999)
\set b random(1000, 1999)
\set c random(1000, 1999)
SELECT command.bench_order(:customer, ('[{"sku":"SKU-' || :a || '","qty":1,"price":1.5},{"sku":"SKU-' || :b || '","qty":2,"price":2.5},{"sku":"SKU-' || :c || '","qty":3,"price":3.5}]')::jsonb);
