/* test_bridge_restart.c - the guardian's states, restarts and kills at any point, large
 * transactions, idle positions. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/io/pgrepl.h"
#include "tests/support/bridgetest.h"
#include "tests/support/check.h"

static int setup(void **state)
{
    *state = bridgetest_new(WEIR_BIN_DIR, "log_keep_ms = 1h\n");
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    bridgetest_free(*state);
    return 0;
}

static void needs_its_publication_first(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY)");
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "waiting", 10000));
    assert_non_null(strstr(bridgeproc_status_text(&t->b, t->a), "run `weir deploy`"));
    assert_int_equal(bridgetest_i64(t, "SELECT count(*) FROM pg_replication_slots"), 0);
    bridgetest_sql(t, "CREATE PUBLICATION weir_t FOR TABLE a");
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 10000));
    bridgetest_sql(t, "INSERT INTO a VALUES (1)");
    bridgetest_expect(t, "I public.a id=1\nC\n");
    /* A publication that vanishes stops the stream visibly; it does not crash it. */
    bridgetest_sql(t, "DROP PUBLICATION weir_t; INSERT INTO a VALUES (2)");
    assert_true(bridgeproc_wait_state(&t->b, "waiting", 10000));
}

static void a_lost_slot_is_a_state(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_sql(t, "INSERT INTO a VALUES (1)");
    bridgetest_expect(t, "I public.a id=1\nC\n");
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    bridgetest_sql(t, PGSERVER_NO_WALSENDER "SELECT pg_drop_replication_slot('weir_t')");
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "lost", 10000));
    assert_non_null(strstr(bridgeproc_status_text(&t->b, t->a), "everything is copied anew"));
    assert_int_equal(bridgetest_i64(t, "SELECT count(*) FROM pg_replication_slots"),
                     0); /* never silently made again */
    assert_int_equal(bridgeproc_stop(&t->b), 0);
}

static void an_advanced_slot_is_a_gap(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    bridgetest_sql(t, "INSERT INTO a VALUES (1)");
    bridgetest_sql(t, PGSERVER_NO_WALSENDER
                   "SELECT pg_replication_slot_advance('weir_t', pg_current_wal_flush_lsn())");
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "gap", 10000));
    assert_non_null(strstr(bridgeproc_status_text(&t->b, t->a), "changes between are missing"));
}

static void a_foreign_slot_with_an_empty_log_is_a_gap(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_text(t, "SELECT pg_create_logical_replication_slot('weir_t', 'pgoutput')");
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "gap", 10000));
    bridgetest_sql(t, "SELECT pg_drop_replication_slot('weir_t')");
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 15000));
}

static weir_pgrepl *hold_slot(bridgetest *t, const char *name)
{
    weir_pgrepl *r = NULL;
    weir_error err;
    assert_int_equal(weir_pgrepl_open(&r, t->server->uri, name, &err), WEIR_OK);
    assert_int_equal(weir_pgrepl_start(r, "weir_t", "weir_t", 0, &err), WEIR_OK);
    return r;
}

static void a_stale_walsender_of_ours_is_ended_others_are_not(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    const char *name = bridgetest_text(t, "SELECT application_name FROM pg_stat_replication");
    assert_true(strncmp(name, "weir-bridge-", 12) == 0);
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    weir_pgrepl *stale = hold_slot(t, name);
    bridgetest_stream(t);
    weir_pgrepl_close(stale);
    assert_int_equal(bridgeproc_stop(&t->b), 0);
    weir_pgrepl *foreign = hold_slot(t, "somebody else");
    assert_true(bridgeproc_start(&t->b));
    assert_true(bridgeproc_wait_state(&t->b, "waiting", 10000));
    assert_non_null(strstr(bridgeproc_status_text(&t->b, t->a), "somebody else"));
    assert_int_equal(
        bridgetest_i64(
            t, "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'somebody else'"),
        1);
    weir_pgrepl_close(foreign);
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 10000));
}

/* --- writers beside it
 * --------------------------------------------------------------------------------------------- */

