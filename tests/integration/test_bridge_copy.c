/* test_bridge_copy.c - tables copied into the running stream: under random writes, over restarts,
 * with every awkward row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "tests/support/bridgetest.h"
#include "tests/support/check.h"
#include "tests/support/replica.h"

static int setup(void **state)
{
    *state = bridgetest_new(WEIR_BIN_DIR, "log_keep_ms = 1h\ncopy_chunk_rows = 200\n");
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bridgetest_free(*state);
    return 0;
}

static weir_feed_reply ask_copy(bridgetest *t, const char *id, const char *table)
{
    weir_feed_table tables[1] = {{WEIR_SLICE_LIT("public"), weir_slice_z(table)}};
    weir_feed_req req = {
        .op = WEIR_FEED_COPY, .copy_id = weir_slice_z(id), .ntables = 1, .tables = tables};
    weir_feed_reply r;
    assert_true(bridgeproc_call(&t->b, &req, t->a, &r));
    return r;
}

/* As a subscriber does: asks with the same id until one more completion than `before` is in the
 * stream. */
static void copy_until_more(bridgetest *t, replica *r, const char *id, const char *table,
                            uint64_t before)
{
    int64_t end = weir_mono_ms() + 120000;
    while (replica_copied(r) == before) {
        if (weir_mono_ms() > end) {
            fail_msg("the copy does not end: %s", bridgeproc_status_text(&t->b, t->a));
        }
        weir_feed_reply a = ask_copy(t, id, table);
        if (!a.ok && !weir_slice_eqz(a.code, "notready")) {
            fail_msg("%.*s", WEIR_SLICE_ARG(a.error));
        }
        assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 60000));
    }
}

static void copy_until_done(bridgetest *t, replica *r, const char *id, const char *table)
{
    copy_until_more(t, r, id, table, replica_copied(r));
}

static void assert_equal_table(bridgetest *t, replica *r, const char *sql)
{
    if (!feedlines_until(&t->f, bridgetest_lsn(t), 60000)) {
        fail_msg("the feed does not get there");
    }
    char *mine = replica_text(r);
    const char *theirs = bridgetest_text(t, sql);
    const char *p = mine;
    const char *q = theirs;
    for (; *p && *p == *q; p++, q++) {
    }
    if (*p != *q) {
        while (p > mine && p[-1] != '\n') {
            p--;
            q--;
        }
        fail_msg("the replica differs:\nfeed  %.80s\ntable %.80s", p, q);
    }
    free(mine);
}

#define TABLE_TEXT                                                                                 \
    "SELECT coalesce(string_agg(concat_ws('|', id, coalesce(n::text, ''), coalesce(big, '')) || "  \
    "E'\n', '' ORDER BY id), '') FROM a"

static void refuses_what_is_not_published(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY); "
                      "CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    weir_feed_reply r = ask_copy(t, "c1", "b");
    int64_t end = weir_mono_ms() + 10000 * (int64_t)weir_test_timeout_x();
    while (r.ok) {
        assert_true(weir_mono_ms() < end);
        r = ask_copy(t, "c1", "b");
    }
    assert_non_null(strstr(weir_arena_dupz(t->a, r.error), "not in publication"));
}

static void a_quiet_table_in_chunks_with_ranges(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE z(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE z");
    bridgetest_stream(t);
    bridgetest_skip(t);
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, n int, big text); INSERT INTO a SELECT "
                      "g, g FROM generate_series(1, 500) g;"
                      "ALTER PUBLICATION weir_t ADD TABLE a");
    replica *r = replica_new("a", false);
    t->f.on_event = replica_event;
    t->f.arg = r;
    copy_until_done(t, r, "c1", "a");
    assert_equal_table(t, r, TABLE_TEXT);
    char *lines = feedlines_text(&t->f, true);
    assert_non_null(strstr(lines, "RANGE public.a - 200\n"));
    assert_non_null(strstr(lines, "RANGE public.a 200 400\n"));
    assert_non_null(strstr(lines, "RANGE public.a 400 -\nCOPIED public.a c1\n"));
    free(lines);
    /* The same id again is the same job: nothing is copied twice. */
    weir_feed_reply again = ask_copy(t, "c1", "a");
    assert_true(again.ok && weir_slice_eqz(again.state, "done"));
    assert_int_equal(again.rows, 500);
    replica_free(r);
}

