/* test_write_door.c - the NNG door under strangers: TLS, a ceiling of connections, clients that
 * come and go with commands under way. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/client.h>

#include "libweir/base/sp.h"
#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "tests/support/certs.h"
#include "tests/support/rawhttp.h"
#include "tests/support/writetest.h"

enum { IN_FLIGHT = 64, MANY = 400, CEILING = 6, COME = 200, AT_ONCE = 10, NOTES_MAX = 8 };

static certs own, foreign;
static wt_service tls, narrow; /* narrow: bare, with CEILING connections */

static weir_client *open_client(const char *url, const char *ca, const char *name,
                                int64_t timeout_ms)
{
    weir_client *c = NULL;
    weir_client_error err;
    const weir_client_conf conf = {.write_url = url,
                                   .tls_ca = ca,
                                   .tls_name = name,
                                   .timeout_ms = timeout_ms,
                                   .in_flight_max = IN_FLIGHT};
    if (weir_client_open(&c, &conf, &err) != WEIR_CLIENT_OK) {
        fail_msg("%s", err.detail);
    }
    return c;
}

static void must_answer(const wt_service *s)
{
    weir_client_error err;
    weir_client_reply r;
    const weir_client_command exact = {.name = "exact"};
    weir_client *c = open_client(s->nng, own.ca, NULL, 10000);
    if (weir_client_send(c, &exact, &r, &err) != WEIR_CLIENT_OK) {
        fail_msg("%s", err.detail);
    }
    weir_client_reply_free(&r);
    weir_client_close(c);
}

/* --- TLS --- */

typedef struct tally {
    weir_client *c;
    int left, answered;
} tally;

static void start_one(tally *t);

static void on_reply(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    tally *t = arg;
    if (err) {
        fail_msg("%s", err->detail);
    }
    t->answered += r->result.n == 1002; /* with its quotes */
    start_one(t);
}

static void start_one(tally *t)
{
    const weir_client_command big = {.name = "big", .args = "{\"n\": 1000}"};
    weir_client_error err;
    if (t->left > 0) {
        t->left--;
        assert_int_equal(weir_client_send_start(t->c, &big, on_reply, t, &err), WEIR_CLIENT_OK);
    }
}

static void tls_carries_small_large_and_many(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    weir_client_error err;
    weir_client_reply r;
    weir_client *c = open_client(tls.nng, own.ca, NULL, 20000);
    weir_client_command k = {.name = "big", .args = "{\"n\": 3000000}"};
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_OK);
    assert_int_equal(r.result.n, 3000002);
    weir_client_reply_free(&r);
    for (int kib = 60; kib <= 100; kib += 40) { /* the limit is 64 */
        char *id = weir_arena_alloc(wt_fx.a, (size_t)kib * 1024);
        memset(id, 'i', (size_t)kib * 1024);
        k = (weir_client_command){
            .name = "note",
            .args = weir_arena_printf(wt_fx.a, "{\"id\": \"%.*s\"}", kib * 1024, id)};
        int rc = weir_client_send(c, &k, &r, &err);
        assert_int_equal(rc, kib == 60 ? WEIR_CLIENT_OK : WEIR_CLIENT_REFUSED);
        if (rc == WEIR_CLIENT_OK) {
            weir_client_reply_free(&r);
        } else {
            assert_int_equal(err.status, 413);
        }
    }
    tally t = {.c = c, .left = MANY};
    for (int i = 0; i < IN_FLIGHT / 2; i++) {
        start_one(&t);
    }
    while (weir_client_run(c, 1000) > 0) {
    }
    assert_int_equal(t.answered, MANY);
    weir_client_close(c);
}

/* The call fails for the reason, and nothing was executed. */
static void must_fail(const char *url, const char *ca, const char *name, const char *why)
{
    weir_client_error err;
    weir_client_reply r;
    const weir_client_command k = {.name = "note", .args = "{\"id\":\"stranger\"}"};
    weir_client *c = open_client(url, ca, name, 300 * (int64_t)weir_test_timeout_x());
    assert_int_equal(weir_client_send(c, &k, &r, &err), WEIR_CLIENT_TIMEOUT);
    assert_false(err.maybe_executed);
    assert_has(err.detail, "cannot be reached");
    assert_has(err.detail, why);
    weir_client_close(c);
}

