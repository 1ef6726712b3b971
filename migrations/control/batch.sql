-- Several commands as one. Replaced as a whole when this file changes.

-- body: [{"name","meta","arguments"}…]. All or none: one block, so one subtransaction around theirs. {"ok": [result…]}, or the error of the
-- first that failed, its pointer beginning with its place in the batch.
CREATE OR REPLACE FUNCTION weir.run_batch(meta text, body text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    one     record;
    r       jsonb;
    results jsonb[] := '{}';
BEGIN
    FOR one IN SELECT e.v, e.i - 1 AS at FROM jsonb_array_elements(body::jsonb) WITH ORDINALITY AS e(v, i) ORDER BY e.i LOOP
        EXECUTE format('SELECT weir.%I($1, $2)', 'run_' || (one.v ->> 'name')) INTO r USING one.v ->> 'meta', (one.v -> 'arguments')::text;
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
