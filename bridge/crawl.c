/* crawl.c - the crawl's order: start, pause, resume, cancel, what is told of it. */
#include "bridge/crawl_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

enum { TABLES_SHOWN = 1000, SAMPLE_MS = 3000 };

weir_rc brg_crawl_open(brg_crawl **out, brg_shared *s, brg_port *port, brg_windows *ws,
                       weir_error *err)
{
    brg_crawl *c = weir_xcalloc(1, sizeof *c);
    c->s = s;
    c->port = port;
    c->m = weir_monitor_new();
    brg_crawl_record_init(&c->r);
    for (unsigned i = 0; i < BRG_CRAWL_WORKERS_MAX; i++) {
        c->w[i] = (brg_crawl_worker){.c = c, .number = i};
    }
    weir_rc rc = brg_crawl_load(&c->r, &s->store, ws, err);
    if (rc != WEIR_OK) {
        brg_crawl_close(c);
        return rc;
    }
    *out = c;
    return WEIR_OK;
}

static void join(brg_crawl *c)
{
    for (unsigned i = 0; i < BRG_CRAWL_WORKERS_MAX; i++) {
        weir_thread_join(c->w[i].thread);
        c->w[i].thread = NULL;
    }
}

void brg_crawl_close(brg_crawl *c)
{
    if (c) {
        join(c);
        brg_crawl_record_fini(&c->r);
        weir_monitor_free(c->m);
        free(c);
    }
}

void brg_crawl_interrupt(brg_crawl *c)
{
    weir_monitor_lock(c->m);
    for (unsigned i = 0; i < BRG_CRAWL_WORKERS_MAX; i++) {
        if (c->w[i].pg) {
            weir_pg_cancel(c->w[i].pg);
        }
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

static uint64_t seen_of(const brg_crawl *c)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < c->r.n; i++) {
        seen += c->r.tables[i].seen;
    }
    return seen;
}

weir_rc brg_crawl_go(brg_crawl *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (!brg_crawl_is_open(c)) {
        return WEIR_OK;
    }
    join(c);
    WEIR_INFO("BRG-CRAWL-BEGIN", "id=%s parallel=%u rate=%" PRIu64 " load_percent=%u",
              c->r.order.id, c->r.order.parallel, c->r.order.rate, c->r.order.load_percent);
    c->begun_ms = weir_mono_ms();
    c->begun_seen = seen_of(c);
    c->sample_ms[0] = c->sample_ms[1] = c->begun_ms;
    c->sample_seen[0] = c->sample_seen[1] = c->begun_seen;
    c->next_row_ms = 0;
    for (unsigned i = 0; i < c->r.order.parallel && i < BRG_CRAWL_WORKERS_MAX && rc == WEIR_OK;
         i++) {
        atomic_fetch_add(&c->s->running, 1);
        weir_monitor_lock(c->m);
        c->running++;
        c->working++;
        weir_monitor_unlock(c->m);
        rc = weir_thread_start(&c->w[i].thread, "brg-crawl", brg_crawl_worker_run, &c->w[i], err);
        if (rc != WEIR_OK) {
            atomic_fetch_sub(&c->s->running, 1);
            weir_monitor_lock(c->m);
            c->running--;
            c->working--;
            weir_monitor_unlock(c->m);
        }
    }
    return rc;
}

/* --- changes
 * -----------------------------------------------------------------------------------------------------
 */

/* A filter is SQL, run as the bridge's role: it is taken from this machine only. */
static bool is_local(const char *url)
{
    static const char *const local[] = {"ipc:", "inproc:", "tcp://127.",
                                        "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        if (strncmp(url, local[i], strlen(local[i])) == 0) {
            return true;
        }
    }
    return false;
}

static weir_rc check_start(brg_crawl *c, const weir_feed_req *q, weir_error *err)
{
    if (brg_crawl_is_open(c)) {
        return weir_fail(
            err, WEIR_E_CONFLICT, 0,
            "crawl %s has not ended: `weir crawl --status` shows it, `--cancel` ends it",
            c->r.order.id);
    }
    if (c->running > 0) {
        return weir_fail(err, WEIR_E_CONFLICT, WEIR_EF_RETRY,
                         "the crawl before is just ending; try again");
    }
    if (q->where.n > 0 && q->ntables != 1) {
        return weir_fail(err, WEIR_E_INPUT, 0, "a filter needs exactly one table");
    }
    if (q->where.n > 0 && !is_local(c->s->settings->bridge_feed)) {
        return weir_fail(
            err, WEIR_E_DENIED, 0,
            "a filter is SQL: it is taken only when bridge.feed listens on this machine "
            "alone (ipc:// or tcp://127.0.0.1)");
    }
    return WEIR_OK;
}