static void who_is_not_trusted_gets_no_command(void **state)
{
    char url[64];
    (void)state;
    fixture_need(&wt_fx);
    must_fail(tls.nng, foreign.ca, NULL, "NOT trusted");
    must_fail(tls.nng, own.ca, "other.example.org", "name");
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", tls.nng_port);
    must_fail(url, NULL, NULL, ""); /* reset, or closed */
    (void)snprintf(url, sizeof url, "tls+tcp://127.0.0.1:%d", wt_main.nng_port);
    must_fail(url, own.ca, NULL, "TLS");
    assert_string_equal(
        fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id = 'stranger'"), "0");
    weir_client *c = NULL;
    weir_client_error err;
    const weir_client_conf conf = {.write_url = tls.nng, .tls_ca = "/nowhere"};
    assert_int_equal(weir_client_open(&c, &conf, &err), WEIR_CLIENT_INPUT);
    assert_null(c);
    must_answer(&tls);
}

/* Bytes that are no TLS have no answer, not even a byte; those that stop in the middle hold up
 * nobody. */
static void what_is_no_tls_gets_nothing(void **state)
{
    static const weir_slice bytes[] = {
        WEIR_SLICE_LIT("\0SP\0\0\x30\0\0"), WEIR_SLICE_LIT("GET / HTTP/1.1\r\n\r\n"),
        WEIR_SLICE_LIT("\x16\x03\x01\xff\xff\x01"), WEIR_SLICE_LIT("\x17\x03\x03\0\1x")};
    enum { HALVES = 20 };
    int half[HALVES];
    (void)state;
    fixture_need(&wt_fx);
    for (int i = 0; i < HALVES; i++) {
        half[i] = rawhttp_dial(tls.nng_port);
        rawhttp_say(half[i], "\x16\x03\x01\x02", (size_t)(i % 5));
    }
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        char c;
        int fd = rawhttp_dial(tls.nng_port);
        rawhttp_say(fd, bytes[i].p, bytes[i].n);
        (void)shutdown(fd, SHUT_WR);
        assert_true(recv(fd, &c, 1, 0) <= 0);
        (void)close(fd);
        must_answer(&tls);
    }
    for (int i = 0; i < HALVES; i++) {
        (void)close(half[i]);
    }
    must_answer(&tls);
}

/* --- how many --- */

/* A bare connection that was greeted, or -1: it was closed. */
static int greeted(const wt_service *s)
{
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    int fd = rawhttp_dial(s->nng_port);
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    rawhttp_say(fd, (const char *)greeting, sizeof greeting);
    if (recv(fd, greeting, sizeof greeting, MSG_WAITALL) == sizeof greeting) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

static bool has_room(void *fd)
{
    *(int *)fd = greeted(&narrow);
    return *(int *)fd >= 0;
}

static void connections_have_a_ceiling(void **state)
{
    int fds[CEILING];
    (void)state;
    fixture_need(&wt_fx);
    for (int i = 0; i < CEILING; i++) {
        fds[i] = greeted(&narrow);
        assert_true(fds[i] >= 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(greeted(&narrow), -1);
    }
    (void)close(fds[0]);
    fixture_wait(&wt_fx, has_room, &fds[0], 5000, "room for one more");
    assert_int_equal(greeted(&narrow), -1);
    for (int i = 0; i < CEILING; i++) {
        (void)close(fds[i]);
    }
    fixture_wait(&wt_fx, has_room, &fds[0], 5000, "room again");
    (void)close(fds[0]);
}

typedef struct note {
    char id[32];
    int *sure; /* how many were acknowledged */
    weir_buf *ids;
} note;

static void on_note(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    note *n = arg;
    (void)err;
    if (r) {
        ++*n->sure;
        weir_buf_printf(n->ids, ",%s", n->id);
    }
}

static int open_files(const wt_service *s)
{
    char path[64];
    int n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)s->proc->pid);
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    (void)closedir(d);
    return n;
}

typedef struct files {
    const wt_service *s;
    int n;
} files;

static bool all_closed(void *arg)
{
    const files *f = arg;
    return open_files(f->s) <= f->n;
}

/* COME clients, AT_ONCE at a time, each with a few commands of which it waits for some. */
static void come_and_go(const wt_service *s, const char *prefix)
{
    static note notes[COME * NOTES_MAX];
    weir_client *c[AT_ONCE] = {NULL};
    uint64_t seed = weir_test_seed();
    int sure = 0, started = 0;
    weir_buf ids;
    weir_buf_init(&ids, 1 << 20);
    weir_buf_printf(&ids, "SELECT count(*) FROM unnest('{-");
    must_answer(s);
    files f = {s, open_files(s)};
    for (int i = 0; i < COME + AT_ONCE; i++) {
        weir_client_close(c[i % AT_ONCE]);
        c[i % AT_ONCE] = i < COME ? open_client(s->nng, own.ca, NULL, 10000) : NULL;
        for (int k = (int)(weir_test_random(&seed) % NOTES_MAX); k > 0 && i < COME; k--) {
            note *n = &notes[started++];
            weir_client_error err;
            *n = (note){.sure = &sure, .ids = &ids};
            (void)snprintf(n->id, sizeof n->id, "%s-%d", prefix, started);
            const weir_client_command note_it = {
                .name = "note", .args = weir_arena_printf(wt_fx.a, "{\"id\":\"%s\"}", n->id)};
            assert_int_equal(weir_client_send_start(c[i % AT_ONCE], &note_it, on_note, n, &err),
                             WEIR_CLIENT_OK);
        }
        for (int k = (int)(weir_test_random(&seed) % 4); k > 0 && i < COME; k--) {
            (void)weir_client_run(c[weir_test_random(&seed) % AT_ONCE % (unsigned)(i + 1)], 2);
        }
    }
    weir_buf_printf(&ids, "}'::text[]) a(id) WHERE id <> '-' AND (SELECT count(*) FROM journal j "
                          "WHERE j.id = a.id) <> 1");
    weir_buf_u8(&ids, 0);
    assert_false(ids.failed);
    assert_true(sure > 0);
    assert_string_equal(fixture_sql_value(&wt_fx, ids.p), "0");
    assert_string_equal(
        fixture_sql_value(&wt_fx, weir_arena_printf(wt_fx.a,
                                                    "SELECT count(*) - count(DISTINCT id) FROM "
                                                    "journal WHERE id LIKE '%s-%%'",
                                                    prefix)),
        "0");
    fixture_wait(&wt_fx, all_closed, &f, 10000, "the connections of those who left to be closed");
    must_answer(s);
    weir_buf_fini(&ids);
}

