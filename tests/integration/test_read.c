/* test_read.c - weir-read as a process, against a private Redis that the test fills in the
 * projector's place. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/io/curl.h"
#include "libweir/io/redis.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/rediscmd.h"

#define READY(gen) "{\"generation\":" gen ",\"state\":\"ready\",\"key\":[\"id\"],\"progress\":1}"

static fixture fx;
static fixture_proc *service;
static weir_redisc *redis;
static weir_arena *a;
static char base[64];

/* --- tools
 * --------------------------------------------------------------------------------------------------------
 */

#define CMD(...)                                                                                   \
    assert_int_not_equal(weir_redis_reply_type(REDISCMD(redis, __VA_ARGS__)), WEIR_REDIS_ERROR)

static void publish(const char *text)
{
    CMD("PUBLISH", "shop:notice", text);
}

static weir_curl_response call(const char *method, const char *path, const char *const *headers)
{
    weir_curl_response r = {0};
    weir_error err;
    const char *url = weir_arena_printf(a, "%s%s", base, path);
    assert_rc(WEIR_OK, weir_curl(method, url, headers, (weir_slice){NULL, 0}, 20000, a, &r, &err),
              &err);
    return r;
}

static weir_curl_response get(const char *path)
{
    return call("GET", path, NULL);
}

static void expect(const char *path, int status, const char *body)
{
    weir_curl_response r = get(path);
    if (r.status != status) {
        print_error("%s: %d " WEIR_SLICE_FMT "\n", path, r.status, WEIR_SLICE_ARG(r.body));
    }
    assert_int_equal(r.status, status);
    assert_has(r.body.p, body);
}

static const char *position_of(const weir_curl_response *r)
{
    weir_slice s = weir_curl_header(r, "Weir-Position");
    return s.p ? weir_arena_dupz(a, s) : NULL;
}

static bool answers_ready(void *arg)
{
    weir_curl_response r;
    const char *url = weir_arena_printf(a, "%s/readyz", base);
    (void)arg;
    return weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 1000, a, &r, NULL) == WEIR_OK &&
           r.status == 200;
}

static bool answers_not_ready(void *arg)
{
    weir_curl_response r;
    const char *url = weir_arena_printf(a, "%s/readyz", base);
    (void)arg;
    return weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 1000, a, &r, NULL) == WEIR_OK &&
           r.status == 503;
}

/* One request in a thread of its own, for what has to happen while it waits. */
typedef struct asker {
    const char *path;
    weir_thread *t;
    weir_arena *a;
    weir_curl_response r;
    weir_rc rc;
    int64_t took_ms;
} asker;

static void ask_in_thread(void *arg)
{
    asker *k = arg;
    int64_t start = weir_mono_ms();
    k->rc = weir_curl("GET", weir_arena_printf(k->a, "%s%s", base, k->path), NULL,
                      (weir_slice){NULL, 0}, 30000, k->a, &k->r, NULL);
    k->took_ms = weir_mono_ms() - start;
}

static void ask_start(asker *k, const char *path)
{
    *k = (asker){.path = path, .a = weir_arena_new(0)};
    assert_rc(WEIR_OK, weir_thread_start(&k->t, "asker", ask_in_thread, k, NULL), NULL);
}

static void ask_end(asker *k)
{
    weir_thread_join(k->t);
    assert_rc(WEIR_OK, k->rc, NULL);
}

static bool some_wait(void *arg)
{
    weir_curl_response r = get("/metrics");
    return strstr(r.body.p, arg) != NULL;
}

static void wait_for_waiters(int n)
{
    fixture_wait(&fx, some_wait, weir_arena_printf(a, "weir_read_waiting %d\n", n), 10000,
                 "the queries to wait");
}

static bool has_ended(void *arg)
{
    return !fixture_running(arg);
}

/* --- set-up
 * -------------------------------------------------------------------------------------------------------
 */