static void begin(brg_crawl *c, const weir_feed_req *q, weir_buf *batch)
{
    weir_arena *a = weir_arena_new(0);
    brg_crawl_order o = {.id = weir_arena_dupz(a, q->copy_id),
                         .where = q->where.n ? weir_arena_dupz(a, q->where) : NULL,
                         .rate = q->rate,
                         .parallel = q->parallel,
                         .chunk_ms = q->chunk_ms,
                         .load_percent = q->load_percent,
                         .created_us = weir_wall_us(),
                         .ntables = q->ntables};
    o.tables = weir_arena_calloc(a, q->ntables, sizeof *o.tables);
    for (size_t i = 0; i < q->ntables; i++) {
        o.tables[i].schema = weir_arena_dupz(a, q->tables[i].schema);
        o.tables[i].name = weir_arena_dupz(a, q->tables[i].name);
    }
    brg_crawl_record_begin(&c->r, &o);
    c->redone = 0;
    c->again[0] = '\0';
    c->resolving = false;
    brg_crawl_put_begin(batch, &c->r);
    weir_arena_free(a);
}

static weir_rc set_state(brg_crawl *c, brg_crawl_state state, weir_buf *batch, weir_error *err)
{
    if (!brg_crawl_is_open(c)) {
        return weir_fail(err, WEIR_E_STATE, 0, "no crawl runs: `weir crawl` starts one");
    }
    if (c->r.state != state) {
        c->r.state = state;
        brg_crawl_put_want(batch, state);
        if (state == BRG_CRAWL_CANCELLED) {
            c->r.ended_us = weir_wall_us();
            brg_crawl_put_end(batch, &c->r);
        }
        WEIR_INFO("BRG-CRAWL-CHANGED", "id=%s state=%s", c->r.order.id,
                  brg_crawl_state_name(state));
    }
    weir_monitor_wake(c->m);
    return WEIR_OK;
}

weir_rc brg_crawl_change(brg_crawl *c, const weir_feed_req *q, weir_buf *batch, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    weir_monitor_lock(c->m);
    switch (q->action) {
    case WEIR_CRAWL_START:
        if (c->r.state != BRG_CRAWL_NONE && weir_slice_eqz(q->copy_id, c->r.order.id)) {
            break; /* asked again */
        }
        rc = check_start(c, q, err);
        if (rc == WEIR_OK) {
            begin(c, q, batch);
        }
        break;
    case WEIR_CRAWL_STATUS: break;
    case WEIR_CRAWL_PAUSE: rc = set_state(c, BRG_CRAWL_PAUSED, batch, err); break;
    case WEIR_CRAWL_RESUME: rc = set_state(c, BRG_CRAWL_RUNNING, batch, err); break;
    case WEIR_CRAWL_CANCEL: rc = set_state(c, BRG_CRAWL_CANCELLED, batch, err); break;
    }
    weir_monitor_unlock(c->m);
    return rc;
}

/* --- what is told
 * -------------------------------------------------------------------------------------------------
 */

static void put_quoted(weir_buf *out, const char *name, const char *text)
{
    weir_buf_printf(out, ",\"%s\":", name);
    if (text) {
        weir_json_quote(out, weir_slice_z(text));
    } else {
        weir_buf_putz(out, "null");
    }
}

/* Rows per second, over the last three to six seconds. */
static double rate_of(brg_crawl *c, uint64_t seen)
{
    int64_t now = weir_mono_ms();
    if (now - c->sample_ms[1] >= SAMPLE_MS) {
        c->sample_ms[0] = c->sample_ms[1];
        c->sample_seen[0] = c->sample_seen[1];
        c->sample_ms[1] = now;
        c->sample_seen[1] = seen;
    }
    int64_t ms = now - c->sample_ms[0];
    bool counts = c->r.state == BRG_CRAWL_RUNNING && ms > 0 && seen > c->sample_seen[0];
    return counts ? (double)(seen - c->sample_seen[0]) * 1000.0 / (double)ms : 0.0;
}

