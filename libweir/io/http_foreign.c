/* http_foreign.c - requests that came another way than over HTTP and are handled like those that
 * did: one set of rules, whatever the transport. */
#include <strings.h>

#include "libweir/io/http_priv.h"

const char *weir_http_pair_find(const weir_http_pair *pairs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(pairs[i].name, name) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

weir_http_req *weir_http_foreign_new(weir_http *h)
{
    return weir_http_req_new(h);
}

static void begin(weir_http_req *req, const weir_http_foreign *f)
{
    req->foreign = *f;
    req->method = f->method;
    req->path = f->path;
    weir_http_req_pending(req);
}

void weir_http_foreign_hand(weir_http_req *req, const weir_http_foreign *f, weir_slice body)
{
    weir_http *h = req->h;
    begin(req, f);
    if (h->closing) {
        weir_http_problem(req, 503, NULL, "the service is stopping", NULL);
    } else if (body.n > h->conf.body_max_bytes) {
        if (!h->conf.admit || h->conf.admit(h->conf.arg, req)) {
            weir_http_refuse_large(req);
        }
    } else {
        weir_buf_puts(&req->body, body);
        h->conf.handler(h->conf.arg, req);
    }
}

void weir_http_foreign_refuse(weir_http_req *req, const weir_http_foreign *f, int status,
                              const char *detail)
{
    begin(req, f);
    weir_http_problem(req, status, NULL, detail, NULL);
}

void weir_http_foreign_gone(weir_http_req *req)
{
    req->gone = true;
    if (req->state == REQ_PENDING && req->gone_fn) {
        weir_loop_fn *fn = req->gone_fn;
        req->gone_fn = NULL;
        fn(req->gone_arg);
    }
}

void weir_http_foreign_sweep(weir_http *h)
{
    h->some_gone = false;
    for (weir_http_req *req = h->pending; req;) {
        bool told = req->gone && req->gone_fn;
        if (told) {
            weir_http_foreign_gone(req);
        }
        req = told ? h->pending : req->next; /* the list may have changed */
    }
}

void weir_http_foreign_reply(weir_http_req *req, int status, const char *content_type,
                             weir_slice body)
{
    const weir_http_answer answer = {status, content_type, body, req->headers, req->nheaders};
    req->state = REQ_ANSWERED;
    req->foreign.answer(req->foreign.arg, &answer);
    weir_http_req_recycle(req);
}
