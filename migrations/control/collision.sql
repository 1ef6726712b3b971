-- What a wrapper tells about a row it could not lock. Replaced as a whole when this file changes.

-- context: PG_EXCEPTION_CONTEXT of a lock timeout or deadlock. {"table", "row": [["column", "value as text"]…]}, NULL when PostgreSQL
-- does not say which row it was or the row has changed since. Columns that identify a row stand first: of unique indexes of one column,
-- then of others, then by their number of distinct values.
CREATE OR REPLACE FUNCTION weir.collision(context text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    said text[] := regexp_match(context, 'while (?:updating|deleting|locking|rechecking updated) tuple (\(\d+,\d+\)) in relation "([^"]+)"');
    rel  oid;
    cols text;
    vals jsonb;
BEGIN
    -- Whatever else this transaction waits for is probably held by the same session: the group it is part of must not wait again and again.
    PERFORM pg_catalog.set_config('lock_timeout', '1', true);
    IF said IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT c.oid INTO rel FROM pg_catalog.pg_class c
     WHERE c.relname = said[2] AND c.relkind = 'r' ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC, c.oid LIMIT 1;
    SELECT pg_catalog.string_agg(pg_catalog.format('pg_catalog.jsonb_build_array(%L, pg_catalog."left"(%I::text, 200))', a.attname, a.attname), ', ' ORDER BY a.place)
      INTO cols
      FROM (SELECT a.attname, row_number() OVER (ORDER BY min(i.indnkeyatts) FILTER (WHERE i.indisunique) NULLS LAST,
                       CASE WHEN min(s.n_distinct) < 0 THEN -min(s.n_distinct) * min(c.reltuples) ELSE min(s.n_distinct) END DESC NULLS LAST,
                       a.attnum) AS place
              FROM pg_catalog.pg_attribute a
              JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
              JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typcategory IN ('N', 'S', 'U', 'E', 'D')
              LEFT JOIN pg_catalog.pg_index i ON i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey)
              LEFT JOIN pg_catalog.pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname AND s.attname = a.attname
             WHERE a.attrelid = rel AND a.attnum > 0 AND NOT a.attisdropped
             GROUP BY a.attname, a.attnum) a
     WHERE a.place <= 12;
    EXECUTE pg_catalog.format('SELECT pg_catalog.jsonb_build_array(%s) FROM %s WHERE ctid = %L', cols, rel::regclass, said[1]) INTO vals;
    IF vals IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN pg_catalog.jsonb_build_object('table', rel::regclass::text, 'row', vals);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL; -- it is a help for the order of execution, no more
END $$;
