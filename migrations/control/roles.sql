-- Commands on behalf of callers: claims, and one entry function per role and command. Replaced as a whole when this file changes.
--
-- weir_as_<role>.<command>(claims, meta, body) belongs to <role> and is SECURITY DEFINER: PostgreSQL itself makes the role of everything
-- inside it the caller's, gives the old one back however it ends, and refuses SET ROLE, RESET ROLE and SET SESSION AUTHORIZATION
-- within. Whether EXECUTE on the command is granted is asked in each call, because PL/pgSQL looks at a function's privileges only once
-- per transaction and expression; for the same reason (functions that a command calls) a group transaction has commands of one role.

-- A claim of the caller: NULL where there is none, or authentication is off.
CREATE OR REPLACE FUNCTION weir.claim(name text) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT nullif(pg_catalog.current_setting('weir.claims', true), '')::jsonb ->> name $$;

-- All of them.
CREATE OR REPLACE FUNCTION weir.claims() RETURNS jsonb
LANGUAGE sql STABLE AS $$ SELECT nullif(pg_catalog.current_setting('weir.claims', true), '')::jsonb $$;

-- A command's wrapper, on behalf of as_role (NULL: nobody) with its claims.
CREATE OR REPLACE FUNCTION weir.run_as(as_role text, claims text, command text, meta text, body text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    r jsonb;
BEGIN
    IF as_role IS NULL THEN
        EXECUTE pg_catalog.format('SELECT weir.%I($1, $2)', 'run_' || command) INTO r USING meta, body;
    ELSIF pg_catalog.to_regprocedure(pg_catalog.format('%I.%I(text,text,text)', 'weir_as_' || as_role, command)) IS NULL THEN
        RAISE EXCEPTION 'the role % has not been deployed; put it into auth.roles and run `weir deploy`', as_role
            USING ERRCODE = 'insufficient_privilege';
    ELSE
        EXECUTE pg_catalog.format('SELECT %I.%I($1, $2, $3)', 'weir_as_' || as_role, command) INTO r USING claims, meta, body;
    END IF;
    RETURN r;
END $$;

-- The body of an entry function.
CREATE OR REPLACE FUNCTION weir.role_entry(command text, fn oid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format($entry$
DECLARE
    r jsonb;
    t text;
BEGIN
    IF pg_catalog.has_function_privilege(%1$s::pg_catalog.oid, 'EXECUTE') IS NOT TRUE THEN
        RETURN '{"error": {"sqlstate": "42501", "message": "permission denied for command %2$s"}}'::pg_catalog.jsonb;
    END IF;
    t := pg_catalog.set_config('weir.claims', claims, true);
    r := weir.%3$I(meta, body);
    t := pg_catalog.set_config('weir.claims', '', true);
    RETURN r;
END $entry$, fn::bigint, command, 'run_' || command);
$$;

-- Why a role cannot be a caller's; NULL when it can.
CREATE OR REPLACE FUNCTION weir.role_problem(as_role text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    r pg_roles%ROWTYPE;
BEGIN
    SELECT * INTO r FROM pg_roles WHERE rolname = as_role;
    IF NOT FOUND THEN
        RETURN format('does not exist. CREATE ROLE %I NOLOGIN;', as_role);
    ELSIF r.rolsuper THEN
        RETURN format('is a superuser, for whom no privilege is looked at. ALTER ROLE %I NOSUPERUSER;', as_role);
    ELSIF NOT pg_has_role(current_user, r.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        RETURN format('is not granted to the role of postgres.uri. GRANT %I TO %I;', as_role, current_user);
    END IF;
    RETURN NULL;
END $$;

-- Makes the entry functions of one role what they must be. How many changed.
CREATE OR REPLACE FUNCTION weir.deploy_role(as_role text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    home    text := 'weir_as_' || as_role;
    me      text := current_user;
    was     text := current_setting('role');
    changed int := 0;
    one     record;
BEGIN
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', home);
    EXECUTE format('GRANT USAGE ON SCHEMA weir, command TO %I', as_role);
    FOR one IN
        SELECT c.name AS command, f.oid AS fn, e.oid::regprocedure AS entry,
               CASE WHEN f.oid IS NOT NULL THEN weir.role_entry(c.name, f.oid) END AS want,
               coalesce(e.prosecdef AND pg_get_userbyid(e.proowner) = as_role AND NOT has_function_privilege('public', e.oid, 'EXECUTE')
                        AND has_function_privilege(me, e.oid, 'EXECUTE'), false) AS sound, e.prosrc
          FROM (SELECT x.name FROM weir.command_catalog x) c
          LEFT JOIN pg_proc f ON f.pronamespace = 'command'::regnamespace AND f.proname = c.name AND f.prokind = 'f'
          FULL JOIN (SELECT p.* FROM pg_proc p WHERE p.pronamespace = home::regnamespace) e ON e.proname::text = c.name
    LOOP
        CONTINUE WHEN one.sound AND one.prosrc = one.want;
        changed := changed + 1;
        IF one.entry IS NOT NULL THEN
            EXECUTE format('DROP FUNCTION %s', one.entry);
        END IF;
        CONTINUE WHEN one.want IS NULL;
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', home, as_role);
        PERFORM set_config('role', as_role, true);
        EXECUTE format('CREATE FUNCTION %I.%I(claims text, meta text, body text) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS %L',
                       home, one.command, one.want);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I.%I(text, text, text) FROM PUBLIC', home, one.command);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I(text, text, text) TO %I', home, one.command, me);
        PERFORM set_config('role', was, true);
        EXECUTE format('REVOKE USAGE, CREATE ON SCHEMA %I FROM %I', home, as_role);
    END LOOP;
    RETURN changed;
END $$;

-- Entry functions for these roles and no others, and no EXECUTE on commands by everybody. What was done or is wrong.
CREATE OR REPLACE FUNCTION weir.deploy_roles(roles text[]) RETURNS TABLE (as_role text, problem text, changed int)
LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT n.nspname, substr(n.nspname, 9) AS of_role FROM pg_namespace n
                WHERE n.nspname LIKE 'weir\_as\_%' AND substr(n.nspname, 9) <> ALL (roles) LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', one.nspname);
        RETURN QUERY SELECT one.of_role, NULL::text, 1;
    END LOOP;
    FOR as_role IN SELECT DISTINCT r FROM unnest(roles) r ORDER BY r LOOP
        problem := weir.role_problem(as_role);
        changed := CASE WHEN problem IS NULL THEN weir.deploy_role(as_role) END;
        RETURN NEXT;
    END LOOP;
    IF cardinality(roles) > 0 THEN
        FOR one IN SELECT p.oid::regprocedure AS fn FROM pg_proc p
                    WHERE p.pronamespace = 'command'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE') LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', one.fn);
        END LOOP;
    END IF;
END $$;
