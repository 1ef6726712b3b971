/* test_write_checker.c - 200 clients while backends, the server and the service die: what was
 * acknowledged is there once, what was refused is not there, what is unknown is there at most once.
 *
 * WEIR_TEST_CHECKER_S=300 runs it for five minutes.
 */
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "tests/support/writetest.h"

enum { CLIENTS = 200, SHORT_S = 8, RETRIES = 6, PER_SECOND_MAX = 500, AWAY_MS = 50 };

typedef enum kind { NOTE, KEYED, BOOK, BAD_BOOK, BAD_ADOPT, BUMP, REFUSED, KINDS } kind;
typedef enum told { NOT_RUN, DONE, UNKNOWN } told;

typedef struct record {
    unsigned char kind, told;
    unsigned char there; /* times, as the tables say */
} record;

typedef struct client {
    int number;
    uint64_t rng;
    size_t n, cap;
    record *r;
    char odd[600]; /* an answer nobody expects */
    weir_thread *thread;
} client;

static wt_service service;
static atomic_bool stop;

static told judge(client *c, const wt_answer *a, int refusal)
{
    if (a->status == 200) {
        return DONE;
    }
    if (a->status == 0) { /* the service died with it, or is not there yet */
        (void)poll(NULL, 0, AWAY_MS);
        return UNKNOWN;
    }
    if (a->status == 503 && strstr(a->body, "outcome-unknown")) {
        return strstr(a->body, "\"committed\":true") ? DONE : UNKNOWN;
    }
    if (a->status != 503 && a->status != refusal) {
        (void)snprintf(c->odd, sizeof c->odd, "%d %.560s", a->status, a->body);
    }
    return NOT_RUN;
}

static told send_keyed(client *c, const char *id)
{
    char header[80], body[80];
    told t = NOT_RUN;
    bool doubt = false;
    (void)snprintf(header, sizeof header, "Idempotency-Key: %s", id);
    (void)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id);
    const char *const headers[] = {"Content-Type: application/json", header, NULL};
    for (int i = 0; i < RETRIES && t != DONE && !atomic_load(&stop); i++) {
        wt_answer a = wt_ask(&service, "POST", "/commands/note", headers, body);
        t = judge(c, &a, 503);
        doubt |= t == UNKNOWN; /* what is in doubt stays so, whatever a later try is told */
    }
    return t == DONE ? DONE : doubt ? UNKNOWN : t;
}

static told send_one(client *c, kind k, const char *id, size_t seq)
{
    char body[160];
    const char *name = "note";
    int refusal = 503;
    switch (k) {
    case KEYED: return send_keyed(c, id);
    case NOTE: (void)snprintf(body, sizeof body, "{\"id\":\"%s\"}", id); break;
    case BOOK:
    case BAD_BOOK:
        name = "book";
        refusal = k == BOOK ? 503 : 422;
        (void)snprintf(body, sizeof body, "{\"id\":\"%s\",\"amount\":%d}", id, k == BOOK ? 1 : -1);
        break;
    case BAD_ADOPT: /* refused by COMMIT, with its whole group */
        name = "adopt";
        refusal = 422;
        (void)snprintf(body, sizeof body, "{\"id\":%d,\"parent_id\":-1}",
                       c->number * 100000 + (int)seq);
        break;
    case BUMP:
        name = "bump2";
        (void)snprintf(body, sizeof body, "{\"a\":%d,\"b\":%d}",
                       1 + (int)(weir_test_random(&c->rng) % 10),
                       1 + (int)(weir_test_random(&c->rng) % 10));
        break;
    case REFUSED:
    case KINDS:
        name = "refuse";
        refusal = 422;
        (void)snprintf(body, sizeof body, "{\"state\":\"P0001\",\"message\":\"no\"}");
        break;
    }
    wt_answer a = wt_post(&service, name, body);
    return judge(c, &a, refusal);
}

static void client_main(void *arg)
{
    client *c = arg;
    while (!atomic_load(&stop) && c->n < c->cap) {
        char id[40];
        kind k = (kind)(weir_test_random(&c->rng) % KINDS);
        (void)snprintf(id, sizeof id, "q%d.%zu", c->number, c->n);
        c->r[c->n].kind = (unsigned char)k;
        c->r[c->n].told = (unsigned char)send_one(c, k, id, c->n);
        c->n++;
    }
}

/* --- disturbances --------------------------------------------------------------------------------
 */

static bool server_answers(void *arg)
{
    weir_error err = {0};
    weir_pg_conf conf = {
        .uri = wt_fx.pg.uri, .application_name = "test", .connect_timeout_ms = 1000};
    (void)arg;
    weir_pg_close(wt_fx.sql);
    wt_fx.sql = NULL; /* the fixture opens it again on use */
    weir_pg *pg = NULL;
    bool ok = weir_pg_open(&pg, &conf, &err) == WEIR_OK;
    weir_pg_close(pg);
    return ok;
}

static bool listens(void *arg)
{
    (void)arg;
    wt_answer a = wt_get(&service, "/healthz");
    return a.status == 200;
}

static bool sql_is_gone(void *arg)
{
    (void)arg;
    return !weir_pg_alive(wt_fx.sql);
}

