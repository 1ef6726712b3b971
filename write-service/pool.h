/* pool.h - the lanes: threads that each own one PostgreSQL connection and execute what waits in
 * their queue.
 *
 * Shared lanes take from one queue. A command that collided on rows there is bounced: the loop
 * thread routes it, and its like for a while, to the one serial lane, where a group never meets
 * another group of the same rows. Everything here but the inside of the lanes runs on the loop
 * thread.
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
    size_t lanes;     /* shared ones; the serial lane comes on top */
    size_t group_max; /* <= WSVC_GROUP_MAX */
    size_t queue_max; /* jobs waiting, per queue */
    int64_t statement_timeout_ms;
    weir_loop *loop;
    weir_metrics *metrics;
    /* On the loop thread: jobs that are answered, dropped or bounced, in a list. */
    void (*done)(void *arg, wsvc_job *list);
    void *arg;
} wsvc_pool_conf;

typedef struct wsvc_lane_info {
    bool serial, up;
    int64_t executed, groups, retried;
} wsvc_lane_info;

WEIR_MUST_CHECK weir_rc wsvc_pool_start(wsvc_pool **out, const wsvc_pool_conf *conf,
                                        weir_error *err);
/* true: taken; it comes back through done. false: that queue is full, or no lane that serves it has
 * a connection (see wsvc_pool_up); the caller keeps j. */
WEIR_MUST_CHECK bool wsvc_pool_submit(wsvc_pool *p, wsvc_job *j);
bool wsvc_pool_up(const wsvc_pool *p); /* a shared lane has a connection */
size_t wsvc_pool_waiting(const wsvc_pool *p);
size_t wsvc_pool_lanes(const wsvc_pool *p); /* with the serial one */
wsvc_lane_info wsvc_pool_lane(const wsvc_pool *p, size_t i);
/* No more jobs; lanes drain their queues and end. */
void wsvc_pool_close(wsvc_pool *p);
/* Ends waiting: running statements are cancelled, jobs get the answer that is true now. After
 * close. */
void wsvc_pool_abandon(wsvc_pool *p);
bool wsvc_pool_ended(const wsvc_pool *p); /* every lane has left; free will not wait */
void wsvc_pool_free(wsvc_pool *p);        /* joins the lanes; NULL is fine */

#endif
