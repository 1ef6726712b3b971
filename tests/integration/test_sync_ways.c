/* test_sync_ways.c - both ways: four tables, writers on both sides that collide, and processes that
 * are killed; under each policy that converges the sides end equal, and the traffic ends. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "tests/support/synctest.h"

enum { TRANSACTIONS = 900, KEYS = 50 };

static fixture fx;

static const char tables_sql[] =
    "CREATE TABLE t1 (id int PRIMARY KEY, v text, n int);"
    "CREATE TABLE t2 (a int, b int, v text, PRIMARY KEY (a, b));"
    "CREATE TABLE t3 (id text PRIMARY KEY, v text);"
    "CREATE TABLE t4 (id int PRIMARY KEY, v int);"
    "INSERT INTO t1 SELECT i FROM generate_series(1, 50) i;"
    "INSERT INTO t2 SELECT i % 10, i / 10, 'a' FROM generate_series(0, 49) i;"
    "INSERT INTO t3 SELECT 'k' || i FROM generate_series(1, 50) i;"
    "INSERT INTO t4 SELECT i FROM generate_series(1, 50) i";

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

static int end(void **state)
{
    if (*state) {
        synctest_free(*state);
    }
    return 0;
}

typedef struct writer {
    weir_pg *pg;
    uint64_t rng;
    const char *name;
    weir_thread *thread;
    char failed[200];
} writer;

static const char *change(writer *w, weir_arena *a)
{
    unsigned k = 1 + (unsigned)(weir_test_random(&w->rng) % KEYS);
    unsigned r = (unsigned)(weir_test_random(&w->rng) % 1000000);
    switch (weir_test_random(&w->rng) % 8) {
    case 0:
    case 1: return weir_arena_printf(a, "UPDATE t1 SET v = '%s%u' WHERE id = %u", w->name, r, k);
    case 2: return weir_arena_printf(a, "DELETE FROM t1 WHERE id = %u", k);
    case 3:
        return weir_arena_printf(a,
                                 "INSERT INTO t1 VALUES (%u, '%s%u', 1) ON CONFLICT (id) DO UPDATE "
                                 "SET v = excluded.v",
                                 k, w->name, r);
    case 4:
        return weir_arena_printf(a, "UPDATE t2 SET v = '%s%u' WHERE a = %u AND b = %u", w->name, r,
                                 k % 10, k / 10);
    case 5: return weir_arena_printf(a, "DELETE FROM t3 WHERE id = 'k%u'", k);
    case 6:
        return weir_arena_printf(a,
                                 "INSERT INTO t3 VALUES ('k%u', '%s%u') ON CONFLICT (id) DO UPDATE "
                                 "SET v = excluded.v",
                                 k, w->name, r);
    default:
        return weir_arena_printf(
            a, "DELETE FROM t2 WHERE a = %u AND b = %u; INSERT INTO t2 VALUES (%u, %u, '%s%u')",
            k % 10, k / 10, k % 10, k / 10, w->name, r);
    }
}

static void write_all(void *arg)
{
    writer *w = arg;
    weir_arena *a = weir_arena_new(0);
    for (int i = 0; i < TRANSACTIONS && !w->failed[0]; i++) {
        weir_error err;
        weir_arena_reset(a);
        unsigned k = 1 + (unsigned)(weir_test_random(&w->rng) % KEYS);
        const char *sql =
            weir_arena_printf(a,
                              "BEGIN; %s; UPDATE t4 SET v = %d WHERE id = %u; COMMIT; SELECT "
                              "pg_sleep(0.001)",
                              change(w, a), i, k);
        if (weir_pg_script(w->pg, sql, &err) != WEIR_OK) {
            weir_error ignored;
            weir_rc rc = weir_pg_script(w->pg, "ROLLBACK", &ignored);
            (void)rc;
            /* a deadlock or a key that came meanwhile: the application's to take */
            if (strcmp(err.sqlstate, "40P01") != 0 && strcmp(err.sqlstate, "23505") != 0) {
                (void)snprintf(w->failed, sizeof w->failed, "%.190s", err.msg);
            }
        }
    }
    weir_arena_free(a);
}

static void writer_start(writer *w, const char *uri, const char *name, uint64_t seed)
{
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "writer"};
    *w = (writer){.rng = seed, .name = name};
    assert_rc(WEIR_OK, weir_pg_open(&w->pg, &conf, &err), &err);
    assert_rc(WEIR_OK, weir_thread_start(&w->thread, "writer", write_all, w, &err), &err);
}

