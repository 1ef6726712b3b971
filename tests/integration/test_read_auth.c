/* test_read_auth.c - callers of the read-service: who is let in, which models a role may read. */
#include <stdio.h>
#include <string.h>

#include "libweir/base/str.h"
#include "libweir/io/curl.h"
#include "libweir/io/redis.h"
#include "tests/support/authkeys.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

#define ENTRY "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"],\"progress\":1}"

enum { APP, ADMIN, SLOW, NKEYS };
static authkeys_one key[NKEYS] = {{.key = {.name = "app", .role = "shop_app"}},
                                  {.key = {.name = "boss", .role = "shop_admin"}},
                                  {.key = {.name = "slow", .role = "shop_app", .rate_per_s = 2}}};
static fixture fx;
static fixture_proc *service;
static weir_arena *a;
static char base[64], key_path[160];

static weir_curl_response get(const char *path, const char *who)
{
    weir_curl_response r = {0};
    weir_error err = {0};
    const char *const headers[] = {who, NULL};
    const char *url = weir_arena_printf(a, "%s%s", base, path);
    (void)!weir_curl("GET", url, headers, (weir_slice){NULL, 0}, 20000, a, &r, &err);
    return r;
}

static bool is_ready(void *arg)
{
    (void)arg;
    return get("/readyz", NULL).status == 200;
}

static void fill(void)
{
    static const char *const words[][4] = {{"SET", "shop:position", "0/1000"},
                                           {"HSET", "shop:models", "order_view", ENTRY},
                                           {"HSET", "shop:models", "payments", ENTRY},
                                           {"SET", "shop:order_view:1:7", "{\"id\": 7}"},
                                           {"SET", "shop:payments:1:7", "{\"id\": 7}"}};
    weir_redisc *redis = NULL;
    assert_rc(WEIR_OK, weir_redisc_open(&redis, fx.redis_uri, 5000, NULL), NULL);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        weir_slice argv[4];
        size_t n = 0;
        const weir_redis_reply *reply = NULL;
        weir_error err = {0};
        for (; n < 4 && words[i][n]; n++) {
            argv[n] = weir_slice_z(words[i][n]);
        }
        assert_rc(WEIR_OK, weir_redisc_call(redis, &reply, n, argv, &err), &err);
    }
    weir_redisc_close(redis);
}

static void models_of_a_role(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_int_equal(get("/queries/order_view/7", NULL).status, 401);
    assert_int_equal(get("/queries", NULL).status, 401);
    assert_int_equal(get("/queries/order_view/7", key[APP].header).status, 200);
    assert_int_equal(get("/queries/payments/7", key[APP].header).status, 403);
    assert_int_equal(get("/queries/%70ayments/7", key[APP].header).status, 403);
    assert_int_equal(get("/queries/payments/7", key[ADMIN].header).status, 200);
    assert_int_equal(get("/queries/nothing/7", key[ADMIN].header).status, 404);
    assert_int_equal(get("/queries", key[APP].header).status, 200);
}

static void what_is_open(void **state)
{
    (void)state;
    fixture_need(&fx);
    assert_int_equal(get("/healthz", NULL).status, 200);
    weir_curl_response r = get("/readyz", NULL);
    assert_int_equal(r.status, 200);
    assert_null(strstr(r.body.p, "models"));
    assert_int_equal(get("/metrics", NULL).status, 401);
    assert_int_equal(get("/status", NULL).status, 401);
    assert_int_equal(get("/metrics", key[APP].header).status, 200);
}

/* One allowance, on whatever loop the connection lands. */
static void rates(void **state)
{
    (void)state;
    fixture_need(&fx);
    int refused = 0;
    for (int i = 0; i < 8 && !refused; i++) {
        weir_curl_response r = get("/queries/order_view/7", key[SLOW].header);
        refused += r.status == 429 && weir_curl_header(&r, "Retry-After").n > 0;
    }
    assert_int_equal(refused, 1);
}

static bool app_is_refused(void *arg)
{
    (void)arg;
    return get("/queries/order_view/7", key[APP].header).status == 401;
}

static void revoked(void **state)
{
    (void)state;
    fixture_need(&fx);
    authkeys_write(key, 0, key_path);
    fixture_wait(&fx, app_is_refused, NULL, 3000, "the key to be refused");
}

static int up(void **state)
{
    (void)state;
    char ini[200];
    int port = fixture_free_port();
    a = weir_arena_new(0);
    if (fixture_open(&fx, FIXTURE_REDIS) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    fill();
    (void)snprintf(key_path, sizeof key_path, "%s/keys", fx.dir);
    (void)snprintf(ini, sizeof ini, "%s/weir.ini", fx.dir);
    (void)snprintf(base, sizeof base, "http://127.0.0.1:%d", port);
    authkeys_make(key, NKEYS, key_path);
    const char *text = weir_arena_printf(
        a,
        "[app]\nname = shop\n[redis]\nuri = %s\n[read]\nport = %d\nthreads = 2\n[auth]\nkeys = %s\n"
        "roles = shop_app shop_admin\nread_models = shop_app=order_view shop_admin=*\n",
        fx.redis_uri, port, key_path);
    assert_rc(WEIR_OK, weir_file_write(ini, weir_slice_z(text), 0600, NULL), NULL);
    const char *const argv[] = {WEIR_BIN_DIR "/weir-read", "--config", ini, NULL};
    service = fixture_spawn(&fx, "read", argv, NULL);
    assert_non_null(service);
    fixture_wait(&fx, is_ready, NULL, 15000, "weir-read to be ready");
    return 0;
}

static int down(void **state)
{
    (void)state;
    fixture_close(&fx);
    weir_arena_free(a);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_of_a_role),
        cmocka_unit_test(what_is_open),
        cmocka_unit_test(rates),
        cmocka_unit_test(revoked),
    };
    return cmocka_run_group_tests_name("read auth", tests, up, down);
}
