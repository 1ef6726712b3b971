/* test_redis.c - both Redis clients against a private server: pipelining, bounds, outages, pub/sub.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/io/redis.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

static fixture fx;

typedef struct world {
    weir_loop *l;
    weir_redis *r;
    weir_redis *sub;
    size_t ups, aways, messages;
    size_t replies, lost;
    size_t next; /* the reply number expected: order is checked */
    bool bad;
    weir_rc why;
    char last[512];
} world;

static int open_all(void **state)
{
    (void)state;
    return fixture_open(&fx, FIXTURE_REDIS);
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

static int up(void **state)
{
    world *w = calloc(1, sizeof *w);
    *state = w;
    return weir_loop_new(&w->l, NULL) == WEIR_OK ? 0 : -1;
}

static int down(void **state)
{
    world *w = *state;
    weir_redis_close(w->r);
    weir_redis_close(w->sub);
    weir_loop_free(w->l);
    free(w);
    return 0;
}

static void on_up(void *arg)
{
    ((world *)arg)->ups++;
}

static void on_away(void *arg, const weir_error *why)
{
    world *w = arg;
    w->aways++;
    w->why = why->code;
    (void)snprintf(w->last, sizeof w->last, "%s", why->msg);
}

static void on_message(void *arg, weir_slice channel, weir_slice payload)
{
    world *w = arg;
    w->messages++;
    (void)snprintf(w->last, sizeof w->last, WEIR_SLICE_FMT "=" WEIR_SLICE_FMT,
                   WEIR_SLICE_ARG(channel), WEIR_SLICE_ARG(payload));
}

/* timeout_ms: of a command, for where it shall pass; elsewhere nothing is said about speed. */
enum { PATIENT_MS = 60000 };

static weir_redis *open_client_for(world *w, const char *uri, size_t pending_max,
                                   int64_t timeout_ms)
{
    weir_redis_conf conf = {.uri = uri,
                            .connect_timeout_ms = 2000,
                            .command_timeout_ms = timeout_ms,
                            .pending_max = pending_max,
                            .on_up = on_up,
                            .on_away = on_away,
                            .on_message = on_message,
                            .arg = w};
    weir_redis *r = NULL;
    weir_error err;
    assert_rc(WEIR_OK, weir_redis_open(&r, w->l, &conf, &err), &err);
    assert_false(weir_redis_up(r));
    return r;
}

static weir_redis *open_client(world *w, const char *uri, size_t pending_max)
{
    return open_client_for(w, uri, pending_max, PATIENT_MS);
}

static void turn_until(world *w, const size_t *counter, size_t want)
{
    int64_t end = weir_mono_ms() + INT64_C(20000) * weir_test_timeout_x();
    while (*counter < want && weir_mono_ms() < end) {
        weir_loop_turn(w->l, 20);
    }
    assert_true(*counter >= want);
}

static void on_reply(void *arg, const weir_redis_reply *reply)
{
    world *w = arg;
    w->replies++;
    if (!reply) {
        w->lost++;
        return;
    }
    weir_slice s = weir_redis_reply_str(reply);
    (void)snprintf(w->last, sizeof w->last, WEIR_SLICE_FMT, (int)(s.n < 90 ? s.n : 90),
                   s.p ? s.p : "");
}

static void on_numbered(void *arg, const weir_redis_reply *reply)
{
    world *w = arg;
    char want[32];
    (void)snprintf(want, sizeof want, "%zu", w->next++);
    w->bad = w->bad || !reply || !weir_slice_eqz(weir_redis_reply_str(reply), want);
    w->replies++;
}

static void replies_come_in_order(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    for (size_t i = 0; i < 50000; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%zu", i);
        weir_slice argv[2] = {WEIR_SLICE_LIT("ECHO"), weir_slice_z(text)};
        assert_rc(WEIR_OK, weir_redis_send(w->r, 2, argv, on_numbered, w), NULL);
    }
    assert_int_equal(weir_redis_pending(w->r), 50000);
    turn_until(w, &w->replies, 50000);
    assert_false(w->bad);
    assert_int_equal(weir_redis_pending(w->r), 0);
}

static void on_typed(void *arg, const weir_redis_reply *r)
{
    world *w = arg;
    switch (w->replies++) {
    case 0:
        assert_int_equal(weir_redis_reply_type(r), WEIR_REDIS_STRING);
        assert_slice("OK", weir_redis_reply_str(r));
        break;
    case 1:
        assert_int_equal(weir_redis_reply_type(r), WEIR_REDIS_ARRAY);
        assert_int_equal(weir_redis_reply_len(r), 2);
        assert_slice("v", weir_redis_reply_str(weir_redis_reply_at(r, 0)));
        assert_int_equal(weir_redis_reply_type(weir_redis_reply_at(r, 1)), WEIR_REDIS_NIL);
        assert_null(weir_redis_reply_at(r, 2));
        assert_null(weir_redis_reply_str(r).p);
        break;
    case 2:
        assert_int_equal(weir_redis_reply_type(r), WEIR_REDIS_INT);
        assert_int_equal(weir_redis_reply_int(r), 41);
        break;
    default:
        assert_int_equal(weir_redis_reply_type(r), WEIR_REDIS_ERROR);
        assert_true(weir_slice_starts(weir_redis_reply_str(r), WEIR_SLICE_LIT("ERR")));
        break;
    }
}

static void every_type_of_reply(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "SET k v", on_typed, w), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "MGET  k absent ", on_typed, w), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "INCRBY n 41", on_typed, w), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "NONSENSE", on_typed, w), NULL);
    turn_until(w, &w->replies, 4);
}

