/* test_sync.c - one way: every kind of change, groups that must go row by row, conflicts, the first
 * copy, and kill -9 of everything. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "tests/support/synctest.h"

static fixture fx;
static synctest *fx_test;

static const char tables_sql[] =
    "CREATE TABLE t (id int PRIMARY KEY, v text, big text);"
    "CREATE TABLE pair (a int, b text, x numeric, PRIMARY KEY (a, b));"
    "CREATE TABLE nokey (x int, y text); ALTER TABLE nokey REPLICA IDENTITY FULL;"
    "CREATE TYPE pt AS (x int, y text); CREATE TABLE gen (id int GENERATED ALWAYS AS IDENTITY "
    "PRIMARY KEY, n int, d int GENERATED "
    "ALWAYS AS (n * 2) STORED, arr int[], c char(5), ts timestamptz, j jsonb, bits bit(4), p pt);"
    "CREATE TABLE wide (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, big text); ALTER TABLE "
    "wide ALTER big SET STORAGE EXTERNAL; CREATE TABLE number (id int GENERATED ALWAYS AS IDENTITY "
    "PRIMARY KEY);"
    "CREATE TABLE uniq (id int PRIMARY KEY, u int UNIQUE);"
    "CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE)";
static const char all_tables[] = "t pair nokey gen wide number uniq child";

static int setup(void **state)
{
    (void)state;
    return synctest_up(&fx);
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static synctest *begin(void **state, const char *lines)
{
    fixture_need(&fx);
    static synctest one;
    synctest *t = &one;
    *state = t;
    synctest_new(t, &fx, WEIR_BIN_DIR, tables_sql, lines);
    return t;
}

static int end(void **state)
{
    if (*state) {
        synctest_free(*state);
    }
    return 0;
}

static bool says(void *arg)
{
    synctest *t = fx_test;
    weir_slice out = {NULL, 0};
    (void)synctest_run(t, "status", NULL, &out);
    return strstr(weir_arena_dupz(fx.a, out), arg) != NULL;
}

static void await_status(synctest *t, char *text)
{
    fx_test = t;
    assert_true(weir_wait_until(says, text, 20000, text));
}

static void test_every_change(void **state)
{
    synctest *t = begin(state, "tables = public.*");
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO t SELECT i, 'v' || i, repeat(md5(i::text), 100) FROM "
                       "generate_series(1, 600) i");
    synctest_sql(t->a,
                 "INSERT INTO pair SELECT i, 'b' || i, i * 1.50 FROM generate_series(1, 50) i");
    synctest_sql(t->a,
                 "INSERT INTO nokey VALUES (1, 'x'), (1, 'x'), (2, NULL), (3, E'\\\\\"{},\\n')");
    synctest_sql(
        t->a, "INSERT INTO gen (n, arr, c, ts, j, bits, p) VALUES (3, '{1,NULL}', 'ab', "
              "'infinity', '{\"a\": \"\\\\\"}', B'1010', '(1,\"a,b\")'), (4, '{{1,2},{3,4}}', '', "
              "NULL, 'null', NULL, NULL)");
    synctest_sql(t->a, "INSERT INTO child SELECT i, i FROM generate_series(1, 100) i");
    synctest_sql(t->a, "INSERT INTO wide OVERRIDING SYSTEM VALUE SELECT i * 10, repeat('x', 9000) "
                       "FROM generate_series(1, 9) i; INSERT INTO number SELECT FROM "
                       "generate_series(1, 9)");
    synctest_equal(t, all_tables);
    /* one transaction in which keys come, go and come again, with TOAST columns left alone */
    synctest_sql(t->a,
                 "BEGIN; UPDATE t SET v = 'a' WHERE id <= 50; UPDATE t SET v = v || 'b' WHERE "
                 "id <= 30; DELETE FROM t WHERE id BETWEEN 10 AND 20; INSERT INTO t VALUES "
                 "(15, 'again', NULL); INSERT INTO t VALUES (1000, 'x', 'y'); DELETE FROM t "
                 "WHERE id = 1000; UPDATE t SET id = id + 5000 WHERE id BETWEEN 200 AND 220; "
                 "UPDATE t SET v = 'moved' WHERE id = 5200; COMMIT");
    /* nothing but the key comes, and it cannot be set */
    synctest_sql(t->a, "UPDATE wide SET big = big");
    synctest_sql(t->a,
                 "UPDATE nokey SET y = 'z' WHERE x = 2; DELETE FROM nokey WHERE ctid = (SELECT "
                 "min(ctid) FROM nokey WHERE x = 1)");
    synctest_sql(t->a, "UPDATE gen SET n = 10, c = 'zz', p = (2, NULL) WHERE id = 1; DELETE FROM "
                       "pair WHERE a % 2 = "
                       "0; UPDATE pair SET b = 'k' || a, x = 0 WHERE a < 20");
    synctest_equal(t, all_tables);
    synctest_sql(t->a,
                 "TRUNCATE pair; INSERT INTO pair VALUES (1, 'after', 1); TRUNCATE t CASCADE; "
                 "INSERT INTO t VALUES (1, 'one', NULL)");
    synctest_equal(t, all_tables);
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.conflict"));
    /* nothing of it had to be looked at row by row */
    weir_slice out = {NULL, 0};
    assert_int_equal(0, synctest_run(t, "status", "--json", &out));
    assert_has(weir_arena_dupz(fx.a, out), "\"careful\":0");
}

