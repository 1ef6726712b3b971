-- What makes table $1 again as $2: kind, and either a name to be looked for (what) or nothing, and the command. In order.
WITH RECURSIVE t AS (SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass),
behind(oid, depth) AS ( -- the columns' types and all they are made of
    SELECT a.atttypid, 1 FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT x.oid, b.depth + 1 FROM behind b JOIN pg_type y ON y.oid = b.oid CROSS JOIN LATERAL (
        SELECT y.typelem WHERE y.typcategory = 'A' AND y.typelem <> 0
        UNION ALL SELECT y.typbasetype WHERE y.typtype = 'd'
        UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = y.oid
        UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = y.oid) x(oid)
), typ AS ( -- those that somebody made here; what an extension brings comes with the extension
    SELECT y.*, b.depth, format_type(y.oid, NULL) AS name
      FROM (SELECT oid, max(depth) AS depth FROM behind GROUP BY oid) b JOIN pg_type y ON y.oid = b.oid
      JOIN pg_namespace n ON n.oid = y.typnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND y.typtype IN ('e', 'd', 'c', 'r')
       AND (y.typtype <> 'c' OR EXISTS (SELECT FROM pg_class k WHERE k.oid = y.typrelid AND k.relkind = 'c'))
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = y.oid AND d.deptype = 'e')
), part AS ( -- a partitioned table's partitions, at every level
    SELECT c.*, n.nspname, p.level, p.parentrelid FROM t CROSS JOIN LATERAL pg_partition_tree(t.oid) p
      JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE t.relkind = 'p' AND p.level > 0 AND c.relkind IN ('r', 'p')
), coll AS ( -- collations of columns, of domains, of what composite types are made of
    SELECT co.oid, n.nspname, co.collname, format('%I.%I', n.nspname, co.collname) AS name,
           format('CREATE COLLATION IF NOT EXISTS %I.%I (PROVIDER = %s, DETERMINISTIC = %s, %s%s)', n.nspname, co.collname,
                  CASE co.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END, co.collisdeterministic::text,
                  CASE WHEN co.collprovider = 'c' THEN format('LC_COLLATE = %L, LC_CTYPE = %L', co.collcollate, co.collctype)
                       ELSE format('LOCALE = %L', coalesce(to_jsonb(co) ->> 'colllocale', to_jsonb(co) ->> 'colliculocale', co.collcollate)) END,
                  ', RULES = ' || quote_literal(to_jsonb(co) ->> 'collicurules')) AS command
      FROM (SELECT a.attcollation FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0
            UNION SELECT typcollation FROM typ
            UNION SELECT a.attcollation FROM typ JOIN pg_attribute a ON a.attrelid = typ.typrelid AND a.attnum > 0) u(oid)
      JOIN pg_collation co USING (oid) JOIN pg_namespace n ON n.oid = co.collnamespace
     WHERE n.nspname <> 'pg_catalog'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_collation'::regclass AND d.objid = co.oid AND d.deptype = 'e')
), seq AS ( -- sequences of serial columns; identity columns make their own
    SELECT DISTINCT s.oid, s.relname, n.nspname, q.*, a.attname, dep.deptype FROM t
      JOIN pg_attrdef d ON d.adrelid = t.oid
      JOIN pg_depend u ON u.classid = 'pg_attrdef'::regclass AND u.objid = d.oid AND u.refclassid = 'pg_class'::regclass
      JOIN pg_class s ON s.oid = u.refobjid AND s.relkind = 'S'
      JOIN pg_namespace n ON n.oid = s.relnamespace
      JOIN pg_sequence q ON q.seqrelid = s.oid
      JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.adnum
      LEFT JOIN pg_depend dep ON dep.classid = 'pg_class'::regclass AND dep.objid = s.oid AND dep.refobjid = t.oid
           AND dep.refobjsubid = a.attnum AND dep.deptype = 'a'
), col AS (
    SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
             || CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation
                     THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation)
                     ELSE '' END
             || CASE WHEN a.attidentity <> '' THEN
                     (SELECT format(' GENERATED %s AS IDENTITY (START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s %s)',
                                    CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                                    q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
                        FROM pg_depend p JOIN pg_sequence q ON q.seqrelid = p.objid
                       WHERE p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i')
                     WHEN a.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ') STORED'
                     WHEN d.oid IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                     ELSE '' END
             || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY a.attnum) AS list
      FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type y ON y.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), chk AS (
    SELECT string_agg(format(', CONSTRAINT %I %s', conname, pg_get_constraintdef(k.oid)), '' ORDER BY conname) AS list
      FROM t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'c' AND k.convalidated
), cmd(place, ord, kind, what, command) AS (
    SELECT 1, 0, 'schema', NULL, format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) FROM typ JOIN pg_namespace n ON n.oid = typ.typnamespace
    UNION SELECT 1, 0, 'schema', NULL, format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM (SELECT nspname FROM seq UNION SELECT nspname FROM coll UNION SELECT nspname FROM part) s
    UNION ALL
    SELECT 2, 0, 'collation', NULL, command FROM coll
    UNION ALL
    SELECT 3, -depth, 'type', name, format('CREATE TYPE %s AS ENUM (%s)', name,
           (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = typ.oid)) FROM typ WHERE typtype = 'e'
    UNION ALL
    SELECT 3, -depth, 'type', name, format('CREATE DOMAIN %s AS %s', name, format_type(typbasetype, typtypmod))
           || CASE WHEN typcollation <> (SELECT b.typcollation FROM pg_type b WHERE b.oid = typ.typbasetype)
                   THEN (SELECT format(' COLLATE %I.%I', n.nspname, co.collname) FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace WHERE co.oid = typ.typcollation)
                   ELSE '' END
           || coalesce(' DEFAULT ' || pg_get_expr(typdefaultbin, 0), '') || CASE WHEN typnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce((SELECT string_agg(format(' CONSTRAINT %I %s', conname, pg_get_constraintdef(k.oid)), '' ORDER BY conname)
                          FROM pg_constraint k WHERE k.contypid = typ.oid AND k.contype = 'c' AND k.convalidated), '')
      FROM typ WHERE typtype = 'd'
    UNION ALL
    SELECT 3, -depth, 'type', name, format('CREATE TYPE %s AS (%s)', name,
           (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                     || CASE WHEN a.attcollation <> y.typcollation
                             THEN (SELECT format(' COLLATE %I.%I', n.nspname, co.collname) FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace WHERE co.oid = a.attcollation)
                             ELSE '' END, ', ' ORDER BY a.attnum)
              FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = typ.typrelid AND a.attnum > 0 AND NOT a.attisdropped))
      FROM typ WHERE typtype = 'c'
    UNION ALL -- a range with a canonical function of its own cannot be made before that function
    SELECT 3, -depth, 'type', name, format('CREATE TYPE %s AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %I.%I, MULTIRANGE_TYPE_NAME = %s%s%s)', name, format_type(rngsubtype, NULL),
           (SELECT nspname FROM pg_namespace WHERE oid = o.opcnamespace), o.opcname, format_type(rngmultitypid, NULL),
           (SELECT format(', COLLATION = %I.%I', n.nspname, co.collname) FROM pg_collation co JOIN pg_namespace n ON n.oid = co.collnamespace WHERE co.oid = r.rngcollation),
           CASE WHEN rngsubdiff <> 0 THEN format(', SUBTYPE_DIFF = %s', rngsubdiff) END)
      FROM typ JOIN pg_range r ON r.rngtypid = typ.oid JOIN pg_opclass o ON o.oid = r.rngsubopc WHERE rngcanonical = 0
    UNION ALL
    SELECT 4, 0, 'sequence', NULL, format('CREATE SEQUENCE IF NOT EXISTS %I.%I AS %s START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s %s', nspname, relname,
           format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) FROM seq
    UNION ALL
    SELECT 5, 0, 'table', NULL, format('CREATE TABLE %s (%s%s)%s', $2::text, col.list, coalesce(chk.list, ''),
           CASE WHEN t.relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(t.oid) END) FROM t, col, chk
    UNION ALL
    SELECT 6, level, 'table', NULL, format('CREATE TABLE %I.%I PARTITION OF %s %s%s', nspname, relname,
           CASE WHEN level = 1 THEN $2::text ELSE (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = part.parentrelid) END,
           pg_get_expr(relpartbound, oid), CASE WHEN relkind = 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(oid) END) FROM part
    UNION ALL -- what a partition has beside the whole
    SELECT 7, level, 'check', NULL, format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', nspname, relname, conname, pg_get_constraintdef(k.oid))
      FROM part JOIN pg_constraint k ON k.conrelid = part.oid AND k.contype = 'c' AND k.convalidated AND k.coninhcount = 0
    UNION ALL
    SELECT 8, 0, 'owner', NULL, format('ALTER SEQUENCE %I.%I OWNED BY %s.%I', nspname, relname, $2::text, attname) FROM seq WHERE deptype = 'a'
    UNION ALL
    SELECT 9, 0, 'identity', NULL, format('ALTER TABLE %s REPLICA IDENTITY %s', name, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
      FROM (SELECT $2::text, relreplident FROM t UNION ALL SELECT format('%I.%I', nspname, relname), relreplident FROM part) r(name, relreplident) WHERE relreplident IN ('f', 'n')
)
SELECT kind, what, command FROM cmd WHERE command IS NOT NULL ORDER BY place, ord, command