static void binary_and_large_values(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    size_t n = 20 << 20; /* far more than a socket takes at once */
    char *big = malloc(n);
    memset(big, 'x', n);
    memcpy(big, "a\0\r\n$", 5);
    weir_slice argv[3] = {WEIR_SLICE_LIT("SET"), WEIR_SLICE_LIT("big"), {big, n}};
    assert_rc(WEIR_OK, weir_redis_send(w->r, 3, argv, on_reply, w), NULL);
    free(big); /* copied */
    weir_slice range[4] = {WEIR_SLICE_LIT("GETRANGE"), WEIR_SLICE_LIT("big"), WEIR_SLICE_LIT("0"),
                           WEIR_SLICE_LIT("2")};
    assert_rc(WEIR_OK, weir_redis_send(w->r, 4, range, NULL, NULL), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "STRLEN big", on_reply, w), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "GET big", on_reply, w), NULL);
    turn_until(w, &w->replies, 3);
    assert_int_equal(w->lost, 0);
}

static void pending_is_bounded(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 10);
    assert_rc(WEIR_E_CONN, weir_redis_sendz(w->r, "PING", on_reply, w), NULL); /* not up yet */
    turn_until(w, &w->ups, 1);
    for (int i = 0; i < 10; i++) {
        assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    }
    assert_rc(WEIR_E_LIMIT, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    turn_until(w, &w->replies, 10);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    turn_until(w, &w->replies, 11);
}

static void an_outage_answers_everything_and_heals(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "BLPOP nothing 0", on_reply, w), NULL);
    for (int i = 0; i < 5; i++) {
        assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    }
    weir_loop_turn(w->l, 10);
    fixture_kill9(fx.redis);
    turn_until(w, &w->aways, 1);
    assert_int_equal(w->replies, 6);
    assert_int_equal(w->lost, 6);
    assert_int_equal(w->why, WEIR_E_CONN);
    assert_rc(WEIR_E_CONN, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    turn_until(w, &w->aways, 3); /* it goes on trying */
    assert_true(fixture_restart(fx.redis));
    turn_until(w, &w->ups, 2);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    turn_until(w, &w->replies, 7);
    assert_string_equal(w->last, "PONG");
}

static void a_stuck_server_is_dropped(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client_for(w, fx.redis_uri, 0, 1000);
    turn_until(w, &w->ups, 1);
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    turn_until(w, &w->aways, 1);
    (void)kill(fx.redis->pid, SIGCONT);
    assert_int_equal(w->lost, 1);
    assert_int_equal(w->why, WEIR_E_TIMEOUT);
    turn_until(w, &w->ups, 2);
}

