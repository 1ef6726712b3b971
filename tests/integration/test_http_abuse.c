/* test_http_abuse.c - HTTP as no friendly client speaks it, against weir-write and weir-read as
 * processes: right answers, nothing hangs, memory stays bounded.
 *
 * WEIR_TEST_ABUSE_CONNECTIONS=10000 is the long form: so many idle connections.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "tests/support/rawhttp.h"
#include "tests/support/sys.h"
#include "tests/support/writetest.h"

enum { CONNECTIONS = 400, BUFFER_KB = 18, GROWTH_MAX_KB = 40 * 1024 };

/* For connections that shall stay, however long it takes to open them. */
#define PATIENT "connections_max=20000\nrequest_timeout_ms=60s\n"

static wt_service writer, reader;

typedef struct abuse {
    const char *name, *text;
    size_t n;          /* 0: up to the NUL */
    const char *write; /* what weir-write says; NULL: as read */
    const char *read;  /* what weir-read says; "": an error or the end of the connection, without a
                          word; "?": the library's own business, as long as it ends */
    bool closes;       /* … and nothing behind it is looked at */
} abuse;

#define HOST "Host: x\r\n"
#define JSON "Content-Type: application/json\r\n"
#define NOTE "POST /commands/note HTTP/1.1\r\n" HOST JSON
#define OK2  "GET /healthz HTTP/1.1\r\n" HOST "\r\n"

