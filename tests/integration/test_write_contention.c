/* test_write_contention.c - many clients that want the same rows, and sessions outside that hold
 * some: everybody gets his turn, nobody else is held up. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/io/pg.h"
#include "tests/support/check.h"
#include "tests/support/writetest.h"

enum { CLIENTS = 24, LATENCIES_MAX = 100000, STALL_MS = 2000 };

typedef struct client {
    const wt_service *s;
    const char *command;
    uint64_t rng;
    int first_row, rows;
    atomic_bool *stop;
    int n, ok;
    int64_t *took_ms; /* LATENCIES_MAX */
    wt_answer bad;
    weir_thread *thread;
} client;

static void client_main(void *arg)
{
    client *c = arg;
    while (!atomic_load(c->stop) && c->n < LATENCIES_MAX) {
        char body[64];
        int a = c->first_row + (int)(weir_test_random(&c->rng) % (uint64_t)c->rows);
        int b = c->first_row + (int)(weir_test_random(&c->rng) % (uint64_t)c->rows);
        (void)snprintf(body, sizeof body,
                       strcmp(c->command, "bump2") == 0 ? "{\"a\":%d,\"b\":%d}" : "{\"slot\":%d}",
                       a, b);
        int64_t from = weir_mono_ms();
        wt_answer got = wt_post(c->s, c->command, body);
        c->took_ms[c->n++] = weir_mono_ms() - from;
        if (got.status == 200) {
            c->ok++;
        } else {
            c->bad = got;
        }
    }
}

static void start(client *c, int n, const char *command, int first_row, int rows, atomic_bool *stop)
{
    weir_error err = {0};
    uint64_t seed = weir_test_seed();
    for (int i = 0; i < n; i++) {
        c[i] = (client){.s = &wt_main,
                        .command = command,
                        .rng = seed + (uint64_t)i,
                        .first_row = first_row,
                        .rows = rows,
                        .stop = stop,
                        .took_ms = calloc(LATENCIES_MAX, sizeof(int64_t))};
        assert_rc(WEIR_OK, weir_thread_start(&c[i].thread, "client", client_main, &c[i], &err),
                  &err);
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Ends them; every answer must have been 200. Returns how many there were. */
static int end(client *c, int n, const char *what, int64_t *max_ms)
{
    int64_t *all = calloc((size_t)n * LATENCIES_MAX, sizeof *all);
    int total = 0;
    for (int i = 0; i < n; i++) {
        weir_thread_join(c[i].thread);
        memcpy(all + total, c[i].took_ms, (size_t)c[i].n * sizeof *all);
        total += c[i].n;
        free(c[i].took_ms);
        if (c[i].ok != c[i].n) {
            fail_msg("%s: %d of %d: %d %s", what, c[i].ok, c[i].n, c[i].bad.status, c[i].bad.body);
        }
    }
    qsort(all, (size_t)total, sizeof *all, by_value);
    *max_ms = total ? all[total - 1] : 0;
    print_message("%s: %d commands, p50 %lld ms, p99 %lld ms, longest %lld ms\n", what, total,
                  (long long)(total ? all[total / 2] : 0),
                  (long long)(total ? all[total * 99 / 100] : 0), (long long)*max_ms);
    free(all);
    return total;
}

static int sum(void)
{
    return wt_number(fixture_sql_value(&wt_fx, "SELECT sum(n) FROM counter"));
}

static bool was_vacuumed(void *arg)
{
    (void)arg;
    return wt_number(fixture_sql_value(
               &wt_fx, "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'counter'")) >
           0;
}

static void one_row_and_pairs(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const int rows[] = {1, 10};
    for (size_t i = 0; i < 2; i++) {
        client c[CLIENTS];
        atomic_bool stop = false;
        int64_t max_ms = 0;
        fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
        start(c, CLIENTS, "bump2", 1, rows[i], &stop);
        fixture_sql(&wt_fx, "SELECT pg_sleep(1.5)");
        atomic_store(&stop, true);
        int n = end(c, CLIENTS, i == 0 ? "one row" : "pairs of ten", &max_ms);
        assert_int_equal(sum(), 2 * n);
        assert_true(max_ms < STALL_MS);
        assert_true(n > 200); /* deadlocks would leave a handful */
    }
}

static weir_pg *stranger(const char *sql)
{
    weir_pg *pg = NULL;
    weir_error err = {0};
    weir_pg_conf conf = {
        .uri = wt_fx.pg.uri, .application_name = "stranger", .connect_timeout_ms = 5000};
    assert_rc(WEIR_OK, weir_pg_open(&pg, &conf, &err), &err);
    assert_rc(WEIR_OK, weir_pg_query(pg, "BEGIN", 0, NULL, NULL, &err), &err);
    assert_rc(WEIR_OK, weir_pg_query(pg, sql, 0, NULL, NULL, &err), &err);
    return pg;
}

static void let_go(weir_pg *pg)
{
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_pg_query(pg, "COMMIT", 0, NULL, NULL, &err), &err);
    weir_pg_close(pg);
}

/* Rows 1 to 4 go on while a session in psql holds row 7; who wants that one waits for it. */
static void a_stranger_holds_a_row(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    client c[CLIENTS];
    wt_caller waits[3];
    atomic_bool stop = false;
    int64_t max_ms = 0;
    fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
    weir_pg *pg = stranger("UPDATE counter SET n = n + 100 WHERE id = 7");
    start(c, CLIENTS, "bump2", 1, 4, &stop);
    for (int i = 0; i < 3; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"a\":%d,\"b\":7}", 1 + i);
        wt_start_call(&waits[i], &wt_main, "bump2", body);
    }
    fixture_sql(&wt_fx, "SELECT pg_sleep(1)"); /* the service's patience is 1.5 s */
    let_go(pg);
    for (int i = 0; i < 3; i++) {
        wt_end_call(&waits[i]);
        wt_assert_status(200, &waits[i].got);
    }
    atomic_store(&stop, true);
    int n = end(c, CLIENTS, "beside a stranger", &max_ms);
    assert_int_equal(sum(), 2 * n + 6 + 100);
    assert_true(max_ms < STALL_MS);
    assert_int_equal(wt_metric(&wt_main, "weir_write_blocked_rows"), 0);
    /* Who holds the row was there to be asked: the field that names it is known. */
    wt_answer a = wt_get(&wt_main, "/status");
    const char *bump2 = strstr(a.body, "\"name\":\"bump2\"");
    assert_non_null(bump2);
    assert_ptr_equal(strstr(bump2, "\"collides_by\":["), strstr(bump2, "\"collides_by\":[\""));
    /* What the groups that waited left in the way of the next ones is gone long before autovacuum.
     */
    assert_true(weir_wait_until(was_vacuumed, NULL, 10000, "the contended table is vacuumed"));
}