static void subscriptions_survive_an_outage(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->sub = open_client(w, fx.redis_uri, 0);
    assert_rc(WEIR_OK, weir_redis_subscribe(w->sub, "news"), NULL);
    assert_rc(WEIR_OK, weir_redis_subscribe(w->sub, "other"), NULL);
    turn_until(w, &w->ups, 1);
    assert_rc(WEIR_E_STATE, weir_redis_sendz(w->sub, "PING", on_reply, w), NULL);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 2);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PUBLISH news one", NULL, NULL), NULL);
    turn_until(w, &w->messages, 1);
    assert_string_equal(w->last, "news=one");
    fixture_kill9(fx.redis);
    turn_until(w, &w->aways, 2);
    assert_true(fixture_restart(fx.redis));
    turn_until(w, &w->ups, 4);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PUBLISH other two", NULL, NULL), NULL);
    turn_until(w, &w->messages, 2);
    assert_string_equal(w->last, "other=two");
}

static void subscribing_while_up(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->sub = open_client(w, fx.redis_uri, 0);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 2);
    assert_rc(WEIR_OK, weir_redis_subscribe(w->sub, "late"), NULL);
    int64_t end = weir_mono_ms() + INT64_C(20000) * weir_test_timeout_x();
    while (w->messages == 0 && weir_mono_ms() < end) {
        assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PUBLISH late x", NULL, NULL), NULL);
        weir_loop_turn(w->l, 20);
    }
    assert_string_equal(w->last, "late=x");
}

static void close_self(void *arg, const weir_redis_reply *reply)
{
    world *w = arg;
    w->replies++;
    w->lost += reply == NULL;
    if (w->r) {
        weir_redis *r = w->r;
        w->r = NULL;
        weir_redis_close(r);
    }
}

static void closing_in_a_callback(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    for (int i = 0; i < 4; i++) {
        assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", close_self, w), NULL);
    }
    turn_until(w, &w->replies, 4);
    assert_int_equal(w->lost, 3);
    assert_int_equal(w->aways, 0); /* closing is no outage */
    weir_loop_turn(w->l, 5);
}

static void closing_with_commands_in_flight(void **state)
{
    world *w = *state;
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    for (int i = 0; i < 4; i++) {
        assert_rc(WEIR_OK, weir_redis_sendz(w->r, "PING", on_reply, w), NULL);
    }
    weir_redis_close(w->r);
    w->r = NULL;
    assert_int_equal(w->lost, 4);
}

static void passwords_and_databases(void **state)
{
    world *w = *state;
    char uri[300];
    fixture_need(&fx);
    w->r = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->ups, 1);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "CONFIG SET requirepass pa@ss", on_reply, w), NULL);
    turn_until(w, &w->replies, 1);
    w->sub = open_client(w, fx.redis_uri, 0);
    turn_until(w, &w->aways, 1);
    assert_int_equal(w->why, WEIR_E_DENIED);
    assert_non_null(strstr(w->last, "NOAUTH"));
    assert_non_null(strstr(w->last, "redis://"));
    weir_redis_close(w->sub);
    (void)snprintf(uri, sizeof uri, "unix://:pa%%40ss@%s?db=2", fx.redis_sock);
    w->sub = open_client(w, uri, 0);
    turn_until(w, &w->ups, 2);
    assert_rc(WEIR_OK, weir_redis_sendz(w->sub, "SET in2 yes", NULL, NULL), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->sub, "CLIENT INFO", on_reply, w), NULL);
    turn_until(w, &w->replies, 2);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "EXISTS in2", on_reply, w), NULL);
    assert_rc(WEIR_OK, weir_redis_sendz(w->r, "CONFIG SET requirepass", NULL, NULL), NULL);
    weir_slice off[4] = {
        WEIR_SLICE_LIT("CONFIG"), WEIR_SLICE_LIT("SET"), WEIR_SLICE_LIT("requirepass"), {"", 0}};
    assert_rc(WEIR_OK, weir_redis_send(w->r, 4, off, on_reply, w), NULL);
    turn_until(w, &w->replies, 4);
    assert_string_equal(w->last, "OK");
}

