/* service.h - the read-service: one worker per core on one port. */
#ifndef READ_SERVICE_SERVICE_H
#define READ_SERVICE_SERVICE_H

#include "libweir/base/settings.h"
#include "libweir/io/loop.h"

typedef struct rsvc_service rsvc_service;

/* main_loop runs the first worker; the others have loops and threads of their own. settings is
 * borrowed. */
WEIR_MUST_CHECK weir_rc rsvc_service_open(rsvc_service **out, const weir_settings *settings,
                                          weir_loop *main_loop, weir_error *err);
int rsvc_service_port(const rsvc_service *s);
unsigned rsvc_service_threads(const rsvc_service *s);
/* On the main loop: every worker finishes; the main loop ends when its own has. */
/* Reads the files of [auth] again (SIGHUP); without, a change is seen within a second. */
void rsvc_service_reload(rsvc_service *s);
void rsvc_service_stop(rsvc_service *s);
/* After the main loop has ended: waits for the other threads. NULL is fine. */
void rsvc_service_close(rsvc_service *s);

#endif
