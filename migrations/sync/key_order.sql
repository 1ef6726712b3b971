-- How the columns $3 of the table $1.$2 (NULL: its key's) are ordered, in their order: name, and a text that is equal where the order is; NULL: unlike any other.
SELECT a.attname,
       CASE WHEN t.typname IN ('int2', 'int4', 'int8', 'numeric', 'float4', 'float8') AND tn.nspname = 'pg_catalog' THEN 'number'
            WHEN t.typtype = 'e' THEN (SELECT 'enum ' || string_agg(quote_ident(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
            WHEN t.typtype <> 'b' OR tn.nspname <> 'pg_catalog' THEN NULL
            WHEN a.attcollation = 0 THEN t.typname
            ELSE t.typname || ' ' || (
                SELECT CASE WHEN k.name IN ('C', 'POSIX') THEN 'C'
                            ELSE concat_ws(' ', k.provider, k.name, k.locale, k.version, CASE WHEN NOT c.collisdeterministic THEN 'loose' END) END
                  FROM pg_collation c CROSS JOIN (SELECT to_jsonb(d) AS j, d.oid FROM pg_database d WHERE d.datname = current_database()) d
                 CROSS JOIN LATERAL (
                    SELECT CASE WHEN c.collprovider = 'd' THEN d.j ->> 'datlocprovider' ELSE c.collprovider::text END AS provider,
                           CASE WHEN c.collprovider = 'd' THEN d.j ->> 'datcollate' ELSE c.collcollate END AS name,
                           CASE WHEN c.collprovider = 'd' THEN coalesce(d.j ->> 'daticulocale', d.j ->> 'datlocale')
                                ELSE coalesce(to_jsonb(c) ->> 'colliculocale', to_jsonb(c) ->> 'colllocale') END AS locale,
                           CASE WHEN c.collprovider = 'd' THEN pg_database_collation_actual_version(d.oid)
                                ELSE pg_collation_actual_version(c.oid) END AS version) k
                 WHERE c.oid = a.attcollation)
       END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND (c.relreplident = 'i' AND i.indisreplident OR c.relreplident <> 'i' AND i.indisprimary)
  JOIN LATERAL (SELECT u.name, u.at FROM unnest($3::text[]) WITH ORDINALITY u (name, at)
                UNION ALL
                SELECT b.attname, u.at FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY u (num, at)
                  JOIN pg_attribute b ON b.attrelid = c.oid AND b.attnum = u.num WHERE $3::text[] IS NULL) w ON true
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
 WHERE n.nspname = $1 AND c.relname = $2
 ORDER BY w.at