static void start_service(const char *threads)
{
    static const char *const env[] = {NULL};
    char ini[200];
    int port = fixture_free_port();
    (void)snprintf(ini, sizeof ini, "%s/weir.ini", fx.dir);
    const char *text = weir_arena_printf(a,
                                         "[app]\nname = shop\n[redis]\nuri = %s\n[read]\nport = "
                                         "%d\nthreads = %s\nwait_max_ms = 5000\n",
                                         fx.redis_uri, port, threads);
    assert_rc(WEIR_OK, weir_file_write(ini, weir_slice_z(text), 0600, NULL), NULL);
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", ini, NULL};
    (void)snprintf(base, sizeof base, "http://127.0.0.1:%d", port);
    service = fixture_spawn(&fx, weir_arena_printf(a, "read-%s", threads), argv, env);
    assert_non_null(service);
    fixture_wait(&fx, answers_ready, NULL, 15000, "weir-read to be ready");
}

static int open_all(void **state)
{
    (void)state;
    a = weir_arena_new(0);
    if (fixture_open(&fx, FIXTURE_REDIS) != 0) {
        return -1;
    }
    return fx.missing[0] || weir_redisc_open(&redis, fx.redis_uri, 5000, NULL) == WEIR_OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    weir_redisc_close(redis);
    fixture_close(&fx);
    weir_arena_free(a);
    return 0;
}

static int fill(void **state)
{
    (void)state;
    if (fx.missing[0]) {
        return 0;
    }
    CMD("FLUSHALL");
    CMD("SET", "shop:position", "0/1000");
    CMD("HSET", "shop:models", "order_view", READY("1"));
    CMD("SET", "shop:order_view:1:7", "{\"id\": 7}");
    publish("0/1000\norder_view\t*");
    if (!service) {
        start_service("2");
    }
    fixture_wait(&fx, answers_ready, NULL, 15000, "weir-read to be ready");
    return 0;
}

/* --- tests
 * --------------------------------------------------------------------------------------------------------
 */

static void documents(void **state)
{
    (void)state;
    fixture_need(&fx);
    weir_curl_response r = get("/queries/order_view/7");
    assert_int_equal(r.status, 200);
    assert_slice("{\"id\": 7}", r.body);
    assert_slice("application/json", weir_curl_header(&r, "Content-Type"));
    assert_string_equal(position_of(&r), "0/1000");
    const char *etag = weir_arena_dupz(a, weir_curl_header(&r, "ETag"));
    const char *headers[] = {weir_arena_printf(a, "If-None-Match: \"other\", %s", etag), NULL};
    r = call("GET", "/queries/order_view/7", headers);
    assert_int_equal(r.status, 304);
    assert_int_equal(r.body.n, 0);
    assert_slice(etag, weir_curl_header(&r, "ETag"));
    assert_string_equal(position_of(&r), "0/1000");
    r = call("HEAD", "/queries/order_view/7", NULL);
    assert_int_equal(r.status, 200);
    assert_slice("9", weir_curl_header(&r, "Content-Length"));
    assert_slice(etag, weir_curl_header(&r, "ETag"));
    r = get("/queries/order_view/8");
    assert_int_equal(r.status, 404);
    assert_string_equal(position_of(&r), "0/1000");
    assert_has(r.body.p, "no document with key 8");
    CMD("SET", "shop:order_view:1:7", "{\"id\": 7, \"changed\": true}");
    r = call("GET", "/queries/order_view/7", headers);
    assert_int_equal(r.status, 200);
}

/* What an emptied Redis lacks may exist in PostgreSQL: nobody may be told that it does not. */
static void emptied(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_int_equal(get("/queries/order_view/8").status, 404);
    CMD("FLUSHALL");
    weir_curl_response r = get("/queries/order_view/7");
    assert_int_equal(r.status, 503);
    assert_has(r.body.p, "urn:weir:problem:refilling");
    assert_slice("1", weir_curl_header(&r, "Retry-After"));
    /* the projector comes back: models and documents first, the position with the last of them */
    CMD("HSET", "shop:models", "order_view", READY("1"));
    CMD("SET", "shop:order_view:1:7", "{\"id\": 7}");
    assert_int_equal(get("/queries/order_view/7").status, 200);
    r = get("/queries/order_view/9");
    assert_int_equal(r.status, 503);
    assert_has(r.body.p, "urn:weir:problem:refilling");
    assert_int_equal(get("/queries/no_such_model/9").status, 404);
    CMD("SET", "shop:position", "0/1000");
    assert_int_equal(get("/queries/order_view/9").status, 404);
    CMD("DEL", "shop:models"); /* removed by a deploy */
    assert_int_equal(get("/queries/order_view/7").status, 404);
}