/* --- random writes
 * -------------------------------------------------------------------------------------------------
 */

typedef struct load {
    const char *uri;
    atomic_bool stop;
    unsigned seed;
    bool truncate;
    bool keyless;
    atomic_ullong done;
} load;

static unsigned roll(load *l, unsigned n)
{
    l->seed = l->seed * 1103515245u + 12345u;
    return (l->seed >> 16) % n;
}

#define BIG "repeat(md5(random()::text), 80)"

static void one_statement(load *l, char *sql, size_t size)
{
    unsigned id = roll(l, 3000);
    switch (roll(l, 10)) {
    case 0:
    case 1:
        (void)snprintf(
            sql, size,
            "INSERT INTO a VALUES (%u, %u, %s) ON CONFLICT (id) DO UPDATE SET n = excluded.n", id,
            roll(l, 99), BIG);
        break;
    case 2: (void)snprintf(sql, size, "DELETE FROM a WHERE id = %u", id); break;
    case 3: /* the key moves, TOAST stays unsent */
        (void)snprintf(
            sql, size,
            "UPDATE a SET id = %u WHERE id = %u AND NOT EXISTS (SELECT 1 FROM a WHERE id = %u)", id,
            roll(l, 3000), id);
        break;
    case 4: (void)snprintf(sql, size, "UPDATE a SET big = %s WHERE id = %u", BIG, id); break;
    case 5:
        (void)snprintf(sql, size, "UPDATE a SET n = NULL WHERE id BETWEEN %u AND %u", id, id + 20);
        break;
    default:
        (void)snprintf(sql, size, "UPDATE a SET n = %u WHERE id = %u", roll(l, 1000), id);
        break;
    }
    if (l->truncate && roll(l, 400) == 0) {
        (void)snprintf(sql, size, "TRUNCATE a");
    }
}

static void one_keyless_statement(load *l, char *sql, size_t size)
{
    static const char *const sqls[] = {
        "INSERT INTO a VALUES (%u, %u, 'k')",
        "DELETE FROM a WHERE ctid = (SELECT ctid FROM a WHERE id = %u OR n = %u LIMIT 1)",
        "UPDATE a SET n = %u WHERE id = %u"};
    (void)snprintf(sql, size, sqls[roll(l, 3)], roll(l, 20), roll(l, 20));
}

static void run_load(void *arg)
{
    load *l = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = l->uri};
    char sql[300];
    if (weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
        return;
    }
    while (!atomic_load(&l->stop)) {
        unsigned n = roll(l, 3) + 1;
        weir_rc rc = weir_pg_script(pg, "BEGIN", &err);
        for (unsigned i = 0; i < n && rc == WEIR_OK; i++) {
            if (l->keyless) {
                one_keyless_statement(l, sql, sizeof sql);
            } else {
                one_statement(l, sql, sizeof sql);
            }
            rc = weir_pg_script(pg, sql, &err);
        }
        /* Open for a moment, so that transactions overlap, and no more of them than a slow machine
         * can read. */
        if (rc == WEIR_OK) {
            rc = weir_pg_script(pg, "SELECT pg_sleep(0.003)", &err);
        }
        rc = weir_pg_script(pg, rc == WEIR_OK && roll(l, 10) ? "COMMIT" : "ROLLBACK", &err);
        atomic_fetch_add(&l->done, 1);
    }
    weir_pg_close(pg);
}

enum { WRITERS = 3 };

