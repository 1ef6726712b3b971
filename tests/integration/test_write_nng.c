/* test_write_nng.c - the NNG door of the write-service: says what HTTP says, through NNG's own
 * client library; and holds against clients that do not play by the rules. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/sp.h"
#include "libweir/base/str.h"
#include "libweir/codec/ask.h"
#include "libweir/io/sp_client.h"
#include "tests/support/rawhttp.h"
#include "tests/support/writetest.h"

enum { ASK_MS = 20000, IN_FLIGHT = 64 };

static weir_arena *arena;

/* --- the same answers --- */

typedef struct spoken {
    int status;
    char body[2048];
    bool replayed, retry;
    char position[32];
} spoken;

static spoken speak(const wt_service *s, const weir_ask *ask)
{
    spoken out = {0};
    weir_buf request, reply;
    weir_answer a;
    weir_error err = {0};
    weir_buf_init(&request, 1 << 24);
    weir_buf_init(&reply, 1 << 24);
    weir_ask_encode(&request, ask);
    weir_rc rc = weir_sp_call(s->nng, weir_buf_slice(&request), ASK_MS, &reply, &err);
    assert_rc(WEIR_OK, rc, &err);
    assert_rc(WEIR_OK, weir_answer_decode(weir_buf_slice(&reply), &a, &err), &err);
    out.status = a.status;
    out.replayed = a.replayed;
    out.retry = a.retry_after_s > 0;
    (void)snprintf(out.body, sizeof out.body, WEIR_SLICE_FMT, WEIR_SLICE_ARG(a.body));
    (void)snprintf(out.position, sizeof out.position, WEIR_SLICE_FMT, WEIR_SLICE_ARG(a.position));
    weir_buf_fini(&request);
    weir_buf_fini(&reply);
    return out;
}

static weir_ask command(const char *name, const char *args)
{
    weir_ask a = weir_ask_of(WEIR_ASK_COMMAND);
    a.name = weir_slice_z(name);
    a.args = weir_slice_z(args);
    return a;
}

