/* sys_truth.c - is Redis what PostgreSQL says? */
#include <stdio.h>

#include "libweir/codec/dockey.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "tests/support/check.h"
#include "tests/support/sys.h"

enum { SETTLE_MS = 30000 };

void sys_settle(sys *s)
{
    uint64_t lsn = 0;
    assert_true(
        weir_lsn_parse(weir_slice_z(sys_value(s, "SELECT pg_current_wal_flush_lsn()")), &lsn));
    if (!orc_app_reached(&s->app, lsn, (int64_t)SETTLE_MS * weir_test_timeout_x())) {
        sys_logs(s, 12);
        fail();
    }
}

void sys_same(sys *s, uint64_t least)
{
    uint64_t documents = 0;
    sys_settle(s);
    int diffs = orc_compare(&s->app, &documents, false);
    if (diffs != 0) {
        sys_logs(s, 12);
    }
    assert_int_equal(0, diffs);
    assert_true(documents >= least);
}

void sys_verify(sys *s)
{
    int rc = sys_weir(s, "verify", s->app.dir, NULL);
    if (rc != 0) {
        fail_msg("weir verify ended with %d:\n%s", rc, s->said);
    }
}

static bool verifies(void *arg)
{
    sys *s = arg;
    return sys_weir(s, "verify", s->app.dir, NULL) == 0;
}

void sys_await_verify(sys *s, int64_t ms, const char *what)
{
    sys_await(s, verifies, s, ms, what);
}

/* An answer of Redis; the connection is made anew once when it was lost. */
static const weir_redis_reply *redis(sys *s, size_t argc, const weir_slice *argv)
{
    weir_error err = {0};
    const weir_redis_reply *r = NULL;
    for (int i = 0; i < 2; i++) {
        assert_true(orc_app_connect(&s->app, 10000));
        if (weir_redisc_call(s->app.redis, &r, argc, argv, &err) == WEIR_OK) {
            return r;
        }
        weir_redisc_close(s->app.redis);
        s->app.redis = NULL;
    }
    fail_msg("Redis: %s", err.msg);
    return NULL;
}

/* The model's entry, parsed; NULL: none. */
static weir_json *entry(sys *s, const char *model)
{
    weir_error err = {0};
    weir_json *j = NULL;
    weir_slice argv[] = {WEIR_SLICE_LIT("HGET"), weir_dockey_models(s->app.a, s->app.ns),
                         weir_slice_z(model)};
    weir_slice text = weir_redis_reply_str(redis(s, 3, argv));
    if (text.p) {
        assert_rc(WEIR_OK, weir_json_parse(&j, text, &err), &err);
    }
    return j;
}

const char *sys_model_state(sys *s, const char *model, const char **reason)
{
    weir_slice text = {0};
    const char *state = "gone";
    weir_json *j = entry(s, model);
    if (reason) {
        *reason = j && weir_json_str(j, "reason", &text) ? weir_arena_dupz(s->app.a, text) : "";
    }
    if (j && weir_json_str(j, "state", &text)) {
        state = weir_arena_dupz(s->app.a, text);
    }
    weir_json_free(j);
    return state;
}

int64_t sys_model_generation(sys *s, const char *model)
{
    int64_t n = 0;
    weir_json *j = entry(s, model);
    (void)weir_json_i64(j, "generation", &n);
    weir_json_free(j);
    return n;
}

struct awaited {
    sys *s;
    const char *model, *state;
};

static bool has_state(void *arg)
{
    struct awaited *w = arg;
    return strcmp(sys_model_state(w->s, w->model, NULL), w->state) == 0;
}

const char *sys_await_model(sys *s, const char *model, const char *state, int64_t ms)
{
    struct awaited w = {s, model, state};
    const char *reason = "";
    sys_await(s, has_state, &w, ms, weir_arena_printf(s->app.a, "%s to be %s", model, state));
    (void)sys_model_state(s, model, &reason);
    return reason;
}

int64_t sys_keys(sys *s, const char *pattern)
{
    weir_slice argv[] = {WEIR_SLICE_LIT("KEYS"), weir_slice_z(pattern)};
    return (int64_t)weir_redis_reply_len(redis(s, 2, argv));
}

const char *sys_redis_get(sys *s, const char *key)
{
    weir_slice argv[] = {WEIR_SLICE_LIT("GET"),
                         weir_slice_z(weir_arena_printf(s->app.a, "%s:%s", s->app.ns, key))};
    weir_slice text = weir_redis_reply_str(redis(s, 2, argv));
    return text.p ? weir_arena_dupz(s->app.a, text) : NULL;
}
