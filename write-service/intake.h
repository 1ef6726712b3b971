/* intake.h - a thread that makes asynchronous commands durable, many per transaction, and looks up
 * what became of them.
 *
 * What waits goes into one INSERT; nothing waits for a batch to fill. A list whose answer was lost
 * is given again: the ids are our own, the second time changes nothing.
 */
#ifndef WEIR_WRITE_INTAKE_H
#define WEIR_WRITE_INTAKE_H

#include "libweir/io/loop.h"
#include "write-service/terms.h"

typedef struct wsvc_intake wsvc_intake;

typedef enum wsvc_intake_kind { WSVC_INTAKE_ACCEPT, WSVC_INTAKE_LOOK } wsvc_intake_kind;

/* One wish. Lives in its request's arena, or is the caller's; owned by the thread between submit
 * and done. */
typedef struct wsvc_wish {
    struct wsvc_wish *next; /* in the list given to done */
    wsvc_intake_kind kind;
    void *owner;        /* whose it is */
    const char *id;     /* of the command */
    const char *caller; /* who accepts or looks; NULL: anybody. Others' commands are not found */
    /* ACCEPT */
    const char *name, *correlation_id, *traceparent; /* traceparent NULL: none */
    const char *role, *claims;                       /* on whose behalf; NULL: nobody's */
    const char *idempotency_key, *expected_version;  /* NULL: none */
    const char
        *list; /* of a batch: [{"id","name","body"}…] in place of id, name and body; or NULL */
    weir_slice body;
    wsvc_terms terms;
    /* out */
    weir_rc rc; /* ACCEPT: OK: it is durable. LOOK: OK, or NOTFOUND. Else why there is no answer */
    bool doubt; /* ACCEPT failed, and may be durable all the same */
    bool finished;    /* LOOK: its state is a final one */
    char version[32]; /* LOOK: changes with the state */
    /* LOOK: what became of it. ACCEPT: it was not accepted, because of its key: what
     * weir.accept_keyed says of that. Heap, the receiver's. */
    char *document;
    char position[24]; /* ACCEPT, beside document: where what it says can be read */
    char why[500];
} wsvc_wish;

typedef struct wsvc_intake_conf {
    const char *uri; /* borrowed */
    size_t queue_max;
    int64_t pending_max; /* unfinished commands; more are refused */
    weir_loop *loop;
    void (*done)(void *arg, wsvc_wish *list); /* on the loop thread */
    void *arg;
} wsvc_intake_conf;

WEIR_MUST_CHECK weir_rc wsvc_intake_start(wsvc_intake **out, const wsvc_intake_conf *conf,
                                          weir_error *err);
/* true: taken, it comes back through done. false: too many wait. Loop thread. */
WEIR_MUST_CHECK bool wsvc_intake_submit(wsvc_intake *t, wsvc_wish *w);
void wsvc_intake_stop(wsvc_intake *t); /* no more wishes; it ends when the queue is empty */
bool wsvc_intake_ended(const wsvc_intake *t);
void wsvc_intake_free(wsvc_intake *t);             /* joins; NULL is fine */
int64_t wsvc_intake_pending(const wsvc_intake *t); /* unfinished commands, counted now and then */

#endif
