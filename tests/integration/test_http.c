/* test_http.c - the HTTP server against raw sockets: pipelining, limits, late replies, clients that
 * go away. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/io/curl.h"
#include "libweir/io/health.h"
#include "libweir/io/http.h"
#include "tests/support/check.h"

enum { BODY_MAX = 1000, CLIENTS_MAX = 40, TEXT_MAX = 1 << 20 };

typedef struct world {
    weir_loop *l;
    weir_http *h;
    weir_health *health;
    weir_metrics *ms;
    bool short_waits;
    weir_http_req *late[64];
    size_t nlate, gone;
    int fds[CLIENTS_MAX];
    int nfds;
    char *text; /* what the last client got */
    size_t n;
    bool eof;
} world;

static void on_gone(void *arg)
{
    ((world *)arg)->gone++;
}

static void answer_segments(weir_http_req *req)
{
    weir_slice seg[4];
    size_t n = 0;
    char text[400];
    if (!weir_http_segments(req, seg, 4, &n)) {
        weir_http_problem(req, 400, NULL, "malformed path", NULL);
        return;
    }
    int k = snprintf(text, sizeof text, "%zu", n);
    for (size_t i = 0; i < n; i++) {
        k +=
            snprintf(text + k, sizeof text - (size_t)k, "|" WEIR_SLICE_FMT, WEIR_SLICE_ARG(seg[i]));
    }
    weir_http_reply(req, 200, "text/plain", weir_slice_z(text));
}

static void handle(void *arg, weir_http_req *req)
{
    world *w = arg;
    const char *path = weir_http_path(req);
    if (weir_health_handle(w->health, req)) {
        return;
    }
    if (strcmp(path, "/late") == 0) {
        if (!w->short_waits) {
            weir_http_on_gone(req, on_gone, w);
        }
        w->late[w->nlate++] = req;
    } else if (strcmp(path, "/echo") == 0) {
        weir_http_set_header(req, "X-Method", weir_http_method(req));
        weir_http_reply(req, 200, "text/plain", weir_http_body(req));
    } else if (strcmp(path, "/query") == 0) {
        const char *a = weir_http_query(req, "a");
        weir_http_set_header(req, "X-Bad", "one\r\nX-Injected: yes");
        weir_http_reply(req, 200, "text/plain", weir_slice_z(a ? a : "(absent)"));
    } else if (strcmp(path, "/header") == 0) {
        const char *v = weir_http_header(req, "X-Thing");
        weir_http_reply(req, 200, "text/plain", weir_slice_z(v ? v : "(absent)"));
    } else if (strcmp(path, "/none") == 0) {
        weir_http_reply(req, 304, NULL, (weir_slice){NULL, 0});
    } else if (path[0] == '/' && path[1] == 's') {
        answer_segments(req);
    } else {
        weir_http_problem(req, 404, "urn:weir:test", "no \"such\" thing", "\"extra\":[1,2]");
    }
}

static int start(void **state, bool short_waits)
{
    world *w = calloc(1, sizeof *w);
    w->short_waits = short_waits;
    w->text = calloc(1, TEXT_MAX + 1);
    *state = w;
    if (weir_loop_new(&w->l, NULL) != WEIR_OK) {
        return -1;
    }
    w->ms = weir_metrics_new();
    w->health = weir_health_new(w->ms);
    weir_http_conf conf = {.listen = "127.0.0.1",
                           .body_max_bytes = BODY_MAX,
                           .idle_timeout_s = 1,
                           .connections_max = 30,
                           .short_waits = short_waits,
                           .handler = handle,
                           .arg = w};
    return weir_http_open(&w->h, w->l, &conf, NULL) == WEIR_OK ? 0 : -1;
}

static int up(void **state)
{
    return start(state, false);
}

static int up_short(void **state)
{
    return start(state, true);
}

