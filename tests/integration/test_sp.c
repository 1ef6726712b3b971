/* test_sp.c - request/reply with ours at both ends: many in flight, late replies, reconnects, peers
 * that stop without a word, closing at any time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/sp.h"
#include "libweir/base/thread.h"
#include "libweir/io/listen.h"
#include "libweir/io/sp.h"
#include "libweir/io/sp_client.h"
#include "libweir/io/sp_dial.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

enum { DEAF_MS = 5000 };

typedef struct world {
    weir_loop *l;
    weir_sp_server *server;
    weir_sp_client *client;
    char dir[64];
    char url[100];
    weir_sp_req *parked[256];
    size_t nparked;
    bool park;
    size_t served;
    size_t answered;
    weir_rc last_rc;
    char last[100];
    size_t last_n;
    size_t again;
} world;

static void on_request(void *arg, weir_sp_req *req, weir_slice body)
{
    world *w = arg;
    w->served++;
    if (w->park && w->nparked < 256) {
        w->parked[w->nparked++] = req;
        return;
    }
    weir_sp_reply(req, body);
}

static weir_rc open_server(world *w, weir_sp_server **out, unsigned unanswered, size_t max_bytes,
                           weir_error *err)
{
    const weir_sp_conf conf = {.url = w->url,
                               .connections_max = 100,
                               .unanswered_max = unanswered,
                               .message_max_bytes = max_bytes,
                               .fn = on_request,
                               .arg = w};
    return weir_sp_serve(out, w->l, &conf, err);
}

static void serve(world *w, unsigned unanswered, size_t max_bytes)
{
    weir_error err;
    assert_rc(WEIR_OK, open_server(w, &w->server, unanswered, max_bytes, &err), &err);
}

static void dial(world *w)
{
    weir_error err;
    assert_rc(WEIR_OK, weir_sp_client_open(&w->client, w->l, w->url, 1 << 20, &err), &err);
}

static int up(void **state)
{
    world *w = calloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/weir-sp-XXXXXX");
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
    weir_sp_client_close(w->client);
    weir_sp_server_close(w->server);
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
    assert_rc(WEIR_OK, weir_sp_request(w->client, text, timeout_ms, on_reply, w), NULL);
}

static void many_in_flight(void **state)
{
    world *w = *state;
    serve(w, 16, 1 << 20);
    dial(w);
    size_t sent = 0;
    while (sent < 2000) {
        weir_rc rc = weir_sp_request(w->client, WEIR_SLICE_LIT("hello"), 20000, on_reply, w);
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
        weir_sp_reply(w->parked[i - 1], WEIR_SLICE_LIT("done"));
    }
    turn_until(w, &w->answered, 20);
    assert_string_equal(w->last, "done");
}

static void unanswered_requests_are_bounded(void **state)
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
        weir_sp_reply(w->parked[i], WEIR_SLICE_LIT("a"));
    }
    turn_until(w, &w->nparked, 5);
    weir_sp_reply(w->parked[3], WEIR_SLICE_LIT("b"));
    weir_sp_reply(w->parked[4], WEIR_SLICE_LIT("b"));
    turn_until(w, &w->answered, 5);
}

static void empty_and_large_messages(void **state)
{
    world *w = *state;
    serve(w, 2, 4 << 20);
    assert_rc(WEIR_OK, weir_sp_client_open(&w->client, w->l, w->url, 4 << 20, NULL), NULL);
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
    weir_sp_server_close(w->server); /* the parked request is dropped with it */
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
                  weir_sp_request(w->client, WEIR_SLICE_LIT("n"), 20000, ask_from_reply, w), NULL);
    } else {
        weir_sp_client_close(w->client);
        w->client = NULL;
    }
}

static void a_callback_may_ask_and_close(void **state)
{
    world *w = *state;
    serve(w, 4, 1 << 20);
    dial(w);
    assert_rc(WEIR_OK, weir_sp_request(w->client, WEIR_SLICE_LIT("n"), 20000, ask_from_reply, w),
              NULL);
    turn_until(w, &w->again, 50);
    weir_loop_turn(w->l, 10);
}

static void closing_at_any_time_leaks_nothing(void **state)
{
    world *w = *state;
    uint64_t seed = weir_test_seed();
    for (int round = 0; round < 30; round++) {
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
            weir_sp_client_close(w->client);
            weir_sp_server_close(w->server);
        } else {
            weir_sp_server_close(w->server);
            weir_sp_client_close(w->client);
        }
        size_t before = w->answered;
        w->client = NULL;
        w->server = NULL;
        weir_loop_turn(w->l, 2);
        assert_int_equal(w->answered, before); /* nothing is delivered after close */
    }
}

