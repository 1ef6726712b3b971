-- One table by name: $1 is a quoted name for to_regclass.
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.relpersistence,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'DELETE'),
       pg_has_role(c.relowner, 'USAGE'),
       row_security_active(c.oid),
       EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled IN ('O', 'A')),
       CASE WHEN c.relkind = 'p'
            THEN (SELECT coalesce(sum(CASE WHEN l.reltuples > 0 AND l.relpages > 0 THEN l.reltuples / l.relpages * (pg_relation_size(l.oid) / current_setting('block_size')::int) ELSE pg_relation_size(l.oid) / 100 END), 0) FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid WHERE p.isleaf)
            ELSE CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::int) ELSE pg_relation_size(c.oid) / 100 END END::bigint,
       c.relispartition,
       -- a partition whose changes are not told like those of the whole
       (SELECT l.oid::regclass FROM pg_partition_tree(c.oid) p JOIN pg_class l ON l.oid = p.relid
         WHERE c.relkind = 'p' AND p.isleaf
           AND (l.relkind <> 'r' OR l.relpersistence <> 'p' OR l.relreplident <> c.relreplident OR c.relreplident NOT IN ('d', 'f')) LIMIT 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1)
