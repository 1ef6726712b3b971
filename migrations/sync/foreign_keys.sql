-- What refers to the table $1.$2 by its key $3: the foreign key's name, the child, and a statement that notes the child's rows whose
-- parent is gone, of the parent keys in its parameters (text[] each, in the order of $3; then the flow). NULL: it refers to other columns, or we may not read it.
SELECT f.conname, f.conrelid::regclass,
       CASE WHEN bool_and(pa.attname = ANY ($3::text[])) AND has_table_privilege(f.conrelid, 'SELECT')
             AND (SELECT has_schema_privilege(relnamespace, 'USAGE') FROM pg_class WHERE oid = f.conrelid) THEN
       format('INSERT INTO weir_sync.conflict (flow, tab, kind, policy, resolution, key, local_row) SELECT $%1$s, %2$L, ''orphan'', %3$L, ''kept'', %4$s, to_jsonb(c.*) '
              'FROM %5$s AS c WHERE (%6$s) IN (SELECT %7$s FROM unnest(%8$s) AS u (%9$s)) AND NOT EXISTS (SELECT FROM %10$s AS p WHERE %11$s)',
              cardinality($3::text[]) + 1,
              (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = f.conrelid),
              f.conname,
              (SELECT coalesce('jsonb_build_array(' || string_agg(format('c.%I::text', a.attname), ', ' ORDER BY a.attnum) || ')', 'NULL')
                 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                WHERE i.indrelid = f.conrelid AND i.indisprimary),
              (SELECT CASE relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || f.conrelid::regclass FROM pg_class WHERE oid = f.conrelid),
              string_agg(format('c.%I', ca.attname), ', ' ORDER BY k.at),
              string_agg(format('u.k%s::%s', array_position($3::text[], pa.attname::text), format_type(pa.atttypid, NULL)), ', ' ORDER BY k.at),
              (SELECT string_agg(format('$%s::text[]', g), ', ' ORDER BY g) FROM generate_series(1, cardinality($3::text[])) g),
              (SELECT string_agg('k' || g, ', ' ORDER BY g) FROM generate_series(1, cardinality($3::text[])) g),
              (SELECT CASE relkind WHEN 'r' THEN 'ONLY ' ELSE '' END || f.confrelid::regclass FROM pg_class WHERE oid = f.confrelid),
              string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' AND ' ORDER BY k.at)) END
  FROM pg_class t JOIN pg_namespace s ON s.oid = t.relnamespace
  JOIN pg_constraint f ON f.confrelid = t.oid AND f.contype = 'f' AND f.conparentid = 0
  CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY k (child, parent, at)
  JOIN pg_attribute ca ON ca.attrelid = f.conrelid AND ca.attnum = k.child
  JOIN pg_attribute pa ON pa.attrelid = f.confrelid AND pa.attnum = k.parent
 WHERE s.nspname = $1 AND t.relname = $2
 GROUP BY f.oid, f.conname, f.conrelid, f.confrelid
 ORDER BY f.conname
