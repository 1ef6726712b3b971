-- Command functions and the wrappers made for them. Replaced as a whole when this file changes.

-- Arguments a caller gives, in order. default_expr is NULL when the argument is required. Types as casts name them: "character" and "bit" would
-- mean one character, one bit.
CREATE OR REPLACE FUNCTION weir.command_args(fn oid)
RETURNS TABLE (ord int, name text, type oid, type_name text, base_name text, kind text, default_expr text)
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    WITH RECURSIVE arg AS (
        SELECT p.oid AS fn, u.ord::int AS place, p.proargnames[u.ord] AS name, u.type,
               pg_get_function_arg_default(p.oid, u.ord::int) AS default_expr
          FROM pg_proc p, unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY AS u(type, ord)
         WHERE p.oid = command_args.fn AND coalesce(p.proargmodes[u.ord], 'i') IN ('i', 'b', 'v')
    ), base AS (
        SELECT a.place, a.type AS base, -1 AS typmod FROM arg a
        UNION ALL
        SELECT b.place, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.typmod END
          FROM base b JOIN pg_type t ON t.oid = b.base AND t.typtype = 'd'
    )
    SELECT row_number() OVER (ORDER BY a.place)::int, a.name, a.type, format_type(a.type, -1),
           (SELECT format_type(b.base, b.typmod) FROM base b JOIN pg_type t ON t.oid = b.base AND t.typtype <> 'd' WHERE b.place = a.place),
           weir.json_kind(a.type), a.default_expr
      FROM arg a ORDER BY a.place;
$$;