typedef struct load {
    const char *uri;
    atomic_bool stop;
    int64_t done;
} load;

static void run_load(void *arg)
{
    load *l = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = l->uri};
    char sql[200];
    for (int64_t i = 1; !atomic_load(&l->stop); i++) {
        while (!pg && weir_pg_open(&pg, &conf, &err) != WEIR_OK && !atomic_load(&l->stop)) {
        }
        /* A transaction of one to many rows; n tells its rows, so that a missing one shows. */
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO a SELECT %lld, g FROM generate_series(1, %lld) g", (long long)i,
                       (long long)(i % 50 == 0 ? 20000 : i % 7 + 1));
        if (pg && weir_pg_query(pg, sql, 0, NULL, NULL, &err) != WEIR_OK) {
            weir_pg_close(pg);
            pg = NULL;
        }
        l->done = i;
    }
    weir_pg_close(pg);
}

/* How long a process may live before it is killed: not a wait for something. */
static void pause_ms(int ms)
{
    /* banned-ok: the moment of the kill is meant to be anywhere */
    (void)usleep((useconds_t)ms * 1000);
}

/* Everything in the log is what is in the table, each row once, in the order of commits. */
static void assert_all_there(bridgetest *t)
{
    t->f.count_only = true;
    if (!feedlines_until(&t->f, bridgetest_lsn(t), 60000)) {
        fail_msg("%s", t->f.n ? t->f.line[t->f.n - 1] : "the feed does not get there");
    }
    assert_int_equal(t->f.n, 0); /* no ERROR line */
    assert_int_equal(t->f.commits, bridgetest_i64(t, "SELECT count(DISTINCT tx) FROM a"));
    assert_int_equal(t->f.events, bridgetest_i64(t, "SELECT count(*) FROM a"));
}

static void every_transaction_once_whatever_is_killed(void **state)
{
    bridgetest *t = *state;
    weir_thread *th = NULL;
    weir_error err;
    load l = {.uri = t->server->uri};
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, PRIMARY KEY (tx, n)); CREATE PUBLICATION "
                      "weir_t FOR TABLE a");
    bridgetest_stream(t);
    feedlines_fini(&t->f);
    feedlines_init(&t->f, &t->b);
    bridgetest_skip(t); /* the marks of the empty first copy */
    t->f.events = t->f.commits = 0;
    assert_int_equal(weir_thread_start(&th, "load", run_load, &l, &err), WEIR_OK);
    unsigned seed = 7;
    bool orderly = true;
    for (int i = 0; i < 15; i++) {
        seed = seed * 1103515245u + 12345u;
        pause_ms((int)(seed >> 16) % 300);
        if (i % 5 == 4) {
            bool answers = bridgeproc_wait_answer(&t->b, 20000);
            int code = bridgeproc_stop(&t->b);
            orderly = orderly && answers && code == 0;
        } else {
            bridgeproc_kill(&t->b);
        }
        orderly = bridgeproc_start(&t->b) && orderly;
    }
    bool streams = bridgeproc_wait_state(&t->b, "streaming", 20000);
    atomic_store(&l.stop, true);
    weir_thread_join(th);
    assert_true(orderly && streams);
    assert_all_there(t);
    /* A reader from the very start sees the same. */
    feedlines again;
    feedlines_init(&again, &t->b);
    again.count_only = true;
    again.max_bytes = 10000;
    assert_true(feedlines_until(&again, bridgetest_lsn(t), 60000));
    assert_int_equal(again.commits, t->f.commits);
    assert_int_equal(again.events, t->f.events + 2); /* and the two marks */
    feedlines_fini(&again);
}

