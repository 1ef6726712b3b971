/* http.h - an HTTP/1.1 server on a loop (libmicrohttpd, external epoll): whole requests in, one
 * reply out, now or later.
 *
 * Everything runs on the loop thread. Limits answer by themselves: body 413, headers 431, slow
 * client 408/closed, too many connections refused at accept.
 */
#ifndef WEIR_IO_HTTP_H
#define WEIR_IO_HTTP_H

#include "libweir/base/arena.h"
#include "libweir/base/metrics.h"
#include "libweir/io/loop.h"
#include "libweir/io/tls.h"

typedef struct weir_http weir_http;
typedef struct weir_http_req weir_http_req;

/* Called when a request is complete. Must lead to exactly one weir_http_reply, in the call or later
 * on this loop. */
typedef void weir_http_fn(void *arg, weir_http_req *req);

typedef struct weir_http_conf {
    const char *listen; /* address, "127.0.0.1" */
    int port;           /* 0: any free one, see weir_http_port */
    bool reuseport;     /* several loops share the port */
    size_t body_max_bytes;
    size_t header_max_bytes; /* 0: 32 KiB */
    int idle_timeout_s; /* 0: 15; a request that does not arrive completely in this time ends */
    unsigned connections_max;
    weir_tls *tls; /* NULL: no TLS; borrowed until close. A renewed certificate holds within a
                      second for new connections */
    /* Replies come within a few turns of the loop, as from Redis: a connection first waits for its
     * reply where the library still sees it, which costs no system call. What weir_http_method,
     * _header and _query return then lives only until the handler returns; asking again is fine. */
    bool short_waits;
    weir_http_fn *handler;
    /* May be NULL. Asked behind the headers of a request with a large body: false, and it has
     * replied, and the body is not read. */
    bool (*admit)(void *arg, weir_http_req *req);
    void *arg;
} weir_http_conf;

WEIR_MUST_CHECK weir_rc weir_http_open(weir_http **out, weir_loop *l, const weir_http_conf *conf,
                                       weir_error *err);
int weir_http_port(const weir_http *h);
void weir_http_stop_accepting(weir_http *h); /* finish what is there, refuse new connections */
size_t
weir_http_pending(const weir_http *h); /* requests handed to the handler and not yet replied */
/* Requests not yet replied get 503 and their handles become invalid. */
void weir_http_close(weir_http *h);

/* --- requests that came another way than over HTTP, with the same meaning --- */

typedef struct weir_http_pair {
    const char *name, *value;
} weir_http_pair;

typedef struct weir_http_answer {
    int status;
    const char *content_type; /* NULL: no body */
    weir_slice body;
    const weir_http_pair *headers;
    size_t nheaders;
} weir_http_answer;

/* What it would be over HTTP. Texts and pairs live in the request's arena, or longer than it. */
typedef struct weir_http_foreign {
    const char *method, *path; /* path percent-encoded, without query */
    const weir_http_pair *headers, *query;
    size_t nheaders, nquery;
    /* Called exactly once, with what is borrowed for the call; the request is gone afterwards. */
    void (*answer)(void *arg, const weir_http_answer *answer);
    void *arg;
} weir_http_foreign;

/* A request with an arena and nothing else yet; must be handed over. Loop thread, as all here. */
weir_http_req *weir_http_foreign_new(weir_http *h);
/* Gives it to the handler as if it had come over HTTP: same limits, same functions below. Copies
 * body. The answer may come in the call. */
void weir_http_foreign_hand(weir_http_req *req, const weir_http_foreign *f, weir_slice body);
/* The same, but the handler is not asked: it is answered with this problem. */
void weir_http_foreign_refuse(weir_http_req *req, const weir_http_foreign *f, int status,
                              const char *detail);
/* Its client is gone: runs what weir_http_on_gone asked for. Only while it is not answered. */
void weir_http_foreign_gone(weir_http_req *req);
/* NULL when absent; names compare without case. */
const char *weir_http_pair_find(const weir_http_pair *pairs, size_t n, const char *name);

/* Request: everything borrowed lives until the reply has been sent. */
weir_arena *weir_http_arena(weir_http_req *req); /* ceiling: 4 x body_max, at least 1 MiB */
const char *weir_http_method(const weir_http_req *req);
const char *
weir_http_path(const weir_http_req *req); /* without query; percent-encoding as received */
const char *weir_http_header(const weir_http_req *req, const char *name); /* NULL when absent */
/* Which of names, 32 at most, was sent more than once (weir_http_header gives one of them)? NULL:
 * none. */
const char *weir_http_header_twice(const weir_http_req *req, const char *const *names, size_t n);
const char *weir_http_query(const weir_http_req *req,
                            const char *name); /* percent-decoded; NULL when absent */
/* A header that is a list (RFC 9110, 5.3): of several lines the values in their order, joined by
 * ", ". NULL when absent, and when the request's memory does not hold it. */
const char *weir_http_header_list(const weir_http_req *req, const char *name);
weir_slice weir_http_body(const weir_http_req *req);
/* Whatever the handler wants to find again with the request; NULL at first. */
void weir_http_set_user(weir_http_req *req, void *user);
void *weir_http_user(const weir_http_req *req);
/* fn(arg) runs when the client went away (or shut down its sending side) before the reply; the
 * reply must still be called (it is then dropped). Costs two system calls: for requests that wait
 * long. fn NULL takes it back. */
void weir_http_on_gone(weir_http_req *req, weir_loop_fn *fn, void *arg);

/* A response header; value is copied, name is a literal. Before the reply. */
void weir_http_set_header(weir_http_req *req, const char *name, const char *value);
/* Copies body. After this call req must not be touched. content_type NULL: none. */
void weir_http_reply(weir_http_req *req, int status, const char *content_type, weir_slice body);
/* The same, but body is not copied: it is in the request's arena, or constant. */
void weir_http_reply_lasting(weir_http_req *req, int status, const char *content_type,
                             weir_slice body);
/* RFC 9457 problem document:
 * {"type":"about:blank"|type,"title":…,"status":…,"detail":…,"instance":path}. type NULL:
 * about:blank. extra: further members as JSON text without braces ("\"sqlstate\":\"23505\""), or
 * NULL. */
void weir_http_problem(weir_http_req *req, int status, const char *type, const char *detail,
                       const char *extra);
const char *weir_http_reason(int status);

/* Splits a path into percent-decoded segments in the request's arena; false when it is malformed or
 * has more than max. */
WEIR_MUST_CHECK bool weir_http_segments(weir_http_req *req, weir_slice *out, size_t max, size_t *n);

#endif