static void with_writers(bridgetest *t, bool truncate, bool keyless,
                         void (*body)(bridgetest *t, replica *r))
{
    weir_thread *th[WRITERS];
    weir_error err;
    load l[WRITERS];
    replica *r = replica_new("a", keyless);
    t->f.on_event = replica_event;
    t->f.arg = r;
    t->f.count_only = true;
    for (int i = 0; i < WRITERS; i++) {
        l[i] = (load){.uri = t->server->uri,
                      .seed = 11u * (unsigned)(i + 1),
                      .truncate = truncate,
                      .keyless = keyless};
        assert_int_equal(weir_thread_start(&th[i], "load", run_load, &l[i], &err), WEIR_OK);
    }
    body(t, r);
    uint64_t done = 0;
    for (int i = 0; i < WRITERS; i++) {
        atomic_store(&l[i].stop, true);
        weir_thread_join(th[i]);
        done += atomic_load(&l[i].done);
    }
    print_message("%llu transactions beside it, %lld chunks, %lld read again\n",
                  (unsigned long long)done, (long long)bridgeproc_status(&t->b, "chunks"),
                  (long long)bridgeproc_status(&t->b, "chunks_redone"));
    assert_equal_table(t, r, TABLE_TEXT);
    replica_free(r);
}

static void prepare(bridgetest *t)
{
    bridgetest_sql(t, "CREATE TABLE z(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE z");
    bridgetest_stream(t);
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY, n int, big text); ALTER TABLE a ALTER "
                      "big SET STORAGE EXTERNAL;"
                      "INSERT INTO a SELECT g, g, " BIG " FROM generate_series(1, 3000) g");
}

static void copy_three_times(bridgetest *t, replica *r)
{
    bridgetest_sql(
        t, "ALTER PUBLICATION weir_t ADD TABLE a"); /* with writers in the middle of transactions */
    copy_until_done(t, r, "c1", "a");
    copy_until_done(t, r, "c2", "a");
    copy_until_done(t, r, "c3", "a");
}

static void under_random_writes(void **state)
{
    prepare(*state);
    with_writers(*state, false, false, copy_three_times);
}

static void under_random_writes_with_truncate(void **state)
{
    prepare(*state);
    with_writers(*state, true, false, copy_three_times);
}

static void under_random_writes_with_full_identity(void **state)
{
    prepare(*state);
    bridgetest_sql(*state, "ALTER TABLE a REPLICA IDENTITY FULL");
    with_writers(*state, false, false, copy_three_times);
}

static void with_kills(bridgetest *t, replica *r)
{
    bridgetest_sql(t, "ALTER PUBLICATION weir_t ADD TABLE a");
    for (int i = 0; i < 6; i++) {
        (void)ask_copy(t, "c1", "a");
        assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 60000));
        bridgeproc_kill(&t->b);
        assert_true(bridgeproc_start(&t->b));
        assert_true(bridgeproc_wait_state(&t->b, "streaming", 20000));
    }
    copy_until_done(t, r, "c1", "a"); /* the bridge forgot it, the subscriber asks again */
}

static void over_kills_of_the_bridge(void **state)
{
    prepare(*state);
    with_writers(*state, false, false, with_kills);
}

static void with_cut_streams(bridgetest *t, replica *r)
{
    bridgetest_sql(t, "ALTER PUBLICATION weir_t ADD TABLE a");
    (void)ask_copy(t, "c1", "a");
    for (int i = 0; i < 5; i++) {
        bridgetest_sql(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                          "application_name LIKE 'weir-bridge-%'");
        assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 60000));
    }
    copy_until_more(t, r, "c1", "a", 0); /* it may have ended between the cuts */
}

static void over_lost_connections(void **state)
{
    prepare(*state);
    with_writers(*state, false, false, with_cut_streams);
}

static void with_ddl(bridgetest *t, replica *r)
{
    bridgetest_sql(t, "ALTER PUBLICATION weir_t ADD TABLE a");
    (void)ask_copy(t, "c1", "a");
    bridgetest_sql(t, "ALTER TABLE a ADD extra int");
    bridgetest_sql(t, "ALTER TABLE a DROP extra");
    copy_until_more(t, r, "c1", "a", 0);
}

