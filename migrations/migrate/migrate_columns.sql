-- Columns of a table and their place in its key. $1: oid; $2: the key that change events carry (replica identity, under FULL
-- the primary key or else the first unique one without NULL), else the primary key.
WITH idx AS (
    SELECT i.indkey, i.indnkeyatts
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisunique
      AND CASE WHEN NOT $2::bool THEN i.indisprimary
               WHEN c.relreplident = 'd' THEN i.indisprimary
               WHEN c.relreplident = 'i' THEN i.indisreplident
               WHEN c.relreplident = 'f' THEN i.indimmediate
               ELSE false END
      AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k
                      WHERE NOT a.attnotnull)
    ORDER BY i.indisprimary DESC, i.indexrelid
    LIMIT 1
)
SELECT a.attname,
       format_type(a.atttypid, a.atttypmod),
       CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END,
       CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
       format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),
       a.attnotnull OR t.typnotnull,
       a.atthasdef,
       a.attgenerated <> '',
       a.attidentity <> '',
       CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END < 10000,
       coalesce((SELECT k.place FROM idx, unnest(idx.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                 WHERE k.attnum = a.attnum AND k.place <= idx.indnkeyatts), 0),
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation THEN
            (SELECT format('%I.%I', n.nspname, o.collname) FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE o.oid = a.attcollation)
       END,
       format_type(a.atttypid, NULL)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
