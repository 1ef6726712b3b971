/* test_deploy.c - deploys into a real PostgreSQL: all or nothing, again and again. */
#include "migrations/deploy/deploy.h"

#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "tests/support/codec_check.h"
#include "tests/support/fixture.h"

static fixture fx;

typedef struct app {
    char dir[256];
    weir_arena *a;
    weir_settings s;
    weir_pg *pg;
    dep_report r;
    weir_error err;
} app;

static int open_group(void **state)
{
    (void)state;
    return fixture_open(&fx, FIXTURE_PG);
}
static int close_group(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

/* A fresh database and an empty app directory for each test. */
static int setup(void **state)
{
    static int number;
    app *t = weir_xcalloc(1, sizeof *t);
    *state = t;
    if (fx.missing[0]) {
        return 0;
    }
    t->a = weir_arena_new(0);
    number++;
    (void)snprintf(t->dir, sizeof t->dir, "%s/app%d", fx.dir, number);
    fixture_sql(&fx, weir_arena_printf(t->a, "CREATE DATABASE deploy%d", number));
    const char *uri = fixture_sql_value(&fx, "SELECT current_setting('unix_socket_directories')");
    uri = weir_arena_printf(t->a, "host=%s port=%s user=%s dbname=deploy%d", uri,
                            fixture_sql_value(&fx, "SELECT current_setting('port')"),
                            fixture_sql_value(&fx, "SELECT current_user"), number);
    t->s = (weir_settings){
        .postgres_uri = uri, .bridge_slot = "weir_t", .bridge_publication = "weir_t"};
    return weir_mkdirs(t->dir, 0755, &t->err) == WEIR_OK &&
                   weir_pg_open(&t->pg, &(weir_pg_conf){.uri = uri, .application_name = "test"},
                                &t->err) == WEIR_OK
               ? 0
               : -1;
}
static int teardown(void **state)
{
    app *t = *state;
    if (t->a) {
        weir_pg_close(t->pg);
        dep_report_fini(&t->r);
        weir_arena_free(t->a);
    }
    free(t);
    return 0;
}

static void put(app *t, const char *path, const char *text)
{
    const char *full = weir_arena_printf(t->a, "%s/%s", t->dir, path);
    char *folder = weir_arena_strdup(t->a, full);
    *strrchr(folder, '/') = '\0';
    assert_rc(WEIR_OK, weir_mkdirs(folder, 0755, &t->err));
    assert_rc(WEIR_OK, weir_file_write(full, weir_slice_z(text), 0644, &t->err));
}
static void drop(app *t, const char *path)
{
    assert_int_equal(unlink(weir_arena_printf(t->a, "%s/%s", t->dir, path)), 0);
}
static weir_rc deploy(app *t)
{
    dep_report_fini(&t->r);
    dep_report_init(&t->r, t->a, false);
    return dep_app(t->pg, &t->s, t->dir, false, &t->r, &t->err);
}
static void deploy_ok(app *t)
{
    weir_rc rc = deploy(t);
    if (rc != WEIR_OK) {
        fail_msg("%s: %s\n%.*s", weir_rc_name(rc), t->err.msg, (int)t->r.diagnostics.n,
                 t->r.diagnostics.p ? t->r.diagnostics.p : "");
    }
}
static void deploy_fails(app *t, const char *text)
{
    weir_rc rc = deploy(t);
    assert_int_not_equal(rc, WEIR_OK);
    if (!strstr(t->err.msg, text)) {
        fail_msg("\"%s\" does not say \"%s\"", t->err.msg, text);
    }
}
/* The shown refusals hold each of these, once. */
static void shows(app *t, const char *text)
{
    const char *all = weir_arena_dupz(t->a, weir_buf_slice(&t->r.diagnostics));
    const char *at = strstr(all, text);
    if (!at || strstr(at + 1, text)) {
        fail_msg("\"%s\" is not there once in\n%s", text, all);
    }
}
static const char *value(app *t, const char *sql)
{
    weir_pg_rows *r = NULL;
    if (weir_pg_query(t->pg, sql, 0, NULL, &r, &t->err) != WEIR_OK) {
        return weir_arena_printf(t->a, "error %s", t->err.sqlstate);
    }
    const char *v = weir_pg_nrows(r) ? weir_arena_dupz(t->a, weir_pg_value(r, 0, 0)) : "no row";
    weir_pg_rows_free(r);
    return v;
}
static const dep_item *item(app *t, dep_kind kind, const char *name)
{
    for (const dep_item *it = t->r.first; it; it = it->next) {
        if (it->kind == kind && strcmp(it->name, name) == 0) {
            return it;
        }
    }
    return NULL;
}

#define T(state)                                                                                   \
    app *t = *(state);                                                                             \
    fixture_need(&fx)

static void test_control(void **state)
{
    T(state);
    dep_report_init(&t->r, t->a, false);
    assert_rc(WEIR_OK, dep_control(t->pg, &t->s, &t->r, &t->err));
    assert_int_equal(t->r.revision, 1);
    assert_string_equal(value(t, "SELECT pubname FROM pg_publication"), "weir_t");
    assert_string_equal(value(t, "SELECT value FROM weir.setting WHERE key = 'publication'"),
                        "weir_t");
    dep_report_fini(&t->r);
    dep_report_init(&t->r, t->a, false);
    assert_rc(WEIR_OK, dep_control(t->pg, &t->s, &t->r, &t->err));
    assert_int_equal(t->r.revision, 1);
    assert_null(t->r.first);
}

static const char place[] =
    "-- @isolated\nCREATE OR REPLACE FUNCTION command.place(customer text, qty int DEFAULT 1) "
    "RETURNS bigint LANGUAGE sql AS\n"
    "$$ INSERT INTO orders (customer, qty) VALUES (customer, qty) RETURNING id $$;\n";

static void put_shop(app *t)
{
    put(t, "schema/0001_init.sql",
        "CREATE TABLE orders (id bigserial PRIMARY KEY, customer text NOT NULL, qty int NOT NULL "
        "CHECK (qty > 0));");
    put(t, "commands/place.sql", place);
}

/* Rows are whole whatever their columns are called. */
static void test_sets(void **state)
{
    T(state);
    put(t, "commands/rows.sql",
        "CREATE OR REPLACE FUNCTION command.rows() RETURNS TABLE (t int, u text) LANGUAGE sql AS "
        "$$ VALUES (1, 'a'), (2, NULL) $$;\n");
    put(t, "commands/numbers.sql",
        "CREATE OR REPLACE FUNCTION command.numbers() RETURNS SETOF int LANGUAGE sql AS "
        "$$ VALUES (1), (2) $$;\n");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT weir.run_rows('{}', '{}')"),
                        "{\"ok\": [{\"t\": 1, \"u\": \"a\"}, {\"t\": 2, \"u\": null}]}");
    assert_string_equal(value(t, "SELECT weir.run_numbers('{}', '{}')"), "{\"ok\": [1, 2]}");
    /* The description knows that columns may be null, as they just were. */
    assert_string_equal(
        value(
            t,
            "SELECT weir.result_schema('command.rows'::regproc) #> '{items,anyOf,0,properties,u}'"),
        "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]}");
    assert_string_equal(
        value(t, "SELECT weir.result_schema('command.numbers'::regproc) #> '{items,anyOf,1}'"),
        "{\"type\": \"null\"}");
}

