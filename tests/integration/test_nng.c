/* test_nng.c - request/reply over NNG: many contexts, late replies, reconnects, closing at any
 * time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/io/nng.h"
#include "tests/support/check.h"

enum { ROUNDS_MS = 5000 };

typedef struct world {
    weir_loop *l;
    weir_nng_server *server;
    weir_nng_client *client;
    char dir[64];
    char url[100];
    weir_nng_req *parked[256];
    size_t nparked;
    bool park;
    size_t served;
    size_t answered;
    weir_rc last_rc;
    char last[100];
    size_t last_n;
    size_t again;
} world;

static void on_request(void *arg, weir_nng_req *req, weir_slice body)
{
    world *w = arg;
    w->served++;
    if (w->park && w->nparked < 256) {
        w->parked[w->nparked++] = req;
        return;
    }
    weir_nng_reply(req, body);
}

static void serve(world *w, unsigned contexts, size_t max_bytes)
{
    weir_error err;
    assert_rc(WEIR_OK,
              weir_nng_serve(&w->server, w->l, w->url, contexts, max_bytes, on_request, w, &err),
              &err);
}

static void dial(world *w)
{
    weir_error err;
    assert_rc(WEIR_OK, weir_nng_client_open(&w->client, w->l, w->url, 1 << 20, &err), &err);
}

static int up(void **state)
{
    world *w = calloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/weir-nng-XXXXXX");
    if (!mkdtemp(w->dir) || weir_loop_new(&w->l, NULL) != WEIR_OK) {
        return -1;
    }
    (void)snprintf(w->url, sizeof w->url, "ipc://%s/s", w->dir);
    *state = w;
    return 0;
}

static int down(void **state)
{
    world *w = *state;
    weir_nng_client_close(w->client);
    weir_nng_server_close(w->server);
    weir_loop_free(w->l);
    (void)unlink(w->url + strlen("ipc://"));
    (void)rmdir(w->dir);
    free(w);
    return 0;
}

static void on_reply(void *arg, weir_rc rc, weir_slice reply)
{
    world *w = arg;
    w->answered++;
    w->last_rc = rc;
    w->last_n = reply.n;
    (void)snprintf(w->last, sizeof w->last, WEIR_SLICE_FMT, reply.n < 90 ? (int)reply.n : 90,
                   reply.p ? reply.p : "");
}

static void turn_until(world *w, const size_t *counter, size_t want)
{
    int64_t end = weir_mono_ms() + INT64_C(20000) * weir_test_timeout_x();
    while (*counter < want && weir_mono_ms() < end) {
        weir_loop_turn(w->l, 20);
    }
    assert_int_equal(*counter, want);
}

static void ask(world *w, weir_slice text, int64_t timeout_ms)
{
    assert_rc(WEIR_OK, weir_nng_request(w->client, text, timeout_ms, on_reply, w), NULL);
}

static void many_in_flight(void **state)
{
    world *w = *state;
    serve(w, 16, 1 << 20);
    dial(w);
    size_t sent = 0;
    while (sent < 2000) {
        weir_rc rc = weir_nng_request(w->client, WEIR_SLICE_LIT("hello"), 20000, on_reply, w);
        if (rc == WEIR_OK) {
            sent++;
        } else {
            assert_rc(WEIR_E_LIMIT, rc, NULL);
            weir_loop_turn(w->l, 100);
        }
        assert_true(sent - w->answered <= 64);
    }
    turn_until(w, &w->answered, sent);
    assert_int_equal(w->served, sent);
    assert_string_equal(w->last, "hello");
}

static void replies_may_come_late_and_in_any_order(void **state)
{
    world *w = *state;
    w->park = true;
    serve(w, 32, 1 << 20);
    dial(w);
    for (int i = 0; i < 20; i++) {
        ask(w, WEIR_SLICE_LIT("wait"), 20000);
    }
    turn_until(w, &w->nparked, 20);
    assert_int_equal(w->answered, 0);
    for (size_t i = 20; i > 0; i--) {
        weir_nng_reply(w->parked[i - 1], WEIR_SLICE_LIT("done"));
    }
    turn_until(w, &w->answered, 20);
    assert_string_equal(w->last, "done");
}

static void contexts_bound_what_is_unanswered(void **state)
{
    world *w = *state;
    w->park = true;
    serve(w, 3, 1 << 20);
    dial(w);
    for (int i = 0; i < 5; i++) {
        ask(w, WEIR_SLICE_LIT("wait"), 20000);
    }
    turn_until(w, &w->nparked, 3);
    for (int i = 0; i < 5; i++) {
        weir_loop_turn(w->l, 10);
    }
    assert_int_equal(w->nparked, 3);
    for (size_t i = 0; i < 3; i++) {
        weir_nng_reply(w->parked[i], WEIR_SLICE_LIT("a"));
    }
    turn_until(w, &w->nparked, 5);
    weir_nng_reply(w->parked[3], WEIR_SLICE_LIT("b"));
    weir_nng_reply(w->parked[4], WEIR_SLICE_LIT("b"));
    turn_until(w, &w->answered, 5);
}

static void empty_and_large_messages(void **state)
{
    world *w = *state;
    serve(w, 2, 4 << 20);
    assert_rc(WEIR_OK, weir_nng_client_open(&w->client, w->l, w->url, 4 << 20, NULL), NULL);
    ask(w, (weir_slice){NULL, 0}, 20000);
    turn_until(w, &w->answered, 1);
    assert_int_equal(w->last_n, 0);
    size_t n = 3 << 20;
    char *big = calloc(1, n);
    ask(w, (weir_slice){big, n}, 20000);
    free(big); /* the request was copied */
    turn_until(w, &w->answered, 2);
    assert_int_equal(w->last_rc, WEIR_OK);
    assert_int_equal(w->last_n, n);
}