/* --- a projector that never rests --- */

enum { WRITES = 3000, READS_AT_LEAST = 100 };

typedef struct projector {
    weir_redisc *redis;
    atomic_bool ended, failed;
} projector;

static void project(void *arg)
{
    projector *p = arg;
    const weir_redis_reply *reply = NULL;
    weir_error err;
    for (int i = 0; i < WRITES && !atomic_load(&p->failed); i++) {
        char doc[64], at[32];
        (void)snprintf(at, sizeof at, "0/%X", 0x2000 + i);
        (void)snprintf(doc, sizeof doc, "{\"at\": \"%s\"}", at);
        const char *const words[][3] = {{"MULTI", NULL, NULL},
                                        {"SET", "shop:order_view:1:7", doc},
                                        {"SET", "shop:position", at},
                                        {"PUBLISH", "shop:notice", at},
                                        {"EXEC", NULL, NULL}};
        for (int k = 0; k < 5; k++) {
            weir_slice argv[3];
            size_t n = 0;
            for (; n < 3 && words[k][n]; n++) {
                argv[n] = weir_slice_z(words[k][n]);
            }
            if (weir_redisc_call(p->redis, &reply, n, argv, &err) != WEIR_OK) {
                atomic_store(&p->failed, true);
            }
        }
    }
    atomic_store(&p->ended, true);
}

/* The position told must be the document's own: not one heard of earlier, not one read later. */
static void position_and_document_are_of_one_moment(void **state)
{
    (void)state;
    fixture_need(&fx);
    projector p = {0};
    weir_thread *t = NULL;
    int reads = 0, wrong = 0;
    CMD("SET", "shop:order_view:1:7", "{\"at\": \"0/1000\"}");
    assert_rc(WEIR_OK, weir_redisc_open(&p.redis, fx.redis_uri, 5000, NULL), NULL);
    assert_rc(WEIR_OK, weir_thread_start(&t, "projector", project, &p, NULL), NULL);
    for (; !atomic_load(&p.ended) || reads < READS_AT_LEAST; reads++) {
        weir_curl_response r = get("/queries/order_view/7");
        const char *at = position_of(&r);
        const char *want = weir_arena_printf(a, "{\"at\": \"%s\"}", at ? at : "");
        wrong += r.status != 200 || !weir_slice_eqz(r.body, want);
    }
    weir_thread_join(t);
    weir_redisc_close(p.redis);
    assert_false(atomic_load(&p.failed));
    if (wrong > 0) {
        fail_msg("%d of %d documents came with another position than their own", wrong, reads);
    }
}

static void large_documents(void **state)
{
    (void)state;
    fixture_need(&fx);
    size_t n = 3 << 20;
    char *big = malloc(n + 1);
    memset(big, 'b', n);
    big[n] = '\0';
    CMD("SET", "shop:order_view:1:big", big);
    for (int i = 0; i < 3; i++) {
        weir_curl_response r = get("/queries/order_view/big");
        assert_int_equal(r.status, 200);
        assert_int_equal(r.body.n, n);
        assert_memory_equal(r.body.p, big, n);
    }
    free(big);
}

/* Each request lands on any loop, and each loop hears of a model by itself. */
static bool all_loops_list_it(void *arg)
{
    for (int i = 0; i < 12; i++) {
        if (!strstr(get("/queries").body.p, arg)) {
            return false;
        }
    }
    return true;
}

