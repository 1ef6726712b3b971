/* retry.h - what happens to a command after it was refused, failed with its group, or lost its
 * connection. Pure.
 *
 * No command runs twice in silence: every decision to run again rests on the knowledge that the
 * transaction before was rolled back or never committed.
 */
#ifndef WEIR_WRITE_RETRY_H
#define WEIR_WRITE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum { WSVC_TRIES_MAX = 8, WSVC_TRIES_MIN = 3, WSVC_LOST_MAX = 3 };

typedef enum wsvc_next {
    WSVC_NEXT_ANSWER, /* the error is the answer */
    WSVC_NEXT_ALONE,  /* again, in a transaction of its own, on this lane */
    WSVC_NEXT_WAIT,   /* it collided: again, when what it collided with is out of its way */
    WSVC_NEXT_BUSY    /* 503: it was not executed, and was tried often enough */
} wsvc_next;

typedef struct wsvc_retry_in {
    const char *sqlstate; /* of the refusal or failure */
    bool own; /* the error is known to be its own: the wrapper said so, or it ran alone */
    int tries;
    int64_t waited_ms, patience_ms; /* since it arrived; how long a row may keep it waiting */
} wsvc_retry_in;

/* After a transaction that was rolled back, or a wrapper that reported an error. */
wsvc_next wsvc_retry_after_error(const wsvc_retry_in *in);
/* After a connection was lost and the transaction is known not to have committed. lost counts this
 * one. */
wsvc_next wsvc_retry_after_loss(int lost);

typedef enum wsvc_fate {
    WSVC_FATE_NOT_RUN,   /* rolled back or never committed: may run again */
    WSVC_FATE_COMMITTED, /* done */
    WSVC_FATE_WAIT,      /* still running on the server: ask again */
    WSVC_FATE_UNKNOWN    /* never run again; the client is told */
} wsvc_fate;

/* Judges a transaction whose connection was lost after COMMIT was sent. status: what pg_xact_status
 * said, "future" when the server has not reached that transaction id, NULL when it is too old to
 * know. same_system: it is the same database cluster. same_history: no crash or promotion since can
 * have given the id to another transaction. forgotten: a crash made the server forget the id, so
 * whatever has it now is another. */
wsvc_fate wsvc_fate_judge(const char *status, bool same_system, bool same_history, bool forgotten);

#endif