/* Ids, positions and times differ from call to call. */
static void normalize(char *body)
{
    char *to = body;
    for (char *at = body; *at;) {
        size_t hex = strspn(at, "0123456789abcdef");
        size_t lsn = strspn(at, "0123456789ABCDEF/");
        if (hex == 32) {
            at += hex;
            *to++ = '#';
        } else if (strncmp(at, "\\\"at\\\":", 7) == 0) {
            at += strcspn(at, "Z");
        } else if (lsn > 3 && memchr(at, '/', lsn)) {
            at += lsn;
            *to++ = '@';
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
}

typedef struct sameness {
    const char *name, *args;
    const char *headers[4];
    const char *key, *match, *correlation, *trace;
    int64_t deadline_ms;
    bool async;
    int status;
} sameness;

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static const sameness cases[] = {
    {.name = "who_calls",
     .args = "{}",
     .correlation = "c-7",
     .trace = TRACE,
     .headers = {"X-Correlation-Id: c-7", "traceparent: " TRACE},
     .status = 200},
    {.name = "exact", .args = "{}", .status = 200},
    {.name = "exact",
     .args = "{}",
     .headers = {"Idempotency-Key: both"},
     .key = "both",
     .status = 200},
    {.name = "big", .args = "{\"n\": 1000}", .status = 200},
    {.name = "refuse", .args = "{\"state\":\"P0001\",\"message\":\"not so\"}", .status = 422},
    {.name = "refuse", .args = "{\"state\":\"23505\",\"message\":\"x\"}", .status = 409},
    {.name = "refuse", .args = "{\"state\":\"42501\",\"message\":\"x\"}", .status = 403},
    {.name = "refuse", .args = "{\"state\":\"XX000\",\"message\":\"x\"}", .status = 500},
    {.name = "refuse", .args = "{\"state\":\"40001\",\"message\":\"x\"}", .status = 503},
    {.name = "bump_if",
     .args = "{\"a\": 9}",
     .headers = {"If-Match: \"77\""},
     .match = "77",
     .status = 412},
    {.name = "adopt", .args = "{\"id\":1,\"parent_id\":4711}", .status = 422},
    {.name = "nap", .args = "{\"seconds\": 20}", .status = 504},
    {.name = "bock", .args = "{}", .status = 404},
    {.name = "a/b %", .args = "{}", .status = 404},
    {.name = "exact", .args = "", .status = 400},
    {.name = "exact", .args = "[]", .status = 400},
    {.name = "exact", .args = "{\"a\":1,\"a\":2}", .status = 400},
    {.name = "exact",
     .args = "{}",
     .headers = {"Idempotency-Key: \x01"},
     .key = "\x01",
     .status = 400},
    {.name = "exact", .args = "{}", .headers = {"If-Match: \"\""}, .match = "", .status = 400},
    {.name = "exact",
     .args = "{}",
     .headers = {"Weir-Begin-Within: 4000000"},
     .deadline_ms = 4000000,
     .status = 400},
    {.name = "exact",
     .args = "{}",
     .headers = {"Prefer: respond-async", "Idempotency-Key: k"},
     .key = "k, asked for by the other door", /* a repetition may be told the result already */
     .async = true,
     .status = 202},
};

static const char *path_of(const char *name)
{
    return strcmp(name, "a/b %") == 0 ? "/commands/a%2Fb%20%25"
                                      : weir_arena_printf(arena, "/commands/%s", name);
}

static void says_what_http_says(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const sameness *k = &cases[i];
        const char *headers[6] = {"Content-Type: application/json", k->headers[0], k->headers[1]};
        wt_answer http = wt_ask(&wt_main, "POST", path_of(k->name), headers, k->args);
        weir_ask ask = command(k->name, k->args);
        ask.idempotency_key = weir_slice_z(k->key);
        ask.if_match = weir_slice_z(k->match);
        ask.correlation_id = weir_slice_z(k->correlation);
        ask.traceparent = weir_slice_z(k->trace);
        ask.deadline_ms = k->deadline_ms ? k->deadline_ms : -1;
        ask.async = k->async;
        spoken nng = speak(&wt_main, &ask);
        normalize(http.body);
        normalize(nng.body);
        wt_assert_status(k->status, &http);
        if (nng.status != http.status || strcmp(nng.body, http.body) != 0) {
            fail_msg("case %zu, %s %s:\nHTTP %d %s\nNNG  %d %s", i, k->name, k->args, http.status,
                     http.body, nng.status, nng.body);
        }
        assert_int_equal(nng.position[0] != 0, http.position[0] != 0);
        assert_int_equal(nng.retry, k->status == 503);
    }
}

static void positions_and_replays(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_ask ask = command("note", "{\"id\": \"by nng\"}");
    ask.idempotency_key = weir_slice_z("once");
    spoken first = speak(&wt_main, &ask), second = speak(&wt_main, &ask);
    assert_int_equal(first.status, 200);
    assert_false(first.replayed);
    assert_int_equal(second.status, 200);
    assert_true(second.replayed);
    assert_memory_equal(first.body, second.body, 50); /* the same command_id */
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id='by nng'"),
                        "1");
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT '%s'::pg_lsn <= pg_current_wal_flush_lsn()",
                   first.position);
    assert_string_equal(fixture_sql_value(&wt_fx, sql), "t");
}

static void batches(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_ask ask = weir_ask_of(WEIR_ASK_COMMANDS);
    ask.args = weir_slice_z("[{\"name\":\"book\",\"arguments\":{\"id\":\"b1\",\"amount\":1}},"
                            "{\"name\":\"book\",\"arguments\":{\"id\":\"b2\",\"amount\":-1}}]");
    spoken each = speak(&wt_main, &ask);
    assert_int_equal(each.status, 200);
    assert_has(each.body, "[{\"status\":200");
    assert_has(each.body, "{\"status\":422");
    ask.atomic = true;
    spoken all = speak(&wt_main, &ask);
    assert_int_equal(all.status, 409);
    ask = weir_ask_of(WEIR_ASK_STATUS);
    ask.id = weir_slice_z("0123456789abcdef0123456789abcdef");
    assert_int_equal(speak(&wt_main, &ask).status, 404);
}

/* --- bytes of our own --- */

static int dial(const wt_service *s)
{
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    int fd = rawhttp_dial(s->nng_port);
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    rawhttp_say(fd, (const char *)greeting, sizeof greeting);
    assert_int_equal(recv(fd, greeting, sizeof greeting, MSG_WAITALL), sizeof greeting);
    assert_true(weir_sp_greeting_ok(greeting, WEIR_SP_REP));
    return fd;
}

