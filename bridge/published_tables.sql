-- The tables of publication $1 (only $2.$3 when given), with what the stream sends of each.
-- INCLUDE columns are no part of a key. key: the index that identifies rows in the stream (replica identity), or the primary key under FULL and NOTHING.
SELECT c.oid, n.nspname, c.relname, c.relreplident, c.relkind, pt.rowfilter,
       a.attname, a.atttypid, a.atttypmod,
       c.relreplident = 'f' OR coalesce(a.attnum = ANY (ident.cols), false) AS in_identity,
       coalesce(a.attnum = ANY (coalesce(ident.cols, pk.cols)), false) AS in_key,
       array_position(coalesce(ident.cols, pk.cols), a.attnum) - 1 AS key_at
  FROM pg_publication_tables pt
  JOIN pg_namespace n ON n.nspname = pt.schemaname
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = pt.tablename
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND (pt.attnames IS NULL OR a.attname = ANY (pt.attnames))
  LEFT JOIN LATERAL (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS cols FROM pg_index i
                      WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indisunique
                        AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)
                      LIMIT 1) ident ON true
  LEFT JOIN LATERAL (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS cols FROM pg_index i
                      WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND i.indisprimary
                      LIMIT 1) pk ON c.relreplident IN ('f', 'n')
 WHERE pt.pubname = $1 AND ($2::text IS NULL OR pt.schemaname = $2) AND ($3::text IS NULL OR pt.tablename = $3)
 ORDER BY n.nspname, c.relname, c.oid, a.attnum