static void test_whole_app(void **state)
{
    T(state);
    put_shop(t);
    deploy_ok(t);
    assert_non_null(item(t, DEP_MIGRATION, "schema/0001_init.sql"));
    assert_non_null(item(t, DEP_COMMAND, "place"));
    assert_non_null(item(t, DEP_PUBLISHED, "public.orders"));
    assert_string_equal(value(t, "SELECT weir.run_place('{}', '{\"customer\":\"ann\"}')"),
                        "{\"ok\": 1}");
    assert_string_equal(value(t, "SELECT weir.run_place('{}', '{\"customer\":\"ann\",\"qty\":0}') "
                                 "#>> '{error,constraint}'"),
                        "orders_qty_check");
    assert_string_equal(
        value(t, "SELECT weir.run_place('{}', '{\"qty\":1}') #>> '{error,pointer}'"), "/customer");
    assert_string_equal(
        value(t,
              "SELECT weir.run_place('{}', '{\"customer\":\"a\",\"x\":1}') #>> '{error,pointer}'"),
        "/x");
    assert_string_equal(value(t, "SELECT isolated::text || serializable FROM weir.command_catalog"),
                        "truefalse");
    int64_t revision = t->r.revision;
    deploy_ok(t);
    assert_null(t->r.first);
    assert_int_equal(t->r.revision, revision);
    assert_int_equal(t->r.commands, 1);
}

