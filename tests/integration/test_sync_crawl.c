/* test_sync_crawl.c - rows that come through the stream: a crawl, whose ranges delete what the
 * source no longer has, and a table that joins a running sync. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"
#include "libweir/codec/message.h"
#include "libweir/io/sp_client.h"
#include "tests/support/synctest.h"

static const char tables_sql[] =
    "CREATE TABLE t (id int PRIMARY KEY, v text);"
    "CREATE TABLE pair (a int, b text, v text, PRIMARY KEY (b, a));"
    "CREATE TABLE word (k text COLLATE \"C\" PRIMARY KEY);"
    "CREATE TABLE nokey (x int, y text); ALTER TABLE nokey REPLICA IDENTITY FULL";

static synctest *begin(void **state, const char *lines)
{
    return synctest_begin(state, WEIR_BIN_DIR, tables_sql, lines);
}

/* The private bridge's address. */
static const char *feed_of(const synctest *t)
{
    weir_error err;
    weir_slice text;
    const char *path = weir_arena_printf(synctest_fx.a, "%s/source/bridge.ini", t->state);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, synctest_fx.a, &text, &err), &err);
    char *feed = strstr(weir_arena_dupz(synctest_fx.a, text), "feed = ");
    assert_non_null(feed);
    feed += strlen("feed = ");
    feed[strcspn(feed, "\n")] = '\0';
    return feed;
}

static void crawl(const synctest *t, const char *id)
{
    weir_error err;
    weir_buf q;
    weir_buf got;
    weir_feed_reply r = {.ok = false};
    weir_feed_req req = {.op = WEIR_FEED_CRAWL,
                         .action = WEIR_CRAWL_START,
                         .copy_id = weir_slice_z(id),
                         .parallel = 2,
                         .chunk_ms = 5,
                         .load_percent = 100};
    weir_buf_init(&q, 1 << 20);
    weir_buf_init(&got, 1 << 20);
    weir_feed_req_encode(&q, &req);
    assert_rc(WEIR_OK, weir_sp_call(feed_of(t), weir_buf_slice(&q), 10000, &got, &err), &err);
    assert_rc(WEIR_OK,
              weir_feed_reply_decode(weir_arena_dup(synctest_fx.a, weir_buf_slice(&got)),
                                     synctest_fx.a, &r, &err),
              &err);
    if (!r.ok) {
        fail_msg("%.*s", WEIR_SLICE_ARG(r.error));
    }
    weir_buf_fini(&q);
    weir_buf_fini(&got);
}

static const char rows_sql[] =
    "INSERT INTO t SELECT i * 2, 'v' || i FROM generate_series(1, 20000) i;"
    "INSERT INTO pair SELECT i % 7, 'b' || i, 'v' FROM generate_series(1, 3000) i;"
    "INSERT INTO word SELECT 'w' || i FROM generate_series(1, 100) i;"
    "INSERT INTO nokey SELECT i % 5, 'y' FROM generate_series(1, 30) i";

/* Rows too many, too few and changed: a crawl mends all of them, also when it is killed. */
static void mended(void **state, const char *lines)
{
    synctest *t = begin(state, lines);
    uint64_t rng = weir_test_seed();
    synctest_sql(t->a, rows_sql);
    synctest_start(t);
    synctest_sql(t->b, "INSERT INTO t SELECT i * 2 + 1, 'odd' FROM generate_series(-10, 21000, 3) "
                       "i; INSERT INTO t SELECT i * 2, 'wrong' FROM generate_series(1, 500) i;"
                       "INSERT INTO pair SELECT 100 + i, 'b' || i, 'odd' FROM generate_series(1, "
                       "200) i; INSERT INTO word VALUES ('W'), ('zz'); INSERT INTO nokey VALUES "
                       "(1, 'odd'), (1, 'y')");
    crawl(t, "mend");
    for (int i = 0; i < 30; i++) {
        synctest_sql(t->a, weir_arena_printf(synctest_fx.a,
                                             "INSERT INTO t VALUES (%d, 'new') ON CONFLICT (id) DO "
                                             "NOTHING; DELETE FROM t WHERE id = %d; UPDATE t SET v "
                                             "= 'u%d' WHERE id = %d",
                                             i * 50 + 1, i * 1000 + 2, i, i * 777));
        if (i % 10 == 9) {
            synctest_kill_one(t, &rng);
        }
    }
    synctest_equal(t, "t pair word nokey");
}

