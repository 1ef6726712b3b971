/* status.c - what /status and /metrics say. */
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "projector/proj.h"

enum { STUCK_MS = 60000, STATE_BYTES_EVERY = 10 };

static uint64_t lag_bytes(const proj *p)
{
    uint64_t head = p->feed.head_lsn;
    uint64_t at = p->sink.position;
    return head > at ? head - at : 0;
}

/* What a build waits for, in the order of things. */
static const char *step_of(const proj_model *m)
{
    if (m->phase == PROJ_CHECKING) {
        return "verify";
    }
    return m->passing ? "load" : m->plan && !weir_bound_copied(&m->bound) ? "copy" : "index";
}

static void put_rebuild(const proj *p, const proj_model *m, weir_buf *out)
{
    double rate = 0;
    double eta_s = 0;
    if (m->phase == PROJ_BUILDING || m->phase == PROJ_CHECKING) {
        proj_load_rate(m, &rate, &eta_s);
        weir_buf_printf(out, ",\"step\":\"%s\",\"rows\":%llu,\"rows_total\":%llu", step_of(m),
                        (unsigned long long)m->pass_done, (unsigned long long)m->pass_total);
    }
    if (m->phase == PROJ_BUILDING && m->passing) {
        weir_buf_printf(out, ",\"rows_per_s\":%.0f,\"eta_s\":%.1f", rate, eta_s);
    }
    if (m->phase == PROJ_CHECKING) {
        weir_buf_printf(out, ",\"compared\":%llu", (unsigned long long)proj_check_documents(p, m));
    }
    if (m->order) {
        weir_buf_printf(out, ",\"order\":%llu", (unsigned long long)m->order);
    }
    if (m->phase == PROJ_KEPT) {
        int64_t left =
            m->kept_until_ms == PROJ_KEEP ? -1 : m->kept_until_ms - weir_wall_us() / 1000;
        weir_buf_printf(out, ",\"kept_s\":%lld", (long long)(left > 0 ? left / 1000 : left));
    }
    if (m->held) {
        weir_buf_putz(out, ",\"rolled_back\":true");
    }
}

static void put_models(const proj *p, weir_buf *out)
{
    const char *comma = "";
    weir_buf_putz(out, ",\"models\":[");
    for (size_t i = 0; i < p->nmodels; i++) {
        const proj_model *m = p->models[i];
        if (m->phase == PROJ_GONE) {
            continue;
        }
        weir_buf_putz(out, comma);
        weir_buf_putz(out, "{\"name\":");
        weir_json_quote(out, weir_slice_z(m->name));
        weir_buf_printf(out,
                        ",\"state\":\"%s\",\"progress\":%.3f,\"generation\":%u,\"documents\":%llu,"
                        "\"parked\":%llu",
                        proj_phase_name(m->phase), proj_model_permille(p, m) / 1000.0,
                        m->generation, (unsigned long long)m->documents,
                        (unsigned long long)m->parked);
        put_rebuild(p, m, out);
        char text[PROJ_WHY_MAX];
        const char *why = proj_model_why(p, m, text, sizeof text);
        if (why[0]) {
            weir_buf_putz(out, ",\"reason\":");
            weir_json_quote(out, weir_slice_z(why));
        }
        weir_buf_u8(out, '}');
        comma = ",";
    }
    weir_buf_u8(out, ']');
}

