/* test_write_options.c - Idempotency-Key, If-Match, Prefer: wait and @serialize_by with a real
 * PostgreSQL, over kills and restarts. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/writetest.h"

static wt_answer send_with(const wt_service *s, const char *name, const char *header,
                           const char *body)
{
    const char *const headers[] = {"Content-Type: application/json", header, NULL};
    char path[256];
    (void)snprintf(path, sizeof path, "/commands/%s", name);
    return wt_ask(s, "POST", path, headers, body);
}

/* The command_id in an answer. */
static const char *id_of(const wt_answer *a)
{
    static char id[40];
    const char *at = strstr(a->body, "\"command_id\":\"");
    assert_non_null(at);
    (void)snprintf(id, sizeof id, "%.32s", at + strlen("\"command_id\":\""));
    return id;
}

static void replayed_and_refused(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    char first[40];
    wt_answer a = send_with(s, "note", "Idempotency-Key: \"k-1\"", "{\"id\":\"once\"}");
    wt_assert_status(200, &a);
    (void)snprintf(first, sizeof first, "%s", id_of(&a));
    a = send_with(s, "note", "Idempotency-Key: k-1", " { \"id\" : \"once\" } ");
    wt_assert_status(200, &a);
    assert_string_equal(id_of(&a), first);
    assert_has(a.body, "\"result\":\"once\"");
    assert_true(a.position[0] != '\0');
    a = send_with(s, "note", "Idempotency-Key: k-1", "{\"id\":\"twice\"}");
    wt_assert_status(422, &a);
    assert_has(a.body, "Idempotency-Key");
    a = send_with(s, "exact", "Idempotency-Key: k-1", "{}");
    wt_assert_status(422, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT string_agg(id, ',') FROM journal WHERE id LIKE '%ce'"),
        "once");
    /* Exact numbers survive being stored. */
    a = send_with(s, "exact", "Idempotency-Key: k-2", "{}");
    a = send_with(s, "exact", "Idempotency-Key: k-2", "{}");
    assert_has(a.body, "\"n\": 12345678901234567890.1234567890");
    /* A refusal is an answer and replayed; what never began is not. */
    a = send_with(s, "book", "Idempotency-Key: k-3", "{\"id\":\"x3\",\"amount\":-1}");
    wt_assert_status(422, &a);
    fixture_sql(&wt_fx, "ALTER TABLE ledger DROP CONSTRAINT ledger_amount_check");
    a = send_with(s, "book", "Idempotency-Key: k-3", "{\"id\":\"x3\",\"amount\":-1}");
    wt_assert_status(422, &a);
    fixture_sql(&wt_fx,
                "ALTER TABLE ledger ADD CONSTRAINT ledger_amount_check CHECK (amount >= 0)");
    a = send_with(s, "nap", "Idempotency-Key: k-4", "{\"seconds\":20}");
    wt_assert_status(504, &a);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM weir.idempotency WHERE key = 'k-4'"), "0");
    char header[400], key[300];
    memset(key, 'k', sizeof key);
    (void)snprintf(header, sizeof header, "Idempotency-Key: %.256s", key);
    a = send_with(s, "note", header, "{\"id\":\"long\"}");
    wt_assert_status(400, &a);
}

/* --- many at once --------------------------------------------------------------------------------
 */

typedef struct repeater {
    const wt_service *s;
    uint64_t rng;
    int keys, n, wrong;
    bool *acknowledged; /* per key, of all repeaters; set only, never cleared */
    atomic_bool *stop;
    wt_answer bad;
    weir_thread *thread;
} repeater;

static void repeat_main(void *arg)
{
    repeater *r = arg;
    while (!atomic_load(r->stop)) {
        int key = (int)(weir_test_random(&r->rng) % (uint64_t)r->keys);
        char header[64], body[64];
        (void)snprintf(header, sizeof header, "Idempotency-Key: many-%d", key);
        (void)snprintf(body, sizeof body, "{\"id\":\"many-%d\"}", key);
        wt_answer a = send_with(r->s, "note", header, body);
        r->n++;
        if (a.status == 200) {
            r->acknowledged[key] = true;
        } else if (a.status != 503 && a.status != 0) {
            r->wrong++;
            r->bad = a;
        }
    }
}