static void writer_end(writer *w)
{
    weir_thread_join(w->thread);
    weir_pg_close(w->pg);
    assert_string_equal("", w->failed);
}

static const char written_sql[] =
    "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname ~ "
    "'^t[1-4]$'";

/* Nobody writes any more: rows must stop moving too. */
static void assert_quiet(synctest *t)
{
    synctest_sql(t->a, "SELECT pg_stat_force_next_flush()");
    synctest_sql(t->a, "SELECT pg_sleep(1.2)"); /* statistics are told within a second */
    const char *a = synctest_value(t, t->a, written_sql);
    const char *b = synctest_value(t, t->b, written_sql);
    synctest_sql(t->a, "SELECT pg_sleep(1.5)");
    assert_string_equal(a, synctest_value(t, t->a, written_sql));
    assert_string_equal(b, synctest_value(t, t->b, written_sql));
}

static void converges(void **state, const char *policy, int kills)
{
    static synctest one;
    synctest *t = &one;
    writer wa;
    writer wb;
    uint64_t rng = weir_test_seed();
    fixture_need(&fx);
    *state = t;
    synctest_new(t, &fx, WEIR_BIN_DIR, tables_sql,
                 weir_arena_printf(fx.a,
                                   "ways = both\ntables = public.*\nconflict = %s\npriority = "
                                   "source",
                                   policy));
    synctest_start(t);
    writer_start(&wa, t->uri_a, "a", rng + 1);
    writer_start(&wb, t->uri_b, "b", rng + 2);
    for (int i = 0; i < kills; i++) {
        synctest_sql(t->a, "SELECT pg_sleep(0.4)"); /* at any point of its work */
        synctest_kill_one(t, &rng);
    }
    writer_end(&wa);
    writer_end(&wb);
    synctest_equal(t, "t1 t2 t3 t4");
    assert_quiet(t);
    synctest_equal(t, "t1 t2 t3 t4");
    assert_string_not_equal("0",
                            synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.conflict"));
}

static void test_last_update_wins(void **state)
{
    converges(state, "last_update_wins", 0);
}

static void test_priority_killed(void **state)
{
    converges(state, "priority", 4);
}

/* A function that merges: both sides compute the same from the two rows. */
static void test_function(void **state)
{
    static synctest one;
    synctest *t = &one;
    fixture_need(&fx);
    *state = t;
    synctest_new(
        t, &fx, WEIR_BIN_DIR,
        "CREATE TABLE c (id int PRIMARY KEY, hits int, tag text); INSERT INTO c VALUES (1, "
        "0, NULL);"
        "CREATE FUNCTION merge(tab text, kind text, mine jsonb, theirs jsonb, mine_at "
        "timestamptz, theirs_at timestamptz) RETURNS jsonb LANGUAGE sql AS $$ SELECT mine || "
        "jsonb_build_object('hits', greatest((mine ->> 'hits')::int, (theirs ->> "
        "'hits')::int)) || jsonb_build_object('tag', greatest(mine ->> 'tag', theirs ->> "
        "'tag')) $$",
        "ways = both\ntables = public.c\n[table public.c]\nconflict = function\nfunction = "
        "public.merge");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "pause", NULL, NULL));
    synctest_sql(t->a, "SELECT pg_sleep(0.6)"); /* the flows look every quarter of a second */
    synctest_sql(t->a, "UPDATE c SET hits = 5, tag = 'a'");
    synctest_sql(t->b, "UPDATE c SET hits = 3, tag = 'b'");
    assert_int_equal(0, synctest_run(t, "resume", NULL, NULL));
    synctest_until(t, t->a, "SELECT count(*) FROM c WHERE hits = 5 AND tag = 'b'",
                   "the merged row");
    synctest_until(t, t->b, "SELECT count(*) FROM c WHERE hits = 5 AND tag = 'b'",
                   "the merged row");
    assert_string_equal("merged",
                        synctest_value(t, t->b, "SELECT resolution FROM weir_sync.conflict"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_last_update_wins, end),
        cmocka_unit_test_teardown(test_priority_killed, end),
        cmocka_unit_test_teardown(test_function, end),
    };
    return cmocka_run_group_tests_name("sync_ways", tests, setup, teardown);
}
