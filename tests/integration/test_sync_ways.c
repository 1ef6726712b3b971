/* test_sync_ways.c - both ways: four tables, writers on both sides that collide, and processes that
 * are killed; under each policy the sides end equal, and the traffic ends.
 *
 * WEIR_SYNC_ROUNDS=N: N rounds with one policy for all tables each, instead of two mixed ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "tests/support/synctest.h"

enum { TRANSACTIONS = 900, KEYS = 40, QUIET_MS = 1000 };

/* merge is neither symmetric nor does it converge by itself. */
static const char tables_sql[] =
    "CREATE TABLE t1 (id int PRIMARY KEY, v text, n int, big text);"
    "ALTER TABLE t1 ALTER big SET STORAGE EXTERNAL;"
    "CREATE TABLE t2 (a int, b text, v text, PRIMARY KEY (b, a));"
    "CREATE TABLE t3 (id text PRIMARY KEY, v text, t text);"
    "CREATE TABLE t4 (id int PRIMARY KEY, v text, parent int REFERENCES t1 ON DELETE CASCADE);"
    "INSERT INTO t1 SELECT i, 'v', 0, repeat('x', 3000) FROM generate_series(1, 40) i;"
    "INSERT INTO t2 SELECT i % 10, 'b' || i / 10, 'a' FROM generate_series(0, 39) i;"
    "INSERT INTO t3 SELECT 'k' || i FROM generate_series(1, 40) i;"
    "INSERT INTO t4 SELECT i, '', i FROM generate_series(1, 40) i;"
    "CREATE FUNCTION merge(tab text, kind text, mine jsonb, theirs jsonb, mine_at timestamptz, "
    "theirs_at timestamptz) RETURNS jsonb LANGUAGE sql AS $$ SELECT (coalesce(theirs, '{}') || "
    "mine) || jsonb_build_object('v', md5(concat(mine ->> 'v', theirs ->> 'v'))) $$";

typedef struct writer {
    weir_pg *pg;
    uint64_t rng;
    const char *name;
    int transactions;
    weir_thread *thread;
    char failed[200];
} writer;

static unsigned any(writer *w, unsigned n)
{
    return (unsigned)(weir_test_random(&w->rng) % n);
}

static const char *change_t1(writer *w, weir_arena *a, unsigned k, unsigned r)
{
    switch (any(w, 6)) {
    case 0: return weir_arena_printf(a, "DELETE FROM t1 WHERE id = %u", k);
    case 1:
        return weir_arena_printf(a, "UPDATE t1 SET big = repeat(chr(97 + %u), 3000) WHERE id = %u",
                                 r % 26, k);
    case 2: /* the large column is not sent */
        return weir_arena_printf(
            a,
            "UPDATE t1 SET id = %u, v = 'moved%u' WHERE id = %u AND NOT EXISTS "
            "(SELECT FROM t1 WHERE id = %u)",
            1 + r % KEYS, r, k, 1 + r % KEYS);
    case 3:
        return weir_arena_printf(a,
                                 "INSERT INTO t1 VALUES (%u, '%s%u', 1, repeat('y', 3000)) ON "
                                 "CONFLICT (id) DO UPDATE SET v = excluded.v",
                                 k, w->name, r);
    default:
        return weir_arena_printf(a, "UPDATE t1 SET v = '%s%u', n = n + 1 WHERE id = %u", w->name, r,
                                 k);
    }
}

static const char *change(writer *w, weir_arena *a)
{
    unsigned k = 1 + any(w, KEYS);
    unsigned r = any(w, 1000000);
    switch (any(w, 8)) {
    case 0: return weir_arena_printf(a, "DELETE FROM t3 WHERE id = 'k%u'", k);
    case 1:
        return weir_arena_printf(a,
                                 "INSERT INTO t3 VALUES ('k%u', '%s%u') ON CONFLICT (id) DO UPDATE "
                                 "SET v = excluded.v",
                                 k, w->name, r);
    case 2:
        return weir_arena_printf(a,
                                 "DELETE FROM t2 WHERE a = %u AND b = 'b%u'; INSERT INTO t2 VALUES "
                                 "(%u, 'b%u', '%s%u')",
                                 k % 10, k / 10, k % 10, k / 10, w->name, r);
    case 3:
        return weir_arena_printf(a, "UPDATE t2 SET v = '%s%u' WHERE a = %u AND b = 'b%u'", w->name,
                                 r, k % 10, k / 10);
    case 4:
        return weir_arena_printf(a,
                                 "INSERT INTO t4 SELECT %u, '%s%u', id FROM t1 WHERE id = %u ON "
                                 "CONFLICT (id) DO UPDATE SET v = excluded.v",
                                 k, w->name, r, 1 + r % KEYS);
    default: return change_t1(w, a, k, r);
    }
}

