/* test_client.c - libweir-client against a weir-write that answers, refuses, is slow, is killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/client.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/writetest.h"

enum { MANY = 2000, IN_FLIGHT = 64, ROUNDS = 4 };

static weir_client *open_client(const char *url, bool keys, int64_t timeout_ms)
{
    weir_client *c = NULL;
    weir_client_error err;
    const weir_client_conf conf = {
        .write_url = url, .keys = keys, .timeout_ms = timeout_ms, .in_flight_max = IN_FLIGHT};
    int rc = weir_client_open(&c, &conf, &err);
    if (rc != WEIR_CLIENT_OK) {
        fail_msg("%s", err.detail);
    }
    return c;
}

static void one_after_the_other(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client *c = open_client(wt_main.nng, false, 10000);
    weir_client_error err;
    weir_client_reply r;
    weir_client_command k = {.name = "exact", .correlation_id = "mine"};
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_OK);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.command_id.n, 32);
    assert_string_equal(weir_arena_printf(wt_fx.a, "%.*s", (int)r.result.n, r.result.p),
                        "{\"n\": 12345678901234567890.1234567890, \"t\": \"},\\\"{\"}");
    assert_true(r.position.n > 3);
    assert_memory_equal(r.correlation_id.p, "mine", 4);
    weir_client_reply_free(&r);

    k = (weir_client_command){.name = "refuse",
                              .args = "{\"state\":\"23505\",\"message\":\"taken\"}"};
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 409);
    assert_string_equal(err.sqlstate, "23505");
    assert_string_equal(err.title, "Conflict");
    assert_string_equal(err.detail, "taken");
    assert_string_equal(err.hint, "some hint");
    assert_false(err.maybe_executed);
    assert_int_equal(err.retry_after_s, -1);
    assert_int_equal(strlen(err.command_id), 32);

    k = (weir_client_command){.name = "note", .args = "{\"id\":\"key\"}", .idempotency_key = "c"};
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_OK);
    assert_false(r.replayed);
    weir_client_reply_free(&r);
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_OK);
    assert_true(r.replayed);
    weir_client_reply_free(&r);
    assert_int_equal(weir_client_status(c, "0123456789abcdef0123456789abcdef", 0, &r, &err),
                     WEIR_CLIENT_REFUSED);
    assert_int_equal(err.status, 404);
    weir_client_close(c);
}

/* --- many in flight --- */

typedef struct tally {
    weir_client *c;
    const char *prefix;
    int started, most;
    int said[8];      /* by weir_client_rc */
    int not_executed; /* failed, and certainly not executed */
    bool wrong;       /* an answer that belongs to another call */
    bool pause;       /* start no more */
    char (*sure)[24]; /* ids acknowledged */
    int nsure;
} tally;

typedef struct one {
    tally *t;
    char id[24];
} one;

static void start_one(tally *t);

static void on_reply(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    one *o = arg;
    tally *t = o->t;
    t->said[err ? err->code : WEIR_CLIENT_OK]++;
    if (r) {
        t->wrong |=
            r->result.n != strlen(o->id) + 2 || memcmp(r->result.p + 1, o->id, strlen(o->id)) != 0;
        (void)snprintf(t->sure[t->nsure++], sizeof *t->sure, "%s", o->id);
    } else {
        t->not_executed += !err->maybe_executed;
    }
    free(o);
    start_one(t);
}

static void start_one(tally *t)
{
    char args[64];
    weir_client_error err;
    if (t->started == t->most || t->pause) {
        return;
    }
    one *o = calloc(1, sizeof *o);
    o->t = t;
    (void)snprintf(o->id, sizeof o->id, "%s-%d", t->prefix, t->started);
    (void)snprintf(args, sizeof args, "{\"id\":\"%s\"}", o->id);
    const weir_client_command k = {.name = "note", .args = args};
    t->started++;
    assert_int_equal(weir_client_send_start(t->c, &k, on_reply, o, &err), WEIR_CLIENT_OK);
}