static void say_raw(int fd, uint32_t id, weir_slice body)
{
    unsigned char head[WEIR_SP_HEAD_MAX];
    weir_buf b;
    weir_buf_init(&b, 1 << 26);
    weir_buf_put(&b, head, weir_sp_head(head, false, body.n + 4));
    weir_buf_u32(&b, 0x80000000U | id);
    weir_buf_puts(&b, body);
    rawhttp_say(fd, b.p, b.n);
    weir_buf_fini(&b);
}

static void say(int fd, uint32_t id, const weir_ask *ask)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 26);
    weir_ask_encode(&b, ask);
    say_raw(fd, id, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

/* The next answer; its status, 0 when the connection has ended. */
static int hear(int fd, uint32_t *id, weir_answer *a)
{
    unsigned char head[12];
    weir_error err = {0};
    if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head) {
        return 0;
    }
    size_t n = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
    char *p = weir_arena_alloc(arena, n);
    n -= 4;
    assert_int_equal(recv(fd, p, n, MSG_WAITALL), n);
    *id = (uint32_t)(head[8] & 0x7f) << 24 | (uint32_t)head[9] << 16 | (uint32_t)head[10] << 8 |
          head[11];
    assert_rc(WEIR_OK, weir_answer_decode(weir_slice_of(p, n), a, &err), &err);
    return a->status;
}

static bool ended(int fd)
{
    char c;
    bool is = recv(fd, &c, 1, 0) <= 0;
    (void)close(fd);
    return is;
}

static void hostile_bytes_end_their_connection_only(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        bool greets;
    } bad[] = {{"GET / HTTP/1.1\r\n\r\n", 18, false},
               {"\0SP\0\0\x31\0\0", 8, false}, /* a REP socket */
               {"\0SP\0\0\x30\0\1", 8, false},
               {"\x7f\xff\xff\xff\xff\xff\xff\xff", 8, true},
               {"\0\0\0\0\x40\0\0\0", 8, true}, /* 1 GiB */
               {"\0\0\0\0\0\0\0\0", 8, true},
               {"\0\0\0\0\0\0\0\3abc", 11, true},
               {"\0\0\0\0\0\0\0\10\0\0\0\1\0\0\0\2", 16, true}}; /* no id ends the ids */
    (void)state;
    fixture_need(&wt_fx);
    int good = dial(&wt_main);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = bad[i].greets ? dial(&wt_main) : rawhttp_dial(wt_main.nng_port);
        char greeting[8];
        rawhttp_say(fd, bad[i].p, bad[i].n);
        if (!bad[i].greets) {
            (void)recv(fd, greeting, sizeof greeting, MSG_WAITALL);
        }
        if (!ended(fd)) {
            fail_msg("bytes %zu did not end the connection", i);
        }
    }
    weir_ask ask = command("exact", "{}");
    weir_answer a;
    uint32_t id;
    say(good, 5, &ask);
    assert_int_equal(hear(good, &id, &a), 200);
    assert_int_equal(id, 5);
    (void)close(good);
}

