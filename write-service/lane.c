/* lane.c - the life of a lane: connect, take what waits, hand back, and answer for PostgreSQL while
 * it is away. */
#include "write-service/lane.h"

#include "libweir/base/clock.h"
#include "libweir/base/log.h"

/* An idle connection is looked at so often; a lane without one waits at most so long for the next
 * try. */
enum { IDLE_MS = 250, BACKOFF_MIN_MS = 50, BACKOFF_MAX_MS = 1000 };

static void set_up(wsvc_lane *l, bool up)
{
    if (atomic_exchange(&l->up, up) != up) {
        weir_metric_set(l->m_up, up);
        atomic_fetch_add(&l->pool->up, up ? 1 : -1);
    }
}

static void show(wsvc_lane *l, weir_pg *pg)
{
    weir_monitor_lock(l->pool->mon);
    l->visible = pg;
    weir_monitor_unlock(l->pool->mon);
}

bool wsvc_lane_connect(wsvc_lane *l)
{
    weir_error err = {0};
    if (wsvc_conn_open(&l->conn, &l->conf, &err) != WEIR_OK) {
        if (!l->complained) {
            WEIR_WARN("WSVC-PG-AWAY", "lane cannot connect: %s", err.msg);
            l->complained = true;
        }
        return false;
    }
    if (l->complained) {
        WEIR_INFO("WSVC-PG-BACK", "lane is connected again");
        l->complained = false;
    }
    show(l, l->conn.pg);
    weir_backoff_reset(&l->backoff);
    set_up(l, true);
    return true;
}

void wsvc_lane_disconnect(wsvc_lane *l)
{
    set_up(l, false);
    show(l, NULL);
    wsvc_conn_close(&l->conn);
}

void wsvc_lane_renew(wsvc_lane *l)
{
    show(l, NULL);
    wsvc_conn_close(&l->conn);
    if (!wsvc_lane_connect(l)) {
        set_up(l, false);
    }
}

bool wsvc_lane_pause(wsvc_lane *l, int64_t ms)
{
    int64_t until = weir_mono_ms() + ms;
    weir_monitor_lock(l->pool->mon);
    for (int64_t left = ms; left > 0 && !atomic_load(&l->pool->abandon);
         left = until - weir_mono_ms()) {
        (void)weir_monitor_wait(l->pool->mon, left);
    }
    weir_monitor_unlock(l->pool->mon);
    return !atomic_load(&l->pool->abandon);
}

static void on_loop(void *list)
{
    wsvc_job *j = list;
    wsvc_pool *p = j->owner;
    p->conf.done(p->conf.arg, j);
}

void wsvc_lane_post(wsvc_lane *l)
{
    wsvc_job *list = l->done.first;
    l->done = (wsvc_job_list){NULL, NULL};
    if (list && !weir_loop_post(l->pool->conf.loop, on_loop, list)) {
        while (list) { /* the loop is over: nobody is left to be answered */
            wsvc_job *next = list->next;
            wsvc_outcome_fini(&list->out);
            list = next;
        }
    }
}

/* While no lane has a connection, what waits is answered and not kept hanging. */
static void shed(wsvc_lane *l)
{
    wsvc_pool *p = l->pool;
    weir_monitor_lock(p->gate);
    wsvc_sched_release(p->sched, l->number);
    bool stop = atomic_load(&p->abandon);
    while ((stop || atomic_load(&p->up) == 0) && wsvc_sched_waiting(p->sched) > 0) {
        wsvc_job *j = wsvc_sched_shift(p->sched);
        wsvc_outcome_fini(&j->out);
        wsvc_outcome_busy(&j->out, j->id,
                          stop ? "the service is stopping; the command was not executed"
                               : "PostgreSQL is away; the command was not executed");
        wsvc_job_list_add(&l->done, j);
    }
    weir_monitor_unlock(p->gate);
    wsvc_lane_post(l);
}

/* false: the lane has no connection, everything that waited was seen to. */
static bool connected(wsvc_lane *l)
{
    if (l->conn.pg && weir_pg_alive(l->conn.pg)) {
        return true;
    }
    if (l->conn.pg) {
        WEIR_WARN("WSVC-PG-LOST", "an idle lane lost its connection");
        wsvc_lane_disconnect(l);
    }
    return wsvc_lane_connect(l);
}

/* Gives back what the last jobs held, takes the next; waits a while when there is nothing. */
static size_t take(wsvc_lane *l, wsvc_job **jobs)
{
    wsvc_pool *p = l->pool;
    size_t max = p->conf.group_max;
    weir_monitor_lock(p->gate);
    size_t n = wsvc_sched_take(p->sched, l->number, weir_mono_ms(), max, jobs);
    if (n == 0 && !(p->closed && wsvc_sched_waiting(p->sched) == 0)) {
        int64_t due_ms = wsvc_sched_due_ms(p->sched, weir_mono_ms());
        p->idle++;
        (void)weir_monitor_wait(p->gate, due_ms >= 0 && due_ms < IDLE_MS ? due_ms : IDLE_MS);
        p->idle--;
        n = wsvc_sched_take(p->sched, l->number, weir_mono_ms(), max, jobs);
    }
    if (n > 0 && p->idle > 0 && wsvc_sched_left(p->sched)) {
        weir_monitor_wake_one(p->gate);
    }
    weir_monitor_unlock(p->gate);
    return n;
}

static void take_turn(wsvc_lane *l)
{
    wsvc_job *jobs[WSVC_GROUP_MAX];
    size_t n = take(l, jobs);
    if (n == 0) {
        return;
    }
    /* Looked at before anything is sent: what is sent into a dead connection leaves a doubt. */
    if (connected(l)) {
        wsvc_lane_execute(l, jobs, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            wsvc_outcome_busy(&jobs[i]->out, jobs[i]->id,
                              "PostgreSQL is away; the command was not executed");
            wsvc_job_list_add(&l->done, jobs[i]);
        }
    }
    wsvc_lane_post(l);
}

static bool over(wsvc_lane *l)
{
    weir_monitor_lock(l->pool->gate);
    bool is = l->pool->closed && wsvc_sched_waiting(l->pool->sched) == 0;
    weir_monitor_unlock(l->pool->gate);
    return is;
}

void wsvc_lane_main(void *lane)
{
    wsvc_lane *l = lane;
    weir_backoff_init(&l->backoff, BACKOFF_MIN_MS, BACKOFF_MAX_MS, 0);
    while (!over(l)) {
        if (atomic_load(&l->pool->abandon)) {
            shed(l);
        } else if (connected(l)) {
            take_turn(l);
        } else {
            shed(l);
            (void)wsvc_lane_pause(l, weir_backoff_next_ms(&l->backoff));
            shed(l);
        }
    }
    wsvc_lane_disconnect(l);
    shed(l);
    atomic_fetch_sub(&l->pool->live, 1);
}
