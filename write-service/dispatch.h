/* dispatch.h - a thread that takes stored commands in hand, gives them to the loop to be executed,
 * and writes down what the lanes could not finish.
 *
 *   dispatch: claim ──▶ loop: lane … outcome ──▶ dispatch: verdict, freed
 *
 * What a command did, and its end, are one transaction in a lane (weir.run_stored); the verdicts
 * here concern commands that had no effect.
 */
#ifndef WEIR_WRITE_DISPATCH_H
#define WEIR_WRITE_DISPATCH_H

#include "libweir/base/metrics.h"
#include "libweir/base/slice.h"
#include "libweir/io/loop.h"

typedef struct wsvc_dispatch wsvc_dispatch;

typedef enum wsvc_verdict {
    WSVC_VERDICT_DONE,     /* its row says what became of it */
    WSVC_VERDICT_LATER,    /* not executed, and not its fault */
    WSVC_VERDICT_RETRY,    /* failed; another try may help */
    WSVC_VERDICT_REJECTED, /* refused at COMMIT */
    WSVC_VERDICT_DEAD      /* failed; an operator must look */
} wsvc_verdict;

/* A command in hand; owned by the thread that has it. Texts live in the object itself. */
typedef struct wsvc_stored {
    struct wsvc_stored *next; /* in the list given to the loop */
    wsvc_dispatch *owner;
    int epoch; /* of the claim */
    const char *id, *name, *correlation_id, *traceparent,
        *ordering_key;         /* the last two may be NULL */
    const char *role, *caller; /* on whose behalf; NULL: nobody's */
    weir_slice body;           /* NUL-terminated beyond n */
    wsvc_verdict verdict;
    char *reason; /* heap, freed with it; NULL when there is none */
    char *answer; /* the same: JSON of a rejection */
} wsvc_stored;

typedef struct wsvc_dispatch_conf {
    const char *uri; /* borrowed */
    size_t most;     /* in hand at a time */
    int attempts_max;
    int64_t pause_max_ms;          /* between two tries */
    int64_t keep_ms, dead_keep_ms; /* finished and dead ones are forgotten after so long */
    weir_loop *loop;
    weir_metrics *metrics;
    void (*claimed)(void *arg, wsvc_stored *list); /* on the loop thread, in order */
    void *arg;
} wsvc_dispatch_conf;

WEIR_MUST_CHECK weir_rc wsvc_dispatch_start(wsvc_dispatch **out, const wsvc_dispatch_conf *conf,
                                            weir_error *err);
/* The loop is through with s, verdict filled in. Takes s. */
void wsvc_dispatch_settle(wsvc_dispatch *d, wsvc_stored *s);
void wsvc_dispatch_wake(wsvc_dispatch *d); /* there may be something to claim; any thread */
size_t wsvc_dispatch_in_hand(const wsvc_dispatch *d);
/* Claims nothing more. */
void wsvc_dispatch_quiet(wsvc_dispatch *d);
void wsvc_dispatch_stop(wsvc_dispatch *d); /* writes what it was told, and ends */
bool wsvc_dispatch_ended(const wsvc_dispatch *d);
void wsvc_dispatch_free(wsvc_dispatch *d); /* joins; NULL is fine */

#endif