static void write_all(void *arg)
{
    writer *w = arg;
    weir_arena *a = weir_arena_new(0);
    for (int i = 0; i < w->transactions && !w->failed[0]; i++) {
        weir_error err;
        weir_arena_reset(a);
        unsigned k = 1 + (unsigned)(weir_test_random(&w->rng) % KEYS);
        const char *sql =
            weir_arena_printf(a,
                              "BEGIN; %s; UPDATE t4 SET v = '%s%d' WHERE id = %u; COMMIT; SELECT "
                              "pg_sleep(0.001)",
                              change(w, a), w->name, i, k);
        if (weir_pg_script(w->pg, sql, &err) != WEIR_OK) {
            weir_error ignored;
            weir_rc rc = weir_pg_script(w->pg, "ROLLBACK", &ignored);
            (void)rc;
            /* a deadlock, a key or a parent that came or went meanwhile: the application's to take
             */
            if (strcmp(err.sqlstate, "40P01") != 0 && strncmp(err.sqlstate, "23", 2) != 0) {
                (void)snprintf(w->failed, sizeof w->failed, "%.190s", err.msg);
            }
        }
    }
    weir_arena_free(a);
}

static void writer_start(writer *w, const char *uri, const char *name, uint64_t seed,
                         int transactions)
{
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "writer"};
    *w = (writer){.rng = seed, .name = name, .transactions = transactions};
    assert_rc(WEIR_OK, weir_pg_open(&w->pg, &conf, &err), &err);
    assert_rc(WEIR_OK, weir_thread_start(&w->thread, "writer", write_all, w, &err), &err);
}

static void writer_end(writer *w)
{
    weir_thread_join(w->thread);
    weir_pg_close(w->pg);
    assert_string_equal("", w->failed);
}

/* Who wrote each row, and how much the flows took. */
static const char *traffic(synctest *t)
{
    static const char sql[] =
        "SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (SELECT xmin || ' ' || ctid FROM t1 UNION "
        "ALL SELECT xmin || ' ' || ctid FROM t2 UNION ALL SELECT xmin || ' ' || ctid FROM t3 UNION "
        "ALL SELECT xmin || ' ' || ctid FROM t4) r (x)";
    return weir_arena_printf(synctest_fx.a, "%s %s %s", synctest_value(t, t->a, sql),
                             synctest_value(t, t->b, sql), synctest_traffic(t));
}

/* Nobody writes any more: rows must stop moving too. */
static void assert_quiet(synctest *t)
{
    const char *before = traffic(t);
    synctest_sql(t->a, weir_arena_printf(synctest_fx.a, "SELECT pg_sleep(%d / 1000.0)", QUIET_MS));
    assert_string_equal(before, traffic(t));
}

static void converges(void **state, const char *lines, int kills, int transactions)
{
    writer wa;
    writer wb;
    uint64_t rng = weir_test_seed();
    fixture_need(&synctest_fx); /* whose arena is used next */
    print_message("%s\n", lines);
    synctest *t = synctest_begin(
        state, WEIR_BIN_DIR, tables_sql,
        weir_arena_printf(synctest_fx.a, "ways = both\ntables = public.*\n%s", lines));
    synctest_start(t);
    writer_start(&wa, t->uri_a, "a", rng + 1, transactions);
    writer_start(&wb, t->uri_b, "b", rng + 2, transactions);
    for (int i = 0; i < kills; i++) {
        synctest_sql(t->a, "SELECT pg_sleep(0.3 + random() * 0.2)"); /* at any point of its work */
        synctest_kill_one(t, &rng);
    }
    writer_end(&wa);
    writer_end(&wb);
    synctest_equal(t, "t1 t2 t3 t4");
    synctest_until(t, t->a, "SELECT (count(*) = 0)::int FROM weir_sync.decision",
                   "every decision to be confirmed");
    synctest_equal(t, "t1 t2 t3 t4");
    assert_quiet(t);
    synctest_equal(t, "t1 t2 t3 t4");
    assert_string_not_equal(
        "0", synctest_value(t, t->a,
                            "SELECT count(*) FROM weir_sync.conflict WHERE resolution <> "
                            "'deferred'"));
}

