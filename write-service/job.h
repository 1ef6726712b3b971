/* job.h - one command on its way: made by the loop thread, executed by a lane, answered by the loop
 * thread.
 *
 *   loop: new ──▶ waits ──▶ lane: run … outcome ──▶ loop: reply
 *                   ▲                    │
 *                   └─── collided ◀──────┘   (the loop learns which row it was, then it waits
 * again)
 *
 * A job lives in its request's arena and is owned by one thread at a time; it changes hands through
 * the pool and through weir_loop_post. While it waits the pool's lock guards it. Only `gone` is
 * touched by the other side: the loop sets it when the client went away.
 */
#ifndef WEIR_WRITE_JOB_H
#define WEIR_WRITE_JOB_H

#include <stdatomic.h>

#include "libweir/base/slice.h"
#include "write-service/key.h"
#include "write-service/outcome.h"

/* Below 64, so that PostgreSQL's cache of subtransactions holds a whole group. */
enum { WSVC_GROUP_MAX = 60, WSVC_POSITION_BYTES = 24, WSVC_ID_BYTES = 33 };

/* How one command is called; immutable, lives as long as the process. */
typedef struct wsvc_call {
    const char *name;  /* "place_order" */
    const char *stmt;  /* name of the prepared statement */
    const char *sql;   /* SELECT weir."run_place_order"($1, $2) */
    bool takes_claims; /* they are its first parameter, before meta and body */
    bool takes_role;   /* role and claims are its last ones */
    /* The same for many, from arrays of texts; NULL: there is none. */
    const char *many_stmt, *many_sql;
} wsvc_call;

typedef struct wsvc_job wsvc_job;
struct wsvc_job {
    wsvc_job *next; /* of those that wait, or in a list of finished jobs */
    wsvc_job *prev; /* of those that wait */
    const wsvc_call *call;
    void *owner;  /* the loop thread's: whom to hand it back to */
    void *ticket; /* the loop thread's: the request and what it counts under */
    char id[WSVC_ID_BYTES];
    const char *correlation_id;
    const char *traceparent; /* NULL when absent */
    const char *options;     /* JSON for weir.run_with; NULL: the wrapper is called directly */
    weir_slice body;         /* NUL-terminated beyond n */
    /* On whose behalf; all NULL while authentication is off. Equal roles are the same pointer. */
    const char *role, *claims, *caller;
    int64_t arrived_us;
    int64_t deadline_ms; /* not begun until then: not to be executed; 0: none. The loop's */
    bool has_key;        /* wants idempotency_key beside the keys its rules give */
    wsvc_key idempotency_key;
    wsvc_keys keys;        /* what it is expected to lock, as known when it began to wait */
    int64_t not_before_ms; /* a pause before it runs again; monotonic */
    bool waits;            /* in the pool's list */
    bool deferred;         /* was passed over once because another lane held its keys */
    int64_t blocked_ms;    /* since when it is kept waiting by somebody outside; 0: never was */
    bool expired;          /* … for too long: not to be executed */
    bool probe;            /* it looks whether probe_key is free again */
    wsvc_key probe_key;
    bool watched;      /* its group waits for locks as short as it can: collisions are to teach */
    bool alone;        /* never in a group: declared so, or its group failed */
    bool serializable; /* in a SERIALIZABLE transaction, alone */
    bool collided;     /* handed back to wait again; out says why */
    bool dropped;      /* the client was gone before it ran */
    int tries;         /* times it was sent to PostgreSQL */
    int lost;          /* of these, ended by a lost connection */
    atomic_bool gone;
    wsvc_outcome out;
    char position[WSVC_POSITION_BYTES]; /* "" unless committed */
};

/* Jobs in the order they were finished. */
typedef struct wsvc_job_list {
    wsvc_job *first, *last;
} wsvc_job_list;

static inline void wsvc_job_list_add(wsvc_job_list *l, wsvc_job *j)
{
    j->next = NULL;
    if (l->last) {
        l->last->next = j;
    } else {
        l->first = j;
    }
    l->last = j;
}

#endif
