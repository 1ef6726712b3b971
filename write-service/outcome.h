/* outcome.h - what a client is told: from the wrapper's JSON or a server error to status and
 * members. Pure. */
#ifndef WEIR_WRITE_OUTCOME_H
#define WEIR_WRITE_OUTCOME_H

#include <stdbool.h>

#include "libweir/base/slice.h"

#define WSVC_TYPE_UNKNOWN  "urn:weir:problem:outcome-unknown"
#define WSVC_TYPE_DEADLINE "urn:weir:problem:deadline"

typedef struct wsvc_outcome {
    int status;         /* HTTP; 0: nothing decided yet */
    char sqlstate[6];   /* "" when none */
    const char *type;   /* of the problem; constant, NULL is about:blank */
    bool replayed;      /* the answer of an earlier command of the same Idempotency-Key */
    bool retry_after;   /* tell the client to come again */
    char *text;         /* 200, 202: the whole body; else the problem's detail. Heap. */
    size_t text_bytes;  /* of text, without the NUL */
    char stored_id[40]; /* 202: the command to ask for; "": the body lists several */
    char *members;      /* further members of the problem, JSON without braces. Heap. */
    char *collision;    /* the wrapper's JSON about the row it could not lock, or NULL. Heap. */
} wsvc_outcome;

/* A server error's texts; NULL or "" when absent. */
typedef struct wsvc_failure {
    const char *sqlstate, *message, *detail, *hint, *constraint, *column, *table, *pointer;
} wsvc_failure;

/* The one table from SQLSTATE to HTTP status. */
int wsvc_status_of(const char *sqlstate);
/* Classes that another try may cure: 40 and 55P03. */
bool wsvc_sqlstate_again(const char *sqlstate);

/* All of these fill *out, which must be empty or finished; wsvc_outcome_fini frees. Any thread. */

/* reply is the wrapper's jsonb text, {"ok": …} or {"error": {…}}, perhaps behind
 * "replay <command id> "; or "stored <command id> <null or list>"; anything else is a 500. */
void wsvc_outcome_reply(wsvc_outcome *out, const char *id, weir_slice reply, const char *position);
void wsvc_outcome_failure(wsvc_outcome *out, const char *id, const wsvc_failure *f);
/* members: further JSON members behind command_id, or NULL. type must be a constant or NULL. */
void wsvc_outcome_problem(wsvc_outcome *out, const char *id, int status, const char *type,
                          const char *detail, const char *members);
/* 202: it is stored under id, or, when list is no empty slice, those in the JSON array of ids are.
 */
void wsvc_outcome_stored(wsvc_outcome *out, const char *id, weir_slice list);
/* 503 with Retry-After: it was not executed. */
void wsvc_outcome_busy(wsvc_outcome *out, const char *id, const char *detail);
void wsvc_outcome_fini(wsvc_outcome *out);

#endif
