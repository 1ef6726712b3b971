-- Tables named by the patterns $1 and not by the patterns $2 (comma separated; * and ? in schema and name; no dot: public).
WITH pat AS (
    SELECT p.which,
           CASE WHEN strpos(p.word, '.') > 0 THEN split_part(p.word, '.', 1) ELSE 'public' END AS s,
           CASE WHEN strpos(p.word, '.') > 0 THEN substr(p.word, strpos(p.word, '.') + 1) ELSE p.word END AS t
      FROM (SELECT 1 AS which, btrim(w) AS word FROM unnest(string_to_array($1, ',')) w
            UNION ALL SELECT 2, btrim(w) FROM unnest(string_to_array($2, ',')) w) p
     WHERE p.word <> ''
), expr AS (
    SELECT which,
           '^' || replace(replace(regexp_replace(s, '([.+^$()\[\]{}|\\])', '\\\1', 'g'), '*', '.*'), '?', '.') || '$' AS s,
           '^' || replace(replace(regexp_replace(t, '([.+^$()\[\]{}|\\])', '\\\1', 'g'), '*', '.*'), '?', '.') || '$' AS t
      FROM pat
)
SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'weir', 'weir_sync') AND n.nspname !~ '^pg_(toast|temp)'
   AND EXISTS (SELECT FROM expr e WHERE e.which = 1 AND n.nspname ~ e.s AND c.relname ~ e.t)
   AND NOT EXISTS (SELECT FROM expr e WHERE e.which = 2 AND n.nspname ~ e.s AND c.relname ~ e.t)
 ORDER BY 1, 2
