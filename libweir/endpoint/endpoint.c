/* endpoint.c - messages in, requests to the service's own handler, messages out. */
#include "libweir/endpoint/endpoint.h"

#include <stdlib.h>

#include "libweir/base/sp.h"
#include "libweir/base/xalloc.h"
#include "libweir/endpoint/request.h"
#include "libweir/io/sp.h"

enum {
    FIELDS_MAX_BYTES = 64 * 1024, /* of a message beside its body */
    UNANSWERED_MAX = 1024,        /* of one connection */
    ANSWER_MAX_BYTES = 1100 << 20,
    SCRATCH_KEEP_BYTES = 1 << 20
};

struct weir_endpoint {
    weir_http *http;
    weir_sp_server *sp;
    weir_buf scratch;
};

/* One message on its way; in its request's arena. */
typedef struct passage {
    weir_endpoint *e;
    weir_sp_req *sp;
    weir_http_req *req;
} passage;

static void on_answer(void *arg, const weir_http_answer *answer)
{
    passage *p = arg;
    weir_endpoint *e = p->e;
    weir_buf_reset(&e->scratch);
    weir_endpoint_answer(answer, &e->scratch);
    if (e->scratch.failed) {
        static const weir_http_answer large = {.status = 500};
        weir_buf_reset(&e->scratch);
        weir_endpoint_answer(&large, &e->scratch);
    }
    weir_sp_reply(p->sp, weir_buf_slice(&e->scratch));
    if (e->scratch.cap > SCRATCH_KEEP_BYTES) {
        weir_buf_fini(&e->scratch);
        weir_buf_init(&e->scratch, ANSWER_MAX_BYTES);
    }
}

static void on_gone(void *arg)
{
    passage *p = arg;
    weir_http_foreign_gone(p->req);
}

static void on_message(void *arg, weir_sp_req *sp, weir_slice body)
{
    weir_endpoint *e = arg;
    weir_ask ask;
    weir_error err = {0};
    weir_http_foreign f;
    weir_http_req *req = weir_http_foreign_new(e->http);
    weir_arena *a = weir_http_arena(req);
    passage *p = weir_arena_alloc(a, sizeof *p); /* the first of its arena: never NULL */
    *p = (passage){e, sp, req};
    weir_rc rc = weir_ask_decode(body, a, &ask, &err);
    if (rc == WEIR_OK) {
        rc = weir_endpoint_request(&ask, a, &f, &err);
    }
    if (rc != WEIR_OK) {
        f = (weir_http_foreign){.method = "POST", .path = "/"};
    }
    f.answer = on_answer;
    f.arg = p;
    if (rc != WEIR_OK) {
        weir_http_foreign_refuse(req, &f, rc == WEIR_E_INPUT ? 400 : 503, err.msg);
        return;
    }
    weir_sp_on_gone(sp, on_gone, p);
    weir_http_foreign_hand(req, &f, ask.args);
}

static weir_rc reachable(const weir_endpoint_conf *conf, weir_error *err)
{
    weir_sp_url url;
    weir_rc rc = weir_sp_url_read(&url, conf->url, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", conf->option);
        return rc;
    }
    if (!conf->guarded && !weir_sp_url_local(&url)) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "%s is an address other machines can reach, and authentication is off: "
                         "set auth.keys (and make a key with `weir keys add`) or auth.jwt_keys, or "
                         "use 127.0.0.1, [::1] or ipc://",
                         conf->option);
    }
    return WEIR_OK;
}

weir_rc weir_endpoint_open(weir_endpoint **out, weir_loop *l, weir_http *http,
                           const weir_endpoint_conf *conf, weir_error *err)
{
    *out = NULL;
    weir_rc rc = reachable(conf, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_endpoint *e = weir_xcalloc(1, sizeof *e);
    e->http = http;
    weir_buf_init(&e->scratch, ANSWER_MAX_BYTES);
    const weir_sp_conf sp = {.url = conf->url,
                             .tls = conf->tls,
                             .reuseport = conf->reuseport,
                             .connections_max = conf->connections_max,
                             .unanswered_max = UNANSWERED_MAX,
                             .message_max_bytes = conf->body_max_bytes + FIELDS_MAX_BYTES,
                             .fn = on_message,
                             .arg = e};
    rc = weir_sp_serve(&e->sp, l, &sp, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", conf->option);
        weir_endpoint_close(e);
        return rc;
    }
    *out = e;
    return WEIR_OK;
}

void weir_endpoint_stop_accepting(weir_endpoint *e)
{
    if (e) {
        weir_sp_stop_accepting(e->sp);
    }
}

void weir_endpoint_close(weir_endpoint *e)
{
    if (e) {
        weir_sp_server_close(e->sp);
        weir_buf_fini(&e->scratch);
        free(e);
    }
}

int weir_endpoint_port(const weir_endpoint *e)
{
    return e ? weir_sp_port(e->sp) : 0;
}
