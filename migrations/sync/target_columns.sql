-- Columns of the table $1.$2: name, quoted name, type for an array, goes as text, generated, identity ALWAYS, in the primary key; the table, is it partitioned.
SELECT a.attname, quote_ident(a.attname), format('%I.%I', tn.nspname, t.typname),
       t.typarray = 0 OR t.typtype IN ('d', 'c') OR t.typinput = 'array_in'::regproc -- unnest makes many columns of a composite one
       OR t.typdelim <> ',', -- box (;), PostGIS (:): arrays of them are not split at commas
       a.attgenerated <> '', a.attidentity = 'a',
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
       format('%I.%I', n.nspname, c.relname), c.relkind = 'p'
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
 ORDER BY a.attnum
