/* async.h - asynchronous commands on the loop thread: accepted, executed by the lanes, asked for.
 */
#ifndef WEIR_WRITE_ASYNC_H
#define WEIR_WRITE_ASYNC_H

#include "write-service/service_priv.h"

typedef struct wsvc_async wsvc_async;

WEIR_MUST_CHECK weir_rc wsvc_async_open(wsvc_async **out, wsvc_service *s, weir_error *err);

typedef enum wsvc_asked {
    WSVC_ASKED_NOW,
    WSVC_ASKED_LATER,
    WSVC_ASKED_WRONGLY /* answered: a header of respond-async without it */
} wsvc_asked;
/* Does the request ask for respond-async? */
WEIR_MUST_CHECK wsvc_asked wsvc_async_asked(wsvc_async *a, weir_http_req *req);

/* What is to be executed later; texts live as long as the request. */
typedef struct wsvc_later {
    const char *name;
    weir_slice body;
    const char *list, *ids; /* of a batch of commands, each by itself: JSON [{"id","name","body"}…],
                               and their ids alone; else NULL */
} wsvc_later;
/* Stores it on the terms of the request's headers. Takes the request. */
void wsvc_async_store(wsvc_async *a, weir_http_req *req, const wsvc_later *later);
/* GET /commands/{id}. */
void wsvc_async_look(wsvc_async *a, weir_http_req *req, weir_slice id);
/* Nothing more is claimed; requests that wait for an end are answered with what is known. */
void wsvc_async_quiet(wsvc_async *a);
bool wsvc_async_idle(const wsvc_async *a); /* nothing is being executed */
void wsvc_async_stop(wsvc_async *a);       /* ends the threads */
bool wsvc_async_ended(const wsvc_async *a);
void wsvc_async_free(wsvc_async *a); /* joins; NULL is fine */
/* Members of /status, with a comma in front. */
void wsvc_async_status(const wsvc_async *a, weir_buf *out);

#endif