/* One that never lets go: an answer in time, and nothing was executed. */
static void patience_ends(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller waits[4];
    fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
    weir_pg *pg = stranger("UPDATE counter SET n = n + 100 WHERE id = 8");
    int64_t from_ms = weir_mono_ms();
    for (int i = 0; i < 4; i++) {
        wt_start_call(&waits[i], &wt_main, "bump2", "{\"a\":8,\"b\":1}");
    }
    for (int i = 0; i < 4; i++) {
        wt_end_call(&waits[i]);
        wt_assert_status(503, &waits[i].got);
    }
    assert_in_range(weir_mono_ms() - from_ms, 1400, 8000 * weir_test_timeout_x());
    let_go(pg);
    assert_int_equal(sum(), 100);
    wt_answer a = wt_post(&wt_main, "bump2", "{\"a\":8,\"b\":1}");
    wt_assert_status(200, &a);
}

/* A lock PostgreSQL names no row for. */
static void a_stranger_holds_a_table(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller waits[4];
    weir_pg *pg = stranger("LOCK TABLE ledger");
    for (int i = 0; i < 4; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"id\":\"locked%d\",\"amount\":1}", i);
        wt_start_call(&waits[i], &wt_main, "book", body);
    }
    int64_t longest_ms = 0;
    for (int64_t from_ms = weir_mono_ms(); weir_mono_ms() - from_ms < 700;) {
        int64_t at_ms = weir_mono_ms();
        wt_answer a = wt_post(&wt_main, "note", "{\"id\":\"beside\"}");
        wt_assert_status(200, &a);
        int64_t took_ms = weir_mono_ms() - at_ms;
        longest_ms = took_ms > longest_ms ? took_ms : longest_ms;
    }
    let_go(pg);
    for (int i = 0; i < 4; i++) {
        wt_end_call(&waits[i]);
        wt_assert_status(200, &waits[i].got);
    }
    assert_true(longest_ms < STALL_MS);
}

/* Without @serialize_by two lanes would be at the same slot. */
static void serialized_by_an_argument(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    client c[CLIENTS];
    atomic_bool stop = false;
    int64_t max_ms = 0;
    start(c, CLIENTS, "only_one", 1, 3, &stop);
    fixture_sql(&wt_fx, "SELECT pg_sleep(1)");
    atomic_store(&stop, true);
    (void)end(c, CLIENTS, "serialized", &max_ms);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_row_and_pairs),
        cmocka_unit_test(a_stranger_holds_a_row),
        cmocka_unit_test(patience_ends),
        cmocka_unit_test(a_stranger_holds_a_table),
        cmocka_unit_test(serialized_by_an_argument),
    };
    return cmocka_run_group_tests_name("write_contention", tests, up, wt_down);
}