static void test_migrations_go_forward(void **state)
{
    T(state);
    put_shop(t);
    deploy_ok(t);
    put(t, "schema/0001_init.sql", "CREATE TABLE other (id int);");
    deploy_fails(t, "was changed after it was applied");
    drop(t, "schema/0001_init.sql");
    deploy_fails(t, "its file is gone");
    put_shop(t);
    put(t, "schema/0000_early.sql", "CREATE TABLE early (id int);");
    deploy_fails(t, "comes before version 1");
    drop(t, "schema/0000_early.sql");
    put(t, "schema/1_twice.sql", "SELECT 1;");
    deploy_fails(t, "the same number");
    drop(t, "schema/1_twice.sql");
    put(t, "schema/init.sql", "SELECT 1;");
    deploy_fails(t, "must be named");
    drop(t, "schema/init.sql");
    put(t, "schema/0002_next.sql",
        "SET search_path = nowhere; CREATE TABLE public.next (id int PRIMARY KEY);");
    deploy_ok(t);
    assert_non_null(item(t, DEP_PUBLISHED, "public.next"));
    assert_string_equal(value(t, "SHOW search_path"), "\"$user\", public");
}

static void test_nothing_half_done(void **state)
{
    T(state);
    put_shop(t);
    put(t, "commands/broken.sql",
        "CREATE FUNCTION command.broken() RETURNS int LANGUAGE sql AS $$ SELECT nothing FROM "
        "nowhere $$;");
    deploy_fails(t, "1 command was refused");
    shows(t, "commands/broken.sql:1:");
    assert_string_equal(value(t, "SELECT to_regclass('orders')"), "");
    assert_string_equal(value(t, "SELECT to_regnamespace('weir')"), "");
    put(t, "commands/broken.sql", "SELECT 1;\nCOMMIT;\n");
    deploy_fails(t, "1 command was refused");
    shows(t, "commands/broken.sql:2:1: error: COMMIT begins or ends a transaction");
    assert_string_equal(value(t, "SELECT to_regclass('orders')"), "");
    drop(t, "commands/broken.sql");
    put(t, "read-models/bad.sql", "-- @key id\nSELECT id FROM nowhere");
    deploy_fails(t, "refused");
    assert_true(t->r.diagnostics.n > 0);
    assert_string_equal(value(t, "SELECT to_regclass('orders')"), "");
}

/* Whoever mends files wants to hear of all of them, each with its place and once. */
static void test_every_problem(void **state)
{
    T(state);
    put_shop(t);
    put(t, "commands/a.sql",
        "CREATE OR REPLACE FUNCTION command.a() RETURNS int LANGUAGE sql AS\n"
        "$$ SELECT nothing FROM nowhere $$;\n");
    put(t, "commands/b.sql",
        "\nCREATE TYPE half AS (x int);\nCREATE TYPE half AS (x int);\n"
        "SELECT 1;\n");
    put(t, "commands/c.sql",
        "-- @serialise_by x\nCREATE OR REPLACE FUNCTION command.c(x int) RETURNS int LANGUAGE sql "
        "AS $$ SELECT x $$;\n");
    put(t, "commands/d.sql",
        "\n\nCREATE OR REPLACE FUNCTION command.d(int) RETURNS int LANGUAGE sql AS $$ SELECT 1 "
        "$$;\n");
    put(t, "commands/e.sql",
        "CREATE OR REPLACE FUNCTION command.a() RETURNS int LANGUAGE plpgsql "
        "AS $$\nBEGIN\n  RETRUN 1;\nEND $$;\n");
    put(t, "read-models/x_view.sql", "-- @key id\nSELECT o.id, o.nothing FROM orders o\n");
    put(t, "read-models/y_view.sql", "-- @key id\nSELECT n.id FROM nowhere n\n");
    deploy_fails(t, "5 commands and 2 read models were refused and nothing was changed");
    shows(t, "commands/a.sql:2:");
    shows(t, "commands/b.sql:3:1: error: type \"half\" already exists");
    shows(t, "belong into a migration");
    shows(t, "commands/c.sql:1:4: error: unknown annotation @serialise_by; did you mean "
             "@serialize_by?");
    shows(t, "commands/d.sql:3:1: error: every argument of command.d(integer) needs a name");
    shows(t, "commands/e.sql:3:");
    shows(t, "read-models/x_view.sql:2:");
    shows(t, "read-models/y_view.sql:2:");
    assert_int_equal(t->r.count[DEP_PROBLEM], 0);
    assert_int_equal(t->r.count[DEP_COMMAND_GONE], 0);
    assert_string_equal(value(t, "SELECT to_regnamespace('weir')"), "");
}