typedef struct sums {
    uint64_t done, failed, rows, seen, expected;
} sums;

static sums add_up(const brg_crawl *c)
{
    sums s = {0};
    for (size_t i = 0; i < c->r.n; i++) {
        const brg_crawl_table *t = &c->r.tables[i];
        bool ended = t->step == BRG_TABLE_DONE || t->step == BRG_TABLE_FAILED;
        s.done += t->step == BRG_TABLE_DONE;
        s.failed += t->step == BRG_TABLE_FAILED;
        s.rows += t->rows;
        s.seen += t->seen;
        s.expected += ended || t->seen > t->estimate ? t->seen : t->estimate;
    }
    return s;
}

static void put_waits(const brg_crawl *c, weir_buf *out)
{
    const char *sep = "";
    weir_buf_putz(out, ",\"waits\":[");
    if (c->holds && brg_crawl_is_open(c)) {
        weir_json_quote(out, weir_slice_z(c->holds));
        sep = ",";
    }
    for (unsigned i = 0; i < BRG_CRAWL_WORKERS_MAX; i++) {
        if (c->w[i].waits[0]) {
            weir_buf_putz(out, sep);
            weir_json_quote(out, weir_slice_z(c->w[i].waits));
            sep = ",";
        }
    }
    weir_buf_putz(out, "]");
}

static void put_tables(const brg_crawl *c, weir_buf *out)
{
    weir_buf_putz(out, ",\"list\":[");
    for (size_t i = 0; i < c->r.n && i < TABLES_SHOWN; i++) {
        const brg_crawl_table *t = &c->r.tables[i];
        weir_buf_putz(out, i ? ",{\"schema\":" : "{\"schema\":");
        weir_json_quote(out, weir_slice_z(t->schema));
        put_quoted(out, "name", t->name);
        weir_buf_printf(out,
                        ",\"state\":\"%s\",\"rows\":%" PRIu64 ",\"seen\":%" PRIu64
                        ",\"estimate\":%" PRIu64 ",\"restarts\":%u",
                        brg_crawl_step_name(t->step), t->rows, t->seen, t->estimate, t->restarts);
        put_quoted(out, "error", t->error[0] ? t->error : NULL);
        weir_buf_putz(out, "}");
    }
    weir_buf_putz(out, "]");
}

void brg_crawl_json(brg_crawl *c, bool with_tables, weir_buf *out)
{
    weir_monitor_lock(c->m);
    const brg_crawl_record *r = &c->r;
    weir_buf_printf(out, "{\"state\":\"%s\"", brg_crawl_state_name(r->state));
    if (r->state != BRG_CRAWL_NONE) {
        sums s = add_up(c);
        double rate = rate_of(c, s.seen);
        put_quoted(out, "id", r->order.id);
        put_quoted(out, "where", r->order.where);
        put_quoted(out, "error", r->error[0] ? r->error : NULL);
        weir_buf_printf(out,
                        ",\"resolved\":%s,\"tables\":%zu,\"tables_done\":%" PRIu64
                        ",\"tables_failed\":%" PRIu64 ",\"rows\":%" PRIu64 ",\"seen\":%" PRIu64
                        ",\"expected\":%" PRIu64 ",\"rows_per_s\":%.0f,\"eta_s\":",
                        r->resolved ? "true" : "false", r->n, s.done, s.failed, s.rows, s.seen,
                        s.expected, rate);
        if (rate > 0 && s.expected >= s.seen) {
            weir_buf_printf(out, "%.0f", (double)(s.expected - s.seen) / rate);
        } else {
            weir_buf_putz(out, "null");
        }
        int64_t end_us = brg_crawl_is_open(c) ? weir_wall_us() : r->ended_us;
        weir_buf_printf(out, ",\"elapsed_ms\":%" PRId64 ",\"chunks_redone\":%" PRIu64,
                        (end_us - r->order.created_us) / 1000, c->redone);
        put_quoted(out, "redone_why", c->again[0] ? c->again : NULL);
        put_waits(c, out);
        if (with_tables) {
            put_tables(c, out);
        }
    }
    weir_buf_putz(out, "}");
    weir_monitor_unlock(c->m);
}
