/* batch.h - POST /commands: several commands in one request, each with its own outcome, or all or
 * none (?atomic=true). Loop thread. */
#ifndef WEIR_WRITE_BATCH_H
#define WEIR_WRITE_BATCH_H

#include "write-service/service_priv.h"

#define WSVC_BATCH_NAME "(batch)" /* of one that is executed as a whole */

/* How a stored one is executed: j->body is its array. */
void wsvc_batch_stored(const wsvc_service *s, wsvc_job *j);
/* Takes the request. */
void wsvc_batch_submit(wsvc_service *s, weir_http_req *req);

#endif
