-- Foreign keys of table $1: name, whether it is valid, and a SELECT that counts rows without parent.
SELECT c.conname, c.convalidated,
       format('SELECT count(*) FROM %s AS c WHERE %s AND NOT EXISTS (SELECT FROM %s AS p WHERE %s)',
              concat((SELECT 'ONLY ' FROM pg_class WHERE oid = c.conrelid AND relkind = 'r'), c.conrelid::regclass),
              (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ' ORDER BY k.i)
               FROM unnest(c.conkey) WITH ORDINALITY k (n, i) JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n),
              concat((SELECT 'ONLY ' FROM pg_class WHERE oid = c.confrelid AND relkind = 'r'), c.confrelid::regclass),
              (SELECT string_agg(format('p.%I = c.%I', f.attname, a.attname), ' AND ' ORDER BY k.i)
               FROM unnest(c.conkey, c.confkey) WITH ORDINALITY k (n, m, i)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n
               JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = k.m))
FROM pg_constraint c
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.conrelid = to_regclass($1)
ORDER BY c.conname
