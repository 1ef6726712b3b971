/* service.c - the write-service as a whole: opened, told what the catalog says, stopped in order.
 */
#include "write-service/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "write-service/async.h"

enum {
    TICK_MS = 100,
    FILES_LOOK_MS = 1000,         /* so often the files of [auth] and [tls] are looked at */
    HEADER_MAX_BYTES = 16 * 1024, /* cleared for each request */
    STOP_TICK_MS = 10,
    STOP_FINISH_MS = 8000, /* what was accepted may take so long */
    STOP_END_MS = 9300,    /* then the process leaves, whatever hangs */
    CALM_TURNS = 3,        /* replies need a turn or two to reach their sockets */
};

/* Requests that waited for a look at the catalog which has happened now. */
static void unpark(wsvc_service *s, const wsvc_seen *seen)
{
    wsvc_parked due[WSVC_PARKED_MAX];
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < s->nparked; i++) {
        if (s->parked[i].asked <= seen->asked) {
            due[n++] = s->parked[i];
        } else {
            s->parked[kept++] = s->parked[i];
        }
    }
    s->nparked = kept;
    for (size_t i = 0; i < n; i++) {
        if (seen->rc == WEIR_OK) {
            wsvc_submit(s, due[i].req, due[i].name, true);
        } else {
            weir_http_set_header(due[i].req, "Retry-After", "1");
            wsvc_refuse(s, due[i].req, 503, s->seen_text);
        }
    }
}

static void on_seen(void *arg, const wsvc_seen *seen)
{
    wsvc_service *s = arg;
    if (seen->rc != s->seen && seen->rc != WEIR_OK) {
        WEIR_WARN("WSVC-CATALOG", "no look at the commands: %s", seen->text);
    }
    s->seen = seen->rc;
    (void)snprintf(s->seen_text, sizeof s->seen_text, "%s", seen->text);
    if (seen->catalog) {
        wsvc_catalog_free(s->catalog);
        s->catalog = seen->catalog;
        for (size_t i = 0; i < s->catalog->n; i++) {
            const wsvc_entry *e = &s->catalog->entries[i];
            wsvc_rules_declare(&wsvc_registry_get(s->registry, e->name)->rules, e->serialize_by);
        }
        WEIR_INFO("WSVC-CATALOG", "commands=%zu revision=%lld", s->catalog->n,
                  (long long)s->catalog->revision);
    } else if (seen->rc == WEIR_E_NOTFOUND) {
        wsvc_catalog_free(s->catalog);
        s->catalog = NULL;
    }
    weir_health_wait(s->health, "postgres",
                     seen->rc != WEIR_OK && seen->rc != WEIR_E_NOTFOUND ? s->seen_text : NULL);
    weir_health_wait(s->health, "deploy", seen->rc == WEIR_E_NOTFOUND ? s->seen_text : NULL);
    unpark(s, seen);
}

static void on_tick(void *arg)
{
    wsvc_service *s = arg;
    wsvc_submit_watch_clients(s);
    wsvc_submit_deadlines(s);
    if (weir_mono_ms() - s->files_ms >= FILES_LOOK_MS) {
        s->files_ms = weir_mono_ms();
        weir_auth_reload(s->auth, false);
        weir_tls_look(s->tls, false);
    }
}

static void add_metrics(wsvc_service *s)
{
    s->m_seconds =
        weir_histogram(s->metrics, "weir_write_command_seconds", "From request to reply.", NULL);
    s->m_queue =
        weir_gauge(s->metrics, "weir_write_queue_length", "Commands waiting for a lane.", NULL);
    s->m_inflight =
        weir_gauge(s->metrics, "weir_write_in_flight", "Requests not yet answered.", NULL);
    s->m_collisions =
        weir_counter(s->metrics, "weir_write_collisions_total",
                     "Times a command could not get a row and had to wait again.", NULL);
    s->m_deferred = weir_counter(s->metrics, "weir_write_deferred_total",
                                 "Commands that waited because a lane was at the same row.", NULL);
    s->m_blocked = weir_gauge(s->metrics, "weir_write_blocked_rows",
                              "Rows other sessions hold and commands wait for.", NULL);
}

static weir_rc open_nng(wsvc_service *s, weir_error *err)
{
    const weir_settings *c = s->settings;
    const weir_endpoint_conf conf = {.url = c->write_nng,
                                     .option = "write.nng",
                                     .tls = s->tls,
                                     .guarded = weir_auth_on(s->auth),
                                     .connections_max = (unsigned)c->write_connections_max,
                                     .body_max_bytes = (size_t)c->write_body_max_bytes};
    return weir_endpoint_open(&s->nng, s->loop, s->http, &conf, err);
}

