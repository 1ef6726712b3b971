/* worker.h - one loop of the read-service: an HTTP server, one pipelined Redis connection, one
 * subscriber.
 *
 * Workers share nothing but the metrics. Everything here runs on the worker's loop, except where it
 * says otherwise.
 */
#ifndef READ_SERVICE_WORKER_H
#define READ_SERVICE_WORKER_H

#include "libweir/auth/auth.h"
#include "libweir/io/loop.h"
#include "libweir/io/redis.h"
#include "libweir/io/tls.h"
#include "read-service/meters.h"

typedef struct rsvc_worker rsvc_worker;

typedef struct rsvc_worker_conf {
    const weir_settings *settings; /* borrowed */
    rsvc_meters *meters;           /* borrowed, shared */
    weir_auth *auth;               /* the same; its files are looked at by loop 0 */
    weir_tls *tls;                 /* the same; NULL: no TLS */
    weir_redis_outage *outage;     /* the same */
    weir_loop *loop;
    int port;
    bool shared_port;      /* other workers listen on it too */
    unsigned index, loops; /* this is number index of loops */
} rsvc_worker_conf;

/* Before the loop runs; returns also when Redis is away. */
WEIR_MUST_CHECK weir_rc rsvc_worker_open(rsvc_worker **out, const rsvc_worker_conf *conf,
                                         weir_error *err);
/* Finishes what is there, then stops the loop, within a few seconds. */
void rsvc_worker_stop(rsvc_worker *w);
/* After the loop has ended; NULL is fine. */
void rsvc_worker_close(rsvc_worker *w);

#endif
