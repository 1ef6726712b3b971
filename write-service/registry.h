/* registry.h - what the service remembers of a command beyond one catalog: how it is called,
 * what it collides by, its counters.
 *
 * Entries are made once per name and live as long as the process, so that jobs may point at them.
 * Loop thread, except that lanes read `call`.
 */
#ifndef WEIR_WRITE_REGISTRY_H
#define WEIR_WRITE_REGISTRY_H

#include "libweir/base/metrics.h"
#include "write-service/job.h"
#include "write-service/rules.h"

enum { WSVC_STATUSES = 14 };

typedef struct wsvc_command {
    wsvc_call call;
    wsvc_rules rules;
    int64_t count; /* answered, whatever the status */
    weir_metric *by_status[WSVC_STATUSES];
} wsvc_command;

typedef struct wsvc_registry wsvc_registry;

wsvc_registry *wsvc_registry_new(weir_metrics *ms);
void wsvc_registry_free(wsvc_registry *r);
/* The command of that name, which must be in the catalog; made when new. Never NULL. */
wsvc_command *wsvc_registry_get(wsvc_registry *r, weir_slice name);
/* How a role calls it; made when new. role as wsvc_registry_role gives it; NULL: c's own call. */
const wsvc_call *wsvc_registry_call(wsvc_registry *r, wsvc_command *c, const char *role);
/* The one pointer that stands for this role; NULL gives NULL. */
const char *wsvc_registry_role(wsvc_registry *r, const char *role);
void wsvc_registry_count(wsvc_registry *r, wsvc_command *c, int status);

#endif
