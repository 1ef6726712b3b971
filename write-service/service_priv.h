/* service_priv.h - the service's own state, shared by service.c, route.c, submit.c and answer.c.
 * All of it is the loop thread's. */
#ifndef WEIR_WRITE_SERVICE_PRIV_H
#define WEIR_WRITE_SERVICE_PRIV_H

#include "libweir/endpoint/endpoint.h"
#include "libweir/gate/gate.h"
#include "write-service/catalog.h"
#include "write-service/options.h"
#include "write-service/pool.h"
#include "write-service/registry.h"
#include "write-service/service.h"
#include "write-service/watch.h"

enum { WSVC_PARKED_MAX = 1024 };

/* A command accepted and not yet answered; in its request's arena. */
typedef struct wsvc_ticket {
    weir_http_req *req;
    wsvc_command *command;
    wsvc_job job;
    bool tracked; /* in the list of those in flight */
    bool watched; /* the client's end of the connection is looked at */
    /* Somebody else than a request waits for the outcome, and owns the ticket; NULL: req is
     * answered. */
    void (*finish)(struct wsvc_service *s, struct wsvc_ticket *t);
    struct wsvc_ticket *prev, *next;
} wsvc_ticket;

/* A request for a command nobody knows, until the catalog was looked at again. */
typedef struct wsvc_parked {
    weir_http_req *req;
    weir_slice name;
    uint64_t asked;
} wsvc_parked;

struct wsvc_async;

struct wsvc_service {
    const weir_settings *settings;
    weir_loop *loop;
    weir_http *http;
    weir_endpoint *nng; /* NULL: HTTP only */
    weir_metrics *metrics;
    weir_health *health;
    weir_auth *auth;
    weir_tls *tls;    /* NULL: no TLS */
    int64_t files_ms; /* when the files of both were looked at */
    wsvc_watch *watch;
    wsvc_pool *pool;
    wsvc_registry *registry;
    struct wsvc_async *async;
    wsvc_catalog *catalog; /* NULL: none loaded */
    weir_rc seen;          /* of the last look at PostgreSQL */
    char seen_text[500];
    wsvc_ticket *oldest, *newest; /* in flight, by age */
    bool deadlines;               /* some of these have one */
    wsvc_job_list batch;          /* accepted in this turn of the loop */
    wsvc_parked parked[WSVC_PARKED_MAX];
    size_t nparked;
    unsigned char random[4096]; /* for command ids */
    size_t nrandom;
    weir_loop_timer *tick, *stopper;
    int64_t started_ms, stop_ms; /* stop_ms 0: not stopping */
    bool abandoned;
    int calm; /* turns of the stopper with nothing pending */
    weir_metric *m_seconds, *m_queue, *m_inflight, *m_collisions, *m_deferred, *m_blocked,
        *m_refused[6];
};

/* route.c: the handler of every request. */
void wsvc_route(void *service, weir_http_req *req);
/* The headers of a large request are there: may its body come? false: answered. */
bool wsvc_route_admit(void *service, weir_http_req *req);
/* submit.c: POST /commands/{name}. final: the catalog was looked at for this request. */
void wsvc_submit(wsvc_service *s, weir_http_req *req, weir_slice name, bool final);
/* Puts what this turn accepted into the lanes' queues: the end of each turn. */
void wsvc_submit_batch(void *service);
/* 16 random bytes in hex. */
void wsvc_make_id(wsvc_service *s, char id[WSVC_ID_BYTES]);
/* On whose behalf j is executed, and so how; its texts are those of the caller's request. c: the
 * command, unless j has a call of its own. */
void wsvc_submit_for(wsvc_service *s, const weir_principal *caller, wsvc_job *j, wsvc_command *c);
/* Fills in which rows a job with body and arrived_us is expected to lock. */
void wsvc_submit_prepare(wsvc_ticket *t);
/* Among those in flight from now on, until wsvc_answer. */
void wsvc_submit_track(wsvc_service *s, wsvc_ticket *t);
/* false: Content-Type, Content-Encoding or X-Correlation-Id will not do, and that was answered.
 * other_type: the detail for another media type. */
WEIR_MUST_CHECK bool wsvc_submit_headers(wsvc_service *s, weir_http_req *req,
                                         const char *other_type);
/* Correlation id (after wsvc_submit_headers; else the job's own id, which is set) and trace context
 * of the request into the job; borrowed from the request. */
void wsvc_submit_traced(weir_http_req *req, wsvc_job *j);
/* The headers Idempotency-Key, If-Match and Prefer. false: answered. */
WEIR_MUST_CHECK bool wsvc_submit_options(wsvc_service *s, weir_http_req *req, wsvc_options *o);
/* What o asks for; t is tracked when it has a deadline. */
void wsvc_submit_apply(wsvc_service *s, wsvc_ticket *t, const wsvc_options *o);
/* Watches the clients of commands that have waited for a while. */
void wsvc_submit_watch_clients(wsvc_service *s);
/* Answers those whose deadline passed while they waited for a lane. */
void wsvc_submit_deadlines(wsvc_service *s);
/* answer.c: a list of jobs that came back from the lanes. */
void wsvc_answer_list(void *service, wsvc_job *list);
void wsvc_answer(wsvc_service *s, wsvc_job *j);
/* Answers req with what *out holds, which is empty then. */
void wsvc_reply(weir_http_req *req, wsvc_outcome *out);
/* A problem for a request that has no job; counted. */
void wsvc_refuse(wsvc_service *s, weir_http_req *req, int status, const char *detail);
/* status.c */
void wsvc_status_put(void *service, weir_buf *out);
void wsvc_status_refresh(wsvc_service *s);

#endif