static int down(void **state)
{
    world *w = *state;
    weir_http_close(w->h);
    weir_health_free(w->health);
    weir_metrics_free(w->ms);
    weir_loop_free(w->l);
    for (int i = 0; i < w->nfds; i++) {
        if (w->fds[i] >= 0) {
            (void)close(w->fds[i]);
        }
    }
    free(w->text);
    free(w);
    return 0;
}

/* --- a client: everything it does turns the server's loop in between
 * ------------------------------------------------ */

static int dial(world *w)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)weir_http_port(w->h))};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && w->nfds < CLIENTS_MAX);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    w->fds[w->nfds++] = fd;
    return fd;
}

static void hang_up(world *w, int fd)
{
    for (int i = 0; i < w->nfds; i++) {
        if (w->fds[i] == fd) {
            w->fds[i] = -1;
        }
    }
    (void)close(fd);
}

static bool say_n(world *w, int fd, const char *p, size_t n)
{
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    while (n > 0 && weir_mono_ms() < end) {
        ssize_t k = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (errno != EAGAIN) {
            return false; /* the server closed */
        }
        weir_loop_turn(w->l, 1);
    }
    return n == 0;
}

static void say(world *w, int fd, const char *text)
{
    assert_true(say_n(w, fd, text, strlen(text)));
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what)) {
        n++;
    }
    return n;
}

/* Reads until `what` was seen `times` times (or the server closed). What was read before is
 * dropped. */
static void hear(world *w, int fd, const char *what, size_t times)
{
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    w->n = 0;
    w->text[0] = '\0';
    w->eof = false;
    while (occurrences(w->text, what) < times && !w->eof && weir_mono_ms() < end) {
        weir_loop_turn(w->l, 2);
        ssize_t k = recv(fd, w->text + w->n, TEXT_MAX - w->n, MSG_DONTWAIT);
        if (k > 0) {
            w->n += (size_t)k;
            w->text[w->n] = '\0';
        } else if (k == 0 || errno != EAGAIN) {
            w->eof = true;
        }
    }
}

static void hear_eof(world *w, int fd)
{
    hear(w, fd, "\x01never", 1);
    assert_true(w->eof);
}

static void ask(world *w, int fd, const char *request, const char *expect)
{
    say(w, fd, request);
    hear(w, fd, expect, 1);
    assert_has(w->text, expect);
}

/* --- tests
 * ----------------------------------------------------------------------------------------------------------
 */