static void every_transaction_once_when_postgres_goes(void **state)
{
    bridgetest *t = *state;
    weir_thread *th = NULL;
    weir_error err;
    load l = {.uri = t->server->uri};
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, PRIMARY KEY (tx, n)); CREATE PUBLICATION "
                      "weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_skip(t);
    t->f.events = t->f.commits = 0;
    assert_int_equal(weir_thread_start(&th, "load", run_load, &l, &err), WEIR_OK);
    for (int i = 0; i < 4; i++) {
        pause_ms(300);
        if (i < 2) {
            pgserver_stop(t->server, i == 0);
            assert_true(pgserver_restart(t->server));
        } else {
            weir_pg *pg = NULL;
            weir_pg_conf conf = {.uri = t->server->uri};
            assert_int_equal(weir_pg_open(&pg, &conf, &err), WEIR_OK);
            assert_int_equal(
                weir_pg_script(pg, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication",
                               &err),
                WEIR_OK);
            weir_pg_close(pg);
        }
    }
    atomic_store(&l.stop, true);
    weir_thread_join(th);
    weir_pg_close(t->pg);
    weir_pg_conf conf = {.uri = t->server->uri};
    assert_int_equal(weir_pg_open(&t->pg, &conf, &err), WEIR_OK);
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 20000));
    assert_all_there(t);
    assert_true(bridgeproc_status(&t->b, "reconnects") >= 3);
}

/* A server that shuts down waits until everything is confirmed, the idle rest of its WAL too. */
static void postgres_can_shut_down_beside_it(void **state)
{
    bridgetest *t = *state;
    weir_error err;
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, PRIMARY KEY (tx, n)); CREATE TABLE "
                      "silent(id int); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_sql(
        t, "INSERT INTO a VALUES (1, 1); INSERT INTO silent SELECT generate_series(1, 1000)");
    int64_t begun = weir_mono_ms();
    pgserver_stop(t->server, false);
    assert_true(weir_mono_ms() - begun < 20000);
    assert_true(pgserver_restart(t->server));
    weir_pg_close(t->pg);
    weir_pg_conf conf = {.uri = t->server->uri};
    assert_int_equal(weir_pg_open(&t->pg, &conf, &err), WEIR_OK);
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 20000));
    bridgetest_expect(t, "I public.a tx=1 n=1\nC\n");
}

static void a_killed_first_copy_starts_over(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, PRIMARY KEY (tx, n)); CREATE PUBLICATION "
                      "weir_t FOR TABLE a;"
                      "INSERT INTO a SELECT 1, g FROM generate_series(1, 400000) g");
    for (int i = 0; i < 4; i++) {
        assert_true(bridgeproc_start(&t->b));
        pause_ms(40 + 60 * i);
        bridgeproc_kill(&t->b);
    }
    bridgetest_stream(t);
    t->f.count_only = true;
    assert_true(feedlines_until(&t->f, bridgetest_lsn(t), 30000));
    assert_int_equal(t->f.events, 400002);
    assert_int_equal(bridgetest_i64(t, "SELECT count(*) FROM pg_replication_slots"), 1);
}

static void a_million_rows_in_bounded_memory(void **state)
{
    bridgetest *t = *state;
    /* Small ring, short timeout of the server: without feedback in the middle of the transaction it
     * would be cut off. */
    bridgeproc_remove(&t->b);
    assert_true(bridgeproc_init(&t->b, WEIR_BIN_DIR, t->server->uri,
                                "log_keep_ms = 1h\nring_max_bytes = 4M\n"));
    bridgetest_sql(t, "ALTER SYSTEM SET wal_sender_timeout = '2s'");
    bridgetest_sql(t, "SELECT pg_reload_conf()");
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, v text, PRIMARY KEY (tx, n)); CREATE "
                      "PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_skip(t);
    t->f.events = t->f.commits = 0;
    bridgetest_sql(
        t, "INSERT INTO a SELECT 1, g, repeat('x', 100) FROM generate_series(1, 1000000) g");
    assert_all_there(t);
    assert_int_equal(t->f.commits, 1);
    assert_true(t->f.frames > 100);
    int64_t kib = bridgeproc_rss_max_kib(&t->b);
    print_message("VmHWM %lld KiB, %llu parts\n", (long long)kib, (unsigned long long)t->f.frames);
    assert_int_equal(bridgeproc_status(&t->b, "reconnects"), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(kib > 0 && kib < 256 * 1024);
#endif
    bridgetest_sql(t, "ALTER SYSTEM RESET wal_sender_timeout");
    bridgetest_sql(t, "SELECT pg_reload_conf()");
}

