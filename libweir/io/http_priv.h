/* http_priv.h - the server's own structs, shared by http*.c only. */
#ifndef WEIR_IO_HTTP_PRIV_H
#define WEIR_IO_HTTP_PRIV_H

#include <microhttpd.h>

#include "libweir/base/buf.h"
#include "libweir/io/http.h"

enum {
    HTTP_HEADER_DEFAULT_BYTES = 32 * 1024,
    HTTP_IDLE_DEFAULT_S = 15,
    HTTP_POOL_MAX = 1024,             /* request objects kept for reuse */
    HTTP_ADMIT_BYTES = 16 * 1024,     /* larger bodies are announced to conf.admit */
    HTTP_BODY_KEEP_BYTES = 64 * 1024, /* larger body buffers are not kept */
    HTTP_DISCARD_MAX_BYTES =
        8 * 1024 * 1024, /* read past the limit so that the client sees our 413 */
    HTTP_RESPONSE_HEADERS_MAX = 24,
    HTTP_RUNS_MAX = 64,
    HTTP_ASKED_MAX = 16, /* runs a connection is held for before it is suspended */
    HTTP_HELD_MS = 100,  /* the same as time: no limit of the library's may end it */
    HTTP_TICK_MS = 1000
};

/* What a connection does, for the time limits that the library does not have (it only knows
 * inactivity). */
typedef enum http_peer_state {
    PEER_WAITING,   /* for a request line and its headers, or idle */
    PEER_RECEIVING, /* request line seen */
    PEER_ANSWERING  /* request complete; no limit of ours */
} http_peer_state;

typedef struct http_cert http_cert;

typedef struct http_peer {
    struct MHD_Connection *conn;
    http_peer_state state;
    int64_t since_ms;
    http_cert *cert; /* the newest when it began; NULL: no TLS */
    struct http_peer *prev, *next;
} http_peer;

typedef enum http_req_state {
    REQ_NEW,      /* request line seen */
    REQ_READING,  /* headers seen, body arriving */
    REQ_PENDING,  /* complete, handed to the handler */
    REQ_ANSWERED, /* response made, not yet queued */
    REQ_QUEUED
} http_req_state;

struct weir_http_req {
    weir_http *h;
    struct MHD_Connection *conn; /* NULL: foreign */
    weir_http_foreign foreign;
    bool gone; /* foreign: its client is */
    http_peer *peer;
    http_req_state state;
    bool in_handler, too_large;
    bool held;         /* pending, and not suspended; see http_wait.c */
    unsigned asked;    /* how often since it is held */
    bool has_question; /* its target has a query part */
    const char *method;
    const char *path;
    size_t received_bytes;
    weir_buf body;
    weir_arena *arena;
    struct MHD_Response *response;
    int status;
    weir_http_pair headers[HTTP_RESPONSE_HEADERS_MAX];
    size_t nheaders;
    void *user;
    weir_loop_fn *gone_fn;
    void *gone_arg;
    weir_loop_fd *gone_source;
    weir_http_req *prev, *next; /* pending list; next also chains the pool */
};

struct weir_http {
    weir_loop *l;
    weir_http_conf conf;
    struct MHD_Daemon *daemon;
    weir_loop_fd *source;
    weir_loop_timer *tick, *release;
    int port;
    bool running, stopping;
    bool readable, resumed;        /* this turn has something for the library */
    bool answered;                 /* a reply was queued in this run: another one sends it */
    bool releasing, release_armed; /* see http_wait.c */
    size_t nheld;
    bool some_gone; /* somebody asked about a foreign request whose client was gone already */
    bool closing;   /* the handler's world may be gone: it is not called any more */
    unsigned nconns;
    http_peer *peers;
    http_cert *certs_first, *certs_last; /* oldest in use … newest */
    weir_http_req *pending;
    size_t npending;
    weir_http_req *pool;
    size_t npool;
};

/* http_tls.c: what the library needs for TLS. */
typedef struct http_tls {
    unsigned flags; /* 0: no TLS */
    struct MHD_OptionItem options[3];
} http_tls;
WEIR_MUST_CHECK weir_rc weir_http_tls_options(weir_http *h, http_tls *out, weir_error *err);
/* Whose certificate handshakes of this thread get from now on; returns who it was before. */
weir_http *weir_http_tls_enter(weir_http *h);
/* Takes the newest certificate, leaves those nobody uses. Not out of the library. */
void weir_http_tls_turn(weir_http *h);
void weir_http_tls_begin(weir_http *h, http_peer *p);
void weir_http_tls_end(http_peer *p);
void weir_http_tls_fini(weir_http *h); /* when no connection is left */

/* http_req.c: a request object of the pool, and into it again. */
weir_http_req *weir_http_req_new(weir_http *h);
void weir_http_req_recycle(weir_http_req *req);
void weir_http_req_pending(weir_http_req *req); /* it waits for its reply from now on */
void weir_http_refuse_large(weir_http_req *req);
/* http_wait.c: a request whose handler has not replied waits from now on; from the library's
 * callback only, as is the next. */
void weir_http_wait(weir_http_req *req);
/* The library asks for the reply of a held request. */
void weir_http_wait_on(weir_http_req *req);
/* It is held no more. */
void weir_http_wait_end(weir_http_req *req);
/* Its connection ends without its reply. */
void weir_http_wait_lost(weir_http_req *req);
/* http_foreign.c: tells those who asked too late. */
void weir_http_foreign_sweep(weir_http *h);
/* http_foreign.c: the reply of a foreign request; ends it. */
void weir_http_foreign_reply(weir_http_req *req, int status, const char *content_type,
                             weir_slice body);

/* http_check.c: 0, or the status to refuse with; *detail is constant. */
int weir_http_check(struct MHD_Connection *conn, const char *version, const char **detail);
/* What of a request's target the path begins at: of http://host/path the /path. */
const char *weir_http_target_path(const char *target);

/* Callbacks of the library, in http_req.c. */
void *weir_http_on_uri(void *cls, const char *uri, struct MHD_Connection *conn);
enum MHD_Result weir_http_on_access(void *cls, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_bytes, void **con_cls);
void weir_http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                            enum MHD_RequestTerminationCode why);
void weir_http_pool_free(weir_http *h);

#endif
