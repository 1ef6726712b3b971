-- Tables of user schemas: is it in the publication ($1), may it be, and if not why and what helps. Whether the role can publish and
-- read a table (barred) decides only about those that are not in it yet: taking one out would end the models over it.
WITH RECURSIVE tab AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relispartition,
           c.relowner, row_security_active(c.oid) AS hidden, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'weir')
       AND n.nspname !~ '^pg_(toast|temp)'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
), leaf AS (
    SELECT t.oid AS root, t.oid, t.relkind, t.relpersistence, t.relreplident, t.name FROM tab t WHERE NOT t.relispartition
    UNION ALL
    SELECT l.root, c.oid, c.relkind, c.relpersistence, c.relreplident, format('%I.%I', n.nspname, c.relname)
      FROM leaf l JOIN pg_inherits i ON i.inhparent = l.oid JOIN pg_class c ON c.oid = i.inhrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.relkind = 'p'
), uniq AS (
    -- Indexes PostgreSQL takes as an identity: valid, unique, immediate, whole, plain columns that are NOT NULL.
    SELECT i.indrelid, i.indexrelid::regclass::text AS name, ci.relname, i.indisprimary, i.indisreplident
      FROM pg_index i JOIN pg_class ci ON ci.oid = i.indexrelid
     WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (SELECT FROM unnest(i.indkey[:i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k
                        WHERE NOT a.attnotnull)
), ident AS (
    SELECT l.root, l.oid, l.relkind, l.relpersistence, l.name, l.relreplident,
           CASE l.relreplident WHEN 'd' THEN EXISTS (SELECT FROM uniq u WHERE u.indrelid = l.oid AND u.indisprimary)
                WHEN 'i' THEN EXISTS (SELECT FROM uniq u WHERE u.indrelid = l.oid AND u.indisreplident)
                WHEN 'f' THEN EXISTS (SELECT FROM uniq u WHERE u.indrelid = l.oid)
                ELSE false END AS usable
      FROM leaf l
), why AS (
    SELECT t.oid, t.name, t.nspname, t.relname,
           EXISTS (SELECT FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid
                    WHERE p.pubname = $1 AND pr.prrelid = t.oid) AS published,
           CASE WHEN t.relkind = 'f' THEN 'it is a foreign table'
                WHEN t.relpersistence = 'u' THEN 'it is unlogged: its changes are not in the WAL'
                WHEN t.relpersistence = 't' THEN 'it is temporary' END AS never,
           CASE WHEN NOT pg_has_role(t.relowner, 'USAGE') THEN
                     format('it belongs to %I, which %I is no member of', pg_get_userbyid(t.relowner), current_user)
                WHEN t.hidden THEN format('row level security hides rows from %I', current_user) END AS barred,
           CASE WHEN pg_has_role(t.relowner, 'USAGE') THEN format('ALTER ROLE %I BYPASSRLS;', current_user)
                WHEN (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = t.relowner) THEN format('ALTER TABLE %s OWNER TO %I;', t.name, current_user)
                ELSE format('GRANT %I TO %I;', pg_get_userbyid(t.relowner), current_user) END AS unbar,
           (SELECT format('its partition %s is %s', b.name, CASE b.relkind WHEN 'f' THEN 'a foreign table' ELSE 'unlogged' END)
              FROM ident b WHERE b.root = t.oid AND b.oid <> t.oid AND (b.relkind = 'f' OR b.relpersistence <> 'p') LIMIT 1) AS odd,
           (SELECT b.name FROM ident b WHERE b.root = t.oid AND NOT b.usable ORDER BY b.oid = t.oid DESC LIMIT 1) AS bad,
           (SELECT b.relreplident FROM ident b WHERE b.root = t.oid AND NOT b.usable ORDER BY b.oid = t.oid DESC LIMIT 1) AS bad_kind,
           (SELECT u.relname FROM ident b JOIN uniq u ON u.indrelid = b.oid WHERE b.root = t.oid AND NOT b.usable
             ORDER BY b.oid = t.oid DESC, u.indisprimary DESC, u.relname LIMIT 1) AS bad_index,
           (SELECT u.indisprimary FROM ident b JOIN uniq u ON u.indrelid = b.oid WHERE b.root = t.oid AND NOT b.usable
             ORDER BY b.oid = t.oid DESC, u.indisprimary DESC, u.relname LIMIT 1) AS bad_primary
      FROM tab t WHERE NOT t.relispartition
)
SELECT name, published, (never IS NULL AND odd IS NULL AND bad IS NULL AND (published OR barred IS NULL)) AS usable,
       CASE WHEN never IS NOT NULL THEN never
            WHEN odd IS NOT NULL THEN odd
            WHEN bad IS NULL THEN barred
            ELSE CASE WHEN bad <> name THEN format('its partition %s has ', bad) ELSE 'it has ' END ||
                 CASE bad_kind WHEN 'n' THEN 'REPLICA IDENTITY NOTHING'
                               WHEN 'i' THEN 'lost the index of its replica identity'
                               WHEN 'f' THEN 'REPLICA IDENTITY FULL, but no unique key over NOT NULL columns that is not deferrable'
                               ELSE 'no primary key: a published table without one refuses UPDATE and DELETE' END END AS reason,
       CASE WHEN never IS NOT NULL OR odd IS NOT NULL THEN NULL
            WHEN bad IS NULL THEN CASE WHEN barred IS NOT NULL THEN unbar END
            WHEN bad_kind = 'f' THEN format('ALTER TABLE %s ADD PRIMARY KEY (…);', bad)
            WHEN bad_primary THEN format('ALTER TABLE %s REPLICA IDENTITY DEFAULT;', bad)
            WHEN bad_index IS NOT NULL THEN format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I;', bad, bad_index)
            WHEN bad_kind = 'n' THEN format('ALTER TABLE %1$s ADD PRIMARY KEY (…); ALTER TABLE %1$s REPLICA IDENTITY DEFAULT;', bad)
            ELSE format('ALTER TABLE %s ADD PRIMARY KEY (…);', bad) END AS remedy
  FROM why ORDER BY name
