/* http_req.c - one request: from the request line to the reply.
 *
 * The library calls us: on_uri (request line), on_access once after the headers, then per piece of
 * body, then once with no bytes left, where the handler runs. A reply made there is queued at once;
 * otherwise the connection waits (http_wait.c), and after the reply on_access comes once more.
 * on_completed ends it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/io/http_priv.h"

weir_http_req *weir_http_req_new(weir_http *h)
{
    weir_http_req *req = h->pool;
    if (req) {
        h->pool = req->next;
        h->npool--;
        req->next = NULL;
        return req;
    }
    size_t ceiling = h->conf.body_max_bytes > (1U << 18) ? h->conf.body_max_bytes * 4 : 1U << 20;
    req = calloc(1, sizeof *req);
    if (!req) {
        abort();
    }
    req->h = h;
    req->arena = weir_arena_new(ceiling);
    weir_buf_init(&req->body, h->conf.body_max_bytes);
    return req;
}

static void req_destroy(weir_http_req *req)
{
    weir_arena_free(req->arena);
    weir_buf_fini(&req->body);
    free(req);
}

void weir_http_req_recycle(weir_http_req *req)
{
    weir_http *h = req->h;
    if (h->npool >= HTTP_POOL_MAX) {
        req_destroy(req);
        return;
    }
    weir_arena *arena = req->arena;
    weir_buf body = req->body;
    weir_arena_reset(arena);
    weir_buf_reset(&body);
    if (body.cap > HTTP_BODY_KEEP_BYTES) {
        weir_buf_fini(&body);
        weir_buf_init(&body, h->conf.body_max_bytes);
    }
    *req = (weir_http_req){.h = h, .arena = arena, .body = body, .next = h->pool};
    h->pool = req;
    h->npool++;
}

void weir_http_pool_free(weir_http *h)
{
    while (h->pool) {
        weir_http_req *req = h->pool;
        h->pool = req->next;
        req_destroy(req);
    }
}

static void peer_enter(weir_http_req *req, http_peer_state state)
{
    if (req->peer) {
        req->peer->state = state;
        req->peer->since_ms = weir_coarse_ms();
    }
}

void *weir_http_on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
    weir_http_req *req = weir_http_req_new(cls);
    req->conn = conn;
    const union MHD_ConnectionInfo *ci =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    req->peer = ci ? ci->socket_context : NULL;
    peer_enter(req, PEER_RECEIVING);
    const char *path = weir_http_target_path(uri);
    size_t n = strcspn(path, "?");
    req->has_question = path[n] == '?';
    req->path = weir_arena_dupz(req->arena, weir_slice_of(path, n));
    return req;
}

static enum MHD_Result queue_response(weir_http_req *req)
{
    enum MHD_Result r = MHD_queue_response(req->conn, (unsigned)req->status, req->response);
    MHD_destroy_response(req->response);
    req->response = NULL;
    req->state = REQ_QUEUED;
    req->h->answered = true;
    return r;
}

void weir_http_req_pending(weir_http_req *req)
{
    weir_http *h = req->h;
    req->state = REQ_PENDING;
    req->next = h->pending;
    if (req->next) {
        req->next->prev = req;
    }
    h->pending = req;
    h->npending++;
    peer_enter(req, PEER_ANSWERING);
}

static void leave_pending(weir_http_req *req)
{
    weir_http *h = req->h;
    *(req->prev ? &req->prev->next : &h->pending) = req->next;
    if (req->next) {
        req->next->prev = req->prev;
    }
    req->prev = req->next = NULL;
    h->npending--;
    weir_http_wait_end(req);
    weir_loop_del(req->gone_source);
    req->gone_source = NULL;
}

void weir_http_refuse_large(weir_http_req *req)
{
    char detail[96];
    (void)snprintf(detail, sizeof detail, "the body is larger than %zu bytes",
                   req->h->conf.body_max_bytes);
    weir_http_problem(req, 413, NULL, detail, NULL);
}

/* false: answered. */
static bool admitted(weir_http_req *req)
{
    const weir_http_conf *conf = &req->h->conf;
    if (!conf->admit) {
        return true;
    }
    req->in_handler = true;
    weir_http_req_pending(req);
    bool ok = conf->admit(conf->arg, req);
    req->in_handler = false;
    if (ok) {
        leave_pending(req);
        req->state = REQ_READING;
        peer_enter(req, PEER_RECEIVING);
    }
    return ok;
}