static void wrong_messages_are_answered(void **state)
{
    static const struct {
        const char *p;
        size_t n;
        const char *says;
    } bad[] = {{"", 0, "not one msgpack map"},
               {"{}", 2, "not one msgpack map"},
               {"\x80", 1, "\\\"op\\\" must be given"},
               {"\x81\xa2op\xa5"
                "erase",
                10, "\\\"op\\\" must be"},
               {"\x82\xa2op\xa7"
                "command\xa4name\xc0",
                18, "\\\"name\\\" must be a text"},
               {"\xdf\xff\xff\xff\xff", 5, "not one msgpack map"}};
    weir_answer a;
    uint32_t id = 0;
    (void)state;
    fixture_need(&wt_fx);
    int fd = dial(&wt_main);
    for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        say_raw(fd, i, weir_slice_of(bad[i].p, bad[i].n));
        assert_int_equal(hear(fd, &id, &a), 400);
        assert_int_equal(id, i);
        char *text = weir_arena_dupz(arena, a.body);
        assert_has(text, bad[i].says);
    }
    /* A body over the limit has its answer; a message far beyond is not read. */
    char *large = weir_arena_alloc(arena, 100000);
    memset(large, ' ', 100000);
    weir_ask ask = command("exact", "{}");
    ask.args = weir_slice_of(large, 100000);
    say(fd, 9, &ask);
    assert_int_equal(hear(fd, &id, &a), 413);
    /* Bytes in small pieces are a message all the same, and two at once are two. */
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    ask = command("exact", "{}");
    weir_ask_encode(&b, &ask);
    unsigned char head[WEIR_SP_HEAD_MAX];
    size_t head_n = weir_sp_head(head, false, b.n + 4);
    for (size_t i = 0; i < head_n; i++) {
        rawhttp_say(fd, (const char *)head + i, 1);
    }
    rawhttp_say(fd, "\x80\0\0\x0b", 4);
    rawhttp_say(fd, b.p, b.n);
    say(fd, 12, &ask);
    assert_int_equal(hear(fd, &id, &a), 200);
    assert_int_equal(hear(fd, &id, &a), 200);
    weir_buf_fini(&b);
    (void)close(fd);
}

/* --- many, late, gone --- */

static bool has_left(void *proc)
{
    return !fixture_running(proc);
}

static void overload_is_answered(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_service s;
    wt_start(&s, "narrow", wt_fx.pg.uri, "queue_max=4\nlanes=1\ngroup_max=1\n");
    fixture_wait(&wt_fx, wt_is_ready, &s, 5000, "weir-write to be ready");
    int fd = dial(&s), count[2] = {0, 0};
    weir_ask nap = command("nap", "{\"seconds\": 0.1}");
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        say(fd, i, &nap);
    }
    uint64_t seen = 0;
    for (int i = 0; i < IN_FLIGHT; i++) {
        weir_answer a;
        uint32_t id = 0;
        int status = hear(fd, &id, &a);
        assert_true(status == 200 || status == 503);
        assert_true(status != 503 || a.retry_after_s == 1);
        count[status == 503]++;
        assert_true(id < IN_FLIGHT && !(seen & 1ULL << id));
        seen |= 1ULL << id;
    }
    assert_true(count[0] >= 4 && count[1] >= 1);
    /* What is under way when it is told to stop is answered. */
    say(fd, 100, &nap);
    int n = 1;
    fixture_wait(&wt_fx, wt_naps, &n, 5000, "the command to run");
    (void)kill(s.proc->pid, SIGTERM);
    weir_answer a;
    uint32_t id = 0;
    assert_int_equal(hear(fd, &id, &a), 200);
    assert_true(ended(fd));
    fixture_wait(&wt_fx, has_left, s.proc, 10000, "weir-write to leave");
}

/* Sends n commands that wait together for a lane; answers are heard by their numbers. */
static void wait_together(int fd, const char *name, const char *format, uint32_t n)
{
    wt_caller naps[2];
    int waiting = (int)n;
    wt_hold_lanes(naps);
    for (uint32_t i = 0; i < n; i++) {
        weir_ask ask = command(name, weir_arena_printf(arena, format, (int)i));
        say(fd, i, &ask);
    }
    fixture_wait(&wt_fx, wt_waiting, &waiting, 5000, "the commands to wait");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
}

/* Neighbours are one statement: each is its own command all the same. */
static void neighbours_keep_apart(void **state)
{
    enum { N = 40 };
    weir_answer a;
    uint32_t id = 0;
    (void)state;
    fixture_need(&wt_fx);
    int fd = dial(&wt_main);
    wait_together(fd, "who_calls", "{}", N);
    for (int i = 0; i < N; i++) { /* the meta a command ran with is its own */
        assert_int_equal(hear(fd, &id, &a), 200);
        char *body = weir_arena_dupz(arena, a.body), want[64];
        (void)snprintf(want, sizeof want, "\\\"id\\\":\\\"%.32s\\\"", body + 15);
        assert_has(body + 48, want);
    }
    wait_together(fd, "note", "{\"id\": \"o-%d\"}", N);
    for (int i = 0; i < N; i++) { /* an answer is its own command's */
        assert_int_equal(hear(fd, &id, &a), 200);
        assert_has(weir_arena_dupz(arena, a.body),
                   weir_arena_printf(arena, "\"result\":\"o-%u\"", id));
    }
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT bool_and(n = k) FROM (SELECT substr(id, 3)::int AS n, "
                                  "row_number() OVER (ORDER BY ctid) - 1 AS k FROM journal "
                                  "WHERE id LIKE 'o-%') x"),
        "t");
    wait_together(fd, "adopt", "{\"id\": 9%d, \"parent_id\": 4711}", 8); /* COMMIT refuses */
    for (int i = 0; i < 8; i++) {
        assert_int_equal(hear(fd, &id, &a), 422);
    }
    (void)close(fd);
}

