-- What `weir deploy` would have made: control tables, commands and their wrappers, by hand and small.
CREATE SCHEMA weir;
CREATE SCHEMA command;
CREATE TABLE weir.setting (key text PRIMARY KEY, value text NOT NULL);
INSERT INTO weir.setting VALUES ('revision', '1');
CREATE TABLE weir.command_catalog (
    name text PRIMARY KEY, signature text NOT NULL, args jsonb NOT NULL, result_type text NOT NULL,
    isolated boolean NOT NULL DEFAULT false, serializable boolean NOT NULL DEFAULT false,
    description text, openapi jsonb NOT NULL, revision bigint NOT NULL);

CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id bigint NOT NULL, note text,
                     placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE order_lines (order_id bigint NOT NULL REFERENCES orders, line_no int NOT NULL, sku text NOT NULL,
                          qty int NOT NULL CHECK (qty > 0), price numeric NOT NULL, PRIMARY KEY (order_id, line_no));
CREATE TABLE ledger (id text PRIMARY KEY, amount int NOT NULL CHECK (amount >= 0));
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE speech (id int PRIMARY KEY, words text NOT NULL);
CREATE FUNCTION refuse_speech() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', NEW.words; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON speech DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_speech();
CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counter SELECT i, 0 FROM generate_series(1, 10) i;

CREATE FUNCTION command.place_order(customer_id bigint, note text, lines jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE oid bigint;
BEGIN
    INSERT INTO orders (customer_id, note) VALUES (customer_id, note) RETURNING id INTO oid;
    INSERT INTO order_lines SELECT oid, l.i, l.v->>'sku', (l.v->>'qty')::int, (l.v->>'price')::numeric
      FROM jsonb_array_elements(lines) WITH ORDINALITY AS l(v, i);
    RETURN oid;
END $$;
CREATE FUNCTION command.book(id text, amount int) RETURNS text LANGUAGE sql AS $$
    INSERT INTO ledger VALUES (id, amount) RETURNING ledger.id $$;
CREATE FUNCTION command.speak(id int, words text) RETURNS int LANGUAGE sql AS $$ INSERT INTO speech VALUES (id, words) RETURNING 1 $$;
CREATE FUNCTION command.adopt(id int, parent_id int) RETURNS int LANGUAGE sql AS $$
    INSERT INTO child VALUES (id, parent_id) RETURNING child.id $$;
CREATE FUNCTION command.nap(seconds float8) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(seconds); RETURN 'rested'; END $$;
CREATE FUNCTION command.refuse(state text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', message USING ERRCODE = state, DETAIL = 'some detail', HINT = 'some hint'; END $$;
CREATE FUNCTION command.bump2(a int, b int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
    UPDATE counter SET n = n + 1 WHERE counter.id = a;
    UPDATE counter SET n = n + 1 WHERE counter.id = b RETURNING n INTO r;
    RETURN r;
END $$;
CREATE FUNCTION command.bump_if(a int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
    SELECT n INTO r FROM counter WHERE counter.id = a FOR UPDATE;
    PERFORM weir.require_version(r);
    UPDATE counter SET n = n + 1 WHERE counter.id = a RETURNING n INTO r;
    RETURN r;
END $$;
CREATE FUNCTION command.only_one(slot int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(4711, slot) THEN
        RAISE EXCEPTION 'two at once';
    END IF;
    PERFORM pg_sleep(0.003);
    RETURN slot;
END $$;
CREATE FUNCTION command.slow_bump2(a int, b int, seconds float8) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
    UPDATE counter SET n = n + 1 WHERE counter.id = a;
    PERFORM pg_sleep(seconds);
    UPDATE counter SET n = n + 1 WHERE counter.id = b RETURNING n INTO r;
    RETURN r;
END $$;
CREATE FUNCTION command.sum_and_book(id text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE r bigint;
BEGIN
    SELECT coalesce(sum(l.amount), 0) INTO r FROM ledger l;
    PERFORM pg_sleep(0.02);
    INSERT INTO ledger VALUES (id, 1);
    RETURN r;
END $$;
CREATE FUNCTION command.big(n int) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', n) $$;
CREATE FUNCTION command.exact() RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"n": 12345678901234567890.1234567890, "t": "},\"{"}'::jsonb $$;
CREATE TABLE journal (id text NOT NULL);
CREATE FUNCTION command.note(id text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN INSERT INTO journal VALUES (id); RETURN id; END $$;
CREATE FUNCTION command.who_calls() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('weir_test.meta') $$;

-- The wrapper: one block with a handler, the arguments by name from the body.
CREATE FUNCTION weir.make_wrapper(command text) RETURNS void LANGUAGE plpgsql AS $make$
DECLARE
    p    pg_proc%ROWTYPE;
    list text;
    args jsonb;
BEGIN
    SELECT * INTO STRICT p FROM pg_proc WHERE proname = command AND pronamespace = 'command'::regnamespace;
    SELECT string_agg(CASE t WHEN 'jsonb'::regtype THEN format('b->%L', a) ELSE format('(b->>%L)::%s', a, t::regtype) END, ', ' ORDER BY i),
           coalesce(jsonb_agg(jsonb_build_object('name', a, 'type', t::regtype::text, 'required', true) ORDER BY i), '[]')
      INTO list, args
      FROM unnest(p.proargnames, p.proargtypes::oid[]) WITH ORDINALITY AS x(a, t, i) WHERE a IS NOT NULL;
    EXECUTE format($f$
        CREATE OR REPLACE FUNCTION weir.%I(meta text, body text) RETURNS jsonb LANGUAGE plpgsql AS $w$
        DECLARE b jsonb; m text; d text; h text; c text; co text; t text; x text;
        BEGIN
            b := body::jsonb;
            PERFORM pg_logical_emit_message(true, 'weir.command', meta);
            PERFORM set_config('weir_test.meta', meta, true);
            RETURN jsonb_build_object('ok', command.%I(%s));
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, c = CONSTRAINT_NAME,
                                    co = COLUMN_NAME, t = TABLE_NAME,
                                    x = PG_EXCEPTION_CONTEXT;
            RETURN jsonb_build_object('error', jsonb_build_object('sqlstate', SQLSTATE, 'message', m, 'detail', d, 'hint', h,
                                      'constraint', c, 'column', co, 'table', t,
                                      'collision', CASE WHEN SQLSTATE IN ('55P03', '40P01') THEN weir.collision(x) END));
        END $w$ $f$, 'run_' || command, command, coalesce(list, ''));
    INSERT INTO weir.command_catalog
    SELECT command, command || '(' || pg_get_function_arguments(p.oid) || ')', args, p.prorettype::regtype::text, false, false,
           'test', '{"post": {"responses": {"default": {"$ref": "#/components/responses/Problem"}}}}', 1
        ON CONFLICT DO NOTHING;
END $make$;
SELECT weir.make_wrapper(proname::text) FROM pg_proc WHERE pronamespace = 'command'::regnamespace;
UPDATE weir.command_catalog SET serializable = true WHERE name = 'sum_and_book';
UPDATE weir.command_catalog SET isolated = true WHERE name = 'slow_bump2';
