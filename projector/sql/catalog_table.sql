-- One table as the compiler wants it: row 't' the table, rows 'c' its columns in order, rows 'i' its unique indexes.
-- $1: name for to_regclass, $2: publication or NULL. Works from PostgreSQL 13 on: newer columns are read through to_jsonb.
WITH RECURSIVE t AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = pg_catalog.to_regclass($1)
), pub AS (
    SELECT to_jsonb(p) -> 'attnames' AS attnames,
           to_jsonb(p) ->> 'rowfilter' IS NULL AND o.pubinsert AND o.pubupdate AND o.pubdelete AND o.pubtruncate AS whole
      FROM pg_catalog.pg_publication_tables p JOIN pg_catalog.pg_publication o ON o.pubname = p.pubname, t
     WHERE p.pubname = $2 AND p.schemaname = t.nspname AND p.tablename = t.relname
     LIMIT 1
), db AS (
    SELECT d.datcollate IN ('C', 'POSIX', 'C.UTF-8', 'C.utf8')
           AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') IN ('c', 'b') AS c_order
      FROM pg_catalog.pg_database d
     WHERE d.datname = current_database()
), base (attnum, typid, typmod) AS (
    SELECT a.attnum, a.atttypid, a.atttypmod
      FROM pg_catalog.pg_attribute a, t
     WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, y.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE y.typtypmod END
      FROM base b
      JOIN pg_catalog.pg_type y ON y.oid = b.typid AND y.typtype = 'd'
), own AS (
    -- Types whose JSON is not their text: to_jsonb calls a cast to json, except that of a built-in type.
    SELECT c.castsource AS oid FROM pg_catalog.pg_cast c
     WHERE c.casttarget = 'pg_catalog.json'::pg_catalog.regtype AND c.castfunc <> 0 AND c.castsource >= 16384
), named AS (
    -- Types that print the present name of something else (regclass, regrole, …): a rename changes them without an event.
    SELECT y.oid FROM pg_catalog.pg_type y
     WHERE y.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND (y.typname ~ '^reg' OR y.typname = 'aclitem')
), cols AS (
    SELECT a.attnum, a.attname, b.typid, b.typmod, a.attnotnull, a.attgenerated <> '' AS generated,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS shown,
           CASE WHEN y.oid IN (SELECT own.oid FROM own) OR y.typname IN ('int2vector', 'oidvector') THEN 'p'
                WHEN y.oid IN (SELECT named.oid FROM named) THEN 'p'
                ELSE y.typtype END AS typtype,
           CASE WHEN a.atttypid <> b.typid THEN a.atttypid ELSE 0 END AS domain,
           CASE WHEN y.typcategory = 'A' AND y.typlen = -1 THEN y.typelem ELSE 0 END AS elem,
           CASE WHEN a.attcollation = 0 THEN false
                WHEN l.collname = 'default' THEN db.c_order
                ELSE l.collname IN ('C', 'POSIX', 'ucs_basic') AND l.collprovider IN ('c', 'd', 'b')
           END AS c_order,
           coalesce(NOT l.collisdeterministic, false) AS nondeterministic,
           $2::text IS NULL OR NOT EXISTS (SELECT FROM pub WHERE jsonb_typeof(pub.attnames) = 'array')
           OR EXISTS (SELECT FROM pub WHERE pub.attnames ? a.attname) AS published
      FROM base b
      JOIN pg_catalog.pg_type y ON y.oid = b.typid AND y.typtype <> 'd'
      JOIN t ON true
      JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = b.attnum
      CROSS JOIN db
      LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
), elem (attnum, typid) AS (
    SELECT c.attnum, c.elem::oid FROM cols c WHERE c.elem <> 0
    UNION ALL
    SELECT e.attnum, y.typbasetype FROM elem e JOIN pg_catalog.pg_type y ON y.oid = e.typid AND y.typtype = 'd'
), elems AS (
    -- An array is kept when its text, split at commas, is that of its elements; a domain over arrays is no element.
    SELECT e.attnum, y.oid AS typid,
           CASE WHEN y.oid IN (SELECT own.oid FROM own UNION ALL SELECT named.oid FROM named) OR y.typcategory = 'A' OR y.typdelim <> ',' THEN 'p'
                ELSE y.typtype END AS typtype
      FROM elem e JOIN pg_catalog.pg_type y ON y.oid = e.typid AND y.typtype <> 'd'
)
SELECT 't' AS kind, 0 AS pos, t.nspname::text, t.relname::text, t.oid::text, t.relkind::text, t.relreplident::text,
       ($2::text IS NULL OR EXISTS (SELECT FROM pub WHERE whole))::int::text, db.c_order::int::text,
       (t.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = t.oid))::int::text,
       EXISTS (SELECT FROM pub WHERE NOT whole)::int::text, NULL, NULL, NULL, NULL
  FROM t, db
UNION ALL
SELECT 'c', c.attnum, c.attname::text, c.shown, c.typid::text, c.typmod::text, c.typtype::text,
       c.attnotnull::int::text, c.generated::int::text, c.c_order::int::text, c.nondeterministic::int::text,
       coalesce(e.typid::text || ' ' || e.typtype::text, ''), c.published::int::text,
       c.domain::text, NULL
  FROM cols c LEFT JOIN elems e ON e.attnum = c.attnum
UNION ALL
SELECT 'i', row_number() OVER (ORDER BY i.indisprimary DESC, i.indexrelid)::int, ic.relname::text,
       array_to_string((i.indkey::int2[])[0:i.indnkeyatts - 1], ' '), i.indisprimary::int::text,
       (i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)::int::text, i.indisreplident::int::text,
       (NOT i.indimmediate)::int::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM t
  JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND i.indisunique
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
ORDER BY 1 DESC, 2