-- Why a function in schema command cannot be a command; NULL when it can.
CREATE OR REPLACE FUNCTION weir.command_problem(fn oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    p     pg_proc%ROWTYPE;
    ret   pg_type%ROWTYPE;
    other text;
BEGIN
    SELECT * INTO p FROM pg_proc WHERE oid = fn;
    SELECT * INTO ret FROM pg_type WHERE oid = p.prorettype;
    IF p.prokind <> 'f' THEN
        RETURN format('command.%I is %s; only functions can be commands', p.proname,
                      CASE p.prokind WHEN 'p' THEN 'a procedure' WHEN 'a' THEN 'an aggregate' ELSE 'a window function' END);
    ELSIF p.proname !~ '^[a-z_][a-z0-9_]*$' OR length(p.proname) > 59 THEN
        RETURN format('the name of command.%I must be lower case letters, digits and _, at most 59 of them: it is part of a URL', p.proname);
    END IF;
    IF p.proname IN ('batch', 'stored') THEN
        RETURN format('command.%I cannot be called so: its wrapper would have the name of a function of Weir', p.proname);
    END IF;
    SELECT string_agg(format('DROP FUNCTION %s;', o.oid::regprocedure), ' ' ORDER BY o.oid) INTO other
      FROM pg_proc o WHERE o.pronamespace = p.pronamespace AND o.proname = p.proname AND o.oid <> fn;
    IF other IS NOT NULL THEN
        RETURN format('there are several functions command.%I; a command has one signature. To keep %s: %s',
                      p.proname, fn::regprocedure, other);
    ELSIF p.provariadic <> 0 THEN
        RETURN format('%s is variadic; take an array instead', fn::regprocedure);
    ELSIF EXISTS (SELECT FROM weir.command_args(fn) a WHERE coalesce(a.name, '') = '') THEN
        RETURN format('every argument of %s needs a name: the fields of the body are found by it', fn::regprocedure);
    ELSIF EXISTS (SELECT FROM weir.command_args(fn) a JOIN pg_type t ON t.oid = a.type WHERE t.typtype = 'p') THEN
        RETURN (SELECT format('argument %s of %s has the pseudo-type %s; name the real type', a.name, fn::regprocedure, a.type_name)
                  FROM weir.command_args(fn) a JOIN pg_type t ON t.oid = a.type WHERE t.typtype = 'p' LIMIT 1);
    ELSIF ret.typtype = 'p' AND p.prorettype <> 'void'::regtype
          AND NOT (p.prorettype = 'record'::regtype AND coalesce(p.proargmodes && '{o,b,t}'::"char"[], false)) THEN
        RETURN format('%s returns %s; name the real type, or RETURNS TABLE (…) or OUT arguments', fn::regprocedure,
                      format_type(p.prorettype, NULL));
    END IF;
    RETURN NULL;
END $$;

-- Does the text of a command say something that lasts until the end of the transaction or session, and that others in it would meet? Then it
-- has a transaction of its own, as with @isolated: SET and set_config, SET CONSTRAINTS (which would ask about others' rows), temporary tables (two
-- calls would make the same one), prepared statements. What functions it calls say is not looked at.
CREATE OR REPLACE FUNCTION weir.stays_behind(fn oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT t ~ '\mset_config\s*\(' OR t ~ '(^|;|\$|''|\m(begin|then|else|loop|atomic))\s*(set|prepare|deallocate)\s'
        OR t ~ '\m(create|into)\s+(local\s+|global\s+)?temp(orary)?\M'
      FROM (SELECT regexp_replace(lower(coalesce(pg_get_function_sqlbody(oid), prosrc)), '--[^\n]*|/\*.*?\*/', '', 'g') AS t
              FROM pg_proc WHERE oid = fn) s;
$$;

-- A JSON Schema, or null.
CREATE OR REPLACE FUNCTION weir.or_null(schema jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN schema = '{}' OR schema ->> 'type' = 'null' THEN schema
                ELSE jsonb_build_object('anyOf', jsonb_build_array(schema, '{"type":"null"}'::jsonb)) END;
$$;

-- {"type": JSON Schema} of what a command answers. Columns may be null, as elements of arrays and fields of composites may.
CREATE OR REPLACE FUNCTION weir.result_schema(fn oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    WITH one AS (
        SELECT p.proretset, CASE WHEN p.prorettype <> 'record'::regtype THEN weir.type_schema(p.prorettype)
               ELSE (SELECT jsonb_build_object('type', 'object', 'properties',
                            jsonb_object_agg(coalesce(p.proargnames[u.ord], 'column' || u.ord), weir.or_null(weir.type_schema(u.type))))
                       FROM unnest(p.proallargtypes) WITH ORDINALITY AS u(type, ord)
                      WHERE p.proargmodes[u.ord] IN ('o', 'b', 't')) END AS s
          FROM pg_proc p WHERE p.oid = fn)
    SELECT CASE WHEN proretset THEN jsonb_build_object('type', 'array', 'items', weir.or_null(s)) ELSE s END FROM one;
$$;

-- [{"name", "type", "required", "schema"}…] as the catalog keeps it.
CREATE OR REPLACE FUNCTION weir.command_args_json(fn oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'type', format_type(a.type, NULL), 'required', a.default_expr IS NULL,
                                                 'schema', weir.type_schema(a.type)) ORDER BY a.ord), '[]')
      FROM weir.command_args(fn) a;
$$;

-- A default as JSON where it is a plain literal; NULL: it is more than that.
CREATE OR REPLACE FUNCTION weir.default_json(kind text, expr text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    said text := substring(expr FROM '^''([^''\\]*)''::[a-z][a-z0-9_ .]*(\[\])?$');
BEGIN
    RETURN CASE WHEN expr ~ '^NULL::' THEN 'null'
                WHEN kind IN ('number', 'boolean', 'any') THEN coalesce(said, expr)::jsonb
                WHEN kind = 'string' THEN to_jsonb(said)
                WHEN kind = 'array' AND said = '{}' THEN '[]' END;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- JSON Schema of an argument: null is a value, unless its domain refuses it.
CREATE OR REPLACE FUNCTION weir.arg_schema(type oid, kind text, default_expr text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN t.typnotnull THEN weir.type_schema(type) ELSE weir.or_null(weir.type_schema(type)) END
           || CASE WHEN default_expr IS NULL THEN '{}'
                   WHEN weir.default_json(kind, default_expr) IS NULL THEN jsonb_build_object('description', 'Default: ' || default_expr)
                   ELSE jsonb_build_object('default', weir.default_json(kind, default_expr)) END
      FROM pg_type t WHERE t.oid = type;
$$;

-- The path item object of /commands/{name}.
CREATE OR REPLACE FUNCTION weir.command_openapi(fn oid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_build_object('post', jsonb_strip_nulls(jsonb_build_object(
        'operationId', p.proname,
        'description', obj_description(fn, 'pg_proc'))) || jsonb_build_object(
        'parameters', (SELECT jsonb_agg(jsonb_build_object('$ref', '#/components/parameters/' || n))
                         FROM unnest('{IdempotencyKey,IfMatch,Prefer,BeginWithin,CorrelationId,TraceParent,Priority,NotBefore,Deadline,OrderingKey,Callback}'::text[]) n),
        'callbacks', '{"ended":{"$ref":"#/components/callbacks/Ended"}}'::jsonb,
        'requestBody', jsonb_build_object('required', true, 'content', jsonb_build_object('application/json',
            jsonb_build_object('schema', jsonb_build_object('type', 'object', 'additionalProperties', false,
                'properties', (SELECT coalesce(jsonb_object_agg(a.name, weir.arg_schema(a.type, a.kind, a.default_expr)), '{}') FROM weir.command_args(fn) a),
                'required', (SELECT coalesce(jsonb_agg(a.name ORDER BY a.ord) FILTER (WHERE a.default_expr IS NULL), '[]')
                               FROM weir.command_args(fn) a))))),
        'responses', (SELECT jsonb_object_agg(s, jsonb_build_object('$ref', '#/components/responses/Problem' || s))
                        FROM unnest('{400,401,403,404,405,409,412,413,415,422,429,500,503,504}'::text[]) s) || jsonb_build_object(
            '202', jsonb_build_object('$ref', '#/components/responses/Accepted'),
            '200', jsonb_build_object('description', 'Executed.',
                'headers', '{"Weir-Position":{"$ref":"#/components/headers/Position"},"Idempotency-Replayed":{"$ref":"#/components/headers/Replayed"}}'::jsonb,
                'content', jsonb_build_object('application/json',
                jsonb_build_object('schema', jsonb_build_object('allOf', jsonb_build_array(
                    jsonb_build_object('$ref', '#/components/schemas/CommandReply'),
                    jsonb_build_object('type', 'object', 'properties', jsonb_build_object('result', weir.or_null(weir.result_schema(fn))))))))),
            'default', jsonb_build_object('$ref', '#/components/responses/Problem'))))
      FROM pg_proc p WHERE p.oid = fn;
$$;

-- CREATE FUNCTION weir.run_<name>(meta text, body text). One block, so one subtransaction per command: a refusal
-- rolls back this command alone. Everything on the fast path is an expression PL/pgSQL evaluates without a query.
CREATE OR REPLACE FUNCTION weir.command_wrapper(fn oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    p       pg_proc%ROWTYPE;
    vars    text;
    checks  text;
    deep    text;
    takes   text;
    call    text;
    names   text[];
    needed  text[];
    spec    jsonb;
BEGIN
    SELECT * INTO p FROM pg_proc WHERE oid = fn;
    SELECT coalesce(array_agg(a.name ORDER BY a.ord), '{}'),
           coalesce(array_agg(a.name ORDER BY a.ord) FILTER (WHERE a.default_expr IS NULL), '{}'),
           coalesce(jsonb_agg(jsonb_build_object('name', a.name, 'required', a.default_expr IS NULL, 'type', a.type_name) ORDER BY a.ord), '[]'),
           coalesce(string_agg(format(E'    a%s %s;\n', a.ord, a.base_name), '' ORDER BY a.ord), ''),
           coalesce(string_agg(format(E'\n        AND coalesce(jsonb_typeof(b -> %L), ''null'') IN (%s)', a.name,
               CASE a.kind WHEN 'number' THEN '''number'', ''string'', ''null''' WHEN 'boolean' THEN '''boolean'', ''null'''
                           ELSE '''string'', ''null''' END), '' ORDER BY a.ord)
               FILTER (WHERE a.kind IN ('number', 'boolean', 'string')), ''),
           coalesce(string_agg(format(E'    IF b ? %1$L AND (%2$s) THEN\n'
                                      '        r := weir.check_value(b -> %1$L, %3$L::regtype, %4$L);\n'
                                      '        IF r IS NOT NULL THEN RETURN r; END IF;\n    END IF;\n',
               a.name, weir.doubt_condition(a.type, format('b -> %L', a.name)), a.type_name, '/' || weir.pointer_token(a.name)),
               '' ORDER BY a.ord)
               FILTER (WHERE a.kind IN ('array', 'object')), ''),
           coalesce(string_agg(
               CASE WHEN a.default_expr IS NULL THEN '' ELSE format(E'    IF NOT b ? %L THEN a%s := %s; ELSE\n', a.name, a.ord, a.default_expr) END
               || format(E'    at := %L; a%s := ', '/' || weir.pointer_token(a.name), a.ord)
               || CASE WHEN a.kind IN ('array', 'object')
                       THEN format('(SELECT x.v FROM jsonb_to_record(jsonb_build_object(''v'', b -> %L)) AS x(v %s))', a.name, a.type_name)
                       WHEN a.kind = 'any'
                       THEN format('nullif(b -> %L, ''null''::jsonb)::%s', a.name, a.type_name)
                       WHEN a.base_name LIKE 'character%(%' -- a domain's length: a cast would cut what is longer, an assignment refuses it
                       THEN format('b ->> %L; a%s := a%s::%s', a.name, a.ord, a.ord, a.type_name)
                       ELSE format('(b ->> %L)::%s', a.name, a.type_name) END
               || CASE WHEN a.default_expr IS NULL THEN E';\n' ELSE E';\n    END IF;\n' END, '' ORDER BY a.ord), ''),
           format('command.%I(%s)', p.proname,
               coalesce(string_agg(format('%I => a%s%s', a.name, a.ord,
                   CASE WHEN a.type_name <> a.base_name THEN '::' || a.type_name ELSE '' END), ', ' ORDER BY a.ord), ''))
      INTO names, needed, spec, vars, checks, deep, takes, call
      FROM weir.command_args(fn) a;

    -- "weir row": to_jsonb of a name that is also a column would take the column alone.
    RETURN format('CREATE OR REPLACE FUNCTION weir.%I(meta text, body text) RETURNS jsonb LANGUAGE plpgsql AS %L',
        'run_' || p.proname, format($wrapper$
DECLARE
    b jsonb;
    r jsonb;
    at text := '';
    l pg_lsn;
    e_state text; e_message text; e_detail text; e_hint text; e_constraint text; e_column text; e_table text; e_context text;
%1$sBEGIN
    b := body::jsonb;
    IF (jsonb_typeof(b) = 'object' AND b ?& %2$L::text[] AND b - %3$L::text[] = '{}'::jsonb%4$s) IS NOT TRUE THEN
        RETURN weir.refuse_body(b, %5$L::jsonb);
    END IF;
%6$s%7$s    at := NULL;
    l := pg_logical_emit_message(true, 'weir.command', meta);
    %8$s
    RETURN jsonb_build_object('ok', r);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS e_state = RETURNED_SQLSTATE, e_message = MESSAGE_TEXT, e_detail = PG_EXCEPTION_DETAIL,
        e_hint = PG_EXCEPTION_HINT, e_constraint = CONSTRAINT_NAME, e_column = COLUMN_NAME, e_table = TABLE_NAME,
        e_context = PG_EXCEPTION_CONTEXT;
    RETURN jsonb_build_object('error', jsonb_strip_nulls(jsonb_build_object(
        'sqlstate', e_state, 'message', e_message, 'detail', nullif(e_detail, ''), 'hint', nullif(e_hint, ''),
        'constraint', nullif(e_constraint, ''), 'column', nullif(e_column, ''), 'table', nullif(e_table, ''), 'pointer', at,
        'collision', CASE WHEN e_state IN ('55P03', '40P01') THEN weir.collision(e_context) END)));
END $wrapper$,
        vars, needed, names, checks, spec, deep, takes,
        CASE WHEN p.prorettype = 'void'::regtype THEN format('PERFORM %s;', call)
             WHEN p.proretset THEN format('r := (SELECT coalesce(jsonb_agg(to_jsonb("weir row")), ''[]''::jsonb) FROM %s AS "weir row");', call)
             ELSE format('r := to_jsonb(%s);', call) END));
END $$;
