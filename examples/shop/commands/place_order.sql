CREATE OR REPLACE FUNCTION command.place_order(customer_id bigint, lines line_request[]) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    new_order bigint;
    line      record;
    price     numeric(12,2);
    total     numeric(14,2) := 0;
BEGIN
    IF coalesce(cardinality(lines), 0) = 0 THEN
        RAISE EXCEPTION 'an order needs at least one line' USING HINT = 'Send "lines": [{"sku": …, "qty": …}].';
    END IF;
    INSERT INTO orders (customer_id)
    SELECT c.id FROM customers c WHERE c.id = place_order.customer_id
    RETURNING id INTO new_order;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no customer %', customer_id;
    END IF;
    -- In order of sku: two orders that want the same products never wait for each other crosswise.
    FOR line IN SELECT l.sku, l.qty, l.line_no FROM unnest(lines) WITH ORDINALITY AS l(sku, qty, line_no) ORDER BY l.sku, l.line_no LOOP
        IF line.sku IS NULL OR coalesce(line.qty, 0) < 1 THEN
            RAISE EXCEPTION 'line % needs a sku and a qty of at least 1', line.line_no;
        END IF;
        UPDATE products p SET stock = p.stock - line.qty WHERE p.sku = line.sku AND p.stock >= line.qty
        RETURNING p.price INTO price;
        IF NOT FOUND THEN
            RAISE EXCEPTION '%', (SELECT coalesce(
                (SELECT format('only %s of %s left, %s wanted', p.stock, p.sku, line.qty) FROM products p WHERE p.sku = line.sku),
                format('there is no product %s', line.sku)));
        END IF;
        INSERT INTO order_lines (order_id, line_no, sku, qty, price) VALUES (new_order, line.line_no, line.sku, line.qty, price);
        total := total + line.qty * price;
    END LOOP;
    RETURN jsonb_build_object('order_id', new_order, 'total', total);
END $$;

COMMENT ON FUNCTION command.place_order IS 'Takes the products from stock and places an order at today''s prices.';