static const abuse cases[] = {
    {.name = "a chunked body",
     .text =
         NOTE "Transfer-Encoding: chunked\r\n\r\n6\r\n{\"id\":\r\n8;x=y\r\n\"chunk\"}\r\n0\r\n\r\n",
     .write = "HTTP/1.1 200",
     .read = "HTTP/1.1 4"},
    {.name = "trailers",
     .text = NOTE
     "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"id\":\"trail\"\r\n1\r\n}\r\n0\r\nX-Sum: 1\r\n\r\n",
     .write = "HTTP/1.1 200",
     .read = "HTTP/1.1 4"},
    {.name = "a chunk size that is none",
     .text = NOTE "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a huge chunk size",
     .text = NOTE "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 4",
     .closes = true},
    {.name = "a negative chunk size",
     .text = NOTE "Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a chunk longer than it says",
     .text = NOTE "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "another transfer encoding",
     .text = NOTE "Transfer-Encoding: gzip\r\n\r\n" OK2,
     .read = "HTTP/1.1 501",
     .closes = true},
    {.name = "chunked is not the last encoding",
     .text = NOTE "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 501",
     .closes = true},
    {.name = "Transfer-Encoding twice",
     .text = NOTE "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "Transfer-Encoding in HTTP/1.0",
     .text =
         "POST /commands/note HTTP/1.0\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "Content-Length with Transfer-Encoding",
     .text = NOTE "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "two lengths",
     .text = NOTE "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "the same length twice",
     .text = NOTE "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a list of lengths",
     .text = NOTE "Content-Length: 2, 2\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a negative length",
     .text = NOTE "Content-Length: -2\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a length with a plus",
     .text = NOTE "Content-Length: +2\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a length of 2^64",
     .text = NOTE "Content-Length: 18446744073709551617\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 4",
     .closes = true},
    {.name = "no Host",
     .text = "GET /healthz HTTP/1.1\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "two Hosts",
     .text = "GET /healthz HTTP/1.1\r\n" HOST "Host: y\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a blank before the colon",
     .text = NOTE "Content-Length : 2\r\n\r\n{}" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a header without a name", /* the library drops it */
     .text = "GET /healthz HTTP/1.1\r\n" HOST ": x\r\n\r\n",
     .read = "?"},
    {.name = "a header without a colon",
     .text = "GET /healthz HTTP/1.1\r\n" HOST "nonsense\r\n\r\n" OK2,
     .read = "HTTP/1.1 400",
     .closes = true},
    {.name = "a NUL in a header",
     .text = "GET /healthz HTTP/1.1\r\n" HOST "X-A: a\0b\r\n\r\n" OK2,
     .n = sizeof "GET /healthz HTTP/1.1\r\n" HOST "X-A: a\0b\r\n\r\n" OK2 - 1,
     .read = "?"},
    {.name = "a NUL in a header's name",
     .text = NOTE "Content-Length\0: 2\r\n\r\n" OK2,
     .n = sizeof NOTE "Content-Length\0: 2\r\n\r\n" OK2 - 1,
     .read = "?"},
    {.name = "a NUL in the path",
     .text = "GET /heal\0thz HTTP/1.1\r\n" HOST "\r\n" OK2,
     .n = sizeof "GET /heal\0thz HTTP/1.1\r\n" HOST "\r\n" OK2 - 1,
     .read = "?"},
    {.name = "a folded header", /* RFC 9112 leaves it to us */
     .text = "GET /healthz HTTP/1.1\r\n" HOST "X-A: a\r\n b\r\n\r\n",
     .read = "?"},
    {.name = "a bare LF", .text = "GET /healthz HTTP/1.1\nHost: x\n\n", .read = "?"},
    {.name = "a bare CR in a header",
     .text = "GET /healthz HTTP/1.1\r\n" HOST "X-A: a\rContent-Length: 9\r\n\r\n" OK2,
     .read = "?"},
    {.name = "binary rubbish",
     .text = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
     .n = 15,
     .read = ""},
    {.name = "HTTP/0.9", .text = "GET /healthz\r\n\r\n", .read = "?"},
    {.name = "HTTP/1.0",
     .text = "GET /healthz HTTP/1.0\r\n\r\n" OK2,
     .read = "HTTP/1.1 200",
     .closes = true},
    {.name = "HTTP/2.0", .text = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .read = ""},
    {.name = "an absolute target",
     .text = "GET http://x:80/healthz HTTP/1.1\r\n" HOST "\r\n",
     .read = "HTTP/1.1 200"},
    {.name = "HEAD", .text = "HEAD /healthz HTTP/1.1\r\n" HOST "\r\n" OK2, .read = "HTTP/1.1 200"},
    {.name = "an unknown method",
     .text = "BREW /commands/note HTTP/1.1\r\n" HOST "\r\n",
     .write = "HTTP/1.1 405",
     .read = "HTTP/1.1 4"},
    {.name = "TRACE", .text = "TRACE /healthz HTTP/1.1\r\n" HOST "\r\n", .read = "HTTP/1.1 4"},
    {.name = "CONNECT", .text = "CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n", .read = "HTTP/1.1 4"},
    {.name = "OPTIONS *", .text = "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", .read = "HTTP/1.1 204"},
    {.name = "an unknown expectation",
     .text = NOTE "Expect: the-unexpected\r\nContent-Length: 14\r\n\r\n{\"id\":\"expect\"}",
     .write = "HTTP/1.1 417",
     .read = "HTTP/1.1 417"},
};

static int status_of(const char *text)
{
    return strncmp(text, "HTTP/1.", 7) == 0 ? wt_number(text + 9) : 0;
}

static size_t answers(const char *text, char first_digit)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, "HTTP/1.1 ")); p++) {
        n += p[9] == first_digit;
    }
    return n;
}

static int failures; /* of cases, which are all tried */

static void one_case(const wt_service *s, const abuse *c, const char *want)
{
    int fd = rawhttp_dial(s->port);
    rawhttp_say(fd, c->text, c->n ? c->n : strlen(c->text));
    if (!c->closes) { /* what answers more is done after this */
        (void)shutdown(fd, SHUT_WR);
    }
    int64_t from_ms = weir_mono_ms();
    /* Until it ends the connection, where it must. The library may notice a half-closed one only
     * when its time is over. */
    const char *got = rawhttp_hear(wt_fx.a, fd, c->closes ? NULL : "\r\n\r\n");
    int64_t ms = weir_mono_ms() - from_ms;
    (void)close(fd);
    bool right = want[0] == '?' || (want[0] ? strncmp(got, want, strlen(want)) == 0
                                            : got[0] == '\0' || status_of(got) >= 400);
    if (want[0] == '?') {
        print_message("%s: %.12s\n", c->name, got);
    }
    size_t good = c->closes ? answers(got, '2') : 0; /* the library may complain twice */
    if (!right || good > (strlen(want) > 9 && want[9] == '2')) {
        failures++;
        print_error("%s, %s: expected %s%s, got after %lld ms: %.200s\n", c->name,
                    s == &writer ? "weir-write" : "weir-read", want,
                    c->closes ? " and the end" : "", (long long)ms, got);
    }
}