static void keys_and_paths(void **state)
{
    (void)state;
    fixture_need(&fx);
    CMD("HSET", "shop:models", "line_view",
        "{\"generation\":2,\"state\":\"ready\",\"key\":[\"order_id\",\"sku\"]}");
    CMD("SET", "shop:line_view:2:7/A%2F1", "{\"sku\": \"A/1\"}");
    CMD("SET", "shop:line_view:2:7/%", "{\"sku\": \"\"}");
    CMD("SET", "shop:line_view:2:7/\xC3\xA9", "{\"sku\": \"e\"}");
    expect("/queries/line_view/7/A%2f1", 200, "A/1"); /* never heard of: read before a 404 */
    expect("/queries/line_view/7/%", 200, "\"sku\": \"\"");
    expect("/queries/line_view/7/%C3%A9", 200, "\"e\"");
    expect("/queries/line_view/7", 400, "has 2 parts, 1 given");
    expect("/queries/line_view/7", 400, "\"key\":[\"order_id\",\"sku\"]");
    expect("/queries/order_view/7/8", 400, "has 1 part, 2 given");
    expect("/queries/order_view", 400, "name a key");
    expect("/queries/order_view/%zz", 400, "malformed key");
    expect("/queries/order_view/7//", 400, "malformed key");
    publish("0/1000\nline_view\t*");
    fixture_wait(&fx, all_loops_list_it,
                 "\"name\":\"line_view\",\"state\":\"ready\",\"generation\":2", 10000,
                 "both loops to know line_view");
    expect("/queries/nothing/7", 404, "there is no model nothing");
    expect("/queries/nothing/7", 404, "\"models\":[\"line_view\",\"order_view\"]");
    expect("/elsewhere", 404, "/queries/{model}/{key}");
    assert_int_equal(call("POST", "/queries/order_view/7", NULL).status, 405);
    assert_int_equal(call("OPTIONS", "/queries/order_view/7", NULL).status, 204);
}

/* What PostgreSQL takes for the same value is the same document, and what it refuses is no key. */
static void keys_are_values(void **state)
{
    (void)state;
    fixture_need(&fx);
    CMD("HSET", "shop:models", "part_view",
        "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\",\"n\"],"
        "\"types\":[\"uuid\",\"integer\"]}");
    CMD("SET", "shop:part_view:1:8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11/4", "{\"n\": 4}");
    expect("/queries/part_view/8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11/4", 200, "4");
    expect("/queries/part_view/8C1F5A3E-0D6B-4F57-9A51-2F3F0C9A7B11/+04", 200, "4");
    expect("/queries/part_view/8C1F5A3E-0D6B-4F57-9A51-2F3F0C9A7B11/05", 404, "no document");
    expect("/queries/part_view/8c1f5a3e/4", 400, "part 1 of the key of model part_view must be a");
    expect("/queries/part_view/8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11/four", 400,
           "part 2 of the key of model part_view must be a whole number");
    /* A loop that knows the types of a former deploy looks before it refuses. */
    CMD("HSET", "shop:models", "part_view",
        "{\"generation\":2,\"state\":\"ready\",\"key\":[\"id\",\"n\"],"
        "\"types\":[\"uuid\",\"text\"]}");
    CMD("SET", "shop:part_view:2:8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11/four", "{\"n\": \"four\"}");
    expect("/queries/part_view/8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11/four", 200, "four");
    CMD("HDEL", "shop:models", "part_view");
    publish("0/1000\npart_view\t*");
}

static void bad_parameters(void **state)
{
    (void)state;
    fixture_need(&fx);
    expect("/queries/order_view/7?min_position=zebra", 400, "min_position is malformed");
    expect("/queries/order_view/7?min_position=", 400, "min_position is malformed");
    expect("/queries/order_view/7?min_position=1", 400, "min_position is malformed");
    expect("/queries/order_view/7?min_position=0/1&wait_ms=x", 400, "wait_ms is malformed");
    expect("/queries/order_view/7?min_position=0/1&wait_ms=-1", 400, "wait_ms is malformed");
}

