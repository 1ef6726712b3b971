-- Callers, and commands that show on whose behalf they run. After write_fixture.sql.
CREATE ROLE shop_app NOLOGIN;
CREATE ROLE shop_admin NOLOGIN;
GRANT INSERT ON journal TO shop_app, shop_admin;
GRANT SELECT, UPDATE ON counter TO shop_app, shop_admin;
CREATE FUNCTION command.whoami() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object('user', current_user, 'sub', weir.claim('sub'), 'team', weir.claim('team'), 'all', weir.claims()) $$;
CREATE FUNCTION command.admin_only() RETURNS text LANGUAGE sql AS $$ SELECT current_user::text $$;
CREATE FUNCTION command.escape(how text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE how; RETURN current_user; END $$;
-- A function of which PL/pgSQL asks once per transaction who may call it.
CREATE SCHEMA inner_part;
GRANT USAGE ON SCHEMA inner_part TO shop_app, shop_admin;
CREATE FUNCTION inner_part.secret() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'the secret'; END $$;
REVOKE EXECUTE ON FUNCTION inner_part.secret() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION inner_part.secret() TO shop_admin;
CREATE FUNCTION command.use_secret() RETURNS text LANGUAGE plpgsql AS $$ DECLARE r text; BEGIN r := inner_part.secret(); RETURN r; END $$;
CREATE FUNCTION command.hold() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(0.7) $$;
SELECT weir.make_wrapper(n) FROM unnest('{hold,whoami,admin_only,escape,use_secret}'::text[]) n;
SELECT * FROM weir.deploy_roles('{shop_app,shop_admin}');
DO $$ BEGIN
    IF EXISTS (SELECT FROM weir.deploy_roles('{shop_app,shop_admin}') d WHERE d.changed <> 0 OR d.problem IS NOT NULL) THEN
        RAISE 'a second deploy changed something';
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION command.whoami, command.use_secret, command.note, command.escape, command.nap, command.bump2
   TO shop_app, shop_admin;
GRANT EXECUTE ON FUNCTION command.admin_only, command.hold TO shop_admin;
