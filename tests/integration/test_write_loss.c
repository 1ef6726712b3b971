/* test_write_loss.c - the write-service while connections break and servers stop: every
 * acknowledged command exactly once. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/writetest.h"

enum { NOTES_MAX = 40000 };

/* --- lost connections: every acknowledged command exactly once, the others as they were told
 * ------ */

typedef struct noter {
    const wt_service *s;
    int number;
    atomic_bool *stop;
    int n;
    short *status; /* NOTES_MAX; 200, -1 unknown, -2 committed and result lost, 0 not executed */
    wt_answer odd;
    weir_thread *thread;
} noter;

static atomic_long acknowledged_now;

static bool more_acknowledged(void *than)
{
    return atomic_load(&acknowledged_now) >= *(long *)than;
}

/* Lets the clients get on, or the time pass when nothing can be acknowledged. */
static void let_them_write(long more, int64_t at_most_ms)
{
    long than = atomic_load(&acknowledged_now) + more;
    (void)wait_until(more_acknowledged, &than, at_most_ms);
}

static void note_main(void *arg)
{
    noter *t = arg;
    while (!atomic_load(t->stop) && t->n < NOTES_MAX) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"id\":\"k%d.%d\"}", t->number, t->n);
        wt_answer a = wt_post(t->s, "note", body);
        short st = 0;
        if (a.status == 200) {
            st = 200;
            atomic_fetch_add(&acknowledged_now, 1);
        } else if (a.status == 503 && strstr(a.body, "outcome-unknown")) {
            st = strstr(a.body, "\"committed\":true") ? -2 : -1;
        } else if (a.status != 503) {
            t->odd = a;
            t->odd.status = a.status ? a.status : -1;
        }
        t->status[t->n++] = st;
    }
}

static void check_notes(noter *t, size_t clients, int *acknowledged, int *unknown)
{
    for (size_t i = 0; i < clients; i++) {
        assert_int_equal(t[i].odd.status, 0);
        for (int k = 0; k < t[i].n; k++) {
            char sql[120];
            (void)snprintf(sql, sizeof sql, "SELECT n FROM noted WHERE id = 'k%d.%d'", t[i].number,
                           k);
            const char *v = fixture_sql_value(&wt_fx, sql);
            int there = v[0] ? wt_number(v) : 0;
            short st = t[i].status[k];
            *acknowledged += st == 200;
            *unknown += st == -1;
            bool fits = st == 200 || st == -2 ? there == 1 : st == 0 ? there == 0 : there <= 1;
            if (!fits) {
                fail_msg("k%d.%d was answered %d and is there %d times", t[i].number, k, st, there);
            }
        }
    }
}

static void run_notes(const wt_service *s, int first, int64_t ms, void (*disturb)(int round),
                      const char *what)
{
    enum { NOTERS = 8 };
    noter t[NOTERS];
    weir_error err = {0};
    atomic_bool stop = false;
    int acknowledged = 0, unknown = 0, rounds = 0;
    for (int i = 0; i < NOTERS; i++) {
        t[i] = (noter){
            .s = s, .number = first + i, .stop = &stop, .status = calloc(NOTES_MAX, sizeof(short))};
        assert_rc(WEIR_OK, weir_thread_start(&t[i].thread, "noter", note_main, &t[i], &err), &err);
    }
    for (int64_t end = weir_mono_ms() + ms; weir_mono_ms() < end; rounds++) {
        disturb(rounds);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < NOTERS; i++) {
        weir_thread_join(t[i].thread);
    }
    fixture_sql(&wt_fx, "DROP TABLE IF EXISTS noted;"
                        "CREATE TABLE noted AS SELECT id, count(*) n FROM journal GROUP BY id;"
                        "CREATE INDEX ON noted (id)");
    check_notes(t, NOTERS, &acknowledged, &unknown);
    print_message("%s: %d acknowledged, %d unknown, %d disturbances\n", what, acknowledged, unknown,
                  rounds);
    assert_true(acknowledged > 50);
    for (int i = 0; i < NOTERS; i++) {
        free(t[i].status);
    }
}

static void terminate_lanes(int round)
{
    (void)round;
    fixture_sql(&wt_fx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'weir-write'"
                        " AND random() < 0.7");
    let_them_write(20, 50);
}

static void backends_terminated(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    run_notes(&wt_main, 100, 4000, terminate_lanes, "terminated");
    /* A termination leaves no doubt: the server said its last words in place of COMMIT, or the id
     * is known. */
    wt_answer a = wt_post(&wt_main, "note", "{\"id\":\"after\"}");
    wt_assert_status(200, &a);
}

