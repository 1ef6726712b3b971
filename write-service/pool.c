/* pool.c - starting, feeding and stopping the lanes. */
#include "write-service/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "write-service/lane.h"

/* A group that waits for a row longer than this collides with another lane: better alone behind it
 * than both waiting. The serial lane's groups meet strangers only. */
enum { LOCK_SHARED_MS = 25, LOCK_SERIAL_MS = 1000, TEXTS_MAX_BYTES = 1 << 20 };

static void add_metrics(wsvc_pool *p)
{
    static const char *const sizes[] = {"size=\"1\"", "size=\"2-4\"", "size=\"5-16\"",
                                        "size=\"17-32\"", "size=\"33-60\""};
    weir_metrics *ms = p->conf.metrics;
    for (size_t i = 0; i < 5; i++) {
        p->m_size[i] = weir_counter(ms, "weir_write_groups_by_size_total",
                                    "Transactions by number of commands.", sizes[i]);
    }
    p->m_exec = weir_histogram(ms, "weir_write_transaction_seconds",
                               "Time of one group transaction.", NULL);
    p->m_lost = weir_counter(ms, "weir_write_lost_connections_total",
                             "Connections lost during a transaction.", NULL);
    p->m_unknown = weir_counter(ms, "weir_write_outcome_unknown_total",
                                "Commands answered with outcome-unknown.", NULL);
    p->m_dropped = weir_counter(ms, "weir_write_cancelled_total",
                                "Commands not executed because the client went away.", NULL);
}

static void lane_init(wsvc_pool *p, size_t i)
{
    wsvc_lane *l = &p->lanes[i];
    char labels[40];
    l->pool = p;
    l->serial = i == p->n - 1;
    l->queue = l->serial ? p->serial : p->shared;
    l->arena = weir_arena_new(TEXTS_MAX_BYTES);
    l->conf = (wsvc_conn_conf){p->conf.uri, p->conf.application_name, p->conf.statement_timeout_ms,
                               l->serial ? LOCK_SERIAL_MS : LOCK_SHARED_MS};
    if (l->serial) {
        (void)snprintf(labels, sizeof labels, "lane=\"serial\"");
    } else {
        (void)snprintf(labels, sizeof labels, "lane=\"%zu\"", i);
    }
    weir_metrics *ms = p->conf.metrics;
    l->m_executed = weir_counter(ms, "weir_write_lane_commands_total",
                                 "Commands sent to PostgreSQL, retries included.", labels);
    l->m_groups = weir_counter(ms, "weir_write_lane_transactions_total", "Transactions.", labels);
    l->m_retried = weir_counter(ms, "weir_write_lane_retries_total",
                                "Commands that had to run again.", labels);
    l->m_up = weir_gauge(ms, "weir_write_lane_up", "1 while the lane has a connection.", labels);
}

weir_rc wsvc_pool_start(wsvc_pool **out, const wsvc_pool_conf *conf, weir_error *err)
{
    wsvc_pool *p = weir_xcalloc(1, sizeof *p);
    p->conf = *conf;
    p->n = conf->lanes + 1;
    p->mon = weir_monitor_new();
    p->shared = weir_queue_new(conf->queue_max);
    p->serial = weir_queue_new(conf->queue_max);
    add_metrics(p);
    for (size_t i = 0; i < p->n; i++) {
        lane_init(p, i);
    }
    for (size_t i = 0; i < p->n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, p->lanes[i].serial ? "lane-serial" : "lane-%d", (int)i);
        atomic_fetch_add(&p->live, 1);
        weir_rc rc =
            weir_thread_start(&p->lanes[i].thread, name, wsvc_lane_main, &p->lanes[i], err);
        if (rc != WEIR_OK) {
            atomic_fetch_sub(&p->live, 1);
            wsvc_pool_close(p);
            wsvc_pool_free(p);
            return rc;
        }
    }
    *out = p;
    return WEIR_OK;
}

bool wsvc_pool_submit(wsvc_pool *p, wsvc_job *j)
{
    j->owner = p;
    return weir_queue_push(j->serial ? p->serial : p->shared, j);
}

bool wsvc_pool_up(const wsvc_pool *p)
{
    return atomic_load(&p->up) > 0;
}

size_t wsvc_pool_waiting(const wsvc_pool *p)
{
    return weir_queue_len(p->shared) + weir_queue_len(p->serial);
}

size_t wsvc_pool_lanes(const wsvc_pool *p)
{
    return p->n;
}

wsvc_lane_info wsvc_pool_lane(const wsvc_pool *p, size_t i)
{
    const wsvc_lane *l = &p->lanes[i];
    return (wsvc_lane_info){l->serial, atomic_load(&l->up), atomic_load(&l->executed),
                            atomic_load(&l->groups), atomic_load(&l->retried)};
}

void wsvc_pool_close(wsvc_pool *p)
{
    weir_queue_close(p->shared);
    weir_queue_close(p->serial);
}

void wsvc_pool_abandon(wsvc_pool *p)
{
    weir_monitor_lock(p->mon);
    atomic_store(&p->abandon, true);
    weir_monitor_wake(p->mon);
    for (size_t i = 0; i < p->n; i++) {
        if (p->lanes[i].visible) {
            weir_pg_cancel(p->lanes[i].visible);
        }
    }
    weir_monitor_unlock(p->mon);
}

bool wsvc_pool_ended(const wsvc_pool *p)
{
    return atomic_load(&p->live) == 0;
}

void wsvc_pool_free(wsvc_pool *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        weir_thread_join(p->lanes[i].thread);
        weir_arena_free(p->lanes[i].arena);
    }
    weir_queue_free(p->shared);
    weir_queue_free(p->serial);
    weir_monitor_free(p->mon);
    free(p);
}