static void test_range(void **state)
{
    mended(state, "tables = public.*\nconflict = apply_remote");
}

/* What the target orders otherwise cannot be compared: nothing is deleted, the rest goes on. */
static void test_other_order(void **state)
{
    synctest *t = begin(state, "tables = public.*\nconflict = apply_remote");
    synctest_sql(t->b, "DROP TABLE word; CREATE TABLE word (k text COLLATE \"und-x-icu\" PRIMARY "
                       "KEY)");
    synctest_sql(t->a, rows_sql);
    synctest_start(t);
    synctest_sql(t->b, "INSERT INTO word VALUES ('odd'); INSERT INTO t VALUES (-1, 'odd')");
    crawl(t, "order");
    synctest_equal(t, "t pair nokey");
    synctest_until(t, t->b, "SELECT (count(*) = 101)::int FROM word", "the rows of word");
    assert_string_equal("1", synctest_value(t, t->b, "SELECT count(*) FROM word WHERE k = 'odd'"));
}

/* Rows that were changed here, and that the source does not know of, are not the crawl's to take.
 */
static void test_detecting(void **state)
{
    synctest *t = begin(state, "tables = public.t\nconflict = keep_local");
    synctest_sql(t->a, rows_sql);
    synctest_sql(t->b, "INSERT INTO t VALUES (-1, 'stale')");
    synctest_start(t);
    synctest_sql(t->b, "INSERT INTO t VALUES (1, 'mine'), (2, 'mine')");
    crawl(t, "detect");
    synctest_until(t, t->b, "SELECT (count(*) = 20001)::int FROM t", "all rows, and one of ours");
    assert_string_equal("1:mine 2:mine",
                        synctest_value(t, t->b,
                                       "SELECT string_agg(id || ':' || v, ' ' ORDER BY id) FROM t "
                                       "WHERE id < 3"));
}

/* Only the table that is new is copied, and the others go on meanwhile. */
static void test_table_joins(void **state)
{
    synctest *t = begin(state, "tables = public.t\ninitial = copy");
    synctest_sql(t->a, rows_sql);
    synctest_start(t);
    synctest_equal(t, "t");
    assert_int_equal(0, synctest_run(t, "stop", NULL, NULL));
    synctest_sql(t->b, "CREATE TABLE mark AS SELECT min(xmin::text::bigint) FROM t");
    synctest_ini(t, "tables = public.t, public.pair, public.nokey\ninitial = copy");
    synctest_sql(t->a, "UPDATE pair SET v = 'before' WHERE a = 1");
    synctest_start(t);
    for (int i = 0; i < 40; i++) {
        synctest_sql(t->a, weir_arena_printf(synctest_fx.a,
                                             "UPDATE pair SET v = 'v%d' WHERE a = %d; UPDATE t SET "
                                             "v = 'x' WHERE id = %d; DELETE FROM pair WHERE b = "
                                             "'b%d'; INSERT INTO nokey VALUES (%d, 'n'); UPDATE "
                                             "pair SET b = b || 'm' WHERE b = 'b%d'",
                                             i, i % 7, i * 2, i, i, i + 1000));
    }
    synctest_equal(t, "t pair nokey");
    synctest_until(t, t->b,
                   "SELECT (count(*) = 3)::int FROM weir_sync.flow_table WHERE joined_at IS NOT "
                   "NULL",
                   "the note that they joined");
    assert_string_equal("t",
                        synctest_value(t, t->b,
                                       "SELECT (SELECT min(xmin::text::bigint) FROM t) = (SELECT "
                                       "min FROM mark)"));
    synctest_sql(t->a, "UPDATE pair SET v = 'after'; DELETE FROM nokey WHERE x = 3");
    synctest_equal(t, "t pair nokey");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_range, synctest_end),
        cmocka_unit_test_teardown(test_other_order, synctest_end),
        cmocka_unit_test_teardown(test_detecting, synctest_end),
        cmocka_unit_test_teardown(test_table_joins, synctest_end),
    };
    return cmocka_run_group_tests_name("sync_crawl", tests, synctest_up, synctest_down);
}
