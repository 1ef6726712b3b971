/* test_write_session.c - commands that leave things in the session or the transaction they share:
 * the next one must not meet them, whoever it is. One lane, so that all of them have one session.
 */
#include <stdio.h>

#include "tests/support/cmdapp.h"
#include "tests/support/writetest.h"

static wt_service service;

#define COMMAND(name, args, result, body)                                                          \
    "CREATE OR REPLACE FUNCTION command." name "(" args ") RETURNS " result                        \
    " LANGUAGE plpgsql AS $$ BEGIN " body " END $$;\n"

static const char commands[] = COMMAND(
    "run", "sql text", "text",
    "EXECUTE sql; RETURN 'done';") COMMAND("tell", "sql text", "text",
                                           "EXECUTE sql INTO sql; RETURN sql;")
    COMMAND("nap", "seconds float8", "void", "PERFORM pg_sleep(seconds);") COMMAND(
        "tenant", "name text", "text",
        "RETURN concat(current_setting('app.tenant', true), left(set_config('app.tenant', name, "
        "true), 0));") COMMAND("scratch", "n int", "int",
                               "CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT n; RETURN n;")
        COMMAND("adopt_locked", "id int, parent int", "int",
                "PERFORM pg_advisory_lock(79); INSERT INTO child VALUES (id, parent); RETURN id;")
            COMMAND("prepared", "", "void", "EXECUTE 'PREPARE mine AS SELECT 1';")
                COMMAND("adopt", "id int, parent int", "int",
                        "INSERT INTO child VALUES (id, parent); RETURN id;")
                    COMMAND("adopt_now", "id int, parent int", "int",
                            "INSERT INTO child VALUES (id, parent); SET CONSTRAINTS ALL IMMEDIATE; "
                            "RETURN id;");

static const char schema_sql[] =
    "CREATE TABLE parent (id int PRIMARY KEY);\n"
    "CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent DEFERRABLE INITIALLY "
    "DEFERRED);\n"
    "INSERT INTO parent VALUES (1);\n";

static wt_answer call(const char *name, const char *sql)
{
    wt_answer a = wt_post(&service, name, weir_arena_printf(wt_fx.a, "{\"sql\": \"%s\"}", sql));
    return a;
}

/* Runs sql in one command; the next one must find `want` when it asks. */
static void leaves(const char *sql, const char *ask, const char *want)
{
    wt_answer a = call("run", sql);
    wt_assert_status(200, &a);
    a = call("tell", ask);
    wt_assert_status(200, &a);
    assert_has(a.body, weir_arena_printf(wt_fx.a, "\"result\":\"%s\"", want));
}

static void settings(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    leaves("SET app.tenant = 'seven'",
           "SELECT coalesce(nullif(current_setting('app.tenant', true), ''), 'nobody')", "nobody");
    leaves("SET statement_timeout = 1", "SELECT current_setting('statement_timeout')", "1500ms");
    leaves("SET search_path = pg_temp", "SELECT count(*)::text FROM parent", "1");
    leaves("SET ROLE pg_read_all_data", "SELECT (current_user = session_user)::text", "true");
    leaves("SET TIME ZONE 'Asia/Tokyo'",
           "SELECT (current_setting('timezone') <> 'Asia/Tokyo')::text", "true");
}

static void things(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    leaves("CREATE TEMP TABLE parent (id int)", "SELECT count(*)::text FROM parent", "1");
    leaves("SELECT pg_advisory_lock(77)", "SELECT count(*)::text FROM pg_locks WHERE objid = 77",
           "0");
    leaves("LISTEN everything", "SELECT count(*)::text FROM pg_listening_channels()", "0");
    leaves("DECLARE held CURSOR WITH HOLD FOR SELECT 1",
           "SELECT count(*)::text FROM pg_cursors WHERE is_holdable", "0");
    for (int i = 0; i < 2; i++) { /* the second one would meet the first one's */
        wt_answer twice = wt_post(&service, "prepared", "{}");
        wt_assert_status(200, &twice);
    }
    /* Refused, so rolled back; but such a lock outlives that. */
    wt_answer a = call("run", "SELECT pg_advisory_lock(78), 1 / 0");
    wt_assert_status(422, &a);
    a = call("tell", "SELECT count(*)::text FROM pg_locks WHERE objid = 78");
    assert_has(a.body, "\"result\":\"0\"");
}

