/* health.h - /healthz, /readyz and /metrics, the same for every service.
 *
 * healthz: 200 while the loop turns (and the owner does not call it stuck). readyz: 200 when no
 * condition is open, else 503 with one line per condition it waits for. All on the loop thread.
 */
#ifndef WEIR_IO_HEALTH_H
#define WEIR_IO_HEALTH_H

#include "libweir/io/http.h"

typedef struct weir_health weir_health;

weir_health *weir_health_new(weir_metrics *ms); /* borrows ms */
void weir_health_free(weir_health *h);
/* Opens or closes the condition `what` ("redis"); text says what it waits for, NULL closes it.
 * Copied. */
void weir_health_wait(weir_health *h, const char *what, const char *text);
void weir_health_stuck(weir_health *h, const char *text); /* NULL: not stuck */
bool weir_health_ready(const weir_health *h);
/* Members of a JSON object (without outer braces) shown in /readyz and /status, made by fn when
 * asked. service, version, pid, uptime_s, ready, stuck and waits are there already. */
void weir_health_status_fn(weir_health *h, void (*fn)(void *arg, weir_buf *out), void *arg);
/* true: the path was /healthz, /readyz, /status or /metrics and has been answered. */
WEIR_MUST_CHECK bool weir_health_handle(weir_health *h, weir_http_req *req);
/* Is it one of these paths? */
bool weir_health_path(const char *path);
/* /readyz for those who need not know why not: the word and the process id. */
void weir_health_brief(const weir_health *h, weir_http_req *req);
/* For services without an HTTP interface of their own: a server that answers these paths only. */
WEIR_MUST_CHECK weir_rc weir_health_serve(weir_health *h, weir_loop *l, const char *listen,
                                          int port, weir_http **out, weir_error *err);

#endif
