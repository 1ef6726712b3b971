/* worker_priv.h - the worker's struct and the query's, shared by worker.c, query.c, fence.c,
 * answer.c, models.c, route.c. */
#ifndef READ_SERVICE_WORKER_PRIV_H
#define READ_SERVICE_WORKER_PRIV_H

#include "libweir/endpoint/endpoint.h"
#include "libweir/gate/gate.h"
#include "libweir/io/redis.h"
#include "read-service/catalog.h"
#include "read-service/target.h"
#include "read-service/waits.h"
#include "read-service/worker.h"

enum {
    RSVC_WAITERS_MAX = 65536, /* per loop; connections bound it too */
    RSVC_RETRIES_MAX = 20,
    RSVC_FENCE_MODELS = 16,
    RSVC_READ_KEYS = 16, /* documents of one MGET; as many are in memory twice for a moment */
    RSVC_ARENA_DOC_MAX = 64 * 1024, /* larger documents are copied to the heap */
    RSVC_READING_MS = 2000,         /* how often the models are read without any cause */
    RSVC_TICK_MS = 50,
    RSVC_DEFAULT_WAIT_MS = 1000
};

typedef enum rsvc_outcome {
    RSVC_NONE,
    RSVC_DOCUMENT,
    RSVC_ABSENT,
    RSVC_REFUSED,
    RSVC_LOST
} rsvc_outcome;

/* One query under way; lives in its request's arena. It is in exactly one place: at Redis (in a
 * fence's list, or alone for its model's entry) or in waits. */
typedef struct rsvc_query {
    rsvc_wait wait; /* first: waits give entries back */
    rsvc_worker *w;
    weir_http_req *req;
    rsvc_target target;
    rsvc_model *model;
    uint32_t generation; /* of the model, as read */
    bool has_min;
    bool fresh; /* its model's entry was read after it came: what it says is final */
    bool waited;
    bool gone;
    bool unfenced;      /* its fence could not be sent: whatever was read, it cannot be told */
    weir_slice spelled; /* the target's key as documents are kept under */
    weir_slice key;     /* in Redis */
    size_t together;    /* of the first one of an MGET: how many it reads */
    int64_t wait_ms;
    int64_t started_us;
    int retries;
    /* what Redis said */
    rsvc_outcome outcome;
    bool has_position;
    uint64_t position;
    uint64_t seen_before; /* the position known when the read was sent */
    weir_slice document;
    char *heap; /* owns document when it is large */
    struct rsvc_query *next;
} rsvc_query;

/* The reads of one loop turn and, behind them on the same connection, one look at the models they
 * used: if a model's generation is still the one its reads used, they all saw the generation that
 * was serving. See fence.c. */
typedef struct rsvc_fence {
    rsvc_worker *w;
    rsvc_query *first, **last;
    rsvc_model *models[RSVC_FENCE_MODELS];
    size_t nmodels;
    struct rsvc_fence *next; /* pool */
} rsvc_fence;

struct rsvc_worker {
    rsvc_worker_conf conf;
    weir_loop *l;
    weir_http *http;
    weir_endpoint *nng; /* the first loop's; NULL: HTTP only */
    weir_health *health;
    weir_redis *redis, *sub;
    rsvc_meters *meters;
    weir_arena *a; /* keys that live as long as the worker */
    weir_slice key_position, key_models;
    const char *ns;
    /* models */
    rsvc_catalog *catalog;
    bool catalog_known, reading, read_again;
    int64_t read_at_ms; /* when the last reading was sent */
    /* positions */
    bool has_seen;
    uint64_t seen;
    rsvc_waits *waits;
    bool counted; /* as a ready loop, in the meters */
    bool polling; /* a GET of the position is under way */
    /* reads */
    rsvc_fence *batch; /* of this turn */
    rsvc_fence *fences;
    uint64_t batches;
    weir_loop_timer *tick, *deadline;
    int64_t deadline_armed_ms;
    int64_t files_ms; /* when the files of [auth] and [tls] were looked at */
    bool stopping;
    int64_t stop_ms;
    int calm;
};

/* worker.c: brings the conditions of /readyz up to date. */
void rsvc_worker_health(rsvc_worker *w);

/* route.c: the handler of the HTTP server. */
void rsvc_route(void *worker, weir_http_req *req);

/* query.c */
void rsvc_query_run(rsvc_query *q); /* decides what to do with it now */
/* The position of Redis as just learned; wakes what waited for it. */
void rsvc_query_position(rsvc_worker *w, bool has, uint64_t position);
void rsvc_query_expire(rsvc_worker *w);
void rsvc_query_fail_waiting(rsvc_worker *w, const char *why); /* all that wait, with 503 */
void rsvc_query_judge(rsvc_query *q); /* Redis has answered: reply, wait, or read again */

/* fence.c */
void rsvc_fence_read(rsvc_query *q);
void rsvc_fence_flush(void *worker); /* turn hook */
void rsvc_fence_free(rsvc_worker *w);

/* models.c */
void rsvc_models_read(rsvc_worker *w);
/* Asks for the one entry this query is about, then runs it again: before anything is denied because
 * of what we remember. */
void rsvc_models_ask(rsvc_query *q);

/* answer.c: each replies; the query is gone afterwards. */
void rsvc_answer_document(rsvc_query *q);
void rsvc_answer_absent(rsvc_query *q);
void rsvc_answer_unknown_model(rsvc_query *q);
void rsvc_answer_building(rsvc_query *q);
void rsvc_answer_stalled(rsvc_query *q);
void rsvc_answer_bad_key(rsvc_query *q);
/* Part `part` is no value of its column's type. */
void rsvc_answer_bad_value(rsvc_query *q, size_t part);
void rsvc_answer_timeout(rsvc_query *q);
/* Redis was emptied: what it lacks may exist all the same. */
void rsvc_answer_refilling(rsvc_query *q);
void rsvc_answer_unavailable(rsvc_query *q, const char *why);
void rsvc_answer_models(rsvc_worker *w, weir_http_req *req);
/* A 4xx before there is a query. */
void rsvc_answer_refuse(rsvc_worker *w, weir_http_req *req, int status, const char *detail);
void rsvc_answer_status(void *worker, weir_buf *out); /* for /status */

#endif