/* Nobody knows where such a request ends: nothing behind it is read. */
static enum MHD_Result refuse_headers(weir_http_req *req, int status, const char *detail)
{
    req->in_handler = true;
    weir_http_req_pending(req);
    weir_http_set_header(req, "Connection", "close");
    weir_http_problem(req, status, NULL, detail, NULL);
    req->in_handler = false;
    return queue_response(req);
}

/* After the headers. A response queued already here makes the library close the connection instead
 * of reading the body; that is right for a client that waits for 100-continue or announces more
 * than we are willing to throw away. */
static enum MHD_Result begin(weir_http_req *req, const char *method, const char *version)
{
    const char *detail = NULL;
    req->method = method;
    req->state = REQ_READING;
    int status = weir_http_check(req->conn, version, &detail);
    if (status) {
        return refuse_headers(req, status, detail);
    }
    const char *length = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, "Content-Length");
    uint64_t announced = 0;
    bool counted = length && weir_slice_u64(weir_slice_z(length), &announced);
    bool chunked =
        MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, "Transfer-Encoding") != NULL;
    if ((chunked || announced > HTTP_ADMIT_BYTES) && !admitted(req)) {
        return queue_response(req);
    }
    if (!counted) {
        return MHD_YES;
    }
    if (announced <= req->h->conf.body_max_bytes) {
        (void)weir_buf_reserve(&req->body, (size_t)announced);
        return MHD_YES;
    }
    req->too_large = true;
    bool asks = MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, "Expect") != NULL;
    if (!asks && announced - req->h->conf.body_max_bytes <= HTTP_DISCARD_MAX_BYTES) {
        return MHD_YES;
    }
    req->in_handler = true;
    weir_http_req_pending(req);
    weir_http_refuse_large(req);
    req->in_handler = false;
    return queue_response(req);
}

static enum MHD_Result take_body(weir_http_req *req, const char *upload, size_t *upload_bytes)
{
    size_t n = *upload_bytes;
    *upload_bytes = 0;
    req->received_bytes += n;
    if (req->received_bytes <= req->h->conf.body_max_bytes) {
        weir_buf_put(&req->body, upload, n);
        return req->body.failed ? MHD_NO : MHD_YES;
    }
    /* No response can be queued in the middle of a body: read on for a while, so that the client
     * gets its 413. */
    req->too_large = true;
    return req->received_bytes - req->h->conf.body_max_bytes > HTTP_DISCARD_MAX_BYTES ? MHD_NO
                                                                                      : MHD_YES;
}

/* OPTIONS * asks for the server, not for anything in it. */
static void answer_asterisk(weir_http_req *req)
{
    weir_http_set_header(req, "Allow", "GET, HEAD, POST, OPTIONS");
    weir_http_reply(req, 204, NULL, (weir_slice){NULL, 0});
}

static enum MHD_Result complete(weir_http_req *req)
{
    weir_http_req_pending(req);
    req->in_handler = true;
    if (req->h->closing) {
        weir_http_problem(req, 503, NULL, "the service is stopping", NULL);
    } else if (req->too_large) {
        weir_http_refuse_large(req);
    } else if (strcmp(req->path, "*") == 0 && strcmp(req->method, "OPTIONS") == 0) {
        answer_asterisk(req);
    } else {
        req->h->conf.handler(req->h->conf.arg, req);
    }
    req->in_handler = false;
    if (req->state == REQ_ANSWERED) {
        return queue_response(req);
    }
    weir_http_wait(req);
    return MHD_YES;
}

