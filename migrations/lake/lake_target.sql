-- $1 schema, $2 table. One row per column: name; array, json or plain; whether it may be written; place in the primary key
-- (0: none); the table's quoted name.
SELECT a.attname, CASE WHEN t.typcategory = 'A' THEN 'array' WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype) THEN 'json'
                       ELSE 'plain' END,
       a.attgenerated = '' AND a.attidentity <> 'a',
       coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1,
       format('%I.%I', n.nspname, c.relname)
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'f')
ORDER BY a.attnum