/* A key that changes where the target lets nobody set it: told, and mended by what is told. */
static void test_key_nobody_may_set(void **state)
{
    static char told[] = "nobody may set it: ALTER TABLE";
    synctest *t = begin(state, "tables = public.wide");
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO wide OVERRIDING SYSTEM VALUE VALUES (100, 'a'), (101, 'b')");
    synctest_equal(t, "wide");
    synctest_sql(t->a, "UPDATE wide SET id = DEFAULT WHERE id = 100");
    await_status(t, told);
    synctest_sql(t->b, "ALTER TABLE wide ALTER id SET GENERATED BY DEFAULT");
    synctest_equal(t, "wide");
}

/* Unique values that change hands: no order of arrays fits, so the group goes row by row. */
static void test_unique_swap(void **state)
{
    synctest *t = begin(state, "tables = public.uniq");
    synctest_start(t);
    synctest_sql(t->a, "INSERT INTO uniq SELECT i, i FROM generate_series(1, 300) i");
    synctest_equal(t, "uniq");
    synctest_sql(t->a,
                 "BEGIN; UPDATE uniq SET u = -1 WHERE id = 1; UPDATE uniq SET u = 1 WHERE id = "
                 "2; UPDATE uniq SET u = 2 WHERE id = 1; COMMIT; UPDATE uniq SET u = -u");
    synctest_equal(t, "uniq");
}

static void test_conflict_stops_then_goes_on(void **state)
{
    synctest *t = begin(state, "tables = public.t");
    synctest_start(t);
    synctest_sql(t->b, "INSERT INTO t VALUES (7, 'mine', NULL)");
    synctest_sql(t->a, "INSERT INTO t SELECT i, 'theirs', NULL FROM generate_series(1, 20) i");
    synctest_until(t, t->b,
                   "SELECT count(DISTINCT key)::int FROM weir_sync.conflict WHERE kind = "
                   "'insert_exists' AND resolution = 'stopped' AND local_row ->> 'v' = 'mine' AND "
                   "remote_row ->> 'v' = 'theirs' AND key = '[\"7\"]'",
                   "the conflict's record");
    await_status(t, "insert_exists at key [\"7\"]");
    assert_string_equal("1", synctest_value(t, t->b, "SELECT count(*) FROM t"));
    assert_int_equal(1, synctest_run(t, "status", NULL, NULL));
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_ini(t, "tables = public.t\nconflict = apply_remote\nmissing = skip");
    synctest_start(t);
    synctest_equal(t, "t");
    /* a row that is gone: skipped, and noted */
    synctest_sql(t->b, "DELETE FROM t WHERE id IN (3, 4)");
    synctest_sql(t->a,
                 "UPDATE t SET v = 'gone' WHERE id = 3; DELETE FROM t WHERE id = 4; UPDATE t SET "
                 "v = 'last' WHERE id = 5");
    synctest_until(t, t->b, "SELECT count(*) FROM t WHERE v = 'last'", "the change behind it");
    assert_string_equal("delete_missing kept,update_missing kept",
                        synctest_value(t, t->b,
                                       "SELECT string_agg(kind || ' ' || resolution, ',' ORDER BY "
                                       "kind) FROM weir_sync.conflict WHERE kind LIKE '%missing'"));
}