static weir_rc open_parts(wsvc_service *s, weir_error *err)
{
    const weir_settings *c = s->settings;
    wsvc_pool_conf pool = {.uri = c->postgres_uri,
                           .application_name = "weir-write",
                           .lanes = (size_t)c->write_lanes,
                           .group_max = (size_t)c->write_group_max,
                           .queue_max = (size_t)c->write_queue_max,
                           .statement_timeout_ms = c->write_statement_timeout_ms,
                           .loop = s->loop,
                           .metrics = s->metrics,
                           .done = wsvc_answer_list,
                           .arg = s};
    weir_http_conf http = {.listen = c->write_listen,
                           .port = (int)c->write_port,
                           .body_max_bytes = (size_t)c->write_body_max_bytes,
                           .header_max_bytes = HEADER_MAX_BYTES,
                           .connections_max = (unsigned)c->write_connections_max,
                           .idle_timeout_s = (int)((c->write_request_timeout_ms + 999) / 1000),
                           .handler = wsvc_route,
                           .admit = wsvc_route_admit,
                           .arg = s};
    wsvc_watch_conf watch = {
        c->postgres_uri, "weir-write catalog", c->write_idempotency_keep_ms, s->loop, on_seen, s};
    weir_rc rc = weir_auth_open(&s->auth, c, s->metrics, err);
    if (rc == WEIR_OK) {
        rc = weir_gate_listen(s->auth, "write.listen", &http, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_gate_certificate(&s->tls, c, s->metrics, err);
    }
    if (rc == WEIR_OK) {
        http.tls = s->tls;
        rc = weir_http_open(&s->http, s->loop, &http, err);
    }
    if (rc == WEIR_OK && c->write_nng[0]) {
        rc = open_nng(s, err);
    }
    if (rc == WEIR_OK) {
        rc = wsvc_pool_start(&s->pool, &pool, err);
    }
    if (rc == WEIR_OK) {
        rc = wsvc_watch_start(&s->watch, &watch, err);
    }
    if (rc == WEIR_OK) {
        rc = wsvc_async_open(&s->async, s, err);
    }
    return rc;
}

weir_rc wsvc_service_open(wsvc_service **out, const weir_settings *settings, weir_loop *l,
                          weir_error *err)
{
    wsvc_service *s = weir_xcalloc(1, sizeof *s);
    s->settings = settings;
    s->loop = l;
    s->started_ms = weir_mono_ms();
    s->seen = WEIR_E_AGAIN;
    (void)snprintf(s->seen_text, sizeof s->seen_text, "the commands have not been loaded yet");
    s->metrics = weir_metrics_new();
    s->health = weir_health_new(s->metrics);
    s->registry = wsvc_registry_new(s->metrics);
    add_metrics(s);
    weir_health_status_fn(s->health, wsvc_status_put, s);
    weir_health_wait(s->health, "postgres", s->seen_text);
    weir_rc rc = open_parts(s, err);
    if (rc != WEIR_OK) {
        if (s->pool) {
            wsvc_pool_close(s->pool);
        }
        if (!wsvc_service_close(s)) {
            WEIR_WARN("WSVC-STOP-HANG", "a thread did not end");
        }
        return rc;
    }
    /* After the HTTP server's own hook, so that what it read in this turn leaves in this turn. */
    weir_loop_on_turn(l, wsvc_submit_batch, s);
    s->tick = weir_loop_timer_new(l, on_tick, s);
    weir_loop_timer_arm(s->tick, TICK_MS, true);
    *out = s;
    return WEIR_OK;
}

void wsvc_service_reload(wsvc_service *s)
{
    weir_auth_reload(s->auth, true);
    weir_tls_look(s->tls, true);
}

int wsvc_service_port(const wsvc_service *s)
{
    return weir_http_port(s->http);
}

static void on_stopper(void *arg)
{
    wsvc_service *s = arg;
    int64_t past_ms = weir_mono_ms() - s->stop_ms;
    bool idle = weir_http_pending(s->http) == 0 && wsvc_async_idle(s->async);
    s->calm = idle ? s->calm + 1 : 0;
    if (s->calm >= CALM_TURNS || past_ms >= STOP_END_MS) {
        weir_loop_stop(s->loop);
    } else if (past_ms >= STOP_FINISH_MS && !s->abandoned) {
        WEIR_WARN("WSVC-STOP-LATE", "commands are still running after ms=%d, they are cancelled",
                  STOP_FINISH_MS);
        s->abandoned = true;
        wsvc_pool_close(s->pool);
        wsvc_pool_abandon(s->pool);
    }
}

void wsvc_service_stop(wsvc_service *s)
{
    if (s->stop_ms) {
        return;
    }
    s->stop_ms = weir_mono_ms();
    WEIR_INFO("WSVC-STOP", "stopping, requests=%zu", weir_http_pending(s->http));
    weir_http_stop_accepting(s->http);
    weir_endpoint_stop_accepting(s->nng);
    weir_health_wait(s->health, "stopping", "the service is stopping");
    wsvc_async_quiet(s->async);
    s->stopper = weir_loop_timer_new(s->loop, on_stopper, s);
    weir_loop_timer_arm(s->stopper, STOP_TICK_MS, true);
}

/* Threads end within a connection attempt; a longer wait has no end in sight. */
static bool threads_end(wsvc_service *s)
{
    if (s->watch) {
        wsvc_watch_stop(s->watch);
    }
    if (s->pool) {
        wsvc_pool_close(s->pool);
        wsvc_pool_abandon(s->pool);
    }
    if (s->async) {
        wsvc_async_stop(s->async);
    }
    int64_t until = (s->stop_ms ? s->stop_ms : weir_mono_ms()) + STOP_END_MS + 400;
    for (;;) {
        bool ended = (!s->pool || wsvc_pool_ended(s->pool)) &&
                     (!s->watch || wsvc_watch_ended(s->watch)) &&
                     (!s->async || wsvc_async_ended(s->async));
        if (ended || weir_mono_ms() > until) {
            return ended;
        }
        weir_loop_turn(s->loop, STOP_TICK_MS);
    }
}

bool wsvc_service_close(wsvc_service *s)
{
    if (!threads_end(s)) {
        return false;
    }
    wsvc_pool_free(s->pool);
    wsvc_watch_free(s->watch);
    wsvc_async_free(s->async);
    weir_loop_off_turn(s->loop, wsvc_submit_batch, s);
    weir_loop_timer_free(s->tick);
    weir_loop_timer_free(s->stopper);
    weir_http_close(s->http);
    weir_endpoint_close(s->nng);
    wsvc_catalog_free(s->catalog);
    wsvc_registry_free(s->registry);
    weir_health_free(s->health);
    weir_tls_close(s->tls);
    weir_auth_close(s->auth);
    weir_metrics_free(s->metrics);
    free(s);
    return true;
}