static void test_signature_changes(void **state)
{
    T(state);
    put_shop(t);
    deploy_ok(t);
    /* another name of an argument, another result: CREATE OR REPLACE alone refuses both */
    put(t, "commands/place.sql",
        "CREATE OR REPLACE FUNCTION command.place(who text) RETURNS text LANGUAGE sql AS $$ SELECT "
        "who $$;");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT weir.run_place('{}', '{\"who\":\"ann\"}')"),
                        "{\"ok\": \"ann\"}");
    /* other types: the old one is ours and goes */
    put(t, "commands/place.sql",
        "CREATE FUNCTION command.place(who text, n int) RETURNS int LANGUAGE sql AS $$ SELECT n "
        "$$;");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT count(*) FROM pg_proc WHERE proname = 'place'"), "1");
    assert_string_equal(value(t, "SELECT weir.run_place('{}', '{\"who\":\"a\",\"n\":5}')"),
                        "{\"ok\": 5}");
    deploy_ok(t); /* a plain CREATE again */
    assert_null(t->r.first);
    drop(t, "commands/place.sql");
    deploy_ok(t);
    assert_non_null(item(t, DEP_COMMAND_GONE, "command.place(text,integer)"));
    assert_string_equal(value(t, "SELECT to_regproc('weir.run_place')"), "");
}

static void test_functions_without_a_file(void **state)
{
    T(state);
    deploy_ok(t);
    assert_string_equal(
        value(t, "CREATE FUNCTION command.there(a int) RETURNS int LANGUAGE sql AS $$ SELECT a $$"),
        "no row");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT weir.run_there('{}', '{\"a\":3}')"), "{\"ok\": 3}");
    assert_string_equal(
        value(t,
              "CREATE FUNCTION command.there(a text) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"),
        "no row");
    deploy_fails(t, "2 commands were refused");
    assert_true(t->r.count[DEP_PROBLEM] == 2);
    assert_non_null(strstr(item(t, DEP_PROBLEM, "command.there(text)")->text,
                           "DROP FUNCTION command.there(integer);"));
    assert_string_equal(value(t, "DROP FUNCTION command.there(text)"), "no row");
    deploy_ok(t);
    assert_string_equal(value(t, "DROP FUNCTION command.there(int)"), "no row");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT to_regproc('weir.run_there')"), "");
}

static void test_publication(void **state)
{
    T(state);
    put(t, "schema/0001_init.sql",
        "CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE bare (id int); CREATE UNLOGGED "
        "TABLE fast (id int PRIMARY KEY);"
        "CREATE TABLE uniq (id int NOT NULL UNIQUE); CREATE TABLE ri (id int NOT NULL UNIQUE); "
        "ALTER TABLE ri REPLICA IDENTITY USING INDEX ri_id_key;"
        "CREATE TABLE full_bare (id int); ALTER TABLE full_bare REPLICA IDENTITY FULL;"
        "CREATE TABLE full_keyed (id int PRIMARY KEY); ALTER TABLE full_keyed REPLICA IDENTITY "
        "FULL;"
        "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE mute (id int PRIMARY "
        "KEY); ALTER TABLE mute REPLICA IDENTITY NOTHING;"
        "CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part_1 "
        "PARTITION OF part FOR VALUES FROM (0) TO (9);"
        "INSERT INTO bare VALUES (1);");
    deploy_ok(t);
    assert_string_equal(value(t, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM "
                                 "pg_publication_tables WHERE pubname = 'weir_t'"),
                        "full_keyed keyed part ri");
    assert_string_equal(value(t, "UPDATE bare SET id = 2"), "no row");
    assert_string_equal(item(t, DEP_LEFT_OUT, "public.bare")->hint,
                        "ALTER TABLE public.bare ADD PRIMARY KEY (…);");
    assert_string_equal(item(t, DEP_LEFT_OUT, "public.uniq")->hint,
                        "ALTER TABLE public.uniq REPLICA IDENTITY USING INDEX uniq_id_key;");
    assert_string_equal(item(t, DEP_LEFT_OUT, "public.mute")->hint,
                        "ALTER TABLE public.mute REPLICA IDENTITY DEFAULT;");
    assert_non_null(item(t, DEP_LEFT_OUT, "public.late"));
    assert_non_null(item(t, DEP_LEFT_OUT, "public.full_bare"));
    assert_null(item(t, DEP_LEFT_OUT, "public.fast")->hint);
    put(t, "schema/0002_keys.sql",
        "ALTER TABLE bare ADD PRIMARY KEY (id); ALTER TABLE keyed DROP CONSTRAINT keyed_pkey;");
    deploy_ok(t);
    assert_non_null(item(t, DEP_PUBLISHED, "public.bare"));
    assert_non_null(item(t, DEP_UNPUBLISHED, "public.keyed"));
    assert_string_equal(value(t, "SELECT pubviaroot FROM pg_publication"), "t");
}