enum MHD_Result weir_http_on_access(void *cls, struct MHD_Connection *conn, const char *url,
                                    const char *method, const char *version, const char *upload,
                                    size_t *upload_bytes, void **con_cls)
{
    weir_http_req *req = *con_cls;
    (void)cls;
    (void)conn;
    (void)url;
    if (!req || !req->path) {
        return MHD_NO;
    }
    switch (req->state) {
    case REQ_NEW: return begin(req, method, version);
    case REQ_READING:
        return *upload_bytes > 0 ? take_body(req, upload, upload_bytes) : complete(req);
    case REQ_ANSWERED: return queue_response(req);
    case REQ_PENDING: weir_http_wait_on(req); return MHD_YES;
    case REQ_QUEUED: break;
    }
    return MHD_NO;
}

void weir_http_on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
                            enum MHD_RequestTerminationCode why)
{
    weir_http_req *req = *con_cls;
    (void)cls;
    (void)conn;
    (void)why;
    *con_cls = NULL;
    if (!req) {
        return;
    }
    if (req->state == REQ_PENDING) {
        weir_http_wait_lost(req);
        return;
    }
    peer_enter(req, PEER_WAITING);
    if (req->response) {
        MHD_destroy_response(req->response);
        req->response = NULL;
    }
    weir_http_req_recycle(req);
}

weir_arena *weir_http_arena(weir_http_req *req)
{
    return req->arena;
}

const char *weir_http_method(const weir_http_req *req)
{
    return req->method;
}

const char *weir_http_path(const weir_http_req *req)
{
    return req->path;
}

const char *weir_http_header(const weir_http_req *req, const char *name)
{
    if (!req->conn) {
        return weir_http_pair_find(req->foreign.headers, req->foreign.nheaders, name);
    }
    return MHD_lookup_connection_value(req->conn, MHD_HEADER_KIND, name);
}

/* Until fn says MHD_NO. */
static void each_header(const weir_http_req *req, MHD_KeyValueIterator fn, void *arg)
{
    bool on = true;
    if (req->conn) {
        (void)MHD_get_connection_values(req->conn, MHD_HEADER_KIND, fn, arg);
    }
    for (size_t i = 0; !req->conn && on && i < req->foreign.nheaders; i++) {
        const weir_http_pair *h = &req->foreign.headers[i];
        on = fn(arg, MHD_HEADER_KIND, h->name, h->value) == MHD_YES;
    }
}

typedef struct census {
    const char *const *names;
    size_t n;
    uint32_t seen;
    const char *twice;
} census;

static enum MHD_Result count_one(void *arg, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    census *c = arg;
    (void)kind;
    (void)value;
    for (size_t i = 0; i < c->n; i++) {
        if ((name[0] | 0x20) == (c->names[i][0] | 0x20) && strcasecmp(name, c->names[i]) == 0) {
            uint32_t bit = UINT32_C(1) << i;
            c->twice = c->seen & bit ? c->names[i] : c->twice;
            c->seen |= bit;
        }
    }
    return c->twice ? MHD_NO : MHD_YES;
}

const char *weir_http_header_twice(const weir_http_req *req, const char *const *names, size_t n)
{
    census c = {.names = names, .n = n};
    each_header(req, count_one, &c);
    return c.twice;
}

const char *weir_http_query(const weir_http_req *req, const char *name)
{
    const char *value = NULL;
    size_t n = 0;
    if (!req->conn) {
        return weir_http_pair_find(req->foreign.query, req->foreign.nquery, name);
    }
    if (!req->has_question || MHD_lookup_connection_value_n(req->conn, MHD_GET_ARGUMENT_KIND, name,
                                                            strlen(name), &value, &n) != MHD_YES) {
        return NULL;
    }
    return value ? value : ""; /* "?flag" without "=" */
}

typedef struct lines {
    weir_arena *a;
    const char *name, *joined;
    bool full;
} lines;

static enum MHD_Result join_one(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    lines *l = arg;
    (void)kind;
    if (value && strcasecmp(name, l->name) == 0) {
        l->joined = l->joined ? weir_arena_printf(l->a, "%s, %s", l->joined, value) : value;
        l->full = !l->joined;
    }
    return l->full ? MHD_NO : MHD_YES;
}

