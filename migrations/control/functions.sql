-- What the command wrappers call, and what describes types to clients. Replaced as a whole when this file changes.

-- The wrapper's answer when the body is not what the signature says.
CREATE OR REPLACE FUNCTION weir.refusal(message text, pointer text, hint text DEFAULT NULL) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('error', jsonb_strip_nulls(jsonb_build_object(
        'sqlstate', '22023', 'message', message, 'detail', 'at ' || CASE pointer WHEN '' THEN 'the body' ELSE pointer END,
        'hint', hint, 'pointer', pointer)));
$$;

-- One token of a JSON Pointer (RFC 6901).
CREATE OR REPLACE FUNCTION weir.pointer_token(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT replace(replace(name, '~', '~0'), '/', '~1') $$;

-- How a value of a type is written in JSON: 'any', 'number', 'boolean', 'array', 'object' or 'string'.
CREATE OR REPLACE FUNCTION weir.json_kind(type oid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN t.typtype = 'd' THEN weir.json_kind(t.typbasetype)
                WHEN t.oid IN ('json'::regtype, 'jsonb'::regtype) THEN 'any'
                WHEN t.oid = 'bool'::regtype THEN 'boolean'
                WHEN t.oid = ANY ('{int2,int4,int8,numeric,float4,float8}'::regtype[]) THEN 'number'
                WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN 'array'
                WHEN t.typtype = 'c' THEN 'object'
                ELSE 'string' END
      FROM pg_type t WHERE t.oid = type;
$$;

-- Arrays and composites: NULL when value fits the type, else what to answer. pointer is where value stands.
CREATE OR REPLACE FUNCTION weir.check_value(value jsonb, type oid, pointer text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    is_kind  text := jsonb_typeof(value);
    kind     text := weir.json_kind(type);
    base     oid := type;
    found_in jsonb;
    child    record;
BEGIN
    IF value IS NULL OR is_kind = 'null' OR kind = 'any' THEN
        RETURN NULL;
    END IF;
    IF kind <> is_kind AND NOT (kind = 'number' AND is_kind = 'string') THEN
        RETURN weir.refusal(format('%s must be %s, not %s', CASE pointer WHEN '' THEN 'the body' ELSE pointer END,
                                   CASE kind WHEN 'array' THEN 'an array' WHEN 'object' THEN 'an object' ELSE 'a ' || kind END,
                                   CASE is_kind WHEN 'array' THEN 'an array' WHEN 'object' THEN 'an object'
                                                ELSE 'a ' || is_kind END), pointer);
    END IF;
    WHILE (SELECT t.typtype = 'd' FROM pg_type t WHERE t.oid = base) LOOP
        SELECT t.typbasetype INTO base FROM pg_type t WHERE t.oid = base;
    END LOOP;
    IF kind = 'array' THEN
        SELECT t.typelem INTO base FROM pg_type t WHERE t.oid = base;
        FOR child IN SELECT e.v, e.i FROM jsonb_array_elements(value) WITH ORDINALITY AS e(v, i) LOOP
            -- An array in an array is a further dimension of the same type.
            found_in := weir.check_value(child.v, CASE jsonb_typeof(child.v) WHEN 'array' THEN
                CASE weir.json_kind(base) WHEN 'any' THEN base ELSE type END ELSE base END,
                pointer || '/' || (child.i - 1));
            EXIT WHEN found_in IS NOT NULL;
        END LOOP;
    ELSIF kind = 'object' THEN
        FOR child IN
            SELECT e.k, e.v, a.atttypid FROM jsonb_each(value) AS e(k, v)
              LEFT JOIN pg_type t ON t.oid = base
              LEFT JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attname = e.k AND a.attnum > 0 AND NOT a.attisdropped
        LOOP
            found_in := CASE WHEN child.atttypid IS NULL
                             THEN weir.refusal(format('unknown field "%s"', child.k), pointer || '/' || weir.pointer_token(child.k))
                             ELSE weir.check_value(child.v, child.atttypid, pointer || '/' || weir.pointer_token(child.k)) END;
            EXIT WHEN found_in IS NOT NULL;
        END LOOP;
    END IF;
    RETURN found_in;
END $$;

-- A jsonpath predicate: v ("@" or "@.value") is written as this type is, or null.
CREATE OR REPLACE FUNCTION weir.kind_predicate(type oid, v text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE k WHEN 'any' THEN v || '.type() != ""'
                  WHEN 'number' THEN v || '.type() == "number" || ' || v || '.type() == "string" || ' || v || '.type() == "null"'
                  ELSE v || '.type() == "' || k || '" || ' || v || '.type() == "null"' END
      FROM weir.json_kind(type) k;
$$;

-- Strict jsonpaths that find something in an array or composite which weir.check_value may refuse; an error of theirs counts as
-- found. They cost microseconds where check_value, which knows what to say, costs milliseconds.
CREATE OR REPLACE FUNCTION weir.doubt_paths(type oid, at text, depth int DEFAULT 0) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base  oid := type;
    known text;
    paths text[] := '{}';
    child record;
BEGIN
    IF depth > 6 THEN
        RETURN ARRAY['$']; -- a type within itself: always in doubt
    END IF;
    WHILE (SELECT t.typtype = 'd' FROM pg_type t WHERE t.oid = base) LOOP
        SELECT t.typbasetype INTO base FROM pg_type t WHERE t.oid = base;
    END LOOP;
    IF weir.json_kind(base) = 'array' THEN
        SELECT t.typelem INTO base FROM pg_type t WHERE t.oid = base;
        paths := ARRAY[format('%s[*] ? (!(%s))', at, weir.kind_predicate(base, '@'))];
        RETURN CASE WHEN weir.json_kind(base) IN ('array', 'object') THEN paths || weir.doubt_paths(base, at || '[*]', depth + 1)
                    ELSE paths END;
    END IF;
    SELECT coalesce(string_agg(format('@.key == %s && (%s)', to_json(a.attname::text), weir.kind_predicate(a.atttypid, '@.value')),
                               ' || ' ORDER BY a.attnum), '1 == 0') INTO known
      FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped WHERE t.oid = base;
    paths := ARRAY[format('%s.keyvalue() ? (!(%s))', at, known)];
    FOR child IN
        SELECT a.attname, a.atttypid FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE t.oid = base AND weir.json_kind(a.atttypid) IN ('array', 'object') ORDER BY a.attnum
    LOOP
        paths := paths || weir.doubt_paths(child.atttypid,
            format('%s.keyvalue() ? (@.key == %s).value', at, to_json(child.attname::text)), depth + 1);
    END LOOP;
    RETURN paths;
END $$;

-- The condition of a wrapper under which check_value must look at `value` (an expression).
CREATE OR REPLACE FUNCTION weir.doubt_condition(type oid, value text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT string_agg(format('jsonb_path_exists(%s, %L, ''{}'', true) IS DISTINCT FROM false', value, 'strict ' || u.path), ' OR ' ORDER BY u.ord)
      FROM unnest(weir.doubt_paths(type, '$')) WITH ORDINALITY AS u(path, ord);
$$;

-- The slow path of a wrapper: something about the body is wrong, say what. spec = [{"name", "required", "type"}…].
CREATE OR REPLACE FUNCTION weir.refuse_body(body jsonb, spec jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    field record;
    said  jsonb;
BEGIN
    IF body IS NULL OR jsonb_typeof(body) <> 'object' THEN
        RETURN weir.refusal('the body must be a JSON object', '');
    END IF;
    FOR field IN SELECT k FROM jsonb_object_keys(body) AS k
                  WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(spec) s WHERE s ->> 'name' = k) LOOP
        RETURN weir.refusal(format('unknown field "%s"', field.k), '/' || weir.pointer_token(field.k),
                            CASE WHEN jsonb_array_length(spec) = 0 THEN 'This command takes no fields.'
                                 ELSE 'Fields: ' || (SELECT string_agg(s ->> 'name', ', ') FROM jsonb_array_elements(spec) s) || '.' END);
    END LOOP;
    FOR field IN SELECT s ->> 'name' AS name, (s ->> 'required')::boolean AS required, (s ->> 'type')::regtype::oid AS type
                   FROM jsonb_array_elements(spec) s LOOP
        IF field.required AND NOT body ? field.name THEN
            RETURN weir.refusal(format('missing field "%s"', field.name), '/' || weir.pointer_token(field.name));
        END IF;
        said := weir.check_value(body -> field.name, field.type, '/' || weir.pointer_token(field.name));
        IF said IS NOT NULL THEN
            RETURN said;
        END IF;
    END LOOP;
    RETURN weir.refusal('the body is not what this command takes', '');
END $$;

-- What two sets of limits both allow.
CREATE OR REPLACE FUNCTION weir.both_limits(x jsonb, y jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT x || y || jsonb_strip_nulls(jsonb_build_object(
        'minimum', greatest(x -> 'minimum', y -> 'minimum'), 'exclusiveMinimum', greatest(x -> 'exclusiveMinimum', y -> 'exclusiveMinimum'),
        'maximum', least(x -> 'maximum', y -> 'maximum'), 'exclusiveMaximum', least(x -> 'exclusiveMaximum', y -> 'exclusiveMaximum'),
        'minLength', greatest(x -> 'minLength', y -> 'minLength'), 'maxLength', least(x -> 'maxLength', y -> 'maxLength'),
        'enum', CASE WHEN x ? 'enum' AND y ? 'enum' THEN (SELECT coalesce(jsonb_agg(e), '[]') FROM jsonb_array_elements(x -> 'enum') e WHERE y -> 'enum' @> e) END,
        'x-checks', CASE WHEN x ? 'x-checks' AND y ? 'x-checks' THEN (x -> 'x-checks') || (y -> 'x-checks') END));
$$;

-- What a piece of a CHECK says in JSON Schema: comparisons with constants, lists of texts, lengths. NULL: it cannot be said.
CREATE OR REPLACE FUNCTION weir.check_limit(piece text, kind text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    m text[] := regexp_match(piece, '^VALUE (>=|>|<=|<) ''?(-?[0-9]{1,15}(?:\.[0-9]+)?)''?$');
BEGIN
    IF m IS NOT NULL AND kind = 'number' THEN
        RETURN jsonb_build_object(CASE m[1] WHEN '>=' THEN 'minimum' WHEN '>' THEN 'exclusiveMinimum' WHEN '<=' THEN 'maximum'
                                            ELSE 'exclusiveMaximum' END, m[2]::numeric);
    END IF;
    m := regexp_match(piece, '^(?:char_|character_)?lengthVALUE (>=|>|<=|<) ([0-9]{1,9})$');
    IF m IS NOT NULL AND kind = 'string' THEN
        RETURN jsonb_build_object(CASE WHEN m[1] LIKE '>%' THEN 'minLength' ELSE 'maxLength' END,
                                  m[2]::int + CASE m[1] WHEN '>' THEN 1 WHEN '<' THEN -1 ELSE 0 END);
    END IF;
    IF kind = 'string' AND piece ~ '^VALUE = ANY ARRAY\[(''[^'']*''(, )?)+\]$' THEN
        RETURN jsonb_build_object('enum', (SELECT jsonb_agg(x[1]) FROM regexp_matches(piece, '''([^'']*)''', 'g') x));
    END IF;
    RETURN NULL;
END $$;

-- A domain's CHECKs, as far as JSON Schema can say them; those it cannot say whole are listed as they are. PostgreSQL asks all of them.
CREATE OR REPLACE FUNCTION weir.domain_limits(type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    kind   text := weir.json_kind(type);
    limits jsonb := '{}';
    said   jsonb;
    def    text;
    piece  text;
    whole  boolean;
BEGIN
    FOR def IN SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.contypid = type AND c.contype = 'c' ORDER BY c.conname LOOP
        whole := def !~ ' (OR|NOT|CASE) ';
        FOR piece IN SELECT translate(regexp_replace(p, '::[a-z][a-z ]*(\[\])?', '', 'g'), '()', '')
                       FROM regexp_split_to_table(regexp_replace(def, '^CHECK ', ''), ' AND ') p WHERE whole LOOP
            said := weir.check_limit(piece, kind);
            whole := whole AND said IS NOT NULL;
            limits := weir.both_limits(limits, coalesce(said, '{}'));
        END LOOP;
        IF NOT whole THEN
            limits := weir.both_limits(limits, jsonb_build_object('x-checks', jsonb_build_array(def)));
        END IF;
    END LOOP;
    RETURN limits;
END $$;

-- What a modifier says: varchar(n), numeric(p, s); of other types their whole name.
CREATE OR REPLACE FUNCTION weir.modifier_limits(type oid, modifier int) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN modifier < 0 THEN '{}'
                WHEN type IN ('varchar'::regtype, 'bpchar'::regtype) THEN jsonb_build_object('maxLength', modifier - 4)
                WHEN type = 'numeric'::regtype THEN jsonb_build_object('x-digits', ((modifier - 4) >> 16) - scale, 'x-scale', scale)
                ELSE jsonb_build_object('x-type', format_type(type, modifier)) END
      FROM (SELECT (((modifier - 4) & 2047) # 1024) - 1024) AS s(scale);
$$;

-- JSON Schema of a type, for /openapi.json. seen: the composites we are inside of.
CREATE OR REPLACE FUNCTION weir.type_schema(type oid, seen oid[] DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t pg_type%ROWTYPE;
BEGIN
    SELECT * INTO t FROM pg_type WHERE pg_type.oid = type;
    IF t.typtype = 'd' THEN
        RETURN weir.both_limits(weir.both_limits(weir.type_schema(t.typbasetype, seen), weir.modifier_limits(t.typbasetype, t.typtypmod)),
                                weir.domain_limits(type))
               || jsonb_build_object('title', format_type(type, NULL)) || CASE WHEN t.typnotnull THEN '{"x-not-null":true}' ELSE '{}' END::jsonb;
    ELSIF t.typcategory = 'A' AND t.typelem <> 0 THEN
        RETURN jsonb_build_object('type', 'array', 'items', weir.or_null(weir.type_schema(t.typelem, seen)));
    ELSIF t.typtype = 'e' THEN
        RETURN jsonb_build_object('type', 'string', 'enum',
            (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = type));
    ELSIF t.typtype = 'c' THEN
        IF type = ANY (seen) THEN
            RETURN jsonb_build_object('type', 'object', 'title', format_type(type, NULL));
        END IF;
        RETURN jsonb_build_object('type', 'object', 'title', format_type(type, NULL), 'additionalProperties', false, 'properties',
            (SELECT coalesce(jsonb_object_agg(a.attname, weir.or_null(weir.both_limits(weir.type_schema(a.atttypid, seen || type),
                                                                                  weir.modifier_limits(a.atttypid, a.atttypmod)))), '{}')
               FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped));
    END IF;
    RETURN CASE format_type(type, NULL)
        WHEN 'smallint' THEN '{"type":"integer","minimum":-32768,"maximum":32767}'
        WHEN 'integer' THEN '{"type":"integer","format":"int32","minimum":-2147483648,"maximum":2147483647}'
        WHEN 'bigint' THEN '{"type":"integer","format":"int64"}'
        WHEN 'numeric' THEN '{"type":"number"}'
        WHEN 'real' THEN '{"type":"number","format":"float"}'
        WHEN 'double precision' THEN '{"type":"number","format":"double"}'
        WHEN 'boolean' THEN '{"type":"boolean"}'
        WHEN 'json' THEN '{}'
        WHEN 'jsonb' THEN '{}'
        WHEN 'uuid' THEN '{"type":"string","format":"uuid"}'
        WHEN 'date' THEN '{"type":"string","format":"date"}'
        WHEN 'timestamp with time zone' THEN '{"type":"string","format":"date-time"}'
        WHEN 'void' THEN '{"type":"null"}'
        ELSE '{"type":"string"}' END::jsonb;
END $$;
