-- Commands that come with more than a body: Idempotency-Key, If-Match. Replaced as a whole when this file changes.

-- What the client wrote into If-Match, without quotes; NULL when it sent none.
CREATE OR REPLACE FUNCTION weir.expected_version() RETURNS text
LANGUAGE sql STABLE AS $$ SELECT nullif(pg_catalog.current_setting('weir.expected_version', true), '') $$;

-- For command functions: refuses with 412 unless the client expected this version, or none.
CREATE OR REPLACE FUNCTION weir.require_version(actual anyelement) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF weir.expected_version() IS NOT NULL AND weir.expected_version() IS DISTINCT FROM actual::text THEN
        RAISE EXCEPTION 'the version is %, the command expected %', coalesce(actual::text, 'unknown'), weir.expected_version()
            USING ERRCODE = 'WE412', HINT = 'Read it again, and decide anew.';
    END IF;
END $$;

-- Is this answer of a wrapper the command's own and final word? Refusals before it began, bugs, and what another try may cure are not.
CREATE OR REPLACE FUNCTION weir.is_final(said jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN said ? 'ok' THEN true
                WHEN said -> 'error' ? 'pointer' THEN false
                WHEN s = '42501' THEN true
                WHEN s IN ('P0000', 'P0004') THEN false
                ELSE pg_catalog."left"(s, 2) <> ALL ('{02,03,08,09,0A,0B,0F,0L,0P,0Z,20,21,24,25,26,27,2B,2D,2F,34,38,39,3B,3D,3F,40,42,53,54,55,57,58,72,F0,HV,XX}') END
      FROM (SELECT said -> 'error' ->> 'sqlstate') AS e(s);
$$;

-- A wrapper with options {"key", "expected_version", "role", "claims"} around it. Answers what the wrapper does, or what weir.key_says of the
-- command that had this key before: at most one command of a key is ever executed, because the key is taken in its transaction. The command
-- "(batch)" is weir.run_batch.
CREATE OR REPLACE FUNCTION weir.run_with(command text, options text, meta text, body text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    wants   jsonb := options::jsonb;
    of_key  text := wants ->> 'key';
    mine    bytea;
    said    jsonb;
    e_state text; e_message text; e_detail text; e_hint text; e_context text;
BEGIN
    IF of_key IS NOT NULL THEN
        mine := weir.print_of(command, wants ->> 'expected_version', body);
        INSERT INTO weir.idempotency (key, command_id, print) VALUES (of_key, meta::jsonb ->> 'id', mine) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RETURN weir.key_says(of_key, mine, false);
        END IF;
    END IF;
    PERFORM set_config('weir.expected_version', coalesce(wants ->> 'expected_version', ''), true);
    IF command = '(batch)' THEN
        said := weir.run_batch(meta, body, wants ->> 'role', wants ->> 'claims');
    ELSE
        said := weir.run_as(wants ->> 'role', wants ->> 'claims', command, meta, body);
    END IF;
    PERFORM set_config('weir.expected_version', '', true); -- the next command of this transaction has its own
    IF of_key IS NOT NULL AND weir.is_final(said) THEN
        UPDATE weir.idempotency SET reply = said WHERE key = of_key;
    ELSIF of_key IS NOT NULL THEN
        DELETE FROM weir.idempotency WHERE key = of_key;
    END IF;
    RETURN said::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS e_state = RETURNED_SQLSTATE, e_message = MESSAGE_TEXT, e_detail = PG_EXCEPTION_DETAIL,
        e_hint = PG_EXCEPTION_HINT, e_context = PG_EXCEPTION_CONTEXT;
    RETURN jsonb_build_object('error', jsonb_strip_nulls(jsonb_build_object(
        'sqlstate', e_state, 'message', e_message, 'detail', nullif(e_detail, ''), 'hint', nullif(e_hint, ''),
        'collision', CASE WHEN e_state IN ('55P03', '40P01') THEN weir.collision(e_context) END)));
END $$;
