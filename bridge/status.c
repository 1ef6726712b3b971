/* status.c - /status, /readyz, /metrics. */
#include "bridge/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

enum { REFRESH_MS = 250, STUCK_MS = 60000 };

enum {
    M_ROWS,
    M_TX,
    M_FRAMES,
    M_BYTES,
    M_CHUNKS,
    M_REDONE,
    M_RECONNECTS,
    M_RING_BYTES,
    M_RING_FULL,
    M_LOG_BYTES,
    M_LOG_FRAMES,
    M_RETAINED,
    M_BEHIND,
    M_HEAD,
    M_CONFIRMED,
    M_SUBS,
    M_LAPSED,
    M_PARKED,
    M_CONNECTIONS,
    M_REQUESTS,
    M_STREAMING,
    M_COUNT
};

static void register_metrics(brg_status *st)
{
    static const struct {
        const char *name, *help;
        bool gauge;
    } table[M_COUNT] = {
        [M_ROWS] = {"weir_bridge_events_total", "Events decoded into frames", false},
        [M_TX] = {"weir_bridge_transactions_total", "Transactions decoded", false},
        [M_FRAMES] = {"weir_bridge_frames_total", "Frames made durable in the log", false},
        [M_BYTES] = {"weir_bridge_frame_bytes_total", "Bytes of frames made durable in the log",
                     false},
        [M_CHUNKS] = {"weir_bridge_chunks_total", "Chunks of copied rows put into the stream",
                      false},
        [M_REDONE] = {"weir_bridge_chunks_redone_total", "Chunks that had to be read again", false},
        [M_RECONNECTS] = {"weir_bridge_reconnects_total", "Times the stream ended with an error",
                          false},
        [M_RING_BYTES] = {"weir_bridge_ring_bytes", "Bytes decoded and not yet in the log", true},
        [M_RING_FULL] = {"weir_bridge_ring_full_total",
                         "Times decoding waited because the ring was full", false},
        [M_LOG_BYTES] = {"weir_bridge_log_bytes", "Bytes the log uses", true},
        [M_LOG_FRAMES] = {"weir_bridge_log_frames", "Frames in the log", true},
        [M_RETAINED] = {"weir_bridge_slot_retained_bytes", "WAL the slot holds back", true},
        [M_BEHIND] = {"weir_bridge_behind_bytes", "WAL written and not yet in the log", true},
        [M_HEAD] = {"weir_bridge_head_lsn", "Position of the head, as a number", true},
        [M_CONFIRMED] = {"weir_bridge_confirmed_lsn", "Position confirmed to the slot, as a number",
                         true},
        [M_SUBS] = {"weir_bridge_subscribers", "Durable subscribers", true},
        [M_LAPSED] = {"weir_bridge_lapsed_total", "Answers and subscribers given up as lapsed",
                      false},
        [M_PARKED] = {"weir_bridge_waiting_fetches", "Fetches that wait for news", true},
        [M_CONNECTIONS] = {"weir_bridge_feed_connections", "Connections of the feed", true},
        [M_REQUESTS] = {"weir_bridge_requests_total", "Requests on the feed", false},
        [M_STREAMING] = {"weir_bridge_streaming", "1 while the stream runs", true},
    };
    for (int i = 0; i < M_COUNT; i++) {
        st->m[i] = table[i].gauge ? weir_gauge(st->metrics, table[i].name, table[i].help, NULL)
                                  : weir_counter(st->metrics, table[i].name, table[i].help, NULL);
    }
}