static void states_of_models(void **state)
{
    (void)state;
    fixture_need(&fx);
    CMD("HSET", "shop:models", "new_view",
        "{\"generation\":1,\"state\":\"building\",\"key\":[\"id\"],\"progress\":0.25}");
    weir_curl_response r = get("/queries/new_view/1");
    assert_int_equal(r.status, 503);
    assert_has(r.body.p, "25.0% done");
    assert_has(r.body.p, "\"progress\":0.250");
    assert_non_null(weir_curl_header(&r, "Retry-After").p);
    CMD("HSET", "shop:models", "new_view",
        "{\"generation\":1,\"state\":\"stalled\",\"key\":[\"id\"],\"reason\":\"column x\"}");
    CMD("SET", "shop:new_view:1:1", "{\"old\": 1}");
    publish("0/1001\nnew_view\t*");
    r = get("/queries/new_view/1");
    assert_int_equal(r.status, 200);
    assert_null(position_of(&r)); /* nothing can be promised */
    assert_slice("stalled", weir_curl_header(&r, "Weir-Model-State"));
    expect("/queries/new_view/1?min_position=0/1", 503,
           "stalled and cannot reach a position: column x");
    CMD("HDEL", "shop:models", "new_view");
    publish("0/1002\nnew_view\t*");
    expect("/queries/new_view/1", 404, "there is no model new_view");
}

static void waiting_for_a_position(void **state)
{
    asker k;
    (void)state;
    fixture_need(&fx);
    expect("/queries/order_view/7?min_position=0/1000", 200, "7");
    weir_curl_response r = get("/queries/order_view/7?min_position=0/1001&wait_ms=30");
    assert_int_equal(r.status, 504);
    assert_has(r.body.p, "is at 0/1000 and did not reach min_position 0/1001 within 30 ms");
    assert_has(r.body.p, "\"position\":\"0/1000\",\"min_position\":\"0/1001\"");
    assert_string_equal(position_of(&r), "0/1000");
    /* woken by the notice; the document is read afterwards */
    ask_start(&k, "/queries/order_view/7?min_position=0/2000&wait_ms=5000");
    wait_for_waiters(1);
    CMD("SET", "shop:order_view:1:7", "{\"id\": 7, \"v\": 2}");
    CMD("SET", "shop:position", "0/2001");
    publish("0/2001\norder_view\t7");
    ask_end(&k);
    assert_int_equal(k.r.status, 200);
    assert_slice("{\"id\": 7, \"v\": 2}", k.r.body);
    assert_slice("0/2001", weir_curl_header(&k.r, "Weir-Position"));
    weir_arena_free(k.a);
    /* no notice ever comes: the poll finds it */
    ask_start(&k, "/queries/order_view/7?min_position=0/3000&wait_ms=5000");
    wait_for_waiters(1);
    CMD("SET", "shop:position", "0/3000");
    ask_end(&k);
    assert_int_equal(k.r.status, 200);
    weir_arena_free(k.a);
    /* a notice that lies: the read decides */
    publish("0/4000\norder_view\t7");
    expect("/queries/order_view/7?min_position=0/4000&wait_ms=30", 504, "is at 0/3000");
    wait_for_waiters(0);
}

static void many_waiters(void **state)
{
    enum { N = 60 };
    static asker k[N];
    (void)state;
    fixture_need(&fx);
    for (int i = 0; i < N; i++) {
        ask_start(&k[i], weir_arena_printf(a, "/queries/order_view/7?wait_ms=%d&min_position=0/%X",
                                           i % 3 == 0 ? 50 : 5000, 0x5000 + i));
    }
    wait_for_waiters(N - N / 3);
    for (int i = 0; i < N; i++) {
        const char *at = weir_arena_printf(a, "0/%X", 0x5000 + i);
        CMD("SET", "shop:position", at);
        publish(at);
    }
    for (int i = 0; i < N; i++) {
        ask_end(&k[i]);
        assert_int_equal(k[i].r.status, i % 3 == 0 ? 504 : 200);
        weir_arena_free(k[i].a);
    }
    wait_for_waiters(0);
}

/* They wake together, so they are read together: more than one MGET of them. */
static void each_its_own_document(void **state)
{
    enum { N = 60, LARGE_BYTES = 100000 };
    static asker k[N];
    (void)state;
    fixture_need(&fx);
    char *large = malloc(LARGE_BYTES + 1);
    memset(large, 'l', LARGE_BYTES);
    large[LARGE_BYTES] = '\0';
    for (int i = 0; i < N; i++) {
        if (i % 5 != 0) {
            CMD("SET", weir_arena_printf(a, "shop:order_view:1:own%d", i),
                i % 7 == 0 ? large : weir_arena_printf(a, "{\"own\": %d}", i));
        }
        ask_start(&k[i], weir_arena_printf(
                             a, "/queries/order_view/own%d?wait_ms=10000&min_position=0/5800", i));
    }
    wait_for_waiters(N);
    CMD("SET", "shop:position", "0/5800");
    publish("0/5800");
    for (int i = 0; i < N; i++) {
        ask_end(&k[i]);
        assert_int_equal(k[i].r.status, i % 5 == 0 ? 404 : 200);
        assert_slice("0/5800", weir_curl_header(&k[i].r, "Weir-Position"));
        if (i % 5 != 0) {
            assert_slice(i % 7 == 0 ? large : weir_arena_printf(a, "{\"own\": %d}", i),
                         k[i].r.body);
        }
        weir_arena_free(k[i].a);
    }
    free(large);
}

