-- The shape of the tables that publication $1 sends whole, as text, and those that changed since the shape $2 (NULL: none is known)
-- in a way that sends no event. Rows: the first has the shape, and of how many tables what a SELECT of them means may be another
-- (NULL: none): gone, renamed, back, or with other keys, collations or children; each other one NULL, schema and name. A table that left keeps
-- what was known of it, marked "left". Catalogs alone are read: nobody's lock is waited for, but for the size of a partition that is new.
WITH RECURSIVE tab AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, r.oid AS published, c.relreplident, r.prattrs
      FROM pg_publication p
      JOIN pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
     WHERE p.pubname = $1
       AND p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate AND (p.pubviaroot OR c.relkind = 'r') AND r.prqual IS NULL
       AND (r.oid IS NOT NULL
            OR EXISTS (SELECT FROM pg_publication_namespace s WHERE s.pnpubid = p.oid AND s.pnnspid = n.oid)
            OR (p.puballtables AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'weir')))
), part AS (
    SELECT t.oid AS root, t.oid, t.relkind, t.relfilenode FROM tab t WHERE t.relkind = 'p'
    UNION ALL
    SELECT p.root, c.oid, c.relkind, c.relfilenode
      FROM part p JOIN pg_inherits i ON i.inhparent = p.oid JOIN pg_class c ON c.oid = i.inhrelid
), typ AS (
    SELECT t.oid AS root, a.atttypid AS oid
      FROM tab t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT t.root, CASE WHEN y.typtype = 'd' THEN y.typbasetype WHEN y.typtype IN ('r', 'm') THEN r.rngsubtype ELSE y.typelem END
      FROM typ t
      JOIN pg_type y ON y.oid = t.oid AND (y.typtype IN ('d', 'r', 'm') OR (y.typcategory = 'A' AND y.typelem <> 0))
      LEFT JOIN pg_range r ON y.oid IN (r.rngtypid, r.rngmultitypid)
), labels AS ( -- these two once for all tables: asked per table they would be read whole for each
    SELECT y.root, jsonb_object_agg(e.oid::text, e.enumlabel) AS v FROM typ y JOIN pg_enum e ON e.enumtypid = y.oid GROUP BY y.root
), parts AS (
    SELECT p.root, jsonb_object_agg(p.oid::text, p.relfilenode) AS v FROM part p WHERE p.relkind <> 'p' GROUP BY p.root
), shape AS (
    SELECT t.oid::text AS oid, t.nspname, t.relname, jsonb_build_object(
               'name', format('%I.%I', t.nspname, t.relname), 'published', t.published, 'file', t.relfilenode,
               -- name -> number, the transaction that made it what it is, type
               'cols', (SELECT jsonb_object_agg(a.attname, a.attnum || ' ' || a.xmin::text || ' ' || a.atttypid) FROM pg_attribute a
                         WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
               -- what else a SELECT's meaning, or that it is one document per row, depends on
               'facts', md5(concat_ws(' ', t.relreplident, t.prattrs,
                   (SELECT string_agg(concat_ws(' ', a.attname, a.attnum, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull), ','
                                      ORDER BY a.attnum)
                      FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
                   (SELECT string_agg(concat_ws(' ', x.indkey, x.indisprimary, x.indisvalid, x.indimmediate, x.indisreplident,
                                                x.indpred IS NULL, x.indexprs IS NULL), ',' ORDER BY x.indexrelid)
                      FROM pg_index x WHERE x.indrelid = t.oid AND x.indisunique),
                   (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = t.oid AND t.relkind = 'r'))),
               'labels', l.v, 'parts', p.v) AS now
      FROM tab t LEFT JOIN labels l ON l.root = t.oid LEFT JOIN parts p ON p.root = t.oid
), part_of (root, what, key, old, now) AS (
    SELECT k.oid, m.what, e.key, max(e.value) FILTER (WHERE e.side = 'old'), max(e.value) FILTER (WHERE e.side = 'now')
      FROM (SELECT s.oid, jsonb_build_object('now', s.now, 'old', o.value) AS both
              FROM shape s JOIN jsonb_each($2::jsonb) o ON o.key = s.oid) k
      CROSS JOIN (VALUES ('cols'), ('labels'), ('parts')) m (what)
      CROSS JOIN LATERAL (SELECT d.side, j.key, j.value FROM (VALUES ('old'), ('now')) d (side),
                          jsonb_each_text(coalesce(nullif(k.both -> d.side -> m.what, 'null'), '{}')) j) e
     GROUP BY k.oid, m.what, e.key
), absent AS (
    -- Not sent any more, or not whole, but it exists: what it misses meanwhile is read when it is back.
    SELECT o.key AS oid, o.value || '{"left": true}' AS was
      FROM jsonb_each($2::jsonb) o LEFT JOIN shape s ON s.oid = o.key JOIN pg_class c ON c.oid = o.key::oid
     WHERE s.oid IS NULL
), gone AS (
    SELECT count(*) AS n FROM jsonb_each($2::jsonb) o LEFT JOIN shape s ON s.oid = o.key
     WHERE (s.oid IS NULL) <> (o.value ? 'left') OR s.now -> 'name' <> o.value -> 'name' OR s.now -> 'facts' <> o.value -> 'facts'
), changed AS (
    SELECT s.nspname, s.relname
      FROM shape s JOIN jsonb_each($2::jsonb) o ON o.key = s.oid
     WHERE o.value -> 'published' <> s.now -> 'published' OR o.value ? 'left'
        -- a name that means another column; another type, whose texts may differ without a rewrite (timestamp, timestamptz);
        -- a column altered together with the file: its values were rewritten
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'cols'
                    AND (split_part(p.old, ' ', 1) <> split_part(p.now, ' ', 1)
                         OR split_part(p.now, ' ', 3) NOT IN (split_part(p.old, ' ', 3), '') AND split_part(p.old, ' ', 3) <> ''
                         OR (p.old <> p.now AND o.value -> 'file' <> s.now -> 'file')))
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'labels' AND p.old <> p.now)
        -- a partition that is gone, was emptied or rewritten by itself, or came with rows
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'parts' AND p.old IS NOT NULL
                    AND p.old IS DISTINCT FROM p.now)
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'parts' AND p.old IS NULL
                    AND pg_relation_size(p.key::oid) > 0)
)
SELECT coalesce(jsonb_object_agg(s.oid, s.now), '{}')::text, (SELECT nullif(n, 0)::text FROM gone), NULL
  FROM (SELECT oid, now FROM shape UNION ALL SELECT oid, was FROM absent) s
UNION ALL
SELECT NULL, c.nspname, c.relname FROM changed c
 ORDER BY 1 NULLS LAST
