-- Every routine in schema command: what `weir deploy` knows of it. Run with search_path = pg_catalog.
SELECT p.oid::text, p.proname, p.oid::regprocedure::text AS identity, p.ctid::text AS version,
       weir.command_problem(p.oid) AS problem,
       format('%I(%s) returns %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid)) AS signature,
       pg_get_function_result(p.oid) AS result_type, obj_description(p.oid, 'pg_proc') AS description
  FROM pg_proc p
 WHERE p.pronamespace = 'command'::regnamespace
 ORDER BY p.proname, p.oid