/* A huge transaction is cut off in its middle; nothing of it is seen until it is complete, then all
 * of it once. */
static void a_large_transaction_over_kills(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(tx bigint, n int, v text, PRIMARY KEY (tx, n)); CREATE "
                      "PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    bridgetest_skip(t);
    t->f.events = t->f.commits = 0;
    bridgetest_sql(t,
                   "INSERT INTO a SELECT 1, g, repeat('x', 100) FROM generate_series(1, 300000) g");
    for (int i = 0; i < 4; i++) {
        pause_ms(100 + 70 * i);
        bridgeproc_kill(&t->b);
        assert_true(bridgeproc_start(&t->b));
    }
    assert_true(bridgeproc_wait_state(&t->b, "streaming", 20000));
    bridgetest_sql(t, "INSERT INTO a VALUES (2, 1, 'after')");
    assert_all_there(t);
    assert_int_equal(t->f.commits, 2);
}

static void an_idle_stream_advances(void **state)
{
    bridgetest *t = *state;
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE silent(id int); CREATE "
                      "PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    int64_t worst = 0;
    for (int i = 0; i < 40; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "INSERT INTO a VALUES (%d)", i);
        bridgetest_sql(t, sql);
        uint64_t lsn = bridgetest_lsn(t);
        int64_t begun = weir_mono_ms();
        assert_true(feedlines_until(&t->f, lsn, 5000));
        int64_t ms = weir_mono_ms() - begun;
        worst = ms > worst ? ms : worst;
    }
    print_message("worst wait for one's own write: %lld ms\n", (long long)worst);
    assert_int_equal(t->f.commits, 40);
    /* Traffic that is not published moves feed and slot all the same. */
    bridgetest_sql(t, "INSERT INTO silent SELECT generate_series(1, 1000)");
    uint64_t lsn = bridgetest_lsn(t);
    assert_true(feedlines_until(&t->f, lsn, 5000));
    int64_t end = weir_mono_ms() + 10000 * (int64_t)weir_test_timeout_x();
    char sql[160];
    char text[WEIR_LSN_TEXT_MAX];
    (void)snprintf(sql, sizeof sql, "SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots",
                   weir_lsn_print(lsn, text));
    while (strcmp(bridgetest_text(t, sql), "t") != 0) {
        assert_true(weir_mono_ms() < end);
    }
}

static void heartbeats_are_not_logged(void **state)
{
    bridgetest *t = *state;
    bridgeproc_remove(&t->b);
    assert_true(bridgeproc_init(&t->b, WEIR_BIN_DIR, t->server->uri, "heartbeat_ms = 100\n"));
    bridgetest_sql(t, "CREATE TABLE a(id int PRIMARY KEY); CREATE PUBLICATION weir_t FOR TABLE a");
    bridgetest_stream(t);
    uint64_t before = bridgetest_lsn(t);
    bridgetest_expect(t, "");
    int64_t end = weir_mono_ms() + 10000 * (int64_t)weir_test_timeout_x();
    while (bridgetest_lsn(t) < before + 500) { /* only heartbeats write */
        assert_true(weir_mono_ms() < end);
    }
    bridgetest_expect(t, "");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(needs_its_publication_first),
        T(a_lost_slot_is_a_state),
        T(an_advanced_slot_is_a_gap),
        T(a_foreign_slot_with_an_empty_log_is_a_gap),
        T(a_stale_walsender_of_ours_is_ended_others_are_not),
        T(every_transaction_once_whatever_is_killed),
        T(every_transaction_once_when_postgres_goes),
        T(postgres_can_shut_down_beside_it),
        T(a_killed_first_copy_starts_over),
        T(a_million_rows_in_bounded_memory),
        T(a_large_transaction_over_kills),
        T(an_idle_stream_advances),
        T(heartbeats_are_not_logged),
    };
    return cmocka_run_group_tests_name("bridge restart", tests, bridgetest_up, bridgetest_down);
}
