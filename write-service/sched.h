/* sched.h - what waits for a lane, and which of it a lane may take now. Pure; its owner locks.
 *
 * Jobs wait in the order they arrived. A lane takes the first ones whose keys no other lane holds,
 * and holds theirs until it comes again: so commands that would wait for each other's rows run one
 * after the other, mostly in one group, and all others run beside them. Nobody overtakes a job he
 * shares a key with.
 *
 * A key that somebody outside holds in PostgreSQL is blocked: what needs it is passed over (and may
 * be overtaken by what does not), and after a pause one job is let through to see whether it is
 * free again.
 */
#ifndef WEIR_WRITE_SCHED_H
#define WEIR_WRITE_SCHED_H

#include "libweir/base/err.h"
#include "write-service/job.h"

enum {
    WSVC_BLOCKED_MAX = 64,  /* keys; beyond that a job just tries again */
    WSVC_BLOCK_MIN_MS = 4,  /* first pause; doubled each time */
    WSVC_BLOCK_MAX_MS = 64, /* longest pause */
    WSVC_SCAN_MAX = 1024,   /* waiting jobs looked at for one group */
};

typedef struct wsvc_sched wsvc_sched;

typedef struct wsvc_sched_conf {
    size_t lanes;
    size_t waiting_max;
    int64_t patience_ms; /* what waits longer for a blocked key is given up */
} wsvc_sched_conf;

wsvc_sched *wsvc_sched_new(const wsvc_sched_conf *conf);
void wsvc_sched_free(wsvc_sched *s); /* forgets what waits; NULL is fine */

/* At the end. false: full. */
WEIR_MUST_CHECK bool wsvc_sched_push(wsvc_sched *s, wsvc_job *j);
/* It ran and must run again: into its place by arrival, whatever waits. */
void wsvc_sched_again(wsvc_sched *s, wsvc_job *j);
/* false: it does not wait here. */
WEIR_MUST_CHECK bool wsvc_sched_remove(wsvc_sched *s, wsvc_job *j);
/* The one that waits longest, whatever it needs; NULL: nothing waits. */
wsvc_job *wsvc_sched_shift(wsvc_sched *s);
size_t wsvc_sched_waiting(const wsvc_sched *s);
void wsvc_sched_each(wsvc_sched *s, void (*fn)(void *arg, wsvc_job *j), void *arg);

/* Gives back what the lane held, then takes up to max jobs for it (<= WSVC_GROUP_MAX); one that is
 * `alone` is taken alone. Jobs whose `expired` is set are not to be executed. */
size_t wsvc_sched_take(wsvc_sched *s, size_t lane, int64_t now_ms, size_t max, wsvc_job **jobs);
bool wsvc_sched_left(const wsvc_sched *s); /* the last take left what another lane could take */
void wsvc_sched_release(wsvc_sched *s, size_t lane);
/* How long until something that waits may be taken though no lane gives anything back; -1: never.
 */
int64_t wsvc_sched_due_ms(const wsvc_sched *s, int64_t now_ms);

/* Somebody outside holds k. */
void wsvc_sched_block(wsvc_sched *s, wsvc_key k, int64_t now_ms);
/* A job with `probe` set came back; collided: what it was to look at is still held. */
void wsvc_sched_probed(wsvc_sched *s, wsvc_job *j, bool collided, int64_t now_ms);
size_t wsvc_sched_blocked(const wsvc_sched *s);

#endif
