/* worker.c - one loop of the read-service: its parts, its ticks, its end. */
#include "read-service/worker.h"

#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/lsn.h"
#include "read-service/notice.h"
#include "read-service/worker_priv.h"

enum { STOP_GRACE_MS = 3000, STOP_END_MS = 8000, STOP_CALM_TURNS = 3 };
enum { FILES_LOOK_MS = 1000, BODY_MAX_BYTES = 4096, HEADER_MAX_BYTES = 12 * 1024 };

/* --- Redis
 * ------------------------------------------------------------------------------------------------------------
 */

static void on_position(void *arg, const weir_redis_reply *reply)
{
    rsvc_worker *w = arg;
    uint64_t position = 0;
    w->polling = false;
    if (reply && weir_redis_reply_type(reply) != WEIR_REDIS_ERROR) {
        bool has = weir_lsn_parse(weir_redis_reply_str(reply), &position);
        rsvc_query_position(w, has, position);
    }
}

static void poll_position(rsvc_worker *w)
{
    weir_slice argv[2] = {WEIR_SLICE_LIT("GET"), w->key_position};
    if (!w->polling) {
        w->polling = weir_redis_send(w->redis, 2, argv, on_position, w) == WEIR_OK;
    }
}

static void on_redis_up(void *arg)
{
    rsvc_worker *w = arg;
    poll_position(w);
    rsvc_models_read(w);
}

static void on_redis_away(void *arg, const weir_error *why)
{
    rsvc_worker *w = arg;
    if (w->counted) {
        weir_metric_add(w->meters->loops_ready, -1);
        weir_metric_add(w->meters->redis_outages, 1);
    }
    w->counted = false;
    weir_health_wait(w->health, "redis", why->msg);
}

static void on_sub_up(void *arg)
{
    rsvc_worker *w = arg;
    if (weir_redis_up(w->redis)) { /* what was published while the subscriber was away */
        poll_position(w);
        rsvc_models_read(w);
    }
}

static void on_notice(void *arg, weir_slice channel, weir_slice payload)
{
    rsvc_worker *w = arg;
    rsvc_notice notice;
    (void)channel;
    if (!rsvc_notice_parse(payload, &notice)) {
        WEIR_WARN("RSVC-NOTICE", "a malformed notice was ignored, bytes=%zu", payload.n);
        return;
    }
    weir_metric_add(w->meters->notices, 1);
    rsvc_query_position(w, true, notice.position);
    if (notice.models && weir_redis_up(w->redis)) {
        rsvc_models_read(w);
    }
}