static void test_pause(void **state)
{
    synctest *t = begin(state, "tables = public.t");
    weir_slice out = {NULL, 0};
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "pause", NULL, NULL));
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_start(t); /* paused over the restart */
    synctest_sql(t->a, "INSERT INTO t VALUES (1, 'x', NULL)");
    assert_int_equal(0, synctest_run(t, "status", "--json", &out));
    assert_has(weir_arena_dupz(fx.a, out), "\"state\":\"paused\"");
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM t"));
    assert_int_equal(0, synctest_run(t, "resume", NULL, NULL));
    synctest_equal(t, "t");
}

/* --- a writer on a thread -------------------------------------------------------------------- */

typedef struct writer {
    weir_pg *pg;
    uint64_t rng;
    int transactions;
    weir_thread *thread;
    char failed[200];
} writer;

static void write_one(writer *w, weir_arena *a)
{
    weir_error err;
    unsigned k = (unsigned)(weir_test_random(&w->rng) % 200);
    unsigned r = (unsigned)(weir_test_random(&w->rng) % 1000000);
    const char *sql = weir_arena_printf(
        a,
        "BEGIN; INSERT INTO nokey VALUES (%u, 'w'); INSERT INTO t VALUES (%u, 'i%u', NULL) ON "
        "CONFLICT (id) DO UPDATE SET v = 'u%u'; DELETE FROM t WHERE id = %u; UPDATE t SET id = id "
        "+ 1000 WHERE id = %u AND NOT EXISTS (SELECT FROM t WHERE id = %u + 1000); COMMIT",
        r, k, r, r, (k * 7) % 200, (k * 13) % 200, (k * 13) % 200);
    if (weir_pg_script(w->pg, sql, &err) != WEIR_OK) {
        (void)snprintf(w->failed, sizeof w->failed, "%.190s", err.msg);
    }
}

static void write_all(void *arg)
{
    writer *w = arg;
    weir_arena *a = weir_arena_new(0);
    for (int i = 0; i < w->transactions && !w->failed[0]; i++) {
        weir_arena_reset(a);
        write_one(w, a);
    }
    weir_arena_free(a);
}

static void writer_start(writer *w, const char *uri, uint64_t seed, int transactions)
{
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "writer"};
    *w = (writer){.rng = seed, .transactions = transactions};
    assert_rc(WEIR_OK, weir_pg_open(&w->pg, &conf, &err), &err);
    assert_rc(WEIR_OK, weir_thread_start(&w->thread, "writer", write_all, w, &err), &err);
}

static void writer_end(writer *w)
{
    weir_thread_join(w->thread);
    weir_pg_close(w->pg);
    assert_string_equal("", w->failed);
}

static void test_initial_copy(void **state)
{
    synctest *t = begin(state, "tables = public.*\ninitial = copy");
    writer w;
    synctest_sql(t->b, "DROP TABLE child, uniq, t");
    synctest_sql(t->a,
                 "INSERT INTO t SELECT i, 'v', repeat('z', 3000) FROM generate_series(1, 200) i; "
                 "INSERT INTO nokey SELECT i, 'old' FROM generate_series(1, 500) i; INSERT INTO "
                 "uniq SELECT i, i FROM generate_series(1, 30000) i");
    writer_start(&w, t->uri_a, weir_test_seed(), 1500);
    synctest_start(t);
    writer_end(&w);
    synctest_equal(t, all_tables);
    synctest_until(t, t->b,
                   "SELECT count(*) FROM pg_constraint WHERE conrelid = 'child'::regclass "
                   "AND contype = 'f'",
                   "the foreign key, after the flow has passed the copy");
    synctest_sql(t->a, "UPDATE uniq SET u = -u WHERE id < 10");
    synctest_equal(t, "uniq");
    /* who waits for the flow to reach a place of the source sees it, whatever lies before it */
    const char *now = synctest_value(t, t->a,
                                     "SELECT pg_current_wal_insert_lsn() FROM "
                                     "pg_logical_emit_message(true, 'somebody', 'else')");
    synctest_until(
        t, t->b, weir_arena_printf(fx.a, "SELECT (lsn >= '%s')::int FROM weir_sync.position", now),
        "the position of an idle flow to follow");
}

/* Before a flow has passed its copy, a moved row may be in no chunk, or the target may have another
 * row at its old key: what the update did not send comes from the source. */
