/* service.h - the write-service as a whole: HTTP and NNG in front, lanes behind, the catalog
 * beside. */
#ifndef WEIR_WRITE_SERVICE_H
#define WEIR_WRITE_SERVICE_H

#include "libweir/base/settings.h"
#include "libweir/io/loop.h"

typedef struct wsvc_service wsvc_service;

/* Listens at once; commands are refused with 503 until the catalog and a lane are there. settings
 * and l are borrowed. Loop thread, as all here. */
WEIR_MUST_CHECK weir_rc wsvc_service_open(wsvc_service **out, const weir_settings *settings,
                                          weir_loop *l, weir_error *err);
int wsvc_service_port(const wsvc_service *s);
/* Reads the files of [auth] again (SIGHUP); without, a change is seen within a second. */
void wsvc_service_reload(wsvc_service *s);
/* Stops accepting; when what was accepted is answered, or 8 s have passed, the loop is stopped. */
void wsvc_service_stop(wsvc_service *s);
/* After the loop ended. false: a thread hangs in a call that has no end; the process must leave
 * without freeing. */
WEIR_MUST_CHECK bool wsvc_service_close(wsvc_service *s);

#endif