static void nobody_listens(void **state)
{
    world *w = *state;
    char uri[300];
    (void)snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", fixture_free_port());
    w->r = open_client(w, uri, 0);
    turn_until(w, &w->aways, 3);
    assert_int_equal(w->ups, 0);
    assert_int_equal(w->why, WEIR_E_CONN);
    weir_redis_conf conf = {.uri = "nonsense"};
    weir_redis *bad = NULL;
    assert_rc(WEIR_E_INPUT, weir_redis_open(&bad, w->l, &conf, NULL), NULL);
    assert_null(bad);
}

static void blocking_client(void **state)
{
    (void)state;
    weir_redisc *c = NULL;
    weir_error err;
    const weir_redis_reply *reply = NULL;
    fixture_need(&fx);
    assert_rc(WEIR_OK, weir_redisc_open(&c, fx.redis_uri, 5000, &err), &err);
    weir_slice set[3] = {WEIR_SLICE_LIT("SET"), WEIR_SLICE_LIT("b"), {"x\0y", 3}};
    weir_slice get[2] = {WEIR_SLICE_LIT("GET"), WEIR_SLICE_LIT("b")};
    assert_rc(WEIR_OK, weir_redisc_call(c, &reply, 3, set, &err), &err);
    assert_slice("OK", weir_redis_reply_str(reply));
    for (int i = 0; i < 100; i++) {
        assert_rc(WEIR_OK, weir_redisc_append(c, 2, get, &err), &err);
    }
    assert_rc(WEIR_E_INPUT, weir_redisc_call(c, &reply, 2, get, &err), &err);
    for (int i = 0; i < 100; i++) {
        assert_rc(WEIR_OK, weir_redisc_get(c, &reply, &err), &err);
        assert_int_equal(weir_redis_reply_str(reply).n, 3);
    }
    assert_rc(WEIR_E_EOF, weir_redisc_get(c, &reply, &err), &err);
    assert_rc(WEIR_OK, weir_redisc_call(c, &reply, 1, &WEIR_SLICE_LIT("BAD"), &err), &err);
    assert_int_equal(weir_redis_reply_type(reply), WEIR_REDIS_ERROR);
    weir_redisc_close(c);
    assert_rc(WEIR_OK, weir_redisc_open(&c, fx.redis_uri, 200, &err), &err);
    weir_slice block[3] = {WEIR_SLICE_LIT("BLPOP"), WEIR_SLICE_LIT("nothing"), WEIR_SLICE_LIT("0")};
    assert_rc(WEIR_E_TIMEOUT, weir_redisc_call(c, &reply, 3, block, &err), &err);
    weir_redisc_close(c);
    assert_rc(WEIR_E_CONN, weir_redisc_open(&c, "unix:///nonexistent/redis.sock", 200, &err), &err);
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replies_come_in_order, up, down),
        cmocka_unit_test_setup_teardown(every_type_of_reply, up, down),
        cmocka_unit_test_setup_teardown(binary_and_large_values, up, down),
        cmocka_unit_test_setup_teardown(pending_is_bounded, up, down),
        cmocka_unit_test_setup_teardown(an_outage_answers_everything_and_heals, up, down),
        cmocka_unit_test_setup_teardown(a_stuck_server_is_dropped, up, down),
        cmocka_unit_test_setup_teardown(subscriptions_survive_an_outage, up, down),
        cmocka_unit_test_setup_teardown(subscribing_while_up, up, down),
        cmocka_unit_test_setup_teardown(closing_in_a_callback, up, down),
        cmocka_unit_test_setup_teardown(closing_with_commands_in_flight, up, down),
        cmocka_unit_test_setup_teardown(passwords_and_databases, up, down),
        cmocka_unit_test_setup_teardown(nobody_listens, up, down),
        cmocka_unit_test(blocking_client),
    };
    return cmocka_run_group_tests_name("redis", tests, open_all, close_all);
}
