/* test_system_steady.c - commands of every kind for a while, right and wrong, at once, later and in
 * batches: the memory of every service stays what it is.
 *
 * WEIR_TEST_STEADY_S=600 is the long form.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { CLIENTS = 6, ROWS = 1000, SHORT_S = 4, SERVICES = 4, MARKS = 3 };

static fixture fx;
static sys in;
static const char *const services[SERVICES] = {"bridge", "projector", "write", "read"};

static int open_group(void **state)
{
    (void)state;
    if (fixture_open(&fx, FIXTURE_PG | FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    sys *s = &in;
    sys_new(s, WEIR_BIN_DIR, &fx,
            "[app]\nname = steady\n[write]\nasync_keep_ms = 2s\ndead_keep_ms = 2s\n"
            "idempotency_keep_ms = 2s\nretry_pause_max_ms = 200\nasync_attempts_max = 2\n"
            "[bridge]\nlog_keep_ms = 2s\n");
    sys_put(
        s, "schema/0001_init.sql",
        "CREATE TABLE tally (id int PRIMARY KEY, n bigint NOT NULL CHECK (n >= 0), note text);\n"
        "INSERT INTO tally SELECT i, 0 FROM generate_series(1, 1000) i;\n");
    sys_put(
        s, "commands/bump.sql",
        "CREATE OR REPLACE FUNCTION command.bump(id int, by int DEFAULT 1, note text DEFAULT "
        "NULL) RETURNS bigint LANGUAGE plpgsql AS $$\n"
        "DECLARE r bigint; BEGIN UPDATE tally t SET n = t.n + by, note = bump.note WHERE t.id = "
        "bump.id RETURNING n INTO r;\n"
        "IF r IS NULL THEN RAISE EXCEPTION 'there is no %', id; END IF; RETURN r; END $$;\n");
    sys_put(s, "commands/fail.sql",
            "CREATE OR REPLACE FUNCTION command.fail(state text) RETURNS void LANGUAGE plpgsql AS "
            "$$\nBEGIN RAISE EXCEPTION 'as told' USING ERRCODE = state; END $$;\n");
    sys_put(s, "read-models/tally_view.sql", "-- @key id\nSELECT t.id, t.n, t.note FROM tally t\n");
    sys_weir(s, "deploy", s->app.dir, "--no-wait", NULL);
    sys_said(s, "revision");
    sys_start_all(s);
    sys_await_model(s, "tally_view", "ready", 20000);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    sys_end(&in);
    fixture_close(&fx);
    return 0;
}

/* --- clients -------------------------------------------------------------------------------------
 */

typedef struct client {
    const char *write_url, *read_url;
    uint64_t rng;
    atomic_bool *stop;
    int64_t sent, by_class[6]; /* status / 100 */
    weir_thread *thread;
} client;

typedef struct request {
    int weight;
    const char *path, *header, *body; /* body with two %d: row, something; NULL: GET */
    bool read;
} request;

#define LATER "Prefer: respond-async"
#define KEY   "Idempotency-Key: %d"
static const request mix[] = {
    {30, "/commands/bump", NULL, "{\"id\":%d,\"note\":\"n%d\"}", false},
    {8, "/commands/bump", KEY, "{\"id\":%d,\"note\":\"n%d\"}", false},
    {10, "/commands/bump", LATER, "{\"id\":%d,\"note\":\"n%d\"}", false},
    {4, "/commands/fail", LATER, "{\"state\":\"53200\"}", false},
    {4, "/commands/fail", LATER, "{\"state\":\"P0001\"}", false},
    {6, "/commands", NULL,
     "[{\"name\":\"bump\",\"arguments\":{\"id\":%d}},{\"name\":\"bump\",\"arguments\":{\"id\":%d}},"
     "{\"name\":\"fail\",\"arguments\":{\"state\":\"P0001\"}}]",
     false},
    {4, "/commands?atomic=true", NULL,
     "[{\"name\":\"bump\",\"arguments\":{\"id\":%d}},{\"name\":\"bump\",\"arguments\":{\"by\":%d}}"
     "]",
     false},
    {4, "/commands", LATER,
     "[{\"name\":\"bump\",\"arguments\":{\"id\":%d}},{\"name\":\"fail\",\"arguments\":{\"state\":"
     "\"4%"
     "04d\"}}]",
     false},
    {3, "/commands", KEY, "[{\"name\":\"bump\",\"arguments\":{\"id\":%d,\"by\":%d}}]", false},
    {3, "/commands/bump", NULL, "{\"id\":%d,\"what\":%d}", false},
    {2, "/commands/bump", NULL, "{\"id\":%d,", false},
    {2, "/commands/bump", NULL, "{\"id\":\"%d-%d\"}", false},
    {2, "/commands/no_such_thing", NULL, "{\"id\":%d}", false},
    {2, "/commands/bump", NULL, "{\"id\":%d,\"by\":-%d000000}", false},
    {2, "/commands/fail", NULL, "{\"state\":\"XX000\"}", false},
    {1, "/openapi.json", NULL, NULL, false},
    {1, "/status", NULL, NULL, false},
    {1, "/metrics", NULL, NULL, false},
    {10, "/queries/tally_view/%d?wait_ms=5", NULL, NULL, true},
    {1, "/queries/nothing/%d", NULL, NULL, true},
};

static const request *pick(client *c)
{
    int total = 0;
    size_t i = 0;
    for (size_t k = 0; k < sizeof mix / sizeof mix[0]; k++) {
        total += mix[k].weight;
    }
    int at = (int)(weir_test_random(&c->rng) % (uint64_t)total);
    while (at >= mix[i].weight) {
        at -= mix[i++].weight;
    }
    return &mix[i];
}