static void too_large_a_request_is_not_served(void **state)
{
    world *w = *state;
    serve(w, 2, 1000);
    dial(w);
    static char big[5000];
    ask(w, (weir_slice){big, sizeof big}, 300);
    turn_until(w, &w->answered, 1);
    assert_int_not_equal(w->last_rc, WEIR_OK);
    assert_int_equal(w->served, 0);
}

static void nobody_there_and_no_answer_are_told_apart(void **state)
{
    world *w = *state;
    dial(w);
    ask(w, WEIR_SLICE_LIT("x"), 30);
    turn_until(w, &w->answered, 1);
    assert_int_equal(w->last_rc, WEIR_E_CONN);
    w->park = true;
    serve(w, 2, 1000);
    ask(w, WEIR_SLICE_LIT("first"), 20000);
    turn_until(w, &w->nparked, 1);
    ask(w, WEIR_SLICE_LIT("second"), 30);
    turn_until(w, &w->answered, 2);
    assert_int_equal(w->last_rc, WEIR_E_TIMEOUT);
}

static void a_request_survives_a_server_restart(void **state)
{
    world *w = *state;
    w->park = true;
    serve(w, 4, 1 << 20);
    dial(w);
    ask(w, WEIR_SLICE_LIT("again"), 20000);
    turn_until(w, &w->nparked, 1);
    weir_nng_server_close(w->server); /* the parked request is dropped with it */
    w->park = false;
    serve(w, 4, 1 << 20);
    turn_until(w, &w->answered, 1);
    assert_int_equal(w->last_rc, WEIR_OK);
    assert_string_equal(w->last, "again");
}

static void ask_from_reply(void *arg, weir_rc rc, weir_slice reply)
{
    world *w = arg;
    on_reply(arg, rc, reply);
    if (++w->again < 50) {
        assert_rc(WEIR_OK,
                  weir_nng_request(w->client, WEIR_SLICE_LIT("n"), 20000, ask_from_reply, w), NULL);
    } else {
        weir_nng_client_close(w->client);
        w->client = NULL;
    }
}

static void a_callback_may_ask_and_close(void **state)
{
    world *w = *state;
    serve(w, 4, 1 << 20);
    dial(w);
    assert_rc(WEIR_OK, weir_nng_request(w->client, WEIR_SLICE_LIT("n"), 20000, ask_from_reply, w),
              NULL);
    turn_until(w, &w->again, 50);
    weir_loop_turn(w->l, 10);
}

