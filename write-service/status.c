/* status.c - what /status and /metrics say about the service. */
#include <inttypes.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "write-service/async.h"

void wsvc_status_refresh(wsvc_service *s)
{
    weir_metric_set(s->m_queue, (int64_t)wsvc_pool_waiting(s->pool));
    weir_metric_set(s->m_inflight, (int64_t)weir_http_pending(s->http));
    weir_metric_set(s->m_blocked, (int64_t)wsvc_pool_blocked(s->pool));
    weir_health_wait(s->health, "lanes",
                     wsvc_pool_up(s->pool) ? NULL : "no lane has a connection to PostgreSQL yet");
}

static void put_lane(weir_buf *out, const wsvc_lane_info *l)
{
    weir_buf_printf(
        out, "{\"up\":%s,\"executed\":%" PRId64 ",\"groups\":%" PRId64 ",\"retried\":%" PRId64 "}",
        l->up ? "true" : "false", l->executed, l->groups, l->retried);
}

/* The fields that name the rows it collides on; "*": all calls are kept in order. */
static void put_rules(weir_buf *out, const wsvc_rules *r, int64_t now_ms)
{
    const char *comma = "";
    weir_buf_putz(out, "[");
    for (size_t i = 0; i < r->npaths; i++) {
        if (now_ms < r->path[i].until_ms) {
            weir_buf_putz(out, comma);
            weir_json_quote(out, weir_slice_of(r->path[i].path, r->path[i].path_n));
            comma = ",";
        }
    }
    bool all = wsvc_heat_hot(&r->whole, now_ms) || (r->always.n && now_ms < r->always_until_ms);
    weir_buf_printf(out, "%s]", all ? comma[0] ? ",\"*\"" : "\"*\"" : "");
}

void wsvc_status_put(void *service, weir_buf *out)
{
    wsvc_service *s = service;
    int64_t now_ms = weir_mono_ms();
    weir_buf_printf(out,
                    "\"queue\":%zu,\"queue_max\":%" PRId64 ",\"revision\":%" PRId64 ",\"lanes\":[",
                    wsvc_pool_waiting(s->pool), s->settings->write_queue_max,
                    s->catalog ? s->catalog->revision : 0);
    for (size_t i = 0; i < wsvc_pool_lanes(s->pool); i++) {
        wsvc_lane_info l = wsvc_pool_lane(s->pool, i);
        weir_buf_putz(out, i ? "," : "");
        put_lane(out, &l);
    }
    weir_buf_putz(out, "],\"commands\":[");
    for (size_t i = 0; s->catalog && i < s->catalog->n; i++) {
        const wsvc_command *c = wsvc_registry_get(s->registry, s->catalog->entries[i].name);
        weir_buf_printf(out, "%s{\"name\":", i ? "," : "");
        weir_json_quote(out, weir_slice_z(c->call.name));
        weir_buf_printf(out, ",\"answered\":%" PRId64 ",\"collides_by\":", c->count);
        put_rules(out, &c->rules, now_ms);
        weir_buf_putz(out, "}");
    }
    weir_buf_putz(out, "]");
    wsvc_async_status(s->async, out);
}