static void keep_alive_and_methods(void **state)
{
    world *w = *state;
    int fd = dial(w);
    ask(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "\r\n\r\nhello");
    assert_has(w->text, "HTTP/1.1 200 ");
    assert_has(w->text, "X-Method: POST");
    ask(w, fd, "BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n", "X-Method: BREW");
    ask(w, fd, "OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n", "X-Method: OPTIONS");
    ask(w, fd, "HEAD /query?a=12345 HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
    assert_has(w->text, "Content-Length: 5");
    assert_null(strstr(w->text, "12345"));
    ask(w, fd, "GET /none HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
    assert_has(w->text, "HTTP/1.1 304 ");
    ask(w, fd, "GET /query?a=z HTTP/1.0\r\n\r\n", "\r\n\r\nz");
    hear_eof(w, fd); /* HTTP/1.0 without keep-alive */
}

static void arguments_and_headers(void **state)
{
    world *w = *state;
    int fd = dial(w);
    ask(w, fd, "GET /query?b=1&a=x%20y%2Fz&c HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nx y/z");
    assert_null(strstr(w->text, "X-Injected"));
    ask(w, fd, "GET /query?a HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 0");
    ask(w, fd, "GET /query HTTP/1.1\r\nHost: x\r\n\r\n", "(absent)");
    ask(w, fd, "GET /header HTTP/1.1\r\nHost: x\r\nx-thing: v 1\r\n\r\n", "\r\n\r\nv 1");
}

static void segments(void **state)
{
    world *w = *state;
    int fd = dial(w);
    ask(w, fd, "GET /s/a%2Fb/c?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n3|s|a/b|c");
    ask(w, fd, "GET /s/ HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n2|s|");
    ask(w, fd, "GET /s/1/2/3 HTTP/1.1\r\nHost: x\r\n\r\n", "4|s|1|2|3");
    ask(w, fd, "GET /s/1/2/3/4 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
    ask(w, fd, "GET /s/%00 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
    ask(w, fd, "GET /s/%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
    ask(w, fd, "GET /s/%4 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400");
}

static void problem_documents(void **state)
{
    world *w = *state;
    int fd = dial(w);
    ask(w, fd, "GET /x%22y HTTP/1.1\r\nHost: x\r\n\r\n", "}\n");
    assert_has(w->text, "HTTP/1.1 404 ");
    assert_has(w->text, "Content-Type: application/problem+json");
    assert_has(w->text, "{\"type\":\"urn:weir:test\",\"title\":\"Not "
                        "Found\",\"status\":404,\"detail\":\"no \\\"such\\\" "
                        "thing\",\"instance\":\"/x%22y\",\"extra\":[1,2]}");
}

static void pipelined_requests(void **state)
{
    world *w = *state;
    int fd = dial(w);
    char all[20 * 64] = "";
    size_t n = 0;
    for (int i = 0; i < 20; i++) {
        n += (size_t)snprintf(all + n, sizeof all - n,
                              "GET /query?a=no%02d. HTTP/1.1\r\nHost: x\r\n\r\n", i);
    }
    say(w, fd, all);
    hear(w, fd, "no19.", 1);
    const char *at = w->text;
    for (int i = 0; i < 20; i++) {
        char want[32];
        (void)snprintf(want, sizeof want, "no%02d.", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
}

static void a_body_in_pieces(void **state)
{
    world *w = *state;
    int fd = dial(w);
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-");
    say(w, fd, "Length: 9\r\n\r\nabc");
    say(w, fd, "def");
    say(w, fd, "ghi");
    hear(w, fd, "abcdefghi", 1);
    assert_has(w->text, "abcdefghi");
    say(w, fd,
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nxyz\r\n4\r\n1234\r\n");
    say(w, fd, "0\r\n\r\n");
    hear(w, fd, "xyz1234", 1);
    assert_has(w->text, "xyz1234");
    /* Extensions of chunks: libmicrohttpd 0.9 skips them, 1.0 refuses them. Both keep the frame. */
    say(w, fd,
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
        "chunked\r\n\r\n4;q=1\r\n5678\r\n0\r\n\r\n");
    hear(w, fd, "\r\n\r\n5678", 1);
    assert_true(strstr(w->text, "\r\n\r\n5678") || strstr(w->text, "HTTP/1.1 400 "));
}

static void bodies_over_the_limit(void **state)
{
    world *w = *state;
    static char body[200001];
    memset(body, 'b', sizeof body - 1);
    int fd = dial(w);
    /* announced: read to the end, answered, the connection lives */
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    say(w, fd, body);
    hear(w, fd, "}\n", 1);
    assert_has(w->text, "HTTP/1.1 413 ");
    assert_has(w->text, "larger than 1000 bytes");
    ask(w, fd, "GET /query?a=alive HTTP/1.1\r\nHost: x\r\n\r\n", "alive");
    /* chunked */
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n");
    say(w, fd, body);
    say(w, fd, "\r\n0\r\n\r\n");
    hear(w, fd, "}\n", 1);
    assert_has(w->text, "HTTP/1.1 413 ");
    /* asking first: refused before the body */
    say(w, fd,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n");
    hear_eof(w, fd);
    assert_has(w->text, "HTTP/1.1 413 ");
    assert_null(strstr(w->text, "100 Continue"));
    /* asking first with a body that fits */
    fd = dial(w);
    say(w, fd,
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    hear(w, fd, "100 Continue", 1);
    assert_has(w->text, "100 Continue");
    ask(w, fd, "abc", "\r\n\r\nabc");
    /* exactly the limit */
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    assert_true(say_n(w, fd, body, 1000));
    hear(w, fd, "bbbb\0", 1);
    assert_has(w->text, "HTTP/1.1 200 ");
    /* absurd: refused at once */
    fd = dial(w);
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    hear_eof(w, fd);
    assert_has(w->text, "HTTP/1.1 413 ");
}

static void an_endless_body_is_cut(void **state)
{
    world *w = *state;
    static char piece[65536 + 1];
    memset(piece, 'p', sizeof piece - 1);
    int fd = dial(w);
    say(w, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    bool open = true;
    for (int i = 0; i < 1000 && open; i++) {
        open =
            say_n(w, fd, "10000\r\n", 7) && say_n(w, fd, piece, 65536) && say_n(w, fd, "\r\n", 2);
    }
    assert_false(open);
}

static void a_header_bomb(void **state)
{
    world *w = *state;
    static char line[4096 + 8];
    memset(line, 'h', sizeof line - 1);
    memcpy(line, "X-A: ", 5);
    memcpy(line + 4096, "\r\n", 3);
    int fd = dial(w);
    say(w, fd, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    bool open = true;
    for (int i = 0; i < 100 && open; i++) {
        open = say_n(w, fd, line, 4098);
    }
    hear_eof(w, fd);
    if (w->n > 0) { /* the reset may overtake the answer */
        assert_has(w->text, "HTTP/1.1 4");
    }
    fd = dial(w);
    (void)say_n(w, fd, "GET /", 5);
    for (int i = 0; i < 20; i++) {
        (void)say_n(w, fd, line + 8, 4000);
    }
    hear_eof(w, fd);
    fd = dial(w);
    (void)say_n(w, fd, "\x16\x03\x01\x02\x00\x01\r\n\r\n", 10);
    hear_eof(w, fd);
}

static void slow_clients_are_ended(void **state)
{
    world *w = *state;
    static const char head[] = "GET /query?a=slow HTTP/1.1\r\nHost: x\r\nX-Long-Header: "
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    int idle = dial(w);
    int dribble = dial(w);
    int body = dial(w);
    say(w, body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n");
    size_t sent = 0;
    bool open = true;
    int64_t start = weir_mono_ms();
    int64_t end = start + INT64_C(15000) * weir_test_timeout_x();
    while (open && weir_mono_ms() < end) { /* a byte now and then is activity, but no progress */
        open = say_n(w, dribble, head + sent, 1);
        sent += sent + 1 < sizeof head - 1;
        (void)say_n(w, body, "b", 1);
        int64_t pause = weir_mono_ms() + 200;
        while (weir_mono_ms() < pause) {
            weir_loop_turn(w->l, 20);
        }
    }
    assert_false(open);
    hear_eof(w, body);
    hear_eof(w, idle);
}

static void replies_later(void **state)
{
    world *w = *state;
    int a = dial(w);
    int b = dial(w);
    say(w, a, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    say(w, b,
        "GET /late HTTP/1.1\r\nHost: x\r\n\r\nGET /query?a=second HTTP/1.1\r\nHost: x\r\n\r\n");
    while (w->nlate < 2) {
        weir_loop_turn(w->l, 10);
    }
    assert_int_equal(weir_http_pending(w->h), 2);
    int64_t until =
        weir_mono_ms() + 1500; /* longer than the idle timeout: a waiting request is not idle */
    while (weir_mono_ms() < until) {
        weir_loop_turn(w->l, 50);
    }
    weir_http_reply(w->late[1], 200, "text/plain", WEIR_SLICE_LIT("b-reply"));
    hear(w, b, "second", 1);
    assert_has(w->text, "b-reply");
    assert_has(w->text, "second");
    weir_http_reply(w->late[0], 200, "text/plain", WEIR_SLICE_LIT("a-reply"));
    hear(w, a, "a-reply", 1);
    assert_has(w->text, "a-reply");
    assert_int_equal(weir_http_pending(w->h), 0);
    ask(w, a, "GET /query?a=again HTTP/1.1\r\nHost: x\r\n\r\n", "again");
    assert_int_equal(w->gone, 0);
}

static void a_client_that_goes_away(void **state)
{
    world *w = *state;
    int fd = dial(w);
    int other = dial(w);
    say(w, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    while (w->nlate < 1) {
        weir_loop_turn(w->l, 10);
    }
    hang_up(w, fd);
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    while (w->gone == 0 && weir_mono_ms() < end) {
        weir_loop_turn(w->l, 10);
    }
    assert_int_equal(w->gone, 1);
    assert_int_equal(weir_http_pending(w->h), 1);
    weir_http_reply(w->late[0], 200, "text/plain", WEIR_SLICE_LIT("nobody hears this"));
    assert_int_equal(weir_http_pending(w->h), 0);
    ask(w, other, "GET /query?a=fine HTTP/1.1\r\nHost: x\r\n\r\n", "fine");
}

static void wait_late(world *w, size_t n)
{
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    while (w->nlate < n && weir_mono_ms() < end) {
        weir_loop_turn(w->l, 10);
    }
    assert_int_equal(w->nlate, n);
}

static void reply_its_number(weir_http_req *req)
{
    const char *a = weir_http_query(req, "a");
    assert_non_null(a);
    char text[32];
    (void)snprintf(text, sizeof text, "number %s.", a);
    weir_http_reply(req, 200, "text/plain", weir_slice_z(text));
}

/* Replies come in another order than their requests, and one only when the library has asked for it
 * more often than it may. */
static void held_requests(void **state)
{
    enum { N = 12, ROUNDS = 4 };
    world *w = *state;
    int fds[N];
    char text[100];
    int last = dial(w);
    say(w, last, "GET /late?a=last HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_late(w, 1);
    weir_http_req *waiting = w->late[0];
    int first = dial(w);
    say(w, first, "GET /late?a=first HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_late(w, 2);
    reply_its_number(w->late[1]);
    weir_loop_turn(w->l, 0); /* it does not wait for the other */
    assert_true(recv(first, text, sizeof text, MSG_DONTWAIT) > 0);
    for (int i = 0; i < N; i++) {
        fds[i] = dial(w);
    }
    for (int round = 0; round < ROUNDS; round++) {
        w->nlate = 0;
        for (int i = 0; i < N; i++) {
            (void)snprintf(text, sizeof text,
                           "GET /late?a=%d-%d HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\n"
                           "Host: x\r\n\r\n",
                           round, i);
            say(w, fds[i], text);
        }
        wait_late(w, N);
        for (int i = 0; i < N; i++) {
            reply_its_number(w->late[(i * 7) % N]);
            weir_loop_turn(w->l, 0);
        }
        for (int i = 0; i < N; i++) {
            (void)snprintf(text, sizeof text, "number %d-%d.", round, i);
            hear(w, fds[i], "HTTP/1.1 304 ", 1);
            assert_has(w->text, text);
            assert_has(w->text, "HTTP/1.1 304 ");
        }
    }
    reply_its_number(waiting);
    hear(w, last, "number last.", 1);
    assert_has(w->text, "number last.");
    assert_int_equal(weir_http_pending(w->h), 0);
}

static void reset(world *w, int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    hang_up(w, fd);
}

/* Its connection ends although it is not suspended: nothing of it may be used any more. */
static void a_reset_while_held(void **state)
{
    world *w = *state;
    int fds[2] = {dial(w), dial(w)};
    int other = dial(w);
    for (size_t i = 0; i < 2; i++) {
        say(w, fds[i], "PURGE /late?a=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_late(w, i + 1);
        weir_http_req *req = w->late[i];
        assert_non_null(weir_http_header(req, "Host"));
        if (i == 0) { /* asks before, the other one after */
            weir_http_on_gone(req, on_gone, w);
        }
        reset(w, fds[i]);
        int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
        while (weir_http_header(req, "Host") && weir_mono_ms() < end) {
            weir_loop_turn(w->l, 0);
        }
        assert_null(weir_http_header(req, "Host"));
        assert_null(weir_http_query(req, "a"));
        assert_string_equal(weir_http_method(req), "PURGE");
        assert_string_equal(weir_http_path(req), "/late");
        if (i == 1) {
            weir_http_on_gone(req, on_gone, w);
        }
        weir_loop_turn(w->l, 0);
        assert_int_equal(w->gone, i + 1);
        assert_int_equal(weir_http_pending(w->h), 1);
        weir_http_reply(req, 200, "text/plain", WEIR_SLICE_LIT("nobody hears this"));
        assert_int_equal(weir_http_pending(w->h), 0);
    }
    ask(w, other, "GET /query?a=fine HTTP/1.1\r\nHost: x\r\n\r\n", "fine");
}

static void closing_with_waiting_requests(void **state)
{
    world *w = *state;
    int fd = dial(w);
    say(w, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    while (w->nlate < 1) {
        weir_loop_turn(w->l, 10);
    }
    weir_http_close(w->h);
    w->h = NULL;
    hear_eof(w, fd);
    assert_has(w->text, "HTTP/1.1 503 ");
}

static void stop_accepting(void **state)
{
    world *w = *state;
    int fd = dial(w);
    say(w, fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    while (w->nlate < 1) {
        weir_loop_turn(w->l, 10);
    }
    int port = weir_http_port(w->h);
    weir_http_stop_accepting(w->h);
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(refused, (struct sockaddr *)&sin, sizeof sin), 0);
    (void)close(refused);
    weir_http_reply(w->late[0], 200, "text/plain", WEIR_SLICE_LIT("last words"));
    hear_eof(w, fd);
    assert_has(w->text, "last words");
    assert_has(w->text, "onnection: close");
}

static void too_many_connections(void **state)
{
    world *w = *state;
    for (int i = 0; i < 30; i++) {
        ask(w, dial(w), "GET /query?a=in HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nin");
    }
    hear_eof(w, dial(w));
    hang_up(w, w->fds[0]);
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    bool served = false;
    while (!served && weir_mono_ms() < end && w->nfds < CLIENTS_MAX) {
        int fd = dial(w);
        (void)say_n(w, fd, "GET /query?a=in HTTP/1.1\r\nHost: x\r\n\r\n", 38);
        hear(w, fd, "\r\n\r\nin", 1);
        served = strstr(w->text, "\r\n\r\nin") != NULL;
    }
    assert_true(served);
}

static void status_of(void *arg, weir_buf *out)
{
    (void)arg;
    weir_buf_putz(out, "\"position\":\"0/1\"");
}

static void health_endpoints(void **state)
{
    world *w = *state;
    int fd = dial(w);
    weir_counter(w->ms, "weir_test_total", "A counter.", NULL);
    ask(w, fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\nok\n");
    ask(w, fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "ready\n{");
    assert_has(w->text, "HTTP/1.1 200 ");
    weir_health_wait(w->health, "redis", "not there");
    weir_health_wait(w->health, "feed", "silent");
    weir_health_status_fn(w->health, status_of, NULL);
    ask(w, fd, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", "}\n");
    assert_has(w->text, "HTTP/1.1 503 ");
    assert_has(w->text, "redis: not there\nfeed: silent\n");
    ask(w, fd, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "}\n");
    assert_has(w->text, "\"ready\":false");
    assert_has(w->text, "\"waits\":[\"redis: not there\",\"feed: silent\"],\"position\":\"0/1\"}");
    weir_health_wait(w->health, "redis", NULL);
    weir_health_wait(w->health, "feed", NULL);
    weir_health_stuck(w->health, "no frame for 60 s");
    ask(w, fd, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "stuck: no frame for 60 s\n");
    assert_has(w->text, "HTTP/1.1 503 ");
    ask(w, fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "weir_test_total 0\n");
    ask(w, fd, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ");
}

typedef struct curl_job {
    world *w;
    bool done;
    weir_arena *a;
    weir_curl_response r;
    weir_rc rc;
    weir_error err;
} curl_job;

static void finish_job(void *arg)
{
    ((curl_job *)arg)->done = true;
}

static void run_curl(void *arg)
{
    curl_job *j = arg;
    char url[100];
    static const char *const headers[] = {"X-One: 1", NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/echo", weir_http_port(j->w->h));
    j->rc = weir_curl("PUT", url, headers, WEIR_SLICE_LIT("by curl"), 10000, j->a, &j->r, &j->err);
    (void)!weir_loop_post(j->w->l, finish_job, j);
}

static void the_curl_client(void **state)
{
    world *w = *state;
    curl_job j = {.w = w, .a = weir_arena_new(0)};
    weir_thread *t = NULL;
    assert_rc(WEIR_OK, weir_thread_start(&t, "curl", run_curl, &j, NULL), NULL);
    while (!j.done) {
        weir_loop_turn(w->l, 20);
    }
    weir_thread_join(t);
    assert_rc(WEIR_OK, j.rc, &j.err);
    assert_int_equal(j.r.status, 200);
    assert_slice("by curl", j.r.body);
    assert_slice("PUT", weir_curl_header(&j.r, "x-method"));
    assert_null(weir_curl_header(&j.r, "X-Absent").p);
    assert_rc(WEIR_E_CONN,
              weir_curl("GET", "http://127.0.0.1:1/", NULL, (weir_slice){NULL, 0}, 2000, j.a, &j.r,
                        &j.err),
              &j.err);
    assert_rc(WEIR_E_INPUT,
              weir_curl("GET", "file:///etc/passwd", NULL, (weir_slice){NULL, 0}, 2000, j.a, &j.r,
                        &j.err),
              &j.err);
    weir_arena_free(j.a);
}

static void a_port_in_use(void **state)
{
    world *w = *state;
    weir_http *second = NULL;
    weir_error err;
    weir_http_conf conf = {
        .listen = "127.0.0.1", .port = weir_http_port(w->h), .handler = handle, .arg = w};
    assert_rc(WEIR_E_CONFLICT, weir_http_open(&second, w->l, &conf, &err), &err);
    assert_null(second);
    conf.listen = "not an address";
    assert_rc(WEIR_E_INPUT, weir_http_open(&second, w->l, &conf, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keep_alive_and_methods, up, down),
        cmocka_unit_test_setup_teardown(arguments_and_headers, up, down),
        cmocka_unit_test_setup_teardown(segments, up, down),
        cmocka_unit_test_setup_teardown(problem_documents, up, down),
        cmocka_unit_test_setup_teardown(pipelined_requests, up, down),
        cmocka_unit_test_setup_teardown(a_body_in_pieces, up, down),
        cmocka_unit_test_setup_teardown(bodies_over_the_limit, up, down),
        cmocka_unit_test_setup_teardown(an_endless_body_is_cut, up, down),
        cmocka_unit_test_setup_teardown(a_header_bomb, up, down),
        cmocka_unit_test_setup_teardown(slow_clients_are_ended, up, down),
        cmocka_unit_test_setup_teardown(replies_later, up, down),
        cmocka_unit_test_setup_teardown(a_client_that_goes_away, up, down),
        cmocka_unit_test_setup_teardown(closing_with_waiting_requests, up, down),
        {"keep_alive_and_methods, short waits", keep_alive_and_methods, up_short, down, NULL},
        {"pipelined_requests, short waits", pipelined_requests, up_short, down, NULL},
        {"replies_later, short waits", replies_later, up_short, down, NULL},
        {"closing_with_waiting_requests, short waits", closing_with_waiting_requests, up_short,
         down, NULL},
        {"stop_accepting, short waits", stop_accepting, up_short, down, NULL},
        cmocka_unit_test_setup_teardown(held_requests, up_short, down),
        cmocka_unit_test_setup_teardown(a_reset_while_held, up_short, down),
        cmocka_unit_test_setup_teardown(stop_accepting, up, down),
        cmocka_unit_test_setup_teardown(too_many_connections, up, down),
        cmocka_unit_test_setup_teardown(health_endpoints, up, down),
        cmocka_unit_test_setup_teardown(the_curl_client, up, down),
        cmocka_unit_test_setup_teardown(a_port_in_use, up, down),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
