/* async.h - asynchronous commands on the loop thread: accepted, executed by the lanes, asked for.
 */
#ifndef WEIR_WRITE_ASYNC_H
#define WEIR_WRITE_ASYNC_H

#include "write-service/service_priv.h"

typedef struct wsvc_async wsvc_async;

WEIR_MUST_CHECK weir_rc wsvc_async_open(wsvc_async **out, wsvc_service *s, weir_error *err);
/* true: the request asked for respond-async and was seen to, or used one of its headers without
 * asking for it. */
WEIR_MUST_CHECK bool wsvc_async_submit(wsvc_async *a, weir_http_req *req, const wsvc_entry *e);
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
