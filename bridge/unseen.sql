-- The shape of the tables of publication $1, as text, and those that changed since the shape $2 (NULL: none is known) in a way
-- that sends no event. Rows: the first has the shape, and how many are gone or
-- renamed (NULL: none); each other one NULL, schema and name. Catalogs alone are read: nobody's lock is
-- waited for, but for the size of a partition that is new.
WITH RECURSIVE tab AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, r.oid AS published
      FROM pg_publication p
      JOIN pg_class c ON c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
     WHERE p.pubname = $1
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
    SELECT t.root, CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.typelem END
      FROM typ t JOIN pg_type y ON y.oid = t.oid AND (y.typtype = 'd' OR (y.typcategory = 'A' AND y.typelem <> 0))
), shape AS (
    SELECT t.oid::text AS oid, t.nspname, t.relname, jsonb_build_object(
               'name', format('%I.%I', t.nspname, t.relname), 'published', t.published, 'file', t.relfilenode,
               -- name -> number, and the transaction that made it what it is
               'cols', (SELECT jsonb_object_agg(a.attname, a.attnum || ' ' || a.xmin::text) FROM pg_attribute a
                         WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
               'labels', (SELECT jsonb_object_agg(e.oid::text, e.enumlabel) FROM typ y JOIN pg_enum e ON e.enumtypid = y.oid
                           WHERE y.root = t.oid),
               'parts', (SELECT jsonb_object_agg(p.oid::text, p.relfilenode) FROM part p
                          WHERE p.root = t.oid AND p.relkind <> 'p')) AS now
      FROM tab t
), part_of (root, what, key, old, now) AS (
    SELECT k.oid, m.what, e.key, max(e.value) FILTER (WHERE e.side = 'old'), max(e.value) FILTER (WHERE e.side = 'now')
      FROM (SELECT s.oid, jsonb_build_object('now', s.now, 'old', o.value) AS both
              FROM shape s JOIN jsonb_each($2::jsonb) o ON o.key = s.oid) k
      CROSS JOIN (VALUES ('cols'), ('labels'), ('parts')) m (what)
      CROSS JOIN LATERAL (SELECT d.side, j.key, j.value FROM (VALUES ('old'), ('now')) d (side),
                          jsonb_each_text(coalesce(nullif(k.both -> d.side -> m.what, 'null'), '{}')) j) e
     GROUP BY k.oid, m.what, e.key
), gone AS (
    -- Dropped, unpublished, or under another name: the SELECT of a model may mean another table now, or none.
    SELECT count(*) AS n FROM jsonb_each($2::jsonb) o LEFT JOIN shape s ON s.oid = o.key
     WHERE s.oid IS NULL OR s.now -> 'name' <> o.value -> 'name'
), changed AS (
    SELECT s.nspname, s.relname
      FROM shape s JOIN jsonb_each($2::jsonb) o ON o.key = s.oid
     WHERE o.value -> 'published' <> s.now -> 'published'
        -- a name that means another column; a column altered together with the file: its values were rewritten
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'cols'
                    AND (split_part(p.old, ' ', 1) <> split_part(p.now, ' ', 1)
                         OR (p.old <> p.now AND o.value -> 'file' <> s.now -> 'file')))
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'labels' AND p.old <> p.now)
        -- a partition that is gone, was emptied or rewritten by itself, or came with rows
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'parts' AND p.old IS NOT NULL
                    AND p.old IS DISTINCT FROM p.now)
        OR EXISTS (SELECT FROM part_of p WHERE p.root = s.oid AND p.what = 'parts' AND p.old IS NULL
                    AND pg_relation_size(p.key::oid) > 0)
)
SELECT coalesce(jsonb_object_agg(s.oid, s.now), '{}')::text, (SELECT nullif(n, 0)::text FROM gone), NULL FROM shape s
UNION ALL
SELECT NULL, c.nspname, c.relname FROM changed c
 ORDER BY 1 NULLS LAST
