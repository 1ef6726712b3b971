-- What makes table $1 again as $2: kind, and either a name to be looked for (what) or nothing, and the command. In order.
WITH t AS (SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass),
typ AS ( -- enums behind the columns, arrays and domains of them aside
    SELECT DISTINCT e.oid, e.typname, e.typnamespace FROM t
      JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type y ON y.oid = a.atttypid
      JOIN pg_type e ON e.oid = CASE WHEN y.typelem <> 0 AND y.typlen = -1 THEN y.typelem ELSE y.oid END
     WHERE e.typtype = 'e'
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
), cmd(place, kind, what, command) AS (
    SELECT 1, 'schema', NULL, format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) FROM typ JOIN pg_namespace n ON n.oid = typ.typnamespace
    UNION SELECT 1, 'schema', NULL, format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM seq
    UNION ALL
    SELECT 2, 'type', format_type(oid, NULL), format('CREATE TYPE %s AS ENUM (%s)', format_type(oid, NULL),
           (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = typ.oid)) FROM typ
    UNION ALL
    SELECT 3, 'sequence', NULL, format('CREATE SEQUENCE IF NOT EXISTS %I.%I AS %s START %s INCREMENT %s MINVALUE %s MAXVALUE %s CACHE %s %s', nspname, relname,
           format_type(seqtypid, NULL), seqstart, seqincrement, seqmin, seqmax, seqcache, CASE WHEN seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) FROM seq
    UNION ALL
    SELECT 4, 'table', NULL, format('CREATE TABLE %s (%s%s)', $2::text, col.list, coalesce(chk.list, '')) FROM col, chk
    UNION ALL
    SELECT 5, 'owner', NULL, format('ALTER SEQUENCE %I.%I OWNED BY %s.%I', nspname, relname, $2::text, attname) FROM seq WHERE deptype = 'a'
    UNION ALL
    SELECT 6, 'identity', NULL, format('ALTER TABLE %s REPLICA IDENTITY %s', $2::text, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)
      FROM t WHERE relreplident IN ('f', 'n')
)
SELECT kind, what, command FROM cmd WHERE command IS NOT NULL ORDER BY place, command