static const char *disturb(int round, uint64_t *rng)
{
    if (round % 12 == 5) {
        int pid = wt_number(fixture_sql_value(&wt_fx, "SELECT pid FROM pg_stat_activity WHERE "
                                                      "application_name = 'weir-write' LIMIT 1"));
        if (pid > 0 && kill(pid, SIGKILL) == 0) {
            fixture_wait(&wt_fx, sql_is_gone, NULL, 10000, "the server to notice");
        }
        fixture_wait(&wt_fx, server_answers, NULL, 20000, "PostgreSQL to answer again");
        return "backend killed";
    }
    if (round % 4 == 3) {
        fixture_kill9(service.proc);
        if (!fixture_restart(service.proc)) {
            fail_msg("weir-write could not be started again");
        }
        fixture_wait(&wt_fx, listens, NULL, 10000, "weir-write to listen again");
        return "service killed";
    }
    fixture_sql(&wt_fx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'weir-write' AND random() < 0.6");
    (void)rng;
    return "lanes terminated";
}

/* --- what the tables say -------------------------------------------------------------------------
 */

static bool no_transaction_left(void *arg)
{
    (void)arg;
    return strcmp(fixture_sql_value(&wt_fx,
                                    "SELECT count(*) FROM pg_stat_activity WHERE application_name "
                                    "= 'weir-write' AND state <> 'idle'"),
                  "0") == 0;
}

static void count_there(client *c, const char *sql)
{
    weir_pg_rows *rows = NULL;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_pg_query(wt_fx.sql, sql, 0, NULL, &rows, &err), &err);
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        int64_t number = weir_pg_i64(rows, i, 0), seq = weir_pg_i64(rows, i, 1);
        assert_in_range(number, 0, CLIENTS - 1);
        assert_true((size_t)seq < c[number].n);
        c[number].r[seq].there = (unsigned char)weir_pg_i64(rows, i, 2);
    }
    weir_pg_rows_free(rows);
}

static void check(client *c)
{
    int64_t bumped = 0, perhaps = 0, n[KINDS][3] = {{0}};
    (void)fixture_sql_value(&wt_fx, "SELECT 1");
    count_there(c, "SELECT split_part(id, '.', 1)::text::bigint, split_part(id, '.', 2)::bigint, "
                   "count(*) FROM (SELECT substr(id, 2) AS id FROM journal WHERE id LIKE 'q%') j "
                   "GROUP BY 1, 2");
    count_there(c, "SELECT split_part(id, '.', 1)::bigint, split_part(id, '.', 2)::bigint, 1 FROM "
                   "(SELECT substr(id, 2) AS id FROM ledger WHERE id LIKE 'q%') j");
    for (int i = 0; i < CLIENTS; i++) {
        for (size_t k = 0; k < c[i].n; k++) {
            const record *r = &c[i].r[k];
            n[r->kind][r->told]++;
            bool counted = r->kind == NOTE || r->kind == KEYED || r->kind == BOOK;
            int least = counted && r->told == DONE ? 1 : 0;
            int most = counted && r->told != NOT_RUN ? 1 : 0;
            if (r->there < least || r->there > most) {
                fail_msg("q%d.%zu of kind %d was answered %d and is there %d times", i, k, r->kind,
                         r->told, r->there);
            }
            bumped += r->kind == BUMP && r->told == DONE;
            perhaps += r->kind == BUMP && r->told == UNKNOWN;
        }
    }
    int64_t sum = wt_number(fixture_sql_value(&wt_fx, "SELECT sum(n) FROM counter"));
    assert_in_range(sum, 2 * bumped, 2 * (bumped + perhaps));
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM child"), "0");
    assert_int_equal(n[BAD_BOOK][DONE] + n[BAD_ADOPT][DONE] + n[REFUSED][DONE], 0);
    for (int k = 0; k < KINDS; k++) {
        static const char *const names[] = {"note",      "note with key", "book",  "bad book",
                                            "bad adopt", "bump",          "refuse"};
        print_message("%-14s %6lld done, %6lld not executed, %5lld unknown\n", names[k],
                      (long long)n[k][DONE], (long long)n[k][NOT_RUN], (long long)n[k][UNKNOWN]);
    }
    assert_true(n[NOTE][DONE] > 20 && n[KEYED][DONE] > 20 && n[BUMP][DONE] > 20);
}

static void nothing_lost_nothing_twice(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static client c[CLIENTS];
    weir_error err = {0};
    const char *text = getenv("WEIR_TEST_CHECKER_S");
    int64_t seconds = text && wt_number(text) > 0 ? wt_number(text) : SHORT_S;
    uint64_t seed = weir_test_seed();
    fixture_sql(&wt_fx, "UPDATE counter SET n = 0");
    wt_start(&service, "checked", wt_fx.pg.uri, "statement_timeout_ms=2000\n");
    fixture_wait(&wt_fx, wt_is_ready, &service, 5000, "weir-write to be ready");
    for (int i = 0; i < CLIENTS; i++) {
        size_t cap = (size_t)seconds * PER_SECOND_MAX;
        c[i] = (client){.number = i, .rng = seed + (uint64_t)i, .cap = cap};
        c[i].r = calloc(cap, sizeof *c[i].r);
        assert_rc(WEIR_OK, weir_thread_start(&c[i].thread, "client", client_main, &c[i], &err),
                  &err);
    }
    int64_t until = weir_mono_ms() + seconds * 1000;
    for (int round = 0; weir_mono_ms() < until; round++) {
        const char *what = disturb(round, &seed);
        if (seconds > SHORT_S) {
            print_message("%lld s left: %s\n", (long long)(until - weir_mono_ms()) / 1000, what);
        }
        fixture_sql(&wt_fx, "SELECT pg_sleep(0.3)");
    }
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        weir_thread_join(c[i].thread);
    }
    fixture_wait(&wt_fx, no_transaction_left, NULL, 10000, "the last transactions to end");
    for (int i = 0; i < CLIENTS; i++) {
        if (c[i].odd[0]) {
            fail_msg("client %d was told %s", i, c[i].odd);
        }
    }
    check(c);
    for (int i = 0; i < CLIENTS; i++) {
        free(c[i].r);
    }
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_lost_nothing_twice),
    };
    return cmocka_run_group_tests_name("write_checker", tests, up, wt_down);
}