static void every_case(const wt_service *s)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const abuse *c = &cases[i];
        one_case(s, c, s == &writer && c->write ? c->write : c->read);
    }
    assert_int_equal(failures, 0);
}

static void requests_that_are_none(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    every_case(&writer);
    every_case(&reader);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT string_agg(id, ' ' ORDER BY id) FROM "
                                                  "journal"),
                        "chunk trail");
}

static void pipelined(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    enum { N = 50 };
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    for (int i = 0; i < N; i++) {
        char body[40];
        int n = snprintf(body, sizeof body, "{\"id\":\"pipe-%d\"}", i);
        weir_buf_printf(&b, NOTE "Content-Length: %d\r\n\r\n%s" OK2, n, body);
    }
    weir_buf_putz(&b, "GET /healthz HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    int fd = rawhttp_dial(writer.port);
    rawhttp_say(fd, b.p, b.n);
    const char *at = rawhttp_hear(wt_fx.a, fd, NULL);
    (void)close(fd);
    weir_buf_fini(&b);
    assert_int_equal(answers(at, '2'), 2 * N + 1);
    for (int i = 0; i < N; i++) {
        char want[40];
        (void)snprintf(want, sizeof want, "\"result\":\"pipe-%d\"", i);
        at = strstr(at, want); /* in order */
        assert_non_null(at);
    }
}

static void a_client_that_asks_first(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    static const char head[] = NOTE "Expect: 100-continue\r\nContent-Length: %d\r\n\r\n";
    static const char body[] = "{\"id\":\"asked\"}";
    char text[300];
    int fd = rawhttp_dial(writer.port);
    (void)snprintf(text, sizeof text, head, (int)strlen(body));
    rawhttp_say(fd, text, strlen(text));
    assert_has(rawhttp_hear(wt_fx.a, fd, "\r\n\r\n"), "HTTP/1.1 100");
    rawhttp_say(fd, body, strlen(body));
    assert_has(rawhttp_hear(wt_fx.a, fd, "asked"), "HTTP/1.1 200");
    (void)close(fd);
    (void)snprintf(text, sizeof text, head, 100000000);
    const char *got = rawhttp_ask(wt_fx.a, writer.port, text, "", 0);
    assert_has(got, "HTTP/1.1 413");
}

static void too_much_of_everything(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    const wt_service *const both[] = {&writer, &reader};
    for (int i = 0; i < 2; i++) {
        int port = both[i]->port;
        const char *got = rawhttp_ask(wt_fx.a, port, "GET /", "xxxxxxxxxxxxxxxx", 4000);
        assert_in_range(status_of(got), 414, 431);
        got = rawhttp_ask(wt_fx.a, port,
                          "GET /healthz HTTP/1.1\r\n" HOST "X-A: ", "xxxxxxxxxxxxxxxx", 4000);
        assert_int_equal(status_of(got), 431);
        got =
            rawhttp_ask(wt_fx.a, port, "GET /healthz HTTP/1.1\r\n" HOST, "X-B: yyyyyyyy\r\n", 4000);
        assert_int_equal(status_of(got), 431);
        got = rawhttp_ask(wt_fx.a, port, NOTE "Content-Length: 3000000\r\n\r\n",
                          "                                ", 3000000 / 32);
        assert_int_equal(status_of(got), 413);
        got = rawhttp_ask(wt_fx.a, port, NOTE "Transfer-Encoding: chunked\r\n\r\n",
                          "40\r\n                                                                "
                          "\r\n",
                          1000000);
        if (got[0]) { /* or it hung up in the middle */
            assert_int_equal(status_of(got), 413);
        }
    }
}

/* --- clients that take their time ----------------------------------------------------------------
 */

static const char *const ways[][2] = {{"", ""},
                                      {"G", ""},
                                      {"GET /healthz HTTP/1.1\r\n", "X-A: b\r\n"},
                                      {NOTE "Content-Length: 9000\r\n\r\n", " "},
                                      {NOTE "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
                                      {OK2, ""}};
enum { WAYS = sizeof ways / sizeof ways[0] };

typedef struct slow {
    int fds[2 * WAYS], left, turns; /* fd -1: the server ended it */
} slow;

/* Each client says a little more. true: no connection is left. */
static bool drip(void *arg)
{
    slow *w = arg;
    for (int i = 0; i < 2 * WAYS; i++) {
        char some[4096];
        ssize_t n = w->fds[i] < 0 ? 1 : recv(w->fds[i], some, sizeof some, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            (void)close(w->fds[i]);
            w->fds[i] = -1;
            w->left--;
        } else if (w->fds[i] >= 0) {
            rawhttp_say(w->fds[i], ways[i % WAYS][1], strlen(ways[i % WAYS][1]));
        }
    }
    if (w->turns++ % 10 == 0) {
        wt_answer a = wt_get(&writer, "/healthz");
        wt_assert_status(200, &a);
    }
    return w->left == 0;
}

static void slowly(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    slow w = {.left = 2 * WAYS};
    for (int i = 0; i < 2 * WAYS; i++) {
        w.fds[i] = rawhttp_dial(i < WAYS ? writer.port : reader.port);
        rawhttp_say(w.fds[i], ways[i % WAYS][0], strlen(ways[i % WAYS][0]));
    }
    fixture_wait(&wt_fx, drip, &w, 6000, "slow clients to lose their connections");
}

/* Without Redis; more: further lines of its [read] section. */
static void start_reader(wt_service *s, const char *name, const char *more)
{
    weir_error err = {0};
    s->port = fixture_free_port();
    (void)snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", s->port);
    const char *path = weir_arena_printf(wt_fx.a, "%s/%s.ini", wt_fx.dir, name);
    const char *text = weir_arena_printf(wt_fx.a,
                                         "[app]\nname=shop\n[redis]\nuri=redis://127.0.0.1:1\n"
                                         "[read]\nport=%d\nthreads=1\n%s",
                                         s->port, more);
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", path, NULL};
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
    s->proc = fixture_spawn(&wt_fx, name, argv, NULL);
    fixture_wait(&wt_fx, wt_is_up, s, 5000, "weir-read to listen");
}

/* --- many of them --------------------------------------------------------------------------------
 */

static int wanted(void)
{
    const char *text = getenv("WEIR_TEST_ABUSE_CONNECTIONS"); /* NOLINT(concurrency-mt-unsafe) */
    return text ? wt_number(text) : CONNECTIONS;
}

/* Half of them have begun a request. The port's backlog is shared by all, so they come one by one.
 */
static void open_all(const wt_service *s, int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        fds[i] = rawhttp_dial(s->port);
        if (i % 2) {
            rawhttp_say(fds[i], "GET /healthz HTTP/1.1\r\n", 23);
        }
    }
}

typedef struct crowd {
    const wt_service *s;
    int64_t least, most; /* descriptors */
} crowd;

static bool connected(void *crowd_)
{
    const crowd *c = crowd_;
    int64_t open = wt_metric(c->s, "process_open_fds");
    return open >= c->least && open <= c->most;
}

static int by_time(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* What a request takes beside all of them. */
static void ask_beside(const wt_service *s, const char *what, int n)
{
    enum { REQUESTS = 100 };
    int64_t us[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        int64_t from_us = weir_mono_us();
        wt_answer a = wt_get(s, "/healthz");
        wt_assert_status(200, &a);
        us[i] = weir_mono_us() - from_us;
    }
    qsort(us, REQUESTS, sizeof us[0], by_time);
    print_message("%s: a request beside %d connections: p50 %lld us, p99 %lld us, most %lld us\n",
                  what, n, (long long)us[REQUESTS / 2], (long long)us[REQUESTS - 2],
                  (long long)us[REQUESTS - 1]);
    assert_in_range(us[REQUESTS - 1], 0, 1000000 * weir_test_timeout_x());
}

/* Rounds of n connections: they stay, and others are answered beside them. Each has a buffer for
 * headers of 16 KiB, of which an idle one touches a part, and those of the next round other parts
 * of the same memory: so it grows for some rounds, up to the whole of the buffers and never beyond.
 */
static void idle_on(const wt_service *s, const char *what)
{
    enum { ROUNDS = 3 };
    struct rlimit limit;
    int n = wanted();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    int *fds = calloc((size_t)n, sizeof *fds);
    assert_non_null(fds);
    int64_t before = wt_metric(s, "process_open_fds"), kb[ROUNDS + 1];
    kb[0] = sys_memory_kb(s->proc->pid, "VmRSS");
    crowd all = {s, before + n, INT64_MAX}, none = {s, 0, before + 10};
    for (int round = 1; round <= ROUNDS; round++) {
        open_all(s, fds, n);
        fixture_wait(&wt_fx, connected, &all, 20000, "all connections to be accepted");
        ask_beside(s, what, n);
        assert_true(connected(&all));
        kb[round] = sys_memory_kb(s->proc->pid, "VmRSS");
        for (int i = 0; i < n; i++) {
            (void)close(fds[i]);
        }
        fixture_wait(&wt_fx, connected, &none, 20000, "the connections to be forgotten");
    }
    free(fds);
    print_message("%s: %d connections: %lld kB before, %lld, %lld, %lld with them\n", what, n,
                  (long long)kb[0], (long long)kb[1], (long long)kb[2], (long long)kb[3]);
    for (int round = 1; round <= ROUNDS && !weir_test_sanitized(); round++) {
        assert_true(kb[round] - kb[0] < 2048 + BUFFER_KB * (int64_t)n);
    }
}

static void idle_connections(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service patient_writer, patient_reader;
    wt_start(&patient_writer, "patient", wt_fx.pg.uri, PATIENT);
    start_reader(&patient_reader, "patient_read", PATIENT);
    fixture_wait(&wt_fx, wt_is_ready, &patient_writer, 5000, "weir-write to be ready");
    idle_on(&patient_writer, "weir-write");
    idle_on(&patient_reader, "weir-read");
    assert_int_equal(fixture_stop(patient_writer.proc, 10000), 0);
    assert_int_equal(fixture_stop(patient_reader.proc, 10000), 0);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    const wt_service *const both[] = {&writer, &reader};
    for (int i = 0; i < 2; i++) {
        int64_t before = sys_memory_kb(both[i]->proc->pid, "VmRSS");
        every_case(both[i]);
        int64_t after = sys_memory_kb(both[i]->proc->pid, "VmRSS");
        print_message("%lld kB, %lld after one more round\n", (long long)before, (long long)after);
#if !defined(__SANITIZE_ADDRESS__)
        assert_true(after - before < GROWTH_MAX_KB / 20 && after < GROWTH_MAX_KB * 4);
#endif
        assert_true(fixture_running(both[i]->proc));
    }
}

static int up(void **state)
{
    (void)state;
    if (wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql") != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    wt_start(&writer, "abused", wt_fx.pg.uri, "request_timeout_ms=1s\nbody_max_bytes=65536\n");
    fixture_wait(&wt_fx, wt_is_ready, &writer, 5000, "weir-write to be ready");
    start_reader(&reader, "read", "request_timeout_ms=1s\n");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_are_none),
        cmocka_unit_test(pipelined),
        cmocka_unit_test(a_client_that_asks_first),
        cmocka_unit_test(too_much_of_everything),
        cmocka_unit_test(slowly),
        cmocka_unit_test(idle_connections),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests_name("http_abuse", tests, up, wt_down);
}