/* Each table its policy. */
static void test_mixed(void **state)
{
    if (getenv("WEIR_SYNC_ROUNDS")) { /* NOLINT(concurrency-mt-unsafe): no thread yet */
        skip();
    }
    converges(state,
              "[table public.t1]\nconflict = last_update_wins\n[table public.t2]\nconflict = "
              "first_update_wins\n[table public.t3]\nconflict = priority\npriority = source\n"
              "[table public.t4]\nconflict = function\nfunction = public.merge",
              0, TRANSACTIONS);
}

static void test_mixed_killed(void **state)
{
    if (getenv("WEIR_SYNC_ROUNDS")) { /* NOLINT(concurrency-mt-unsafe): no thread yet */
        skip();
    }
    converges(state,
              "[table public.t1]\nconflict = function\nfunction = public.merge\n[table "
              "public.t2]\nconflict = priority\npriority = target\n[table public.t3]\nconflict = "
              "apply_remote\nconflict_back = keep_local\n[table public.t4]\nconflict = "
              "keep_local\nconflict_back = apply_remote",
              3, TRANSACTIONS);
}

/* The long form: every policy for all tables in turn, with kills. */
static void test_rounds(void **state)
{
    static const char *const all[] = {
        "conflict = last_update_wins",
        "conflict = first_update_wins",
        "conflict = priority\npriority = source",
        "conflict = priority\npriority = target",
        "conflict = apply_remote\nconflict_back = keep_local",
        "conflict = keep_local\nconflict_back = apply_remote",
        "[table public.t1]\nconflict = function\nfunction = public.merge\n"
        "[table public.t2]\nconflict = function\nfunction = public.merge\n"
        "[table public.t3]\nconflict = function\nfunction = public.merge\n"
        "[table public.t4]\nconflict = function\nfunction = public.merge",
    };
    const char *rounds = getenv("WEIR_SYNC_ROUNDS"); /* NOLINT(concurrency-mt-unsafe) */
    if (!rounds) {
        skip();
    }
    for (long i = 0; i < strtol(rounds, NULL, 10); i++) {
        print_message("round %ld: ", i);
        converges(state, all[(size_t)i % (sizeof all / sizeof *all)], (int)(i % 3) * 2,
                  TRANSACTIONS * 2);
        (void)synctest_end(state);
        *state = NULL;
    }
}

static void start_again(synctest *t)
{
    weir_slice out = {NULL, 0};
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    (void)synctest_run(t, "start", "--detach", &out); /* it may meet the next one at once */
}

/* error: the flow to the source stops at each conflict until somebody has decided it. */
static void test_error_is_decided(void **state)
{
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, tables_sql, "ways = both\ntables = public.*");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->a, "UPDATE t3 SET v = 'a' WHERE id IN ('k1', 'k2'); DELETE FROM t3 WHERE id = "
                       "'k3'");
    synctest_sql(t->b, "UPDATE t3 SET v = 'b' WHERE id IN ('k1', 'k2', 'k3'); TRUNCATE t2");
    start_again(t);
    for (int i = 0; i < 3; i++) {
        synctest_until(t, t->a,
                       "SELECT count(*)::int FROM weir_sync.conflict WHERE resolution = 'stopped'",
                       "a conflict that waits for a word");
        synctest_sql(t->a, weir_arena_printf(synctest_fx.a,
                                             "UPDATE weir_sync.conflict SET resolution = '%s' "
                                             "WHERE resolution = 'stopped'",
                                             i == 0 ? "apply" : "keep"));
        start_again(t);
    }
    synctest_equal(t, "t1 t2 t3 t4");
    assert_string_equal("a:k2 b:k1",
                        synctest_value(t, t->b,
                                       "SELECT string_agg(v || ':' || id, ' ' ORDER BY v) FROM t3 "
                                       "WHERE id IN ('k1', 'k2', 'k3')"));
    assert_string_equal("0", synctest_value(t, t->a, "SELECT count(*) FROM t2"));
}

