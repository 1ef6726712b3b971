/* pool.c - starting, feeding and stopping the lanes. */
#include "write-service/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "write-service/lane.h"

/* Lanes keep out of each other's way, so whom a group waits for is nearly always a stranger: short,
 * because the whole group waits. */
enum { LOCK_MS = 5, TEXTS_MAX_BYTES = 1 << 20 };

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
    p->m_left = weir_counter(
        ms, "weir_write_sessions_left_total",
        "Connections made anew because a command left something in the session.", NULL);
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
    l->number = i;
    l->arena = weir_arena_new(TEXTS_MAX_BYTES);
    l->conf = (wsvc_conn_conf){p->conf.uri, p->conf.application_name, p->conf.statement_timeout_ms,
                               LOCK_MS};
    (void)snprintf(labels, sizeof labels, "lane=\"%zu\"", i);
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
    p->n = conf->lanes;
    p->mon = weir_monitor_new();
    p->gate = weir_monitor_new();
    wsvc_sched_conf sc = {conf->lanes, conf->queue_max, conf->statement_timeout_ms};
    p->sched = wsvc_sched_new(&sc);
    add_metrics(p);
    for (size_t i = 0; i < p->n; i++) {
        lane_init(p, i);
    }
    for (size_t i = 0; i < p->n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "lane-%d", (int)i);
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

/* Gate held. One is enough: a lane that leaves something wakes the next. */
static void ring(wsvc_pool *p)
{
    if (p->idle > 0) {
        weir_monitor_wake_one(p->gate);
    }
}

wsvc_job *wsvc_pool_submit_list(wsvc_pool *p, wsvc_job *list)
{
    weir_monitor_lock(p->gate);
    wsvc_job *next, *j = list;
    for (; j && !p->closed; j = next) {
        next = j->next;
        j->owner = p;
        if (!wsvc_sched_push(p->sched, j)) {
            break;
        }
    }
    ring(p);
    weir_monitor_unlock(p->gate);
    return j;
}

bool wsvc_pool_submit(wsvc_pool *p, wsvc_job *j)
{
    j->next = NULL;
    return wsvc_pool_submit_list(p, j) == NULL;
}

void wsvc_pool_again(wsvc_pool *p, wsvc_job *j, const wsvc_key *block)
{
    int64_t now_ms = weir_mono_ms();
    weir_monitor_lock(p->gate);
    if (j->probe) {
        wsvc_sched_probed(p->sched, j, block && wsvc_key_same(*block, j->probe_key), now_ms);
    }
    if (block) {
        wsvc_sched_block(p->sched, *block, now_ms);
    }
    wsvc_sched_again(p->sched, j);
    ring(p);
    weir_monitor_unlock(p->gate);
}

void wsvc_pool_probed(wsvc_pool *p, wsvc_job *j)
{
    weir_monitor_lock(p->gate);
    wsvc_sched_probed(p->sched, j, false, weir_mono_ms());
    ring(p);
    weir_monitor_unlock(p->gate);
}

bool wsvc_pool_withdraw(wsvc_pool *p, wsvc_job *j)
{
    weir_monitor_lock(p->gate);
    bool mine = wsvc_sched_remove(p->sched, j);
    weir_monitor_unlock(p->gate);
    return mine;
}

void wsvc_pool_each(wsvc_pool *p, void (*fn)(void *arg, wsvc_job *j), void *arg)
{
    weir_monitor_lock(p->gate);
    wsvc_sched_each(p->sched, fn, arg);
    weir_monitor_unlock(p->gate);
}

size_t wsvc_pool_blocked(wsvc_pool *p)
{
    weir_monitor_lock(p->gate);
    size_t n = wsvc_sched_blocked(p->sched);
    weir_monitor_unlock(p->gate);
    return n;
}

bool wsvc_pool_up(const wsvc_pool *p)
{
    return atomic_load(&p->up) > 0;
}

size_t wsvc_pool_waiting(wsvc_pool *p)
{
    weir_monitor_lock(p->gate);
    size_t n = wsvc_sched_waiting(p->sched);
    weir_monitor_unlock(p->gate);
    return n;
}

size_t wsvc_pool_lanes(const wsvc_pool *p)
{
    return p->n;
}

wsvc_lane_info wsvc_pool_lane(const wsvc_pool *p, size_t i)
{
    const wsvc_lane *l = &p->lanes[i];
    return (wsvc_lane_info){atomic_load(&l->up), atomic_load(&l->executed), atomic_load(&l->groups),
                            atomic_load(&l->retried)};
}

void wsvc_pool_close(wsvc_pool *p)
{
    weir_monitor_lock(p->gate);
    p->closed = true;
    weir_monitor_wake(p->gate);
    weir_monitor_unlock(p->gate);
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
    wsvc_sched_free(p->sched);
    weir_monitor_free(p->gate);
    weir_monitor_free(p->mon);
    free(p);
}