const char *weir_http_header_list(const weir_http_req *req, const char *name)
{
    lines l = {.a = req->arena, .name = name};
    each_header(req, join_one, &l);
    return l.joined;
}

weir_slice weir_http_body(const weir_http_req *req)
{
    return weir_buf_slice(&req->body);
}

void weir_http_set_user(weir_http_req *req, void *user)
{
    req->user = user;
}

void *weir_http_user(const weir_http_req *req)
{
    return req->user;
}

static void on_gone_event(void *arg, unsigned events)
{
    weir_http_req *req = arg;
    if (!(events & WEIR_LOOP_HUP) || req->state != REQ_PENDING) {
        return;
    }
    weir_loop_del(req->gone_source);
    req->gone_source = NULL;
    weir_loop_fn *fn = req->gone_fn;
    req->gone_fn = NULL;
    fn(req->gone_arg);
}

void weir_http_on_gone(weir_http_req *req, weir_loop_fn *fn, void *arg)
{
    req->gone_fn = fn;
    req->gone_arg = arg;
    if (!req->conn) {
        if (req->gone && fn) { /* not in the call: the caller is not ready for it */
            req->h->some_gone = true;
            weir_loop_again(req->h->l);
        }
        return;
    }
    if (!fn) {
        weir_loop_del(req->gone_source);
        req->gone_source = NULL;
        return;
    }
    /* The library does not look at suspended connections; we watch the descriptor in our own epoll
     * set until the reply. */
    const union MHD_ConnectionInfo *ci =
        MHD_get_connection_info(req->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (ci && !req->gone_source) {
        req->gone_source =
            weir_loop_add(req->h->l, ci->connect_fd, WEIR_LOOP_HUP, on_gone_event, req, NULL);
    }
}

void weir_http_set_header(weir_http_req *req, const char *name, const char *value)
{
    if (req->nheaders == HTTP_RESPONSE_HEADERS_MAX) {
        return;
    }
    const char *kept = weir_arena_strdup(req->arena, value);
    if (kept) {
        req->headers[req->nheaders++] = (weir_http_pair){name, kept};
    }
}

static void reply(weir_http_req *req, int status, const char *content_type, weir_slice body,
                  enum MHD_ResponseMemoryMode mode)
{
    if (req->state != REQ_PENDING) {
        abort(); /* our bug: replied twice */
    }
    if (!req->conn) {
        leave_pending(req);
        weir_http_foreign_reply(req, status, content_type, body);
        return;
    }
    union {
        const char *in;
        void *out;
    } p = {.in = body.n ? body.p : ""}; /* the library takes void * but only reads it */
    req->response =
        MHD_create_response_from_buffer(body.n, p.out, body.n ? mode : MHD_RESPMEM_PERSISTENT);
    if (!req->response) {
        abort();
    }
    if (content_type) {
        (void)MHD_add_response_header(req->response, "Content-Type", content_type);
    }
    for (size_t i = 0; i < req->nheaders; i++) {
        (void)MHD_add_response_header(req->response, req->headers[i].name, req->headers[i].value);
    }
    if (req->h->stopping) {
        (void)MHD_add_response_header(req->response, "Connection", "close");
    }
    req->status = status;
    bool suspended = !req->in_handler && !req->held;
    leave_pending(req);
    req->state = REQ_ANSWERED;
    if (suspended) {
        MHD_resume_connection(req->conn);
    }
    if (!req->in_handler) {
        req->h->resumed = true;
        weir_loop_again(req->h->l);
    }
}

void weir_http_reply(weir_http_req *req, int status, const char *content_type, weir_slice body)
{
    reply(req, status, content_type, body, MHD_RESPMEM_MUST_COPY);
}

void weir_http_reply_lasting(weir_http_req *req, int status, const char *content_type,
                             weir_slice body)
{
    reply(req, status, content_type, body, MHD_RESPMEM_PERSISTENT);
}