static void refresh_metrics(brg_status *st, brg_state state)
{
    brg_shared *s = st->s;
    weir_monitor_lock(s->m);
    int64_t retained = s->slot.retained_bytes;
    int64_t behind = s->slot.behind_bytes;
    weir_monitor_unlock(s->m);
    const int64_t v[M_COUNT] = {
        [M_ROWS] = (int64_t)atomic_load(&s->rows),
        [M_TX] = (int64_t)atomic_load(&s->transactions),
        [M_FRAMES] = (int64_t)atomic_load(&s->frames),
        [M_BYTES] = (int64_t)atomic_load(&s->bytes),
        [M_CHUNKS] = (int64_t)atomic_load(&s->chunks),
        [M_REDONE] = (int64_t)atomic_load(&s->redone),
        [M_RECONNECTS] = (int64_t)atomic_load(&s->reconnects),
        [M_RING_BYTES] = (int64_t)brg_ring_bytes(s->ring),
        [M_RING_FULL] = (int64_t)brg_ring_full_count(s->ring),
        [M_LOG_BYTES] = (int64_t)atomic_load(&s->log_bytes),
        [M_LOG_FRAMES] = (int64_t)atomic_load(&s->log_frames),
        [M_RETAINED] = retained,
        [M_BEHIND] = behind,
        [M_HEAD] = (int64_t)atomic_load(&s->head_lsn),
        [M_CONFIRMED] = (int64_t)atomic_load(&s->confirmed),
        [M_SUBS] = (int64_t)st->feed->subs.n,
        [M_LAPSED] = (int64_t)st->feed->lapsed,
        [M_PARKED] = (int64_t)st->feed->nparked,
        [M_CONNECTIONS] = (int64_t)weir_sp_connections(st->feed->server),
        [M_REQUESTS] = (int64_t)st->feed->requests,
        [M_STREAMING] = state == BRG_STREAMING,
    };
    for (int i = 0; i < M_COUNT; i++) {
        weir_metric_set(st->m[i], v[i]);
    }
}

/* Lagging but moving is not stuck: only a stream that neither reads nor writes for a minute is. */
static void refresh(void *arg)
{
    brg_status *st = arg;
    brg_shared *s = st->s;
    char text[sizeof s->text];
    char shown[sizeof s->text + 64];
    brg_state state = brg_get_state(s, text, sizeof text);
    (void)snprintf(shown, sizeof shown, "%s%s%s", brg_state_name(state), text[0] ? ": " : "", text);
    weir_health_wait(st->health, "stream", state == BRG_STREAMING ? NULL : shown);
    char log_error[sizeof s->log_error];
    weir_monitor_lock(s->m);
    memcpy(log_error, s->log_error, sizeof log_error);
    weir_monitor_unlock(s->m);
    weir_health_wait(st->health, "log", log_error[0] ? log_error : NULL);
    int64_t now = weir_mono_ms();
    bool stuck = state == BRG_STREAMING && now - atomic_load(&s->last_read_ms) > STUCK_MS &&
                 now - atomic_load(&s->last_write_ms) > STUCK_MS;
    weir_health_stuck(st->health, stuck ? "nothing was read or written for a minute" : NULL);
    refresh_metrics(st, state);
}

static void put_slot(brg_shared *s, weir_buf *out)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    char text[sizeof s->text];
    brg_state state = brg_get_state(s, text, sizeof text);
    weir_monitor_lock(s->m);
    brg_slot_figures f = s->slot;
    weir_monitor_unlock(s->m);
    weir_buf_putz(out, "\"slot\":{\"state\":");
    weir_json_quote(out, weir_slice_z(brg_state_name(state)));
    weir_buf_putz(out, ",\"reason\":");
    weir_json_quote(out, weir_slice_z(text));
    weir_buf_printf(out,
                    ",\"name\":\"%s\",\"publication\":\"%s\",\"retained_bytes\":%" PRId64
                    ",\"behind_bytes\":%" PRId64 ",\"confirmed\":\"%s\"",
                    s->settings->bridge_slot, s->settings->bridge_publication, f.retained_bytes,
                    f.behind_bytes, weir_lsn_print(atomic_load(&s->confirmed), lsn));
    weir_buf_printf(out, ",\"wal_status\":\"%s\",\"full_in_s\":", f.wal_status);
    if (f.full_in_s >= 0) {
        weir_buf_printf(out, "%" PRId64 "}", f.full_in_s);
    } else {
        weir_buf_putz(out, "null}");
    }
}