/* As a team does that has a database already: its tables belong to somebody else. */
static void become_guest(app *t)
{
    int64_t number = weir_mono_us();
    const char *db = value(t, "SELECT current_database()");
    const char *guest = weir_arena_printf(t->a, "guest_%lld", (long long)number);
    const char *owner = weir_arena_printf(t->a, "owner_%lld", (long long)number);
    fixture_sql(&fx, weir_arena_printf(t->a,
                                       "CREATE ROLE %s; CREATE ROLE %s LOGIN REPLICATION; GRANT "
                                       "CREATE ON DATABASE %s TO %s",
                                       owner, guest, db, guest));
    assert_string_equal(
        value(t,
              weir_arena_printf(
                  t->a,
                  "DO $$ BEGIN CREATE TABLE theirs (id int PRIMARY KEY); CREATE TABLE roots (id "
                  "int PRIMARY KEY); CREATE TABLE mine (id int PRIMARY KEY); CREATE TABLE veiled "
                  "(id int PRIMARY KEY); ALTER TABLE theirs OWNER TO %s; ALTER TABLE mine OWNER "
                  "TO %s; ALTER TABLE veiled OWNER TO %s; ALTER TABLE veiled ENABLE ROW LEVEL "
                  "SECURITY, FORCE ROW LEVEL SECURITY; END $$",
                  owner, guest, guest)),
        "no row");
    weir_pg_close(t->pg);
    const char *uri = t->s.postgres_uri;
    t->s.postgres_uri = weir_arena_printf(t->a, "%.*s user=%s dbname=%s",
                                          (int)(strstr(uri, " user=") - uri), uri, guest, db);
    assert_rc(WEIR_OK, weir_pg_open(&t->pg, &(weir_pg_conf){.uri = t->s.postgres_uri}, &t->err));
}

static void has_hint(const dep_item *it, const char *text)
{
    assert_non_null(it);
    assert_non_null(it->hint);
    if (!strstr(it->hint, text)) {
        fail_msg("\"%s\" does not say \"%s\"", it->hint, text);
    }
}

static void test_tables_of_others(void **state)
{
    T(state);
    become_guest(t);
    deploy_ok(t);
    assert_non_null(item(t, DEP_PUBLISHED, "public.mine"));
    has_hint(item(t, DEP_LEFT_OUT, "public.theirs"), "GRANT owner_");
    has_hint(item(t, DEP_LEFT_OUT, "public.roots"), "ALTER TABLE public.roots OWNER TO guest_");
    has_hint(item(t, DEP_LEFT_OUT, "public.veiled"), "ALTER ROLE guest_");
    put(t, "read-models/their_view.sql", "-- @key id\nSELECT id FROM theirs\n");
    deploy_fails(t, "refused");
    assert_non_null(item(t, DEP_LEFT_OUT, "public.theirs"));
    drop(t, "read-models/their_view.sql");
    assert_string_equal(value(t, "DO $$ BEGIN ALTER TABLE mine ENABLE ROW LEVEL SECURITY, FORCE "
                                 "ROW LEVEL SECURITY; END $$"),
                        "no row");
    deploy_ok(t);
    has_hint(item(t, DEP_WARNING, "public.mine"), "BYPASSRLS"); /* and it stays published */
    assert_string_equal(value(t, "SELECT string_agg(tablename, ' ') FROM pg_publication_tables"),
                        "mine");
}