static bool server_answers(void *arg)
{
    (void)arg;
    weir_pg *pg = NULL;
    weir_error err = {0};
    weir_pg_conf conf = {
        .uri = wt_fx.pg.uri, .application_name = "test", .connect_timeout_ms = 1000};
    bool ok = weir_pg_open(&pg, &conf, &err) == WEIR_OK;
    weir_pg_close(pg);
    return ok;
}

static bool own_connection_is_gone(void *arg)
{
    (void)arg;
    return !weir_pg_alive(wt_fx.sql);
}

static void reopen_sql(void)
{
    fixture_wait(&wt_fx, server_answers, NULL, 20000, "PostgreSQL to answer again");
    weir_pg_close(wt_fx.sql);
    wt_fx.sql = NULL; /* the fixture opens it again on use */
}

static void crash_one_backend(int round)
{
    (void)round;
    let_them_write(500, 1000);
    int pid = wt_number(fixture_sql_value(
        &wt_fx, "SELECT pid FROM pg_stat_activity WHERE application_name = 'weir-write' LIMIT 1"));
    if (pid > 0) {
        assert_int_equal(kill(pid, SIGKILL), 0); /* and the server restarts all of them */
        fixture_wait(&wt_fx, own_connection_is_gone, NULL, 10000, "the server to notice");
    }
    reopen_sql();
}

static void server_crashes(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    run_notes(&wt_main, 200, 5000, crash_one_backend, "crashed");
    fixture_wait(&wt_fx, wt_is_ready, &wt_main, 10000, "weir-write to be ready again");
}

static bool is_refused_at_once(void *arg)
{
    int64_t start = weir_mono_ms();
    wt_answer a = wt_post(arg, "note", "{\"id\":\"while away\"}");
    return a.status == 503 && weir_mono_ms() - start < 1000 * (int64_t)weir_test_timeout_x();
}

static void server_stopped_and_started(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_pg_close(wt_fx.sql);
    wt_fx.sql = NULL;
    pgserver_stop(&wt_fx.pg, false);
    fixture_wait(&wt_fx, is_refused_at_once, &wt_main, 5000,
                 "a quick 503 while PostgreSQL is away");
    for (int i = 0; i < 20; i++) {
        assert_true(is_refused_at_once(&wt_main));
    }
    wt_answer a = wt_get(&wt_main, "/healthz");
    wt_assert_status(200, &a);
    a = wt_get(&wt_main, "/readyz");
    wt_assert_status(503, &a);
    a = wt_post(&wt_main, "no_such_command", "{}");
    wt_assert_status(503, &a);
    assert_true(pgserver_restart(&wt_fx.pg));
    fixture_wait(&wt_fx, wt_is_ready, &wt_main, 10000, "weir-write to be ready again");
    a = wt_post(&wt_main, "note", "{\"id\":\"back again\"}");
    wt_assert_status(200, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'while away'"), "0");
}

/* --- stopping --- */

static void stops_in_order(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_caller c;
    wt_start(&s, "ending", wt_fx.pg.uri, "");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    wt_start_call(&c, &s, "nap", "{\"seconds\":1}");
    int one = 1;
    fixture_wait(&wt_fx, wt_naps, &one, 5000, "the command to run");
    int64_t start = weir_mono_ms();
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
    assert_true(weir_mono_ms() - start < 5000 * (int64_t)weir_test_timeout_x());
    wt_end_call(&c);
    wt_assert_status(200, &c.got); /* what was accepted was finished and answered */
}

static void stops_within_ten_seconds(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_caller c;
    wt_start(&s, "endless", wt_fx.pg.uri, "statement_timeout_ms=60000\n");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    wt_start_call(&c, &s, "nap", "{\"seconds\":50}");
    int one = 1;
    fixture_wait(&wt_fx, wt_naps, &one, 5000, "the command to run");
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
    wt_end_call(&c);
    assert_true(c.got.status == 504 || c.got.status == 503);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_terminated),        cmocka_unit_test(server_crashes),
        cmocka_unit_test(server_stopped_and_started), cmocka_unit_test(stops_in_order),
        cmocka_unit_test(stops_within_ten_seconds),   cmocka_unit_test(wt_ends_well),
    };
    return cmocka_run_group_tests_name("write_loss", tests, up, wt_down);
}
