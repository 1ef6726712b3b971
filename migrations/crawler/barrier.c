/* barrier.c - waits until every transaction older than now is over, and says whom it waits for. */
#include <stdio.h>
#include <string.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "libweir/io/pg_writers.h"
#include "migrations/crawler/crawler.h"

enum { STEP_MS = 20, REPORT_MS = 2000, WARN_MS = 10000 };

static weir_rc is_over(weir_pg *pg, const char *xid, bool *over, weir_error *err)
{
    const char *params[] = {xid};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8", 1,
                               params, &rows, err);
    if (rc == WEIR_OK) {
        *over = strcmp(weir_pg_valuez(rows, 0, 0), "t") == 0;
        weir_pg_rows_free(rows);
    }
    return rc;
}

static void pause_ms(weir_monitor *m, int64_t ms)
{
    int64_t end = weir_mono_ms() + ms;
    weir_monitor_lock(m);
    for (int64_t left = ms; left > 0 && weir_monitor_wait(m, left); left = end - weir_mono_ms()) {
    }
    weir_monitor_unlock(m);
}

static weir_rc wait_over(weir_pg *pg, const char *xid, int64_t max_ms,
                         bool (*stop)(void *, const char *), void *arg, weir_error *err)
{
    char waits[WEIR_PG_WRITERS_BYTES] = "";
    int64_t began = weir_mono_ms();
    int64_t report_at = began + REPORT_MS;
    int64_t warn_at = began + WARN_MS;
    weir_monitor *m = weir_monitor_new();
    weir_rc rc = WEIR_OK;
    for (bool over = false; rc == WEIR_OK;) {
        int64_t now = weir_mono_ms();
        rc = is_over(pg, xid, &over, err);
        if (rc != WEIR_OK || over) {
            break;
        }
        if (now >= report_at || (max_ms && now - began >= max_ms)) {
            rc = weir_pg_writers(pg, xid, waits, err);
            report_at = now + REPORT_MS;
        }
        if (rc == WEIR_OK && now >= warn_at) {
            WEIR_WARN("CRW-BARRIER", "transactions older than the copy are still open: %s", waits);
            warn_at = now + WARN_MS;
        }
        if (rc == WEIR_OK && stop && stop(arg, waits)) {
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopping");
        } else if (rc == WEIR_OK && max_ms && now - began >= max_ms) {
            rc = weir_fail(err, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                           "transactions older than the copy do not end: %s", waits);
        }
        pause_ms(m, STEP_MS);
    }
    weir_monitor_free(m);
    return rc;
}

weir_rc crw_barrier(weir_pg *source, int64_t max_ms, bool (*stop)(void *arg, const char *waits),
                    void *arg, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    char xid[32];
    /* Ours is newer than every transaction that could have committed before now: when none as old
     * as it is left, all of them are visible. */
    weir_rc rc = weir_pg_query(source, "SELECT pg_current_xact_id()", 0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)snprintf(xid, sizeof xid, "%s", weir_pg_valuez(rows, 0, 0));
    weir_pg_rows_free(rows);
    return wait_over(source, xid, max_ms, stop, arg, err);
}