/* Together they take longer than one may; none of them does. */
static void a_statements_time_is_not_shared(void **state)
{
    enum { N = 18 };
    weir_answer a;
    uint32_t id = 0;
    (void)state;
    fixture_need(&wt_fx);
    int fd = dial(&wt_main);
    wait_together(fd, "nap", "{\"seconds\": 0.1%d}", N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(hear(fd, &id, &a), 200);
    }
    (void)close(fd);
}

static void deadline_passes_before_it_begins(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    wt_hold_lanes(naps);
    weir_ask ask = command("note", "{\"id\": \"too late\"}");
    ask.deadline_ms = 100;
    spoken a = speak(&wt_main, &ask);
    assert_int_equal(a.status, 504);
    assert_has(a.body, "urn:weir:problem:deadline");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'too late'"), "0");
}

static bool one_cancelled(void *arg)
{
    return wt_metric(&wt_main, "weir_write_cancelled_total") > *(int64_t *)arg;
}

static void client_gone_before_its_turn(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_caller naps[2];
    int64_t before = wt_metric(&wt_main, "weir_write_cancelled_total");
    wt_hold_lanes(naps);
    int fd = dial(&wt_main), n = 1;
    weir_ask ask = command("note", "{\"id\": \"left\"}");
    say(fd, 1, &ask);
    fixture_wait(&wt_fx, wt_waiting, &n, 5000, "the request to wait");
    (void)close(fd);
    fixture_wait(&wt_fx, one_cancelled, &before, 5000, "the command to be dropped");
    wt_end_call(&naps[0]);
    wt_end_call(&naps[1]);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'left'"),
                        "0");
}

static void other_machines_are_not_served_unauthenticated(void **state)
{
    weir_error err = {0};
    weir_slice log;
    (void)state;
    fixture_need(&wt_fx);
    const char *ini = weir_arena_printf(arena, "%s/open.ini", wt_fx.dir);
    const char *text = weir_arena_printf(
        arena, "[app]\nname=shop\n[postgres]\nuri=%s\n[write]\nport=0\nnng=tcp://0.0.0.0:%d\n",
        wt_fx.pg.uri, fixture_free_port());
    assert_rc(WEIR_OK, weir_file_write(ini, weir_slice_z(text), 0600, &err), &err);
    const char *argv[] = {WEIR_BIN_DIR "/weir-write", "--config", ini, NULL};
    fixture_proc *p = fixture_spawn(&wt_fx, "open", argv, NULL);
    fixture_wait(&wt_fx, has_left, p, 10000, "weir-write to refuse");
    assert_rc(WEIR_OK, weir_file_read(p->log, 1 << 20, arena, &log, &err), &err);
    assert_has(log.p, "write.nng");
    assert_has(log.p, "authentication is off");
}

static int up(void **state)
{
    (void)state;
    arena = weir_arena_new(0);
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

static int down(void **state)
{
    weir_arena_free(arena);
    return wt_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_http_says),
        cmocka_unit_test(positions_and_replays),
        cmocka_unit_test(batches),
        cmocka_unit_test(hostile_bytes_end_their_connection_only),
        cmocka_unit_test(wrong_messages_are_answered),
        cmocka_unit_test(overload_is_answered),
        cmocka_unit_test(neighbours_keep_apart),
        cmocka_unit_test(a_statements_time_is_not_shared),
        cmocka_unit_test(deadline_passes_before_it_begins),
        cmocka_unit_test(client_gone_before_its_turn),
        cmocka_unit_test(other_machines_are_not_served_unauthenticated),
    };
    return cmocka_run_group_tests_name("write_nng", tests, up, down);
}
