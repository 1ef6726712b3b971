-- A mark of all that unseen.sql reads: the snapshot and, unless that is $2 (then $3, which was told with it), how many rows of
-- each catalog there are and the sum of the transactions that wrote them (their ages, against that of a fixed one), which grows
-- with each row that is written anew. What vacuum and analyze write in place does not count, nor do temporary tables. $1: publication.
SELECT pg_current_snapshot()::text,
       CASE WHEN pg_current_snapshot()::text = $2 THEN $3 ELSE (
         SELECT concat_ws(' ',
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(c.xmin)) FROM pg_class c
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(a.xmin))
              FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             WHERE a.attnum > 0 AND a.attrelid >= 16384
               AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(x.xmin))
              FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid
             WHERE x.indisunique AND x.indrelid >= 16384
               AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(e.xmin))
              FROM pg_enum e WHERE e.oid >= 16384),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(i.xmin)) FROM pg_inherits i),
           (SELECT md5(string_agg(n.oid || ' ' || n.nspname, ',' ORDER BY n.oid)) FROM pg_namespace n WHERE n.nspname !~ '^pg_'),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(p.xmin))
              FROM pg_publication p WHERE p.pubname = $1),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(p.xmin)) FROM pg_publication_rel p),
           (SELECT count(*) || '/' || count(*) * age('3'::xid)::bigint - sum(age(p.xmin)) FROM pg_publication_namespace p)))
       END
