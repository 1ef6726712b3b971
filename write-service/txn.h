/* txn.h - one transaction of 1…n commands as a pipeline, and how it ended.
 *
 * Neighbours that are the same command are one statement, which calls the wrapper once per row of
 * two arrays, in order: what a statement costs beside its work is paid once. The wrapper keeps each
 * call in a subtransaction of its own all the same.
 *
 *   BEGIN · [SET LOCAL lock_timeout] · SELECT xid · flush · wrappers · flush         sent at once
 *   COMMIT · RESET ALL · SELECT position · flush · SELECT what was left behind · sync
 *                                                                 sent when the xid has arrived
 *
 * With the position everything is known that clients wait for; what makes the session fit for the
 * next transaction is waited for by wsvc_txn_rest.
 *
 * COMMIT waits for the xid, which comes back while the wrappers still run: so a transaction whose
 * COMMIT may have run can always be asked for by pg_xact_status. The flush behind the wrappers
 * makes the server send their results before it commits: so when it did commit, the answers are
 * nearly always known.
 */
#ifndef WEIR_WRITE_TXN_H
#define WEIR_WRITE_TXN_H

#include "write-service/conn.h"

enum { WSVC_PATIENT_LOCK_MS = 50, WSVC_WATCHED_LOCK_MS = 1, WSVC_LEFT_BYTES = 128 };

typedef enum wsvc_txn_end {
    WSVC_TXN_COMMITTED,   /* every job's row is there, and the position; wsvc_txn_rest is due */
    WSVC_TXN_ROLLED_BACK, /* err and texts say why */
    WSVC_TXN_LOST         /* the connection is gone, or given up; see sure_not_run */
} wsvc_txn_end;

typedef struct wsvc_txn {
    /* in */
    wsvc_conn *conn;
    wsvc_job **jobs;
    size_t n;
    bool serializable;
    bool singly;                /* a statement for each: none may use up the time of the others */
    bool patient;               /* waits for locks WSVC_PATIENT_LOCK_MS instead of the usual time */
    bool watched;               /* ... WSVC_WATCHED_LOCK_MS; not with patient */
    int64_t answer_max_ms;      /* silence for so long: the connection is given up */
    const atomic_bool *abandon; /* true: stop waiting now */
    weir_arena *arena;          /* for texts */
    /* out */
    size_t got; /* the wrapper's words of the first so many jobs are known: wsvc_txn_word */
    int64_t wrappers_us; /* how long they took, all of them; 0: not all were answered */
    char xid[24];
    char position[WSVC_POSITION_BYTES];
    bool sure_not_run;          /* LOST: COMMIT was not sent, or the server failed before it */
    bool committed;             /* COMMIT was answered */
    char left[WSVC_LEFT_BYTES]; /* what of the session is not as it was; "": it can be used again.
                                 * After COMMITTED only wsvc_txn_rest knows */
    weir_error err;
    wsvc_failure texts; /* ROLLED_BACK: in the arena */
    bool own;           /* ROLLED_BACK: the failed statement belongs to the only job */
    /* private */
    struct wsvc_unit {
        size_t first, n; /* of jobs */
        weir_pg_rows *rows;
    } units[WSVC_GROUP_MAX];
    size_t nunits, got_units;
    int64_t start_us;
    size_t step;
    bool sync_sent, failed, commit_sent;
} wsvc_txn;

/* Runs it. After ROLLED_BACK the connection can be used again unless something was left; after LOST
 * it must be closed. Owner thread. */
wsvc_txn_end wsvc_txn_run(wsvc_txn *t);
/* Once after COMMITTED; the jobs may be gone. true: the connection can be used again unless
 * something was left; false: it must be closed, and err says why. */
WEIR_MUST_CHECK bool wsvc_txn_rest(wsvc_txn *t);
/* What job i < got was answered; valid until fini. */
weir_slice wsvc_txn_word(const wsvc_txn *t, size_t i);
void wsvc_txn_fini(wsvc_txn *t);

#endif
