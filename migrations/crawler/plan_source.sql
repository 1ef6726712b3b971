-- What the crawler needs to know of source table $1.$2. The key is what identifies rows in the stream: the replica identity's index, else the primary key.
WITH t AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2
), k AS (
    SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS cols FROM t JOIN pg_index i ON i.indrelid = t.oid
     WHERE i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND (i.indisprimary OR i.indisreplident)
     ORDER BY (t.relreplident = 'i' AND i.indisreplident) DESC, i.indisprimary DESC LIMIT 1
), col AS (
    SELECT a.attname, a.attnum, a.atttypid, a.attgenerated, array_position(k.cols, a.attnum) AS key_at
      FROM t JOIN pg_attribute a ON a.attrelid = t.oid LEFT JOIN k ON true
     WHERE a.attnum > 0 AND NOT a.attisdropped
)
SELECT t.relkind,
       CASE WHEN t.relkind = 'p'
            THEN (SELECT coalesce(sum(CASE WHEN l.reltuples > 0 AND l.relpages > 0 THEN l.reltuples / l.relpages * (pg_relation_size(l.oid) / current_setting('block_size')::int) ELSE pg_relation_size(l.oid) / 100 END), 0) FROM pg_partition_tree(t.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf)
            ELSE CASE WHEN t.reltuples > 0 AND t.relpages > 0 THEN t.reltuples / t.relpages * (pg_relation_size(t.oid) / current_setting('block_size')::int) ELSE pg_relation_size(t.oid) / 100 END END::bigint, -- as the planner does; a guess for what was never analyzed
       (SELECT string_agg(quote_ident(attname), ', ' ORDER BY key_at) FROM col WHERE key_at IS NOT NULL),
       (SELECT 'ARRAY[' || string_agg(quote_ident(attname) || '::text', ', ' ORDER BY key_at) || ']' FROM col WHERE key_at IS NOT NULL),
       (SELECT string_agg(format_type(atttypid, -1), E'\n' ORDER BY key_at) FROM col WHERE key_at IS NOT NULL),
       CASE WHEN t.relkind = 'p' THEN (SELECT coalesce(sum(pg_relation_size(p.relid)), 0)::bigint FROM pg_partition_tree(t.oid) p WHERE p.isleaf)
            ELSE pg_relation_size(t.oid) END,
       has_table_privilege(t.oid, 'SELECT'),
       EXISTS (SELECT FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent WHERE t.oid IN (h.inhrelid, h.inhparent) AND p.relkind = 'r'),
       (SELECT l.oid::regclass FROM pg_partition_tree(t.oid) p JOIN pg_class l ON l.oid = p.relid WHERE t.relkind = 'p' AND l.relkind = 'f' LIMIT 1)
  FROM t
