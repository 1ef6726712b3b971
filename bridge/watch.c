/* watch.c - slot figures, warnings, heartbeat. */
#include "bridge/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/io/pg.h"

enum { LOOK_MS = 1000, AWAY_MS = 2000, WARN_EVERY_MS = 60000, XMIN_AGE_WARN = 100000000 };
#define RETAINED_WARN (INT64_C(4) << 30)

typedef struct watch {
    brg_shared *s;
    weir_pg *pg;
    int64_t heartbeat_ms; /* when the last one left */
    int64_t warned_ms;
    int64_t before_bytes, before_ms; /* retained bytes a while ago, for the rate */
} watch;

static const char figures_sql[] =
    "SELECT active, coalesce(wal_status, ''), coalesce(w.at - restart_lsn, 0)::bigint,"
    " coalesce(safe_wal_size, -1), coalesce(age(catalog_xmin), 0),"
    " coalesce(confirmed_flush_lsn - '0/0'::pg_lsn, 0), (w.at - '0/0'::pg_lsn)::bigint"
    " FROM pg_replication_slots, LATERAL (SELECT pg_current_wal_lsn()) w(at) WHERE slot_name = $1";

int64_t brg_full_in_s(int64_t safe_bytes, int64_t grown_bytes, int64_t over_ms)
{
    if (safe_bytes < 0 || grown_bytes <= 0 || over_ms <= 0) {
        return -1;
    }
    double per_s = (double)grown_bytes * 1000.0 / (double)over_ms;
    double s = (double)safe_bytes / per_s;
    return s > 1e9 ? -1 : (int64_t)s;
}

static void warn(watch *w, const brg_slot_figures *f)
{
    int64_t now = weir_mono_ms();
    bool near = f->full_in_s >= 0 && f->full_in_s < 3600;
    bool bad = near || f->retained_bytes > RETAINED_WARN || f->catalog_xmin_age > XMIN_AGE_WARN ||
               strcmp(f->wal_status, "unreserved") == 0 || strcmp(f->wal_status, "lost") == 0;
    if (bad && (w->warned_ms == 0 || now - w->warned_ms > WARN_EVERY_MS)) {
        w->warned_ms = now;
        WEIR_WARN("BRG-SLOT-RETAINS",
                  "retained_bytes=%" PRId64 " wal_status=%s full_in_s=%" PRId64
                  " catalog_xmin_age=%" PRId64,
                  f->retained_bytes, f->wal_status, f->full_in_s, f->catalog_xmin_age);
    }
}

static weir_rc look(watch *w, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {w->s->settings->bridge_slot};
    weir_rc rc = weir_pg_query(w->pg, figures_sql, 1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_slot_figures f = {.safe_bytes = -1, .full_in_s = -1};
    if (weir_pg_nrows(rows)) {
        f.known = true;
        f.active = strcmp(weir_pg_valuez(rows, 0, 0), "t") == 0;
        (void)snprintf(f.wal_status, sizeof f.wal_status, "%.15s", weir_pg_valuez(rows, 0, 1));
        f.retained_bytes = weir_pg_i64(rows, 0, 2);
        f.safe_bytes = weir_pg_i64(rows, 0, 3);
        f.catalog_xmin_age = weir_pg_i64(rows, 0, 4);
        f.confirmed = (uint64_t)weir_pg_i64(rows, 0, 5);
        int64_t behind = weir_pg_i64(rows, 0, 6) - (int64_t)atomic_load(&w->s->head_lsn);
        f.behind_bytes = behind > 0 ? behind : 0;
    }
    weir_pg_rows_free(rows);
    int64_t now = weir_mono_ms();
    f.full_in_s = w->before_ms ? brg_full_in_s(f.safe_bytes, f.retained_bytes - w->before_bytes,
                                               now - w->before_ms)
                               : -1;
    if (w->before_ms == 0 || now - w->before_ms > 30000) {
        w->before_ms = now;
        w->before_bytes = f.retained_bytes;
    }
    weir_monitor_lock(w->s->m);
    w->s->slot = f;
    weir_monitor_unlock(w->s->m);
    warn(w, &f);
    return WEIR_OK;
}

/* A message needs no table and no publication; it moves the slot of a database where nothing
 * published happens. */
static weir_rc heartbeat(watch *w, weir_error *err)
{
    int64_t now = weir_mono_ms();
    int64_t every = w->s->settings->bridge_heartbeat_ms;
    if (brg_get_state(w->s, NULL, 0) != BRG_STREAMING || now - w->heartbeat_ms < every ||
        now - atomic_load(&w->s->last_tx_ms) < every) {
        return WEIR_OK;
    }
    w->heartbeat_ms = now;
    char text[160];
    (void)snprintf(text, sizeof text, "{\"instance\":\"%s\",\"at\":%" PRId64 "}",
                   w->s->meta.instance, weir_wall_us());
    const char *params[] = {text};
    return weir_pg_query(w->pg, "SELECT pg_logical_emit_message(false, 'weir.heartbeat', $1)", 1,
                         params, NULL, err);
}

void brg_watch_run(void *arg)
{
    watch w = {.s = arg};
    weir_pg_conf conf = {.uri = w.s->settings->postgres_uri,
                         .application_name = "weir-bridge-watch",
                         .wait_max_ms = 10000};
    while (!brg_stopping(w.s)) {
        weir_error err;
        weir_rc rc = w.pg ? WEIR_OK : weir_pg_open(&w.pg, &conf, &err);
        if (rc == WEIR_OK) {
            rc = look(&w, &err);
        }
        if (rc == WEIR_OK) {
            rc = heartbeat(&w, &err);
        }
        if (rc != WEIR_OK) {
            WEIR_DEBUG("BRG-WATCH", "%s", err.msg); /* the reader says the same, louder */
            weir_pg_close(w.pg);
            w.pg = NULL;
            weir_monitor_lock(w.s->m);
            w.s->slot.known = false;
            weir_monitor_unlock(w.s->m);
        }
        int64_t every = w.s->settings->bridge_heartbeat_ms;
        brg_pause(w.s, rc != WEIR_OK ? AWAY_MS : every < LOOK_MS ? every : LOOK_MS);
    }
    weir_pg_close(w.pg);
    atomic_fetch_sub(&w.s->running, 1);
}