static void over_schema_changes(void **state)
{
    prepare(*state);
    with_writers(*state, false, false, with_ddl);
}

static void copy_twice(bridgetest *t, replica *r)
{
    bridgetest_sql(t, "ALTER PUBLICATION weir_t ADD TABLE a");
    copy_until_done(t, r, "c1", "a");
    copy_until_done(t, r, "c2", "a");
}

static void a_table_without_key(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE z(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE z");
    bridgetest_stream(t);
    bridgetest_sql(t,
                   "CREATE TABLE a(id int, n int, big text); ALTER TABLE a REPLICA IDENTITY FULL;"
                   "INSERT INTO a SELECT g % 20, g % 7, 'k' FROM generate_series(1, 2000) g");
#undef TABLE_TEXT
#define TABLE_TEXT                                                                                 \
    "SELECT coalesce(string_agg(l, '' ORDER BY l COLLATE \"C\"), '') FROM (SELECT concat_ws('|', " \
    "coalesce(id::text, ''), "                                                                     \
    "coalesce(n::text, ''), coalesce(big, '')) || E'\n' AS l FROM a) x"
    weir_thread *th[WRITERS];
    weir_error err;
    load l[WRITERS];
    replica *r = replica_new("a", true);
    t->f.on_event = replica_event;
    t->f.arg = r;
    t->f.count_only = true;
    for (int i = 0; i < WRITERS; i++) {
        l[i] = (load){.uri = t->server->uri, .seed = 5u * (unsigned)(i + 1), .keyless = true};
        assert_int_equal(weir_thread_start(&th[i], "load", run_load, &l[i], &err), WEIR_OK);
    }
    copy_twice(t, r);
    for (int i = 0; i < WRITERS; i++) {
        atomic_store(&l[i].stop, true);
        weir_thread_join(th[i]);
    }
    assert_equal_table(t, r, TABLE_TEXT);
    replica_free(r);
}

/* A writer inserted before the table joined the publication and commits after: its first row is in
 * no stream. */
static void waits_for_writers_older_than_the_publication(void **state)
{
    bridgetest *t = *state;
    weir_pg *old = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = t->server->uri};
    prepare(t);
    assert_int_equal(weir_pg_open(&old, &conf, &err), WEIR_OK);
    assert_int_equal(weir_pg_script(old, "BEGIN", &err), WEIR_OK);
    assert_int_equal(weir_pg_script(old, "INSERT INTO a VALUES (9001, 1, 'before')", &err),
                     WEIR_OK);
    bridgetest_sql(t, "ALTER PUBLICATION weir_t ADD TABLE a");
    replica *r = replica_new("a", false);
    t->f.on_event = replica_event;
    t->f.arg = r;
    (void)ask_copy(t, "c1", "a");
    int64_t end = weir_mono_ms() + 700;
    while (weir_mono_ms() < end) { /* it must not complete while the old transaction is open */
        assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 10000));
        assert_int_equal(replica_copied(r), 0);
    }
    assert_int_equal(weir_pg_script(old, "INSERT INTO a VALUES (9002, 1, 'after')", &err), WEIR_OK);
    assert_int_equal(weir_pg_script(old, "COMMIT", &err), WEIR_OK);
    weir_pg_close(old);
    copy_until_done(t, r, "c1", "a");
    assert_equal_table(t, r,
                       "SELECT string_agg(concat_ws('|', id, coalesce(n::text, ''), coalesce(big, "
                       "'')) || E'\n', '' ORDER BY id) FROM a");
    replica_free(r);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(refuses_what_is_not_published),
        T(a_quiet_table_in_chunks_with_ranges),
        T(under_random_writes),
        T(under_random_writes_with_truncate),
        T(under_random_writes_with_full_identity),
        T(over_kills_of_the_bridge),
        T(over_lost_connections),
        T(over_schema_changes),
        T(a_table_without_key),
        T(waits_for_writers_older_than_the_publication),
    };
    return cmocka_run_group_tests_name("bridge copy", tests, bridgetest_up, bridgetest_down);
}
