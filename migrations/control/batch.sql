-- Several commands as one. Replaced as a whole when this file changes.

-- body: [{"name","arguments"?}…]. All or none: one block, so one subtransaction around theirs. {"ok": [result…]}, or the error of the
-- first that failed, its pointer beginning with its place in the batch. as_role and claims: on whose behalf, see roles.sql.
DROP FUNCTION IF EXISTS weir.run_batch(text, text);
CREATE OR REPLACE FUNCTION weir.run_batch(meta text, body text, as_role text DEFAULT NULL, claims text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    one     record;
    r       jsonb;
    results jsonb[] := '{}';
BEGIN
    FOR one IN SELECT e.v, e.i - 1 AS at FROM jsonb_array_elements(body::jsonb) WITH ORDINALITY AS e(v, i) ORDER BY e.i LOOP
        IF to_regprocedure(format('weir.%I(text,text)', 'run_' || (one.v ->> 'name'))) IS NULL THEN
            r := jsonb_build_object('error', jsonb_build_object('sqlstate', '0A000', 'message',
                format('the command %s is not deployed any more', one.v ->> 'name')));
        ELSE
            r := weir.run_as(as_role, claims, one.v ->> 'name', (meta::jsonb || jsonb_build_object('name', one.v -> 'name'))::text,
                             coalesce(one.v -> 'arguments', '{}')::text);
        END IF;
        IF r ? 'ok' THEN
            results := results || (r -> 'ok');
        ELSE
            RAISE EXCEPTION 'command % of the batch failed', one.at USING ERRCODE = 'WE999';
        END IF;
    END LOOP;
    RETURN jsonb_build_object('ok', to_jsonb(results));
EXCEPTION WHEN SQLSTATE 'WE999' THEN
    RETURN jsonb_set(r, '{error,pointer}', to_jsonb('/' || one.at || coalesce('/arguments' || (r #>> '{error,pointer}'), '')));
END $$;