/* --- peers that say nothing --- */

static bool has_nothing_to_say(void *arg)
{
    world *w = arg;
    weir_loop_turn(w->l, 20);
    return weir_sp_client_down(w->client) != NULL;
}

/* A peer that takes connections and requests and never says a word: its kernel does, as of a
 * process that is stopped, or of a machine that is gone. */
static void a_deaf_peer_is_left(void **state)
{
    world *w = *state;
    weir_sp_url url;
    int deaf = -1;
    assert_rc(WEIR_OK, weir_sp_url_read(&url, w->url, NULL), NULL);
    serve(w, 4, 1 << 20);
    dial(w);
    ask(w, WEIR_SLICE_LIT("one"), 20000);
    turn_until(w, &w->answered, 1);
    assert_true(weir_sp_client_met(w->client) && !weir_sp_client_down(w->client));
    w->park = true;
    ask(w, WEIR_SLICE_LIT("two"), DEAF_MS + 500);
    turn_until(w, &w->answered, 2);
    assert_int_equal(w->last_rc, WEIR_E_TIMEOUT);
    assert_string_equal(weir_sp_client_down(w->client), "no answer in time");
    weir_sp_server_close(w->server); /* the next one takes its connection and does not greet */
    w->server = NULL;
    assert_rc(WEIR_OK, weir_listen_unix(url.path, &deaf, NULL), NULL);
    ask(w, WEIR_SLICE_LIT("three"), 300);
    turn_until(w, &w->answered, 3);
    assert_int_equal(w->last_rc, WEIR_E_CONN);
    (void)close(deaf);
    (void)unlink(url.path);
    assert_true(
        weir_wait_until(has_nothing_to_say, w, 5000, "the client to count its peer as down"));
    w->park = false;
    serve(w, 4, 1 << 20);
    ask(w, WEIR_SLICE_LIT("four"), 20000);
    turn_until(w, &w->answered, 4);
    assert_int_equal(w->last_rc, WEIR_OK);
    assert_string_equal(w->last, "four");
}

/* Whoever listens here is no REP socket, or says too much, or ends within a message. */
static void a_peer_that_speaks_otherwise_is_left(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } says[] = {{"HTTP/1.1 400 Bad Request\r\n", 26},
                {"\0SP\0\0\x30\0\0", 8},
                {"\0SP\0\0\x31\0\0\1\0\0\0\0\0\0\0\2ab", 19},
                {"\0SP\0\0\x31\0\0\1\0\0\0\0\0\0\0\4\0\0\0\1", 21},
                {"\0SP\0\0\x31\0\0\1\x7f\0\0\0\0\0\0\4abcd", 21},
                {"\0SP\0\0\x31\0\0\2", 9},
                {"\0SP\0\0\x31\0\0\1\0\0\0\0\0\0\0\x40\x80\0\0\1half", 25}};
    world *w = *state;
    weir_sp_url url;
    assert_rc(WEIR_OK, weir_sp_url_read(&url, w->url, NULL), NULL);
    dial(w);
    ask(w, WEIR_SLICE_LIT("patience"), 20000);
    for (size_t i = 0; i < sizeof says / sizeof says[0]; i++) {
        int fd = -1, listening = -1;
        assert_rc(WEIR_OK, weir_listen_unix(url.path, &listening, NULL), NULL);
        int64_t end_ms = weir_mono_ms() + INT64_C(20000) * weir_test_timeout_x();
        while ((fd = accept(listening, NULL, NULL)) < 0 && weir_mono_ms() < end_ms) {
            weir_loop_turn(w->l, 10);
        }
        assert_true(fd >= 0);
        assert_int_equal(send(fd, says[i].p, says[i].n, MSG_NOSIGNAL), says[i].n);
        (void)shutdown(fd, SHUT_WR);
        assert_true(
            weir_wait_until(has_nothing_to_say, w, 5000, "the client to count its peer as down"));
        (void)close(fd);
        (void)close(listening);
        (void)unlink(url.path);
    }
    serve(w, 4, 1 << 20);
    turn_until(w, &w->answered, 1);
    assert_int_equal(w->last_rc, WEIR_OK);
    assert_string_equal(w->last, "patience");
}

/* --- one that is always a little behind --- */

