CREATE OR REPLACE FUNCTION command.restock(sku text, qty integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    now_in_stock integer;
BEGIN
    IF coalesce(qty, 0) < 1 THEN
        RAISE EXCEPTION 'qty must be at least 1';
    END IF;
    UPDATE products p SET stock = p.stock + restock.qty WHERE p.sku = restock.sku RETURNING p.stock INTO now_in_stock;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no product %', sku;
    END IF;
    RETURN now_in_stock;
END $$;

COMMENT ON FUNCTION command.restock IS 'Adds to a product''s stock and answers how many there are now.';