/* template with up to two %d */
static void put(char *out, size_t n, const char *template, int one, int two)
{
    weir_buf b;
    weir_buf_init(&b, 4096);
    for (const char *p = template; *p; p++) {
        if (p[0] == '%' && p[1] == 'd') {
            weir_buf_printf(&b, "%d", one);
            one = two;
            p++;
        } else if (strncmp(p, "%04d", 4) == 0) {
            weir_buf_printf(&b, "%04d", one % 10000);
            p += 3;
        } else {
            weir_buf_u8(&b, (uint8_t)*p);
        }
    }
    (void)snprintf(out, n, "%.*s", (int)b.n, b.p);
    weir_buf_fini(&b);
}

static void client_main(void *arg)
{
    client *c = arg;
    weir_arena *a = weir_arena_new(0);
    while (!atomic_load(c->stop)) {
        const request *r = pick(c);
        int row = 1 + (int)(weir_test_random(&c->rng) % ROWS);
        int other = 1 + (int)(weir_test_random(&c->rng) % ROWS);
        char url[200], path[120], header[80], body[400];
        put(path, sizeof path, r->path, row, 0);
        put(header, sizeof header, r->header ? r->header : "X-None: 1", other, 0);
        put(body, sizeof body, r->body ? r->body : "", row, other);
        (void)snprintf(url, sizeof url, "%s%s", r->read ? c->read_url : c->write_url, path);
        const char *headers[] = {"Content-Type: application/json", header, NULL};
        weir_curl_response got = {0};
        weir_error err = {0};
        bool ok = weir_curl(r->body ? "POST" : "GET", url, headers, weir_slice_z(body), 30000, a,
                            &got, &err) == WEIR_OK;
        c->sent++;
        c->by_class[ok && got.status < 600 ? got.status / 100 : 0]++;
        weir_arena_reset(a);
    }
    weir_arena_free(a);
}

/* --- memory --------------------------------------------------------------------------------------
 */

static void measure(sys *s, int64_t kb[SERVICES], int64_t second)
{
    char line[200] = "";
    for (int i = 0; i < SERVICES; i++) {
        int pid = sys_pid(s, services[i]);
        size_t n = strlen(line);
        kb[i] = sys_memory_kb(pid, "RssAnon");
        (void)snprintf(line + n, sizeof line - n, " %s %lld (%lld)", services[i], (long long)kb[i],
                       (long long)sys_memory_kb(pid, "VmRSS"));
    }
    print_message("after %lld s, RssAnon (VmRSS) in kB:%s\n", (long long)second, line);
}

static void rest(int64_t until_ms)
{
    weir_monitor *mon = weir_monitor_new();
    weir_monitor_lock(mon);
    for (int64_t left; (left = until_ms - weir_mono_ms()) > 0;) {
        (void)weir_monitor_wait(mon, left);
    }
    weir_monitor_unlock(mon);
    weir_monitor_free(mon);
}

static bool drained(void *s)
{
    return sys_number(s, "SELECT count(*) FROM weir.command WHERE state = 'accepted'") == 0;
}

static void memory_stays(void **state)
{
    (void)state;
    fixture_need(&fx);
    sys *s = &in;
    const char *text = getenv("WEIR_TEST_STEADY_S"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t seconds = text ? strtoll(text, NULL, 10) : SHORT_S, kb[MARKS][SERVICES];
    client clients[CLIENTS];
    atomic_bool stop = false;
    weir_error err = {0};
    uint64_t seed = weir_test_seed();
    int64_t from_ms = weir_mono_ms(), sent = 0, by_class[6] = {0};
    char *write_url = weir_arena_strdup(fx.a, sys_url(s, "write"));
    char *read_url = weir_arena_strdup(fx.a, sys_url(s, "read"));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){
            .write_url = write_url, .read_url = read_url, .rng = seed + (uint64_t)i, .stop = &stop};
        assert_rc(WEIR_OK,
                  weir_thread_start(&clients[i].thread, "client", client_main, &clients[i], &err),
                  &err);
    }
    const int64_t tenths[MARKS] = {1, 5, 10};
    for (int m = 0; m < MARKS; m++) {
        rest(from_ms + seconds * 100 * tenths[m]);
        measure(s, kb[m], (weir_mono_ms() - from_ms) / 1000);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        weir_thread_join(clients[i].thread);
        sent += clients[i].sent;
        for (int k = 0; k < 6; k++) {
            by_class[k] += clients[i].by_class[k];
        }
    }
    print_message("%lld requests: %lld 2xx, %lld 4xx, %lld 5xx, %lld without an answer\n",
                  (long long)sent, (long long)by_class[2], (long long)by_class[4],
                  (long long)by_class[5], (long long)by_class[0]);
    assert_int_equal(by_class[0], 0);
    assert_true(by_class[2] > sent / 2 && by_class[4] > 0 && by_class[5] > 0);
#if !defined(__SANITIZE_ADDRESS__)
    for (int i = 0; i < SERVICES; i++) { /* warm in the second half of the long form */
        int64_t half = kb[1][i], slack = seconds >= 60 ? 4096 : 16384;
        if (kb[2][i] > half + half / 10 + slack) {
            fail_msg("%s grows: %lld kB, then %lld", services[i], (long long)half,
                     (long long)kb[2][i]);
        }
    }
#endif
    sys_await(s, drained, s, 30000, "what is stored to be executed");
    sys_same(s, ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_stays)};
    return cmocka_run_group_tests_name("system_steady", tests, open_group, close_group);
}
