-- Idempotency-Keys: who has one, and what a repetition of its request is told. Replaced as a whole when this file changes.
--
-- A row of weir.idempotency belongs to a command that ran (reply is its wrapper's), to a stored one (stored, reply NULL until it ends;
-- or {"list": [id…]} of a batch), or to a batch of commands with keys of their own (reply {"batch": n}).

CREATE OR REPLACE FUNCTION weir.print_of(command text, expected_version text, body text) RETURNS bytea
LANGUAGE sql STABLE AS $$ SELECT sha256(convert_to(concat_ws(E'\n', command, expected_version, body::jsonb::text), 'UTF8')) $$;

-- 'replay <id> <answer>'; 'stored <id> <null or list>' while it is not known, or when the request wants it so (later); {"error"} for another request.
CREATE OR REPLACE FUNCTION weir.key_says(of_key text, mine bytea, later boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    was weir.idempotency%ROWTYPE;
BEGIN
    SELECT * INTO was FROM weir.idempotency i WHERE i.key = of_key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the Idempotency-Key was removed this moment' USING ERRCODE = 'serialization_failure';
    ELSIF was.print <> mine THEN
        RETURN jsonb_build_object('error', jsonb_build_object('sqlstate', 'WE422', 'message',
            'this Idempotency-Key was used for another command or body',
            'hint', 'Send each command with a key of its own.'));
    ELSIF was.stored AND (later OR NOT coalesce(was.reply ?| '{ok,error}', false)) THEN
        RETURN 'stored ' || was.command_id || ' ' || coalesce((was.reply -> 'list')::text, 'null');
    END IF;
    RETURN 'replay ' || was.command_id || ' ' || was.reply::text;
END $$;

-- As weir.accept_commands, for a list in which some have "idempotency_key", "expected_version" or, as a batch, "list": [{"id","name","body"}…].
-- Gives back those that were not accepted, and why: what the key says, or {"error"}. A key is taken in the transaction of its command. Nobody
-- waits long for a key that is being executed: the others of the list would, too.
CREATE OR REPLACE FUNCTION weir.accept_keyed(list jsonb) RETURNS TABLE (id text, said text)
LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    one    record;
    turned text[] := '{}';
BEGIN
    FOR one IN SELECT e.v, e.v ->> 'id' AS id, e.v ->> 'idempotency_key' AS key FROM jsonb_array_elements(list) WITH ORDINALITY AS e(v, i)
                WHERE e.v ? 'idempotency_key' ORDER BY 3, e.i LOOP
        id := one.id;
        said := NULL;
        DECLARE
            mine bytea;
        BEGIN
            mine := weir.print_of(one.v ->> 'name', one.v ->> 'expected_version', one.v ->> 'body');
            INSERT INTO weir.idempotency (key, command_id, print, stored, reply)
            VALUES (one.key, one.id, mine, true, CASE WHEN one.v ? 'list' THEN jsonb_build_object('list', jsonb_path_query_array(one.v, '$.list[*].id')) END)
                ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN
                said := weir.key_says(one.key, mine, true);
            END IF;
        EXCEPTION
            WHEN transaction_rollback THEN
                RAISE; -- the whole list is tried again
            WHEN lock_not_available THEN
                said := jsonb_build_object('error', jsonb_build_object('sqlstate', SQLSTATE, 'message',
                    'a request with this Idempotency-Key is being executed'));
                PERFORM set_config('lock_timeout', '1ms', true);
            WHEN OTHERS THEN
                said := jsonb_build_object('error', jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM));
        END;
        IF starts_with(said, 'stored ' || id || ' ') THEN
            said := NULL; -- the list is given a second time
        END IF;
        IF said IS NOT NULL THEN
            turned := turned || id;
            RETURN NEXT;
        END IF;
    END LOOP;
    PERFORM set_config('lock_timeout', '0', true);
    PERFORM weir.accept_commands(coalesce(jsonb_agg(x.v ORDER BY e.i, x.i), '[]'))
       FROM jsonb_array_elements(list) WITH ORDINALITY AS e(v, i), LATERAL (
            SELECT e.v, 0 WHERE NOT e.v ? 'list'
            UNION ALL
            SELECT e.v - '{list,idempotency_key}'::text[] || p.v, p.i FROM jsonb_array_elements(e.v -> 'list') WITH ORDINALITY AS p(v, i)) x(v, i)
      WHERE e.v ->> 'id' <> ALL (turned);
END $$;

-- A batch whose commands are executed each by itself takes its key first: the same list or none may use it. body: {"key","expected_version","list"}.
-- What became of each is kept under a key of its own.
CREATE OR REPLACE FUNCTION weir.claim_batch(meta text, body text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    b    jsonb := body::jsonb;
    mine bytea := weir.print_of('(batch of each)', b ->> 'expected_version', b ->> 'list');
    said text;
BEGIN
    INSERT INTO weir.idempotency (key, command_id, print, reply)
    VALUES (b ->> 'key', meta::jsonb ->> 'id', mine, jsonb_build_object('batch', jsonb_array_length(b -> 'list')))
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        said := weir.key_says(b ->> 'key', mine, false);
    END IF;
    RETURN CASE WHEN said LIKE '{%' THEN said::jsonb ELSE '{"ok": true}' END;
EXCEPTION WHEN OTHERS THEN
    RETURN jsonb_build_object('error', jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM));
END $$;