static int64_t resident_kib(void)
{
    char line[200];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        (void)sscanf(line, "VmRSS: %lld", &kib); /* NOLINT(cert-err34-c) */
    }
    (void)fclose(f);
    return kib;
}

static void say(int fd, weir_slice bytes)
{
    assert_int_equal(send(fd, bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
}

/* A client that has always 3 MiB of answers to take: what it took must not pile up. */
static void what_was_sent_is_forgotten(void **state)
{
    enum { BODY = 60 * 1024, BEHIND = 50, ANSWERS = 4000, ENOUGH_KIB = 64 * 1024 };
    static char request[9 + 4 + BODY], answer[9 + 4 + BODY];
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    world *w = *state;
    weir_sp_url url;
    weir_sp_dial dialing = {.all = NULL};
    assert_rc(WEIR_OK, weir_sp_url_read(&url, w->url, NULL), NULL);
    serve(w, 2 * BEHIND, 1 << 20);
    weir_sp_dial_begin(&dialing, &url);
    int fd = weir_sp_dial_next(&dialing);
    assert_true(fd >= 0);
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    say(fd, weir_slice_of((const char *)greeting, sizeof greeting));
    (void)weir_sp_head((unsigned char *)request, true, 4 + BODY);
    request[9] = (char)0x80;
    for (size_t i = 0; i < BEHIND; i++) {
        say(fd, weir_slice_of(request, sizeof request));
        turn_until(w, &w->served, i + 1);
    }
    assert_int_equal(recv(fd, greeting, sizeof greeting, 0), sizeof greeting);
    int64_t before_kib = resident_kib();
    for (size_t i = BEHIND; i < ANSWERS; i++) {
        size_t got = 0;
        while (got < sizeof answer) {
            ssize_t n = recv(fd, answer + got, sizeof answer - got, 0);
            got += n > 0 ? (size_t)n : 0;
            weir_loop_turn(w->l, 0);
        }
        assert_memory_equal(answer, request, 13);
        say(fd, weir_slice_of(request, sizeof request));
        turn_until(w, &w->served, i + 1);
    }
    assert_true(resident_kib() - before_kib < ENOUGH_KIB || weir_test_sanitized());
    (void)close(fd);
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
    k->rc = weir_sp_call(k->w->url, WEIR_SLICE_LIT("tool"), 20000, &b, &k->err);
    (void)snprintf(k->reply, sizeof k->reply, "%.*s", (int)b.n, b.p ? b.p : "");
    weir_buf_fini(&b);
}

static void blocking_call(void **state)
{
    world *w = *state;
    caller k = {.w = w};
    weir_buf b;
    weir_buf_init(&b, 1000);
    assert_rc(WEIR_E_CONN, weir_sp_call(w->url, WEIR_SLICE_LIT("x"), 2000, &b, &k.err), &k.err);
    assert_rc(WEIR_E_INPUT, weir_sp_call("nonsense://x", WEIR_SLICE_LIT("x"), 2000, &b, &k.err),
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
    weir_sp_server *second = NULL;
    weir_error err;
    serve(w, 2, 1000);
    assert_rc(WEIR_E_CONFLICT, open_server(w, &second, 2, 1000, &err), &err);
    assert_null(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_in_flight, up, down),
        cmocka_unit_test_setup_teardown(replies_may_come_late_and_in_any_order, up, down),
        cmocka_unit_test_setup_teardown(unanswered_requests_are_bounded, up, down),
        cmocka_unit_test_setup_teardown(empty_and_large_messages, up, down),
        cmocka_unit_test_setup_teardown(too_large_a_request_is_not_served, up, down),
        cmocka_unit_test_setup_teardown(nobody_there_and_no_answer_are_told_apart, up, down),
        cmocka_unit_test_setup_teardown(a_request_survives_a_server_restart, up, down),
        cmocka_unit_test_setup_teardown(a_callback_may_ask_and_close, up, down),
        cmocka_unit_test_setup_teardown(closing_at_any_time_leaks_nothing, up, down),
        cmocka_unit_test_setup_teardown(a_deaf_peer_is_left, up, down),
        cmocka_unit_test_setup_teardown(a_peer_that_speaks_otherwise_is_left, up, down),
        cmocka_unit_test_setup_teardown(what_was_sent_is_forgotten, up, down),
        cmocka_unit_test_setup_teardown(blocking_call, up, down),
        cmocka_unit_test_setup_teardown(address_in_use, up, down),
    };
    return cmocka_run_group_tests_name("sp", tests, NULL, NULL);
}