static void tally_start(tally *t, weir_client *c, const char *prefix, int most)
{
    *t = (tally){.c = c, .prefix = prefix, .most = most, .sure = calloc((size_t)most, 24)};
    for (int i = 0; i < IN_FLIGHT / 2; i++) {
        start_one(t);
    }
}

static int count(const char *format, const char *prefix)
{
    return wt_number(fixture_sql_value(&wt_fx, weir_arena_printf(wt_fx.a, format, prefix)));
}

static void many_in_flight_of_one_thread(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client *c = open_client(wt_main.nng, false, 10000);
    tally t;
    tally_start(&t, c, "many", MANY);
    while (weir_client_run(c, 1000) > 0) {
    }
    assert_int_equal(t.said[WEIR_CLIENT_OK], MANY);
    assert_false(t.wrong);
    assert_int_equal(count("SELECT count(DISTINCT id) FROM journal WHERE id LIKE '%s-%%'", "many"),
                     MANY);
    free(t.sure);
    weir_client_close(c);
}

/* --- the service is killed --- */

static void restart(wt_service *s)
{
    assert_true(fixture_restart(s->proc));
    fixture_wait(&wt_fx, wt_is_ready, s, 10000, "weir-write to be ready again");
}

/* Kills the service a few times under load; then lets everything come to an end. */
static void kill_under_load(wt_service *s, tally *t)
{
    for (int i = 0; i < ROUNDS; i++) {
        int upto = t->said[WEIR_CLIENT_OK] + 100 + 37 * i;
        int64_t until = weir_mono_ms() + 20000 * (int64_t)weir_test_timeout_x();
        while (t->said[WEIR_CLIENT_OK] < upto && weir_mono_ms() < until) {
            (void)weir_client_run(t->c, 100);
        }
        assert_true(t->said[WEIR_CLIENT_OK] >= upto);
        fixture_kill9(s->proc);
        (void)weir_client_run(t->c, 0);
        restart(s);
    }
    t->pause = true;
    while (weir_client_run(t->c, 1000) > 0) {
    }
    assert_false(t->wrong);
}

static void nothing_twice_and_nothing_lost(const tally *t)
{
    weir_buf b;
    assert_int_equal(count("SELECT count(*) - count(DISTINCT id) FROM journal WHERE id LIKE "
                           "'%s-%%'",
                           t->prefix),
                     0);
    weir_buf_init(&b, 1 << 24);
    weir_buf_putz(&b, "SELECT count(*) FROM unnest('{x");
    for (int i = 0; i < t->nsure; i++) {
        weir_buf_printf(&b, ",%s", t->sure[i]);
    }
    weir_buf_putz(&b, "}'::text[]) s(id) WHERE id <> 'x' AND NOT EXISTS (SELECT FROM journal j "
                      "WHERE j.id = s.id)");
    weir_buf_u8(&b, 0);
    assert_string_equal(fixture_sql_value(&wt_fx, b.p), "0");
    weir_buf_fini(&b);
}

/* With keys: sent again, and each executed exactly once. */
static void with_keys_all_are_executed_once(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_start(&s, "killed-keys", wt_fx.pg.uri, "");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    weir_client *c = open_client(s.nng, true, 30000);
    tally t;
    tally_start(&t, c, "keyed", 1000000);
    kill_under_load(&s, &t);
    assert_int_equal(t.said[WEIR_CLIENT_OK], t.started);
    nothing_twice_and_nothing_lost(&t);
    assert_int_equal(count("SELECT count(*) FROM journal WHERE id LIKE '%s-%%'", "keyed"),
                     t.started);
    free(t.sure);
    weir_client_close(c);
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
}