static weir_rc open_redis(rsvc_worker *w, weir_error *err)
{
    weir_redis_conf main = {.uri = w->conf.settings->redis_uri,
                            .command_timeout_ms = 5000,
                            .on_up = on_redis_up,
                            .on_away = on_redis_away,
                            .arg = w,
                            .outage = w->conf.outage};
    weir_redis_conf sub = {.uri = w->conf.settings->redis_uri,
                           .on_up = on_sub_up,
                           .on_message = on_notice,
                           .arg = w,
                           .outage = w->conf.outage};
    weir_rc rc = weir_redis_open(&w->redis, w->l, &main, err);
    if (rc == WEIR_OK) {
        rc = weir_redis_open(&w->sub, w->l, &sub, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_redis_subscribe(w->sub, weir_dockey_notice(w->a, w->ns).p);
    }
    return rc;
}

/* --- ticks
 * ------------------------------------------------------------------------------------------------------------
 */

/* A connection lands on any loop: the service is ready when all of them are. */
void rsvc_worker_health(rsvc_worker *w)
{
    if (!w->counted) {
        if (weir_redis_up(w->redis)) {
            weir_health_wait(w->health, "redis", "the models have not been read yet");
        }
        return;
    }
    bool all = weir_metric_value(w->meters->loops_ready) >= (int64_t)w->conf.loops;
    weir_health_wait(w->health, "redis", all ? NULL : "not every loop is connected yet");
}

static void stop_step(rsvc_worker *w, int64_t now_ms)
{
    int64_t past_ms = now_ms - w->stop_ms;
    if (past_ms >= STOP_GRACE_MS) {
        rsvc_query_fail_waiting(w, "the service is stopping");
    }
    /* Some calm turns, so that the last replies have left. */
    w->calm = weir_http_pending(w->http) == 0 ? w->calm + 1 : 0;
    if (w->calm >= STOP_CALM_TURNS || past_ms >= STOP_END_MS) {
        weir_loop_stop(w->l);
    }
}

static void on_tick(void *arg)
{
    rsvc_worker *w = arg;
    int64_t now_ms = weir_mono_ms();
    if (weir_redis_up(w->redis)) {
        if (rsvc_waits_len(w->waits) > 0) {
            poll_position(w); /* a notice may be lost; nobody waits to the end because of that */
        }
        if (now_ms - w->read_at_ms >= RSVC_READING_MS) {
            rsvc_models_read(w);
            poll_position(w);
        }
    }
    if (w->conf.index == 0 && now_ms - w->files_ms >= FILES_LOOK_MS) {
        w->files_ms = now_ms;
        weir_auth_reload(w->conf.auth, false);
        weir_tls_look(w->conf.tls, false);
    }
    if (w->stopping) {
        stop_step(w, now_ms);
    }
}

static void on_deadline(void *arg)
{
    rsvc_query_expire(arg);
}

/* --- life
 * -------------------------------------------------------------------------------------------------------------
 */

static weir_rc open_http(rsvc_worker *w, weir_error *err)
{
    const weir_settings *s = w->conf.settings;
    weir_http_conf conf = {.listen = s->read_listen,
                           .port = w->conf.port,
                           .reuseport = w->conf.shared_port,
                           .body_max_bytes = BODY_MAX_BYTES,
                           .header_max_bytes =
                               HEADER_MAX_BYTES, /* its pool is zeroed for each request */
                           .connections_max = (unsigned)s->read_connections_max,
                           .idle_timeout_s = (int)((s->read_request_timeout_ms + 999) / 1000),
                           .tls = w->conf.tls,
                           .short_waits = true,
                           .handler = rsvc_route,
                           .arg = w};
    weir_rc rc = weir_gate_listen(w->conf.auth, "read.listen", &conf, err);
    if (rc == WEIR_OK) {
        rc = weir_http_open(&w->http, w->l, &conf, err);
    }
    if (rc == WEIR_OK && s->read_nng[0] && w->conf.index == 0) {
        const weir_endpoint_conf nng = {.url = s->read_nng,
                                        .option = "read.nng",
                                        .tls = w->conf.tls,
                                        .guarded = weir_auth_on(w->conf.auth),
                                        .connections_max = (unsigned)s->read_connections_max,
                                        .body_max_bytes = BODY_MAX_BYTES};
        rc = weir_endpoint_open(&w->nng, w->l, w->http, &nng, err);
    }
    return rc;
}

weir_rc rsvc_worker_open(rsvc_worker **out, const rsvc_worker_conf *conf, weir_error *err)
{
    rsvc_worker *w = weir_xcalloc(1, sizeof *w);
    *out = NULL;
    w->conf = *conf;
    w->l = conf->loop;
    w->meters = conf->meters;
    w->ns = conf->settings->redis_namespace;
    w->a = weir_arena_new(0);
    w->key_position = weir_dockey_position(w->a, w->ns);
    w->key_models = weir_dockey_models(w->a, w->ns);
    w->catalog = rsvc_catalog_new();
    w->waits = rsvc_waits_new(RSVC_WAITERS_MAX);
    w->deadline_armed_ms = INT64_MAX;
    w->health = weir_health_new(w->meters->all);
    weir_health_wait(w->health, "redis", "not connected yet");
    weir_health_status_fn(w->health, rsvc_answer_status, w);
    w->tick = weir_loop_timer_new(w->l, on_tick, w);
    w->deadline = weir_loop_timer_new(w->l, on_deadline, w);
    weir_loop_timer_arm(w->tick, RSVC_TICK_MS, true);
    weir_rc rc = open_http(w, err);
    if (rc == WEIR_OK) {
        weir_loop_on_turn(w->l, rsvc_fence_flush, w);
        rc = open_redis(w, err);
    }
    if (rc != WEIR_OK) {
        rsvc_worker_close(w);
        return rc;
    }
    *out = w;
    return WEIR_OK;
}

void rsvc_worker_stop(rsvc_worker *w)
{
    if (w->stopping) {
        return;
    }
    w->stopping = true;
    w->stop_ms = weir_mono_ms();
    weir_health_wait(w->health, "stopping", "the service is stopping");
    weir_http_stop_accepting(w->http);
    weir_endpoint_stop_accepting(w->nng);
}

void rsvc_worker_close(rsvc_worker *w)
{
    if (!w) {
        return;
    }
    /* Redis first: what is under way gets its 503, so that nothing points at a request when the
     * server ends. */
    weir_redis_close(w->sub);
    weir_redis_close(w->redis);
    w->redis = w->sub = NULL;
    rsvc_fence_flush(w);
    rsvc_query_fail_waiting(w, "the service is stopping");
    weir_http_close(w->http);
    weir_endpoint_close(w->nng);
    weir_loop_off_turn(w->l, rsvc_fence_flush, w);
    weir_loop_timer_free(w->tick);
    weir_loop_timer_free(w->deadline);
    rsvc_fence_free(w);
    rsvc_waits_free(w->waits);
    rsvc_catalog_free(w->catalog);
    weir_health_free(w->health);
    weir_arena_free(w->a);
    free(w);
}