static void check_many(const char *what, bool *acknowledged, int keys)
{
    int done = 0;
    for (int i = 0; i < keys; i++) {
        char sql[100];
        (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM journal WHERE id = 'many-%d'", i);
        int n = wt_number(fixture_sql_value(&wt_fx, sql));
        if (n > 1 || (acknowledged[i] && n != 1)) {
            fail_msg("%s: key many-%d was executed %d times, acknowledged %d", what, i, n,
                     acknowledged[i]);
        }
        done += n;
    }
    print_message("%s: %d of %d keys executed, each once\n", what, done, keys);
    assert_true(done > keys / 2);
}

/* The same keys from many clients and through two services, while connections break and one of the
 * services is killed: each key is executed at most once, and once when it was acknowledged. */
static void once_whatever_happens(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    enum { CLIENTS = 16, KEYS = 150 };
    static bool acknowledged[KEYS];
    repeater r[CLIENTS];
    wt_service other;
    atomic_bool stop = false;
    weir_error err = {0};
    uint64_t seed = weir_test_seed();
    wt_start(&other, "other", wt_fx.pg.uri, "statement_timeout_ms=1500\n");
    fixture_wait(&wt_fx, wt_is_ready, &other, 5000, "weir-write to be ready");
    for (int i = 0; i < CLIENTS; i++) {
        r[i] = (repeater){.s = i % 2 ? &wt_main : &other,
                          .rng = seed + (uint64_t)i,
                          .keys = KEYS,
                          .acknowledged = acknowledged,
                          .stop = &stop};
        assert_rc(WEIR_OK, weir_thread_start(&r[i].thread, "repeater", repeat_main, &r[i], &err),
                  &err);
    }
    wt_kill_backends("= 'weir-write'", 0.5, 2000);
    fixture_kill9(other.proc);
    wt_kill_backends("= 'weir-write'", 0.5, 500);
    atomic_store(&stop, true);
    int n = 0;
    for (int i = 0; i < CLIENTS; i++) {
        weir_thread_join(r[i].thread);
        n += r[i].n;
        if (r[i].wrong) {
            fail_msg("%d %s", r[i].bad.status, r[i].bad.body);
        }
    }
    print_message("%d requests\n", n);
    check_many("kills", acknowledged, KEYS);
}

/* --- If-Match, Prefer, @serialize_by -------------------------------------------------------------
 */

static void expected_versions(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service *s = &wt_main;
    fixture_sql(&wt_fx, "UPDATE counter SET n = 7 WHERE id = 9");
    wt_answer a = send_with(s, "bump_if", "If-Match: \"6\"", "{\"a\":9}");
    wt_assert_status(412, &a);
    assert_has(a.body, "\"sqlstate\":\"WE412\"");
    a = send_with(s, "bump_if", "If-Match: W/\"7\"", "{\"a\":9}");
    wt_assert_status(200, &a);
    a = wt_post(s, "bump_if", "{\"a\":9}"); /* nothing of the one before is left */
    wt_assert_status(200, &a);
    a = send_with(s, "bump_if", "If-Match: *", "{\"a\":9}");
    wt_assert_status(200, &a);
    a = send_with(s, "bump_if", "If-Match: 7", "{\"a\":9}");
    wt_assert_status(400, &a);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT n FROM counter WHERE id = 9"), "10");
}

static void deadlines(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    for (int i = 0; i < 2; i++) {
        int n = i + 1;
        wt_start_call(&naps[i], &wt_main, "nap", "{\"seconds\": 1.4}");
        fixture_wait(&wt_fx, wt_naps, &n, 5000, "a lane to sleep");
    }
    int64_t from_ms = weir_mono_ms();
    wt_answer a = send_with(&wt_main, "note", "Prefer: wait=1", "{\"id\":\"late\"}");
    wt_assert_status(504, &a);
    assert_in_range(weir_mono_ms() - from_ms, 900, 5000 * weir_test_timeout_x());
    assert_has(a.body, "urn:weir:problem:deadline");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'late'"),
                        "0");
    a = send_with(&wt_main, "note", "Prefer: wait=1", "{\"id\":\"soon\"}");
    wt_assert_status(200, &a);
    a = send_with(&wt_main, "note", "Prefer: wait=soon", "{\"id\":\"never\"}");
    wt_assert_status(400, &a);
}

/* A list may come in several lines (RFC 9110): the first wins where they name the same preference.
 */
static void several_lines_of_prefer(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const struct {
        const char *one, *two;
        int status;
    } cases[] = {
        {"Prefer: wait=30", "Prefer: respond-async", 202},
        {"Prefer: respond-async", "Prefer: wait=30", 202},
        {"Prefer: handling=strict", "prefer: wait=soon", 400},
        {"Prefer: wait=30", "Prefer: wait=soon", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const headers[] = {"Content-Type: application/json", cases[i].one, cases[i].two,
                                       NULL};
        wt_answer a = wt_ask(&wt_main, "POST", "/commands/note", headers, "{\"id\":\"lines\"}");
        wt_assert_status(cases[i].status, &a);
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
        cmocka_unit_test(replayed_and_refused),
        cmocka_unit_test(expected_versions),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(several_lines_of_prefer),
        cmocka_unit_test(once_whatever_happens),
    };
    return cmocka_run_group_tests_name("write_options", tests, up, wt_down);
}
