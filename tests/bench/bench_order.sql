-- What the command benchmarks call: one order with its lines, two tables, four rows. The shop's own place_order also takes the
-- products from stock, which is a benchmark of row locks.
CREATE OR REPLACE FUNCTION command.bench_order(customer_id bigint, lines jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    new_order bigint;
BEGIN
    INSERT INTO orders (customer_id) VALUES (bench_order.customer_id) RETURNING id INTO new_order;
    INSERT INTO order_lines (order_id, line_no, sku, qty, price)
    SELECT new_order, l.n, l.v ->> 'sku', (l.v ->> 'qty')::int, (l.v ->> 'price')::numeric
      FROM jsonb_array_elements(lines) WITH ORDINALITY AS l(v, n);
    RETURN new_order;
END $$;
