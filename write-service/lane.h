/* lane.h - what the pool and its lanes share; nobody else may include it. */
#ifndef WEIR_WRITE_LANE_H
#define WEIR_WRITE_LANE_H

#include "libweir/base/backoff.h"
#include "libweir/base/thread.h"
#include "write-service/conn.h"
#include "write-service/pool.h"
#include "write-service/sched.h"
#include "write-service/txn.h"

typedef struct wsvc_lane {
    wsvc_pool *pool;
    size_t number;
    weir_thread *thread;
    wsvc_conn_conf conf;
    wsvc_conn conn;     /* the lane's own */
    weir_pg *visible;   /* conn.pg for weir_pg_cancel by another thread; under pool->mon */
    weir_arena *arena;  /* per transaction */
    wsvc_job_list done; /* not yet handed back */
    weir_backoff backoff;
    int64_t slow_until_ms; /* see execute.c */
    int64_t left_ms;       /* when it was told last that a command left something behind */
    bool complained;       /* the loss of PostgreSQL was logged */
    atomic_bool up;
    atomic_int_least64_t executed, groups, retried;
    weir_metric *m_executed, *m_groups, *m_retried, *m_up;
} wsvc_lane;

struct wsvc_pool {
    wsvc_pool_conf conf;
    weir_monitor *gate; /* guards sched, idle, closed; lanes with nothing to do wait here */
    wsvc_sched *sched;
    size_t idle;
    bool closed;
    weir_monitor *mon; /* every pause of a lane waits here */
    atomic_int up;     /* lanes with a connection */
    atomic_int live;   /* lanes whose thread has not left */
    atomic_bool abandon;
    size_t n;
    wsvc_lane lanes[WSVC_LANES_MAX];
    weir_metric *m_size[5], *m_exec, *m_lost, *m_unknown, *m_dropped, *m_left;
};

void wsvc_lane_main(void *lane);
/* Executes the jobs and puts each on the lane's done list. */
void wsvc_lane_execute(wsvc_lane *l, wsvc_job **jobs, size_t n);
/* One try to connect. */
WEIR_MUST_CHECK bool wsvc_lane_connect(wsvc_lane *l);
void wsvc_lane_disconnect(wsvc_lane *l);
/* Another session; where that succeeds the lane is up all the time. */
void wsvc_lane_renew(wsvc_lane *l);
/* Waits; false: the pool was abandoned meanwhile. */
bool wsvc_lane_pause(wsvc_lane *l, int64_t ms);
/* Hands what is done back to the loop. */
void wsvc_lane_post(wsvc_lane *l);

#endif