/* Without a word on the notice channel: only the fence can see it. */
static void a_switch_of_generations(void **state)
{
    (void)state;
    fixture_need(&fx);
    expect("/queries/order_view/7", 200, "7");
    for (int gen = 2; gen < 12; gen++) {
        const char *entry =
            weir_arena_printf(a, "{\"generation\":%d,\"state\":\"ready\",\"key\":[\"id\"]}", gen);
        const char *key = weir_arena_printf(a, "shop:order_view:%d:7", gen);
        const char *doc = weir_arena_printf(a, "{\"gen\": %d}", gen);
        CMD("MULTI");
        CMD("SET", key, doc);
        CMD("HSET", "shop:models", "order_view", entry);
        CMD("EXEC");
        expect("/queries/order_view/7", 200, doc);
    }
    expect("/queries/order_view/8", 404, "no document");
    CMD("HDEL", "shop:models", "order_view");
    expect("/queries/order_view/7", 404, "there is no model order_view");
    assert_true(some_wait("weir_read_generation_retries_total 1"));
}

static void an_outage_of_redis(void **state)
{
    (void)state;
    fixture_need(&fx);
    asker k;
    ask_start(&k, "/queries/order_view/7?min_position=F/0&wait_ms=5000");
    wait_for_waiters(1);
    weir_redisc_close(redis);
    redis = NULL;
    fixture_kill9(fx.redis);
    fixture_wait(&fx, answers_not_ready, NULL, 10000, "weir-read to notice that Redis is away");
    int64_t start = weir_mono_ms();
    expect("/queries/order_view/7", 503, "Redis is away");
    assert_true(weir_mono_ms() - start < INT64_C(1000) * weir_test_timeout_x()); /* at once */
    expect("/healthz", 200, "ok");
    expect("/readyz", 503, "redis: ");
    ask_end(&k);
    assert_true(k.r.status == 504 || k.r.status == 503);
    weir_arena_free(k.a);
    assert_true(fixture_restart(fx.redis));
    fixture_wait(&fx, answers_ready, NULL, 15000, "weir-read to find Redis again");
    assert_rc(WEIR_OK, weir_redisc_open(&redis, fx.redis_uri, 5000, NULL), NULL);
    expect("/queries/order_view/7", 503, "refilling");
    assert_int_equal(fill(NULL), 0);
    expect("/queries/order_view/7", 200, "7");
    /* positions may start again from below */
    expect("/queries/order_view/7?min_position=0/1000", 200, "7");
    expect("/queries/order_view/7?min_position=0/1001&wait_ms=20", 504, "is at 0/1000");
}

static void a_stuck_redis(void **state)
{
    (void)state;
    fixture_need(&fx);
    asker k;
    assert_int_equal(kill(fx.redis->pid, SIGSTOP), 0);
    ask_start(&k, "/queries/order_view/7");
    ask_end(&k);
    (void)kill(fx.redis->pid, SIGCONT);
    assert_int_equal(k.r.status, 503);
    weir_arena_free(k.a);
    fixture_wait(&fx, answers_ready, NULL, 15000, "weir-read to find Redis again");
    expect("/queries/order_view/7", 200, "7");
}

