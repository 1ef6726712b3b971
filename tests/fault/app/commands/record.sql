CREATE OR REPLACE FUNCTION command.record(token text, account_id int, amount numeric) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    IF amount = 0 THEN
        RAISE EXCEPTION 'an entry of nothing is refused';
    END IF;
    INSERT INTO entry (token, account_id, amount) VALUES (record.token, record.account_id, record.amount) RETURNING id INTO n;
    UPDATE account a SET balance = a.balance + record.amount, version = a.version + 1 WHERE a.id = record.account_id;
    RETURN n;
END $$;