static void closing_at_any_time_leaks_nothing(void **state)
{
    world *w = *state;
    uint64_t seed = weir_test_seed();
    /* Once the library's reaper hangs (nng_close.c), every further close takes a second. */
    int64_t until_ms = weir_mono_ms() + ROUNDS_MS;
    for (int round = 0; round < 30 && weir_mono_ms() < until_ms; round++) {
        w->park = round % 3 == 0;
        w->nparked = 0;
        serve(w, 8, 1 << 20);
        dial(w);
        for (int i = 0; i < 30; i++) {
            ask(w, WEIR_SLICE_LIT("payload"), 5000);
        }
        for (uint64_t i = weir_test_random(&seed) % 6; i > 0; i--) {
            weir_loop_turn(w->l, 2);
        }
        if (round % 2) {
            weir_nng_client_close(w->client);
            weir_nng_server_close(w->server);
        } else {
            weir_nng_server_close(w->server);
            weir_nng_client_close(w->client);
        }
        size_t before = w->answered;
        w->client = NULL;
        w->server = NULL;
        weir_loop_turn(w->l, 2);
        assert_int_equal(w->answered, before); /* nothing is delivered after close */
    }
}

typedef struct caller {
    world *w;
    weir_rc rc;
    char reply[32];
    weir_error err;
} caller;

static void call_once(void *arg)
{
    caller *k = arg;
    weir_buf b;
    weir_buf_init(&b, 1000);
    k->rc = weir_nng_call(k->w->url, WEIR_SLICE_LIT("tool"), 20000, &b, &k->err);
    (void)snprintf(k->reply, sizeof k->reply, "%.*s", (int)b.n, b.p ? b.p : "");
    weir_buf_fini(&b);
}

static void blocking_call(void **state)
{
    world *w = *state;
    caller k = {.w = w};
    weir_buf b;
    weir_buf_init(&b, 1000);
    assert_rc(WEIR_E_CONN, weir_nng_call(w->url, WEIR_SLICE_LIT("x"), 2000, &b, &k.err), &k.err);
    assert_rc(WEIR_E_INPUT, weir_nng_call("nonsense://x", WEIR_SLICE_LIT("x"), 2000, &b, &k.err),
              &k.err);
    weir_buf_fini(&b);
    serve(w, 2, 1000);
    weir_thread *t = NULL;
    assert_rc(WEIR_OK, weir_thread_start(&t, "caller", call_once, &k, NULL), NULL);
    turn_until(w, &w->served, 1);
    weir_thread_join(t);
    assert_rc(WEIR_OK, k.rc, &k.err);
    assert_string_equal(k.reply, "tool");
}

static void address_in_use(void **state)
{
    world *w = *state;
    weir_nng_server *second = NULL;
    weir_error err;
    serve(w, 2, 1000);
    assert_rc(WEIR_E_CONFLICT, weir_nng_serve(&second, w->l, w->url, 2, 1000, on_request, w, &err),
              &err);
    assert_null(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_in_flight, up, down),
        cmocka_unit_test_setup_teardown(replies_may_come_late_and_in_any_order, up, down),
        cmocka_unit_test_setup_teardown(contexts_bound_what_is_unanswered, up, down),
        cmocka_unit_test_setup_teardown(empty_and_large_messages, up, down),
        cmocka_unit_test_setup_teardown(too_large_a_request_is_not_served, up, down),
        cmocka_unit_test_setup_teardown(nobody_there_and_no_answer_are_told_apart, up, down),
        cmocka_unit_test_setup_teardown(a_request_survives_a_server_restart, up, down),
        cmocka_unit_test_setup_teardown(a_callback_may_ask_and_close, up, down),
        cmocka_unit_test_setup_teardown(closing_at_any_time_leaks_nothing, up, down),
        cmocka_unit_test_setup_teardown(blocking_call, up, down),
        cmocka_unit_test_setup_teardown(address_in_use, up, down),
    };
    return cmocka_run_group_tests_name("nng", tests, NULL, NULL);
}
