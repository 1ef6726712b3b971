/* waiters.h - requests that ask what became of a stored command: answered at once, when it ends
 * (wait_ms), or whenever its state changes (Server-Sent Events). Loop thread.
 *
 * An event stream here is a short one: each change is one reply, after which the client comes again
 * with Last-Event-ID, as EventSource does by itself; 204 tells it to stop.
 */
#ifndef WEIR_WRITE_WAITERS_H
#define WEIR_WRITE_WAITERS_H

#include "write-service/intake.h"
#include "write-service/service_priv.h"

typedef struct wsvc_waiters wsvc_waiters;

wsvc_waiters *wsvc_waiters_new(wsvc_service *s, wsvc_intake *intake);
void wsvc_waiters_free(wsvc_waiters *w); /* NULL is fine; requests are the server's to end */
/* Takes the request. */
void wsvc_waiters_add(wsvc_waiters *w, weir_http_req *req, weir_slice id);
/* A look of ours came back. */
void wsvc_waiters_told(wsvc_waiters *w, wsvc_wish *wish);
/* The command has ended here, as far as this process knows. */
void wsvc_waiters_poke(wsvc_waiters *w, const char *id);
void wsvc_waiters_quiet(wsvc_waiters *w); /* nobody waits any longer */

#endif