static void put_subscribers(brg_feed *f, weir_buf *out)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_cursor head = brg_feed_head(f);
    weir_buf_putz(out, ",\"subscribers\":[");
    for (size_t i = 0; i < f->subs.n; i++) {
        const brg_sub *sub = &f->subs.v[i];
        weir_buf_putz(out, i ? ",{\"name\":" : "{\"name\":");
        weir_json_quote(out, weir_slice_z(sub->name));
        weir_buf_printf(out, ",\"state\":\"%s\",\"position\":\"%s\",\"lag_bytes\":%" PRIu64 "}",
                        sub->lapsed ? "lapsed" : "active", weir_lsn_print(sub->position.lsn, lsn),
                        head.lsn > sub->position.lsn ? head.lsn - sub->position.lsn : 0);
    }
    weir_buf_printf(out, "],\"feed\":{\"connections\":%u,\"waiting\":%zu}",
                    weir_sp_connections(f->server), f->nparked);
}

static void put_copy(brg_status *st, weir_buf *out)
{
    weir_monitor_lock(st->s->m);
    brg_copy_figures c = st->s->copy;
    weir_monitor_unlock(st->s->m);
    weir_buf_printf(out,
                    ",\"copy\":{\"tables\":%" PRIu64 ",\"tables_done\":%" PRIu64
                    ",\"rows\":%" PRIu64 ",\"table\":",
                    c.tables, c.tables_done, c.rows);
    weir_json_quote(out, weir_slice_z(c.table));
    weir_buf_printf(out, ",\"open_jobs\":%zu,\"chunks\":%llu,\"chunks_redone\":%llu}",
                    brg_copier_open_jobs(st->feed->copier), atomic_load(&st->s->chunks),
                    atomic_load(&st->s->redone));
}

static void put_crawl(brg_status *st, weir_buf *out)
{
    weir_buf_putz(out, ",\"crawl\":");
    brg_crawl_json(st->feed->crawl, false, out);
}

static void put_status(void *arg, weir_buf *out)
{
    brg_status *st = arg;
    brg_shared *s = st->s;
    char lsn[WEIR_LSN_TEXT_MAX];
    weir_buf_printf(out, "\"position\":\"%s\",", weir_lsn_print(brg_feed_head(st->feed).lsn, lsn));
    put_slot(s, out);
    weir_buf_printf(out, ",\"log\":{\"bytes\":%llu,\"frames\":%llu,\"oldest\":\"%s\"",
                    atomic_load(&s->log_bytes), atomic_load(&s->log_frames),
                    weir_lsn_print(brg_feed_first(st->feed).lsn, lsn));
    char log_error[sizeof s->log_error];
    weir_monitor_lock(s->m);
    memcpy(log_error, s->log_error, sizeof log_error);
    weir_monitor_unlock(s->m);
    weir_buf_putz(out, ",\"error\":");
    weir_json_quote(out, weir_slice_z(log_error));
    weir_buf_printf(out, ",\"durable\":\"%s\",\"ring_bytes\":%zu}",
                    weir_lsn_print(brg_get_durable(s).lsn, lsn), brg_ring_bytes(s->ring));
    weir_buf_printf(out, ",\"events\":%llu,\"transactions\":%llu,\"reconnects\":%llu",
                    atomic_load(&s->rows), atomic_load(&s->transactions),
                    atomic_load(&s->reconnects));
    put_subscribers(st->feed, out);
    put_copy(st, out);
    put_crawl(st, out);
}

weir_rc brg_status_open(brg_status **out, brg_shared *s, brg_feed *feed, weir_error *err)
{
    brg_status *st = weir_xcalloc(1, sizeof *st);
    st->s = s;
    st->feed = feed;
    st->metrics = weir_metrics_new();
    register_metrics(st);
    st->health = weir_health_new(st->metrics);
    weir_health_status_fn(st->health, put_status, st);
    feed->status = put_status;
    feed->status_arg = st;
    refresh(st);
    weir_rc rc = weir_health_serve(st->health, s->loop, s->settings->bridge_listen,
                                   (int)s->settings->bridge_port, &st->http, err);
    if (rc != WEIR_OK) {
        brg_status_close(st);
        return rc;
    }
    st->timer = weir_loop_timer_new(s->loop, refresh, st);
    weir_loop_timer_arm(st->timer, REFRESH_MS, true);
    *out = st;
    return WEIR_OK;
}

void brg_status_close(brg_status *st)
{
    if (st) {
        if (st->timer) {
            weir_loop_timer_free(st->timer);
        }
        if (st->http) {
            weir_http_close(st->http);
        }
        weir_health_free(st->health);
        weir_metrics_free(st->metrics);
        free(st);
    }
}