/* Without: never sent again; the caller is told that it may have been executed. */
static void without_keys_none_is_executed_twice(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_start(&s, "killed", wt_fx.pg.uri, "");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    weir_client *c = open_client(s.nng, false, 30000);
    tally t;
    tally_start(&t, c, "plain", 1000000);
    kill_under_load(&s, &t);
    assert_true(t.said[WEIR_CLIENT_LOST] > 0);
    assert_int_equal(
        t.said[WEIR_CLIENT_OK] + t.said[WEIR_CLIENT_LOST] + t.said[WEIR_CLIENT_REFUSED], t.started);
    nothing_twice_and_nothing_lost(&t);
    int there = count("SELECT count(*) FROM journal WHERE id LIKE '%s-%%'", "plain");
    assert_true(there >= t.nsure && there <= t.started - t.not_executed);
    free(t.sure);
    weir_client_close(c);
    assert_int_equal(fixture_stop(s.proc, 10000), 0);
}

/* --- nobody there, too slow, too many, wrong --- */

static void what_fails_says_why(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client_error err;
    weir_client_reply r;
    const weir_client_command exact = {.name = "exact"};
    char url[64];
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", fixture_free_port());
    weir_client *c = open_client(url, false, 200);
    assert_int_equal(weir_client_send(c, &exact, &r, &err), WEIR_CLIENT_TIMEOUT);
    assert_false(err.maybe_executed);
    assert_has(err.detail, "cannot be reached");
    const char *key[] = {"1"};
    const weir_client_query q = {.model = "m", .key = key, .key_parts = 1};
    assert_int_equal(weir_client_get(c, &q, &r, &err), WEIR_CLIENT_INPUT);
    assert_has(err.detail, "read_url");
    weir_client_close(c);

    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", wt_main.port); /* speaks HTTP */
    c = open_client(url, false, 300);
    assert_int_equal(weir_client_send(c, &exact, &r, &err), WEIR_CLIENT_TIMEOUT);
    assert_false(err.maybe_executed);
    weir_client_close(c);

    const weir_client_conf bad = {.write_url = "http://127.0.0.1:1"};
    assert_int_equal(weir_client_open(&c, &bad, &err), WEIR_CLIENT_INPUT);
    assert_null(c);
}

static void late_answers_are_nobodys(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client_error err;
    weir_client_reply r;
    weir_client *c = open_client(wt_main.nng, false, 100);
    const weir_client_command nap = {.name = "nap", .args = "{\"seconds\":0.3}"};
    const weir_client_command exact = {.name = "exact", .timeout_ms = 10000};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_client_send(c, &nap, &r, &err), WEIR_CLIENT_TIMEOUT);
        assert_true(err.maybe_executed);
        assert_int_equal(weir_client_send(c, &exact, &r, &err), WEIR_CLIENT_OK);
        assert_has(r.result.p, "12345678901234567890");
        weir_client_reply_free(&r);
    }
    weir_client_close(c);
}

static void on_ignored(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    (void)r;
    (void)err;
    ++*(int *)arg;
}

static void too_many_are_refused(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client_error err;
    int answered = 0;
    weir_client *c = open_client(wt_main.nng, false, 10000);
    const weir_client_command exact = {.name = "exact"};
    for (int i = 0; i < IN_FLIGHT; i++) {
        assert_int_equal(weir_client_send_start(c, &exact, on_ignored, &answered, &err),
                         WEIR_CLIENT_OK);
    }
    assert_int_equal(weir_client_send_start(c, &exact, on_ignored, &answered, &err),
                     WEIR_CLIENT_BUSY);
    while (weir_client_run(c, 1000) > 0) {
    }
    assert_int_equal(answered, IN_FLIGHT);
    assert_int_equal(weir_client_send_start(c, &exact, on_ignored, &answered, &err),
                     WEIR_CLIENT_OK);
    weir_client_close(c); /* with a call in flight */
    assert_int_equal(answered, IN_FLIGHT);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(many_in_flight_of_one_thread),
        cmocka_unit_test(with_keys_all_are_executed_once),
        cmocka_unit_test(without_keys_none_is_executed_twice),
        cmocka_unit_test(what_fails_says_why),
        cmocka_unit_test(late_answers_are_nobodys),
        cmocka_unit_test(too_many_are_refused),
    };
    return cmocka_run_group_tests_name("client", tests, up, wt_down);
}
