CREATE OR REPLACE FUNCTION command.rename_customer(customer_id bigint, name text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE customers c SET name = btrim(rename_customer.name) WHERE c.id = rename_customer.customer_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no customer %', customer_id;
    END IF;
END $$;

COMMENT ON FUNCTION command.rename_customer IS 'Gives a customer another name; every document that shows it follows.';