static void test_read_models(void **state)
{
    T(state);
    put_shop(t);
    put(t, "read-models/order_view.sql", "-- @key id\nSELECT id, customer FROM orders\n");
    deploy_ok(t);
    assert_non_null(item(t, DEP_MODEL, "order_view"));
    assert_string_equal(value(t, "SELECT file FROM weir.read_model"), "read-models/order_view.sql");
    deploy_ok(t);
    assert_null(t->r.first);
    put(t, "read-models/order_view.sql", "-- @key id\nSELECT id, customer, qty FROM orders\n");
    deploy_ok(t);
    assert_string_equal(item(t, DEP_MODEL, "order_view")->text, "changed");
    drop(t, "read-models/order_view.sql");
    deploy_ok(t);
    assert_non_null(item(t, DEP_MODEL_GONE, "order_view"));
}

static void test_dry_run(void **state)
{
    T(state);
    put_shop(t);
    dep_report_init(&t->r, t->a, false);
    assert_rc(WEIR_OK, dep_app(t->pg, &t->s, t->dir, true, &t->r, &t->err));
    assert_non_null(item(t, DEP_MIGRATION, "schema/0001_init.sql"));
    assert_string_equal(value(t, "SELECT to_regnamespace('weir')"), "");
}

struct other {
    app *t;
    weir_arena *a;
    weir_rc rc;
    weir_error err;
};

static void deploy_beside(void *arg)
{
    struct other *o = arg;
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = o->t->s.postgres_uri, .application_name = "beside"};
    dep_report r;
    dep_report_init(&r, o->a, false);
    o->rc = weir_pg_open(&pg, &conf, &o->err);
    if (o->rc == WEIR_OK) {
        o->rc = dep_app(pg, &o->t->s, o->t->dir, false, &r, &o->err);
    }
    weir_pg_close(pg);
    dep_report_fini(&r);
}

static bool both_wait(void *arg)
{
    return strcmp(value(arg, "SELECT count(DISTINCT pid) FROM pg_locks l JOIN pg_stat_activity a "
                             "USING (pid) WHERE NOT granted AND application_name = 'beside'"),
                  "2") == 0;
}

/* The first one is held up in its migration; the second must not begin before it is done. */
static void test_two_at_once(void **state)
{
    T(state);
    struct other o[2];
    weir_thread *threads[2];
    put_shop(t);
    put(t, "schema/0002_held.sql", "SELECT pg_advisory_xact_lock(1);");
    assert_string_equal(value(t, "SELECT pg_advisory_lock(1)"), "");
    for (int i = 0; i < 2; i++) {
        o[i] = (struct other){.t = t, .a = weir_arena_new(0)};
        assert_rc(WEIR_OK, weir_thread_start(&threads[i], "deploy", deploy_beside, &o[i], &t->err));
    }
    bool waited = weir_wait_until(both_wait, t, 15000, "both deploys to wait");
    (void)value(t, "SELECT pg_advisory_unlock(1)");
    for (int i = 0; i < 2; i++) {
        weir_thread_join(threads[i]);
        weir_arena_free(o[i].a);
    }
    assert_true(waited);
    for (int i = 0; i < 2; i++) {
        if (o[i].rc != WEIR_OK) {
            fail_msg("%s: %s", weir_rc_name(o[i].rc), o[i].err.msg);
        }
    }
    assert_string_equal(value(t, "SELECT count(*) FROM weir.schema_migration"), "2");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_control),           TEST(test_sets),
        TEST(test_whole_app),         TEST(test_migrations_go_forward),
        TEST(test_nothing_half_done), TEST(test_every_problem),
        TEST(test_signature_changes), TEST(test_functions_without_a_file),
        TEST(test_publication),       TEST(test_tables_of_others),
        TEST(test_read_models),       TEST(test_dry_run),
        TEST(test_two_at_once),
    };
    return cmocka_run_group_tests_name("deploy", tests, open_group, close_group);
}