static void clients_come_and_go(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    come_and_go(&wt_main, "bare");
    come_and_go(&tls, "tls");
}

/* --- gone, and stopped --- */

static void on_ignored(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    (void)err;
    *(int *)arg = r ? r->status : -1;
}

static bool waits(void *client)
{
    (void)weir_client_run(client, 10);
    return wt_metric(&tls, "weir_write_queue_length") >= 1;
}

static bool is_cancelled(void *unused)
{
    (void)unused;
    return wt_metric(&tls, "weir_write_cancelled_total") >= 1;
}

static bool naps_run(void *client)
{
    int n = 1;
    (void)weir_client_run(client, 10);
    return wt_naps(&n);
}

static void nap(weir_client *c, int *status, const char *args)
{
    weir_client_error err;
    const weir_client_command k = {.name = "nap", .args = args};
    assert_int_equal(weir_client_send_start(c, &k, on_ignored, status, &err), WEIR_CLIENT_OK);
    fixture_wait(&wt_fx, naps_run, c, 5000, "the command to run");
}

static void gone_before_its_turn(void **state)
{
    weir_client_error err;
    int status = 0, ignored = 0;
    (void)state;
    fixture_need(&wt_fx);
    weir_client *stays = open_client(tls.nng, own.ca, NULL, 10000);
    weir_client *leaves = open_client(tls.nng, own.ca, NULL, 10000);
    const weir_client_command k = {.name = "note", .args = "{\"id\":\"left\"}"};
    nap(stays, &status, "{\"seconds\": 0.8}");
    assert_int_equal(weir_client_send_start(leaves, &k, on_ignored, &ignored, &err),
                     WEIR_CLIENT_OK);
    fixture_wait(&wt_fx, waits, leaves, 5000, "the command to wait");
    weir_client_close(leaves);
    fixture_wait(&wt_fx, is_cancelled, NULL, 5000, "the command to be dropped");
    while (weir_client_run(stays, 1000) > 0) {
    }
    assert_int_equal(status, 200);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT count(*) FROM journal WHERE id='left'"),
                        "0");
    weir_client_close(stays);
}

static bool has_left(void *proc)
{
    return !fixture_running(proc);
}

static void what_is_under_way_is_answered_at_the_end(void **state)
{
    int status = 0;
    (void)state;
    fixture_need(&wt_fx);
    weir_client *c = open_client(tls.nng, own.ca, NULL, 10000);
    nap(c, &status, "{\"seconds\": 0.4}");
    (void)kill(tls.proc->pid, SIGTERM);
    while (weir_client_run(c, 1000) > 0) {
    }
    assert_int_equal(status, 200);
    fixture_wait(&wt_fx, has_left, tls.proc, 10000, "weir-write to leave");
    weir_client_close(c);
}

static int up(void **state)
{
    char more[600];
    (void)state;
    if (wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql") != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    certs_make_in(&own, wt_fx.dir, "own");
    certs_make_in(&foreign, wt_fx.dir, "foreign");
    (void)snprintf(more, sizeof more, "lanes=1\nbody_max_bytes=65536\n[tls]\ncert=%s\nkey=%s\n",
                   own.cert, own.key);
    weir_curl_trust(own.ca);
    wt_start_tls(&tls, "tls", wt_fx.pg.uri, more);
    (void)snprintf(more, sizeof more, "connections_max=%d\n", CEILING);
    wt_start(&narrow, "narrow", wt_fx.pg.uri, more);
    fixture_wait(&wt_fx, wt_is_ready, &tls, 5000, "weir-write to be ready");
    return 0;
}

static int down(void **state)
{
    weir_curl_trust(NULL);
    return wt_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_carries_small_large_and_many),
        cmocka_unit_test(who_is_not_trusted_gets_no_command),
        cmocka_unit_test(what_is_no_tls_gets_nothing),
        cmocka_unit_test(connections_have_a_ceiling),
        cmocka_unit_test(clients_come_and_go),
        cmocka_unit_test(gone_before_its_turn),
        cmocka_unit_test(what_is_under_way_is_answered_at_the_end),
    };
    return cmocka_run_group_tests_name("write_door", tests, up, down);
}
