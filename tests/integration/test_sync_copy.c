/* test_sync_copy.c - the first copy when sessions end under it, and when a target has lost chunks:
 * it goes on by itself. What holds it at a place is a lock of the test's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "tests/support/synctest.h"

enum { WAITS_FOR_FLOWS_MS = 100000 }; /* somewhat less than the command does */

static weir_pg *holder;

static const char tables_sql[] = "CREATE TABLE t (id int PRIMARY KEY, v text);"
                                 "CREATE TABLE u (id int PRIMARY KEY, v text)";
static const char fill_sql[] =
    "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 70000) i; INSERT INTO u SELECT i, "
    "'u' FROM generate_series(1, 1000) i";

static int end(void **state)
{
    weir_pg_close(holder);
    holder = NULL;
    return synctest_end(state);
}

static const char kind_lines[] =
    "tables = public.*\ninitial = copy\nsource_keep_pct = 80\nlog_level = debug";

static synctest *begin_with(void **state, const char *lines)
{
    synctest *t = synctest_begin(state, WEIR_BIN_DIR, tables_sql, lines);
    /* with the slot there already: making one waits for transactions, such as the holder's */
    synctest_start(t);
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->a, fill_sql);
    synctest_sql(t->b, "TRUNCATE weir_sync.position, weir_sync.chunk, weir_sync.crawl_table, "
                       "weir_sync.crawl_step, weir_sync.flow_table");
    return t;
}

static synctest *begin(void **state)
{
    return begin_with(state, "tables = public.*\ninitial = copy");
}

/* A session in a transaction that holds something. */
static void hold(const char *uri, const char *sql)
{
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "holder"};
    assert_rc(WEIR_OK, weir_pg_open(&holder, &conf, &err), &err);
    synctest_sql(holder, "BEGIN");
    synctest_sql(holder, sql);
}

static void let_go(void)
{
    synctest_sql(holder, "COMMIT");
    weir_pg_close(holder);
    holder = NULL;
}

static void end_sessions(synctest *t)
{
    static const char sql[] =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
        "'weir-%' AND datname IN ('a', 'b') AND backend_type = 'client backend'";
    synctest_sql(t->a, sql);
}

static bool log_has(const synctest *t, const char *word)
{
    weir_error err;
    weir_slice log;
    const char *path = weir_arena_printf(t->f->a, "%s/sync.log", t->state);
    return weir_file_read(path, 1 << 20, t->f->a, &log, &err) == WEIR_OK &&
           strstr(weir_arena_dupz(t->f->a, log), word) != NULL;
}

static bool source_was_measured(void *arg)
{
    return log_has(arg, "CRW-GOVERN");
}

/* Up to where every row is copied, and the tables' ends are held. */
static void copy_all_but_the_end(synctest *t)
{
    hold(t->uri_a, "SELECT pg_current_xact_id()"); /* the copy waits for it before it begins */
    synctest_start(t);
    synctest_until(t, t->b, "SELECT (count(*) = 2)::int FROM weir_sync.crawl_table",
                   "the copy to be noted");
    weir_pg *first = holder;
    hold(t->uri_b, "LOCK TABLE weir_sync.crawl_table IN EXCLUSIVE MODE");
    end_sessions(t);
    synctest_sql(first, "COMMIT");
    weir_pg_close(first);
    synctest_until(t, t->b, "SELECT (count(*) = 70000)::int FROM t", "all rows");
    synctest_until(t, t->b,
                   "SELECT (count(*) = 2)::int FROM pg_stat_activity WHERE wait_event_type = "
                   "'Lock' AND application_name = 'weir-crawl'",
                   "the ends of both tables");
}

static void test_sessions_end(void **state)
{
    synctest *t = begin(state);
    copy_all_but_the_end(t);
    end_sessions(t);
    synctest_sql(t->a, "UPDATE t SET v = 'changed' WHERE id % 7 = 0");
    let_go();
    for (int i = 0; i < 10; i++) {
        synctest_sql(t->a, "SELECT pg_sleep(0.02)"); /* at any point of its work */
        end_sessions(t);
    }
    synctest_equal(t, "t u");
    assert_string_equal("0", synctest_value(t, t->b, "SELECT count(*) FROM weir_sync.conflict"));
}

/* What a target that crashed does: a chunk committed without waiting for the disk is gone together
 * with its record. */
static void test_lost_chunk(void **state)
{
    synctest *t = begin(state);
    copy_all_but_the_end(t);
    synctest_sql(holder,
                 "DELETE FROM t WHERE id > (SELECT lo[1]::int FROM (SELECT lo::text[] AS lo FROM "
                 "weir_sync.chunk WHERE tab LIKE '%.t' AND no = 2) c) AND id <= (SELECT hi[1]::int "
                 "FROM (SELECT hi::text[] AS hi FROM weir_sync.chunk WHERE tab LIKE '%.t' AND no = "
                 "2) c); DELETE FROM weir_sync.chunk WHERE tab LIKE '%.t' AND no = 2");
    let_go();
    synctest_equal(t, "t u");
    /* Nobody was called for it. */
    assert_true(log_has(t, "SYNC-BEGIN-RETRY"));
    assert_false(log_has(t, "SYNC-BEGIN-FAILED"));
    synctest_sql(t->a, "UPDATE u SET v = 'after' WHERE id = 1");
    synctest_equal(t, "t u");
}

/* What an operator must mend is told at once, and not after all waiting was in vain. */
static void test_target_with_rows(void **state)
{
    synctest *t = begin(state);
    int64_t from_ms = weir_mono_ms();
    synctest_sql(t->b, "INSERT INTO u VALUES (1, 'mine')");
    assert_int_equal(1, synctest_run(t, "start", "--detach", NULL));
    assert_true(weir_mono_ms() - from_ms < WAITS_FOR_FLOWS_MS);
    synctest_sql(t->b, "TRUNCATE u");
    synctest_start(t);
    synctest_equal(t, "t u");
}

/* The copy stands still now and then to see what the source does without it. */
static void test_source_is_kept(void **state)
{
    weir_slice out = {NULL, 0};
    synctest *t = begin_with(state, kind_lines);
    copy_all_but_the_end(t);
    fixture_wait(t->f, source_was_measured, t, 15000, "a look at the source by itself");
    let_go();
    synctest_equal(t, "t u");
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_ini(t, "tables = public.*\ninitial = copy\nsource_keep_pct = 96");
    assert_int_not_equal(0, synctest_run(t, "status", NULL, &out));
    synctest_ini(t, kind_lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sessions_end, end),
        cmocka_unit_test_teardown(test_lost_chunk, end),
        cmocka_unit_test_teardown(test_target_with_rows, end),
        cmocka_unit_test_teardown(test_source_is_kept, end),
    };
    return cmocka_run_group_tests_name("sync_copy", tests, synctest_up, synctest_down);
}