static void on_status(void *arg, weir_buf *out)
{
    const proj *p = arg;
    char at[WEIR_LSN_TEXT_MAX];
    char head[WEIR_LSN_TEXT_MAX];
    uint64_t behind = lag_bytes(p);
    weir_buf_printf(out, "\"position\":\"%s\",\"head\":\"%s\",\"lag_bytes\":%llu,\"lag_ms\":%.3f",
                    weir_lsn_print(p->sink.position, at), weir_lsn_print(p->feed.head_lsn, head),
                    (unsigned long long)behind, behind ? (double)p->lag_us / 1000.0 : 0.0);
    weir_buf_printf(out, ",\"epoch\":%llu,\"backlog\":%llu", (unsigned long long)p->epoch,
                    (unsigned long long)p->backlog);
    /* told: everything the stream said of deploys is taken over, and readers know of the states
     * below, too. */
    bool taken = !p->refresh && p->asked == p->answered && !p->deployed;
    bool told = taken && !p->sink.claim && !p->out.models_changed && !p->sink.flying_models;
    weir_buf_printf(out, ",\"revision\":%lld,\"told\":%s", (long long)p->revision,
                    told ? "true" : "false");
    if (p->reemit) {
        weir_buf_printf(out, ",\"rewriting\":{\"looked_at\":%llu,\"of\":%llu}",
                        (unsigned long long)p->reemit_looked, (unsigned long long)p->reemit_of);
    }
    put_models(p, out);
}

void proj_status_start(proj *p)
{
    weir_metrics *ms = p->metrics;
    p->num.rows = weir_counter(ms, "weir_projector_rows_total", "Row events applied", NULL);
    p->num.transactions =
        weir_counter(ms, "weir_projector_transactions_total", "Transactions applied", NULL);
    p->num.documents =
        weir_counter(ms, "weir_projector_documents_total", "Documents written", NULL);
    p->num.deletes = weir_counter(ms, "weir_projector_deletes_total", "Documents deleted", NULL);
    p->num.unchanged = weir_counter(ms, "weir_projector_unchanged_total",
                                    "Documents rendered and found unchanged", NULL);
    p->num.parked = weir_counter(ms, "weir_projector_parked_total",
                                 "Documents parked because they cannot be made", NULL);
    p->num.execs =
        weir_counter(ms, "weir_projector_execs_total", "Transactions confirmed by Redis", NULL);
    p->num.bytes = weir_counter(ms, "weir_projector_redis_bytes_total",
                                "Bytes of keys and documents sent", NULL);
    p->num.reemitted = weir_counter(ms, "weir_projector_reemitted_total",
                                    "Documents written again after Redis lost them", NULL);
    p->num.steps = weir_counter(ms, "weir_projector_steps_total", "Steps done", NULL);
    p->num.position =
        weir_gauge(ms, "weir_projector_position", "Position in Redis, as a number", NULL);
    p->num.head = weir_gauge(ms, "weir_projector_head", "Head of the feed, as a number", NULL);
    p->num.lag_bytes =
        weir_gauge(ms, "weir_projector_lag_bytes", "Bytes of WAL between head and position", NULL);
    p->num.backlog =
        weir_gauge(ms, "weir_projector_backlog", "Dirty documents that wait in the state", NULL);
    p->num.state_bytes = weir_gauge(ms, "weir_projector_state_bytes", "Size of the state", NULL);
    p->num.visible = weir_histogram(ms, "weir_projector_visible_seconds",
                                    "From commit to confirmed by Redis", NULL);
    weir_health_status_fn(p->health, on_status, p);
}

/* Lagging but moving is not stuck; work that is there and does not move is. */
void proj_status_tick(proj *p)
{
    int64_t now = weir_mono_ms();
    bool waiting = p->feed.nreplies > 0 && proj_sink_idle(p) && p->catalog_known;
    weir_health_stuck(p->health, waiting && now - p->progress_ms > STUCK_MS
                                     ? "there is work and nothing moves"
                                     : NULL);
    weir_metric_set(p->num.position, (int64_t)p->sink.position);
    weir_metric_set(p->num.head, (int64_t)p->feed.head_lsn);
    weir_metric_set(p->num.lag_bytes, (int64_t)lag_bytes(p));
    weir_metric_set(p->num.backlog, (int64_t)p->backlog);
    static int tick;
    if (tick++ % STATE_BYTES_EVERY == 0) {
        weir_metric_set(p->num.state_bytes, (int64_t)weir_lmdb_used_bytes(weir_state_lmdb(p->st)));
    }
    proj_models_conditions(p);
}