/* Notes of deletes that the other side knows of, or that are too old to tell, go after a time. */
static void test_tombstones_are_pruned(void **state)
{
    synctest *t = synctest_begin(
        state, WEIR_BIN_DIR, tables_sql,
        "ways = both\ntables = public.*\ntombstones_keep_h = 1\nconflicts_keep_h = 1");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->a,
                 "DELETE FROM t3 WHERE id IN ('k1', 'k2'); UPDATE weir_sync.tombstone SET at = "
                 "at - interval '2 hours', xid = CASE key WHEN '[\"k1\"]' THEN '3' ELSE xid "
                 "END; DELETE FROM t3 WHERE id = 'k3'");
    synctest_sql(t->b, "UPDATE t2 SET v = 'x'");
    synctest_start(t);
    synctest_equal(t, "t1 t2 t3 t4");
    synctest_until(t, t->a, "SELECT (count(*) = 2)::int FROM weir_sync.tombstone",
                   "the old note to go");
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.tombstone"));
    /* and when nobody writes any more; with them what the history says of long ago */
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->a, "UPDATE weir_sync.tombstone SET at = at - interval '2 hours', xid = '3'; "
                       "INSERT INTO weir_sync.conflict (flow, tab, kind, policy, resolution, at) "
                       "SELECT 't_back', 't3', 'insert_exists', 'error', r, now() - i * interval "
                       "'2 hours' FROM unnest('{kept,stopped}'::text[]) r, generate_series(0, 1) "
                       "i");
    synctest_start(t);
    synctest_until(t, t->a, "SELECT (count(*) = 0)::int FROM weir_sync.tombstone",
                   "the notes of an idle flow to go");
    synctest_until(t, t->a, "SELECT (count(*) = 3)::int FROM weir_sync.conflict",
                   "what was decided long ago to be forgotten");
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    assert_int_equal(0, synctest_run(t, "forget", NULL, NULL));
    assert_string_equal("0", synctest_value(t, t->a,
                                            "SELECT count(*) FROM pg_trigger WHERE tgname LIKE "
                                            "'weir_sync%'"));
}

static const char odd_sessions_sql[] =
    "CREATE TABLE moments (at timestamptz, d interval, f float8, b bytea, v text, PRIMARY KEY (at, "
    "d, f, b));"
    "INSERT INTO moments VALUES ('2024-01-01 12:00+00', '26 hours', 1 / 3.0, '\\xff01', 'v'),"
    "('2024-01-02 12:00+00', '26 hours', 1 / 3.0, '\\xff01', 'v');"
    "CREATE TABLE audit (v text);"
    "CREATE TABLE audited (id int PRIMARY KEY); INSERT INTO audited VALUES (1), (2);"
    "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES "
    "(OLD.id); RETURN NULL; END $$;"
    "CREATE TRIGGER noted AFTER DELETE ON audited FOR EACH ROW EXECUTE FUNCTION noted()";

/* A delete is noted under the key the other side looks for, however the session that deletes writes
 * its values, and in a TRUNCATE the table's own triggers find what they name. */
static void test_sessions_spell_otherwise(void **state)
{
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, odd_sessions_sql,
                                 "ways = both\ntables = public.moments, public.audited\nconflict = "
                                 "last_update_wins");
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->b, "UPDATE moments SET v = 'older than the delete'");
    synctest_sql(t->a, "SET timezone = 'Asia/Tokyo'; SET datestyle = 'German'; SET intervalstyle = "
                       "'iso_8601'; SET extra_float_digits = -5; SET bytea_output = 'escape'; "
                       "DELETE FROM moments WHERE at < '2024-01-02 00:00+00'; TRUNCATE audited; "
                       "RESET ALL");
    synctest_start(t);
    synctest_equal(t, "moments audited");
    synctest_until(t, t->a,
                   "SELECT count(*)::int FROM weir_sync.conflict WHERE kind = 'update_deleted' AND "
                   "resolution = 'kept'",
                   "the update that met the note");
    synctest_equal(t, "moments audited");
    assert_string_equal("1", synctest_value(t, t->b, "SELECT count(*) FROM moments"));
}

static void test_pairs_are_checked(void **state)
{
    weir_slice out = {NULL, 0};
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, "CREATE TABLE c (id int PRIMARY KEY)",
                                 "ways = both\ntables = public.c\nconflict = keep_local");
    assert_int_equal(1, synctest_run(t, "start", "--detach", &out));
    synctest_ini(t, "ways = both\ntables = public.c\nconflict = apply_remote\nconflict_back = "
                    "apply_remote");
    assert_int_equal(1, synctest_run(t, "start", "--detach", &out));
    synctest_ini(t, "tables = public.c\nconflict = apply_remote\nconflict_back = keep_local");
    assert_int_equal(1, synctest_run(t, "start", "--detach", &out));
    synctest_ini(t, "ways = both\ntables = public.c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_mixed, synctest_end),
        cmocka_unit_test_teardown(test_mixed_killed, synctest_end),
        cmocka_unit_test_teardown(test_error_is_decided, synctest_end),
        cmocka_unit_test_teardown(test_tombstones_are_pruned, synctest_end),
        cmocka_unit_test_teardown(test_sessions_spell_otherwise, synctest_end),
        cmocka_unit_test_teardown(test_pairs_are_checked, synctest_end),
        cmocka_unit_test_teardown(test_rounds, synctest_end),
    };
    return cmocka_run_group_tests_name("sync_ways", tests, synctest_up, synctest_down);
}