static void metrics_and_status(void **state)
{
    (void)state;
    fixture_need(&fx);
    (void)get("/queries/order_view/7");
    weir_curl_response r = get("/metrics");
    assert_has(r.body.p, "weir_read_requests_total{status=\"200\"} ");
    assert_has(r.body.p, "weir_read_request_seconds_count ");
    assert_has(r.body.p, "weir_read_loops_ready 2\n");
    r = get("/status");
    assert_has(r.body.p, "\"service\":\"weir-read\"");
    assert_has(r.body.p, "\"position\":\"0/1000\"");
    assert_has(r.body.p, "\"name\":\"order_view\"");
}

static void the_port_is_ours_alone(void **state)
{
    (void)state;
    fixture_need(&fx);
    char ini[200];
    (void)snprintf(ini, sizeof ini, "%s/weir.ini", fx.dir);
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", ini, NULL};
    fixture_proc *second = fixture_spawn(&fx, "second", argv, NULL);
    assert_non_null(second);
    int64_t end = weir_mono_ms() + INT64_C(10000) * weir_test_timeout_x();
    while (fixture_running(second) && weir_mono_ms() < end) {
        expect("/healthz", 200, "ok");
    }
    assert_false(fixture_running(second));
    expect("/queries/order_view/7", 200, "7");
}

static void a_stop_answers_what_waits(void **state)
{
    asker k;
    asker late;
    (void)state;
    fixture_need(&fx);
    ask_start(&k, "/queries/order_view/7?min_position=0/2000&wait_ms=5000");
    ask_start(&late, "/queries/order_view/7?min_position=F/2000&wait_ms=5000");
    wait_for_waiters(2);
    assert_int_equal(kill(service->pid, SIGTERM), 0);
    CMD("SET", "shop:position", "0/2000");
    publish("0/2000");
    ask_end(&k);
    ask_end(&late);
    assert_int_equal(k.r.status, 200);
    assert_int_equal(late.r.status, 503);
    weir_arena_free(k.a);
    weir_arena_free(late.a);
    fixture_wait(&fx, has_ended, service, 10000, "weir-read to end");
    service = NULL;
}

static void starts_without_redis(void **state)
{
    (void)state;
    fixture_need(&fx);
    weir_redisc_close(redis);
    redis = NULL;
    fixture_kill9(fx.redis);
    static const char *const env[] = {NULL};
    char ini[200];
    (void)snprintf(ini, sizeof ini, "%s/weir.ini", fx.dir);
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", ini, NULL};
    service = fixture_spawn(&fx, "read-alone", argv, env);
    assert_non_null(service);
    fixture_wait(&fx, answers_not_ready, NULL, 15000, "weir-read to answer without Redis");
    expect("/queries/order_view/7", 503, "Redis is away");
    expect("/queries", 503, "not been read");
    assert_true(fixture_restart(fx.redis));
    fixture_wait(&fx, answers_ready, NULL, 15000, "weir-read to find Redis");
    assert_rc(WEIR_OK, weir_redisc_open(&redis, fx.redis_uri, 5000, NULL), NULL);
    assert_int_equal(fill(NULL), 0);
    expect("/queries/order_view/7", 200, "7");
    assert_int_equal(fixture_stop(service, 10000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(documents, fill),
        cmocka_unit_test_setup(emptied, fill),
        cmocka_unit_test_setup(position_and_document_are_of_one_moment, fill),
        cmocka_unit_test_setup(large_documents, fill),
        cmocka_unit_test_setup(keys_and_paths, fill),
        cmocka_unit_test_setup(keys_are_values, fill),
        cmocka_unit_test_setup(bad_parameters, fill),
        cmocka_unit_test_setup(states_of_models, fill),
        cmocka_unit_test_setup(waiting_for_a_position, fill),
        cmocka_unit_test_setup(many_waiters, fill),
        cmocka_unit_test_setup(each_its_own_document, fill),
        cmocka_unit_test_setup(a_switch_of_generations, fill),
        cmocka_unit_test_setup(an_outage_of_redis, fill),
        cmocka_unit_test_setup(a_stuck_redis, fill),
        cmocka_unit_test_setup(metrics_and_status, fill),
        cmocka_unit_test_setup(the_port_is_ours_alone, fill),
        cmocka_unit_test_setup(a_stop_answers_what_waits, fill),
        cmocka_unit_test(starts_without_redis),
    };
    return cmocka_run_group_tests_name("read", tests, open_all, close_all);
}
