-- What table $1, made again as $2, gets after its rows. kind: key, index, attach, foreign, validate, statistics.
-- foreign: the command is in two parts with the table it refers to (ref) between them.
-- A partitioned table takes no ready-made index as a constraint, and no NOT VALID foreign key: its constraints come whole.
WITH t AS (SELECT c.*, c.relkind = 'p' AS whole FROM pg_class c WHERE c.oid = $1::regclass),
ind AS (
    SELECT i.*, x.relname AS name, k.oid AS con, k.conname, k.contype, k.condeferrable, k.condeferred, t.whole,
           format('CREATE %sINDEX %I ON %s ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname, $2::text)
             || substr(pg_get_indexdef(i.indexrelid),
                       length(format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, x.relname,
                                     CASE WHEN t.whole THEN 'ONLY ' ELSE '' END, n.nspname, t.relname)) + 1) AS def
      FROM t JOIN pg_namespace n ON n.oid = t.relnamespace
      JOIN pg_index i ON i.indrelid = t.oid AND i.indisvalid
      JOIN pg_class x ON x.oid = i.indexrelid
      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = t.oid
), own AS ( -- indexes a partition has beside the whole's
    SELECT x.relname AS name, k.oid AS con, k.conname, p.relid::regclass::text AS tab, pg_get_indexdef(i.indexrelid) AS def
      FROM t CROSS JOIN LATERAL pg_partition_tree(t.oid) p
      JOIN pg_index i ON i.indrelid = p.relid AND i.indisvalid AND p.level > 0
      JOIN pg_class x ON x.oid = i.indexrelid
      LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = p.relid
     WHERE t.whole AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
), step(place, kind, what, command, ref, rest) AS (
    SELECT 1, 'key', name, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, conname, pg_get_constraintdef(con)), NULL, NULL
      FROM ind WHERE contype = 'p'
    UNION ALL
    SELECT 1, 'key', name, def || format('; ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', $2::text, name), NULL, NULL
      FROM ind WHERE con IS NULL AND indisreplident
    UNION ALL
    SELECT 1, 'key', name, format('ALTER TABLE %s ADD CONSTRAINT %I %s; ALTER TABLE %1$s REPLICA IDENTITY USING INDEX %2$I', $2::text, conname, pg_get_constraintdef(con)), NULL, NULL
      FROM ind WHERE contype = 'u' AND indisreplident
    UNION ALL
    SELECT 2, 'index', name, def, NULL, NULL FROM ind WHERE (con IS NULL OR contype = 'u' AND NOT whole) AND NOT indisreplident
    UNION ALL
    SELECT 2, 'index', name, def, NULL, NULL FROM own WHERE con IS NULL
    UNION ALL
    SELECT 3, 'attach', conname, format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE USING INDEX %I%s%s', $2::text, conname, name,
             CASE WHEN condeferrable THEN ' DEFERRABLE' ELSE '' END, CASE WHEN condeferred THEN ' INITIALLY DEFERRED' ELSE '' END), NULL, NULL
      FROM ind WHERE contype = 'u' AND NOT indisreplident AND NOT whole
    UNION ALL
    SELECT 3, 'attach', conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, conname, pg_get_constraintdef(con)), NULL, NULL
      FROM ind WHERE contype = 'x' OR contype = 'u' AND NOT indisreplident AND whole
    UNION ALL
    SELECT 3, 'attach', conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', tab, conname, pg_get_constraintdef(con)), NULL, NULL FROM own WHERE con IS NOT NULL
    UNION ALL
    SELECT 3, 'attach', conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, conname, pg_get_constraintdef(k.oid)), NULL, NULL
      FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'c' AND NOT k.convalidated
    UNION ALL
    SELECT 4, 'foreign', conname, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, conname, split_part(def, ' REFERENCES ' || ref || '(', 1) || ' REFERENCES '), ref,
           '(' || substr(def, strpos(def, ' REFERENCES ' || ref || '(') + length(' REFERENCES ' || ref || '('))
             || CASE WHEN convalidated AND NOT whole THEN ' NOT VALID' ELSE '' END
      FROM (SELECT t.whole, k.conname, k.convalidated, pg_get_constraintdef(k.oid) AS def, k.confrelid::regclass::text AS ref
              FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0) f
    UNION ALL
    SELECT 5, 'validate', conname, format('ALTER TABLE %s VALIDATE CONSTRAINT %I', $2::text, conname), k.confrelid::regclass::text, ''
      FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0 AND k.convalidated AND NOT t.whole
    UNION ALL
    SELECT 6, 'statistics', s.stxname, left(def, length(def) - length(tail)) || ' FROM ' || $2::text, NULL, NULL
      FROM t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
      CROSS JOIN LATERAL (SELECT pg_get_statisticsobjdef(s.oid) AS def) d
      CROSS JOIN LATERAL (SELECT substring(def FROM ' FROM [^()]*$') AS tail) x
    UNION ALL
    SELECT 7, 'analyze', 'statistics', format('VACUUM (ANALYZE) %s', $2::text), NULL, NULL FROM t
)
SELECT kind, what, command, ref, rest FROM step ORDER BY place, what