static void test_moved_while_loose(void **state)
{
    synctest *t = begin(state, "tables = public.*\ninitial = copy");
    synctest_sql(t->b, "DROP TABLE child, uniq, t");
    synctest_sql(t->a, "ALTER TABLE t ALTER big SET STORAGE EXTERNAL; INSERT INTO t SELECT i, 'v', "
                       "repeat('z', 3000) FROM generate_series(1, 20) i");
    synctest_start(t);
    synctest_equal(t, "t");
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->b, "UPDATE t SET big = 'of another row' WHERE id = 5; DELETE FROM t WHERE id = "
                       "6; UPDATE weir_sync.position SET loose_until = '7FFFFFFF/0'");
    synctest_sql(t->a,
                 "UPDATE t SET id = id + 1000 WHERE id IN (5, 6, 7); DELETE FROM t WHERE id = "
                 "1007");
    synctest_start(t);
    synctest_equal(t, "t");
}

/* What came before a change of the columns needs the target as it was; what comes after waits until
 * it is changed alike, and then goes on by itself. */
static void test_columns_change(void **state)
{
    synctest *t = begin(state, "tables = public.t");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "pause", NULL, NULL));
    synctest_sql(t->a, "INSERT INTO t SELECT i, 'v' || i, NULL FROM generate_series(1, 50) i");
    synctest_sql(t->a, "ALTER TABLE t RENAME v TO w");
    synctest_sql(t->a, "UPDATE t SET w = 'renamed' WHERE id < 10");
    synctest_sql(t->a, "ALTER TABLE t ADD COLUMN extra int DEFAULT 7, DROP COLUMN big");
    synctest_sql(t->a, "INSERT INTO t VALUES (100, 'new', 8)");
    assert_int_equal(0, synctest_run(t, "resume", NULL, NULL));
    await_status(t, "has no column w");
    assert_string_equal("50", synctest_value(t, t->b, "SELECT count(*) FROM t WHERE v LIKE 'v%'"));
    synctest_sql(t->b, "ALTER TABLE t RENAME v TO w");
    await_status(t, "has no column extra");
    synctest_sql(t->b, "ALTER TABLE t ADD COLUMN extra int DEFAULT 7, DROP COLUMN big");
    synctest_equal(t, "t");
    assert_int_equal(0, synctest_run(t, "status", NULL, NULL));
}

/* A table without key would show every transaction that came twice or not at all. */
static void test_killed(void **state)
{
    synctest *t = begin(state, "tables = public.*");
    uint64_t rng = weir_test_seed();
    writer w;
    synctest_start(t);
    writer_start(&w, t->uri_a, rng, 2500);
    for (int i = 0; i < 6; i++) {
        synctest_sql(t->a, "SELECT pg_sleep(0.3)"); /* at any point of its work */
        synctest_kill_one(t, &rng);
    }
    writer_end(&w);
    synctest_equal(t, "t nokey");
    assert_string_equal("2500", synctest_value(t, t->b, "SELECT count(*) FROM nokey"));
}

static void test_refused(void **state)
{
    synctest *t = begin(state, "tables = public.*");
    weir_slice out = {NULL, 0};
    synctest_sql(t->a, "CREATE TABLE bare (x int)");
    assert_int_equal(1, synctest_run(t, "start", "--detach", &out));
    synctest_sql(t->a, "DROP TABLE bare");
    assert_string_equal("0", synctest_value(t, t->a, "SELECT count(*) FROM pg_publication"));
    synctest_ini(t, "tables = public.*\nconflict = newest");
    assert_int_equal(1, synctest_run(t, "start", "--detach", &out));
    synctest_ini(t, "tables = public.*\n[table public.unic]\nconflict = apply_remote");
    assert_int_equal(0, synctest_run(t, "start", "--detach", &out));
    assert_has(weir_arena_dupz(fx.a, out),
               "[table public.unic] is of none of the synced tables; did you mean public.uniq?");
    synctest_ini(t, "tables = public.*");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_every_change, end),
        cmocka_unit_test_teardown(test_key_nobody_may_set, end),
        cmocka_unit_test_teardown(test_unique_swap, end),
        cmocka_unit_test_teardown(test_conflict_stops_then_goes_on, end),
        cmocka_unit_test_teardown(test_pause, end),
        cmocka_unit_test_teardown(test_initial_copy, end),
        cmocka_unit_test_teardown(test_moved_while_loose, end),
        cmocka_unit_test_teardown(test_columns_change, end),
        cmocka_unit_test_teardown(test_killed, end),
        cmocka_unit_test_teardown(test_refused, end),
    };
    return cmocka_run_group_tests_name("sync", tests, setup, teardown);
}