/* Refused only at COMMIT: the whole transaction is rolled back, and the lock outlives that too. */
static void a_lock_of_what_was_rolled_back(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = wt_post(&service, "adopt_locked", "{\"id\": 90, \"parent\": 99}");
    wt_assert_status(422, &a);
    a = call("tell", "SELECT count(*)::text FROM pg_locks WHERE objid = 79");
    assert_has(a.body, "\"result\":\"0\"");
}

/* It takes our own statements away: it fails, and nobody else does. */
static void deallocate(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    for (int i = 0; i < 3; i++) {
        wt_answer a = call("run", "DEALLOCATE ALL");
        assert_true(a.status == 200 || a.status == 500);
        for (int k = 0; k < 3; k++) {
            a = call("tell", "SELECT 'fine'");
            wt_assert_status(200, &a);
        }
    }
}

/* --- within one transaction ----------------------------------------------------------------------
 */

enum { CALLS = 6 };

static bool queued(void *n)
{
    return wt_metric(&service, "weir_write_queue_length") == *(int *)n;
}

/* All of them wait while the only lane sleeps, so they are taken together. */
static void together(wt_caller *c, int n)
{
    wt_caller nap = {.s = &service, .name = "nap", .body = "{\"seconds\": 0.3}"};
    int none = 0;
    wt_start_call(&nap, &service, "nap", "{\"seconds\": 0.3}");
    fixture_wait(&wt_fx, queued, &none, 3000, "the nap to be taken");
    for (int i = 0; i < n; i++) {
        char name[64], body[256];
        memcpy(name, c[i].name, sizeof name);
        memcpy(body, c[i].body, sizeof body);
        wt_start_call(&c[i], &service, name, body);
    }
    for (int i = 0; i < n; i++) {
        wt_end_call(&c[i]);
    }
    wt_end_call(&nap);
    wt_assert_status(200, &nap.got);
}

static void settings_of_a_transaction(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller c[CALLS] = {0};
    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(c[i].name, sizeof c[i].name, "%s", "tenant");
        (void)snprintf(c[i].body, sizeof c[i].body, "{\"name\": \"t%d\"}", i);
    }
    together(c, CALLS);
    for (int i = 0; i < CALLS; i++) {
        wt_assert_status(200, &c[i].got);
        assert_null(strstr(c[i].got.body, "\"result\":\"t"));
    }
}

static void temporary_tables(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller c[CALLS] = {0};
    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(c[i].name, sizeof c[i].name, "%s", "scratch");
        (void)snprintf(c[i].body, sizeof c[i].body, "{\"n\": %d}", i);
    }
    together(c, CALLS);
    for (int i = 0; i < CALLS; i++) {
        wt_assert_status(200, &c[i].got);
    }
}

/* Deferred constraints that one makes immediate are not asked about the rows of another. */
static void constraints(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller c[CALLS] = {0};
    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(c[i].name, sizeof c[i].name, "%s", i % 2 ? "adopt_now" : "adopt");
        (void)snprintf(c[i].body, sizeof c[i].body, "{\"id\": %d, \"parent\": %d}", i, i % 2);
    }
    together(c, CALLS);
    for (int i = 0; i < CALLS; i++) {
        wt_assert_status(i % 2 ? 200 : 422, &c[i].got);
    }
}

static void ends_well(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    assert_int_equal(fixture_stop(service.proc, 10000), 0);
}

static int up(void **state)
{
    static const cmdapp_conf conf = {.name = "session",
                                     .schema_sql = schema_sql,
                                     .commands = commands,
                                     .ini = "lanes=1\nstatement_timeout_ms=1500\n"};
    (void)state;
    return cmdapp_serve(&service, WEIR_BIN_DIR,
                        WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql", &conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings),
        cmocka_unit_test(things),
        cmocka_unit_test(a_lock_of_what_was_rolled_back),
        cmocka_unit_test(deallocate),
        cmocka_unit_test(settings_of_a_transaction),
        cmocka_unit_test(temporary_tables),
        cmocka_unit_test(constraints),
        cmocka_unit_test(ends_well),
    };
    return cmocka_run_group_tests_name("write_session", tests, up, wt_down);
}
