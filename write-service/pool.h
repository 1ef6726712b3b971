/* pool.h - the lanes: threads that each own one PostgreSQL connection and execute what waits for
 * them.
 *
 * All take from one list (sched.h), each only what no other lane is at. A job that collided all the
 * same comes back through `done` with `collided` set; wsvc_pool_again lets it wait anew. Everything
 * here but the inside of the lanes runs on the loop thread.
 */
#ifndef WEIR_WRITE_POOL_H
#define WEIR_WRITE_POOL_H

#include "libweir/base/metrics.h"
#include "libweir/io/loop.h"
#include "write-service/job.h"

enum { WSVC_LANES_MAX = 64 };

typedef struct wsvc_pool wsvc_pool;

typedef struct wsvc_pool_conf {
    const char *uri; /* all strings borrowed for the pool's life */
    const char *application_name;
    size_t lanes;
    size_t group_max; /* <= WSVC_GROUP_MAX */
    size_t queue_max; /* jobs waiting */
    int64_t statement_timeout_ms;
    weir_loop *loop;
    weir_metrics *metrics;
    /* On the loop thread: jobs that are answered, dropped or collided, in a list. */
    void (*done)(void *arg, wsvc_job *list);
    void *arg;
} wsvc_pool_conf;

typedef struct wsvc_lane_info {
    bool up;
    int64_t executed, groups, retried;
} wsvc_lane_info;

WEIR_MUST_CHECK weir_rc wsvc_pool_start(wsvc_pool **out, const wsvc_pool_conf *conf,
                                        weir_error *err);
/* true: taken; it comes back through done. false: too many wait; the caller keeps j. */
WEIR_MUST_CHECK bool wsvc_pool_submit(wsvc_pool *p, wsvc_job *j);
/* The same for all of them at once; returns those that were not taken. */
wsvc_job *wsvc_pool_submit_list(wsvc_pool *p, wsvc_job *list);
/* A job that collided waits again. block: a key that is held by somebody outside; NULL: none. */
void wsvc_pool_again(wsvc_pool *p, wsvc_job *j, const wsvc_key *block);
/* A job with `probe` set is answered: what it looked at is free. */
void wsvc_pool_probed(wsvc_pool *p, wsvc_job *j);
/* true: j waited for a lane and is the caller's now; false: a lane has it. */
WEIR_MUST_CHECK bool wsvc_pool_withdraw(wsvc_pool *p, wsvc_job *j);
/* Each job that waits, under the pool's lock. */
void wsvc_pool_each(wsvc_pool *p, void (*fn)(void *arg, wsvc_job *j), void *arg);
size_t wsvc_pool_blocked(wsvc_pool *p); /* keys somebody outside holds */
bool wsvc_pool_up(const wsvc_pool *p);  /* a lane has a connection */
size_t wsvc_pool_waiting(wsvc_pool *p);
size_t wsvc_pool_lanes(const wsvc_pool *p);
wsvc_lane_info wsvc_pool_lane(const wsvc_pool *p, size_t i);
/* No more jobs; lanes drain their queues and end. */
void wsvc_pool_close(wsvc_pool *p);
/* Ends waiting: running statements are cancelled, jobs get the answer that is true now. After
 * close. */
void wsvc_pool_abandon(wsvc_pool *p);
bool wsvc_pool_ended(const wsvc_pool *p); /* every lane has left; free will not wait */
void wsvc_pool_free(wsvc_pool *p);        /* joins the lanes; NULL is fine */

#endif
