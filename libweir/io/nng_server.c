/* nng_server.c - the answering side: N contexts on one REP socket, each with one aio.
 *
 * A context goes round: receiving (NNG's) -> in the box -> with the owner -> sending (NNG's) ->
 * receiving. Only in "in the box" and "with the owner" does the loop thread touch it.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/nng_priv.h"

enum { CONTEXTS_MAX = 65536 };

typedef enum req_state { REQ_RECEIVING, REQ_SENDING } req_state;

struct weir_nng_req {
    nng_node node; /* first: the box gives nodes back */
    weir_nng_server *s;
    nng_ctx ctx;
    nng_aio *aio;
    req_state state;
    nng_msg *msg; /* the request, while in the box or with the owner */
    bool opened;
};

struct weir_nng_server {
    nng_socket sock;
    bool opened;
    nng_box *box;
    weir_nng_fn *fn;
    void *arg;
    unsigned n;
    weir_nng_req *reqs;
};

static void receive(weir_nng_req *req)
{
    req->state = REQ_RECEIVING;
    nng_ctx_recv(req->ctx, req->aio);
}

/* NNG's thread. */
static void on_aio(void *arg)
{
    weir_nng_req *req = arg;
    int e = nng_aio_result(req->aio);
    if (req->state == REQ_SENDING) {
        if (e != 0) {
            nng_msg_free(nng_aio_get_msg(req->aio)); /* a reply that was not sent stays ours */
            nng_aio_set_msg(req->aio, NULL);
        }
        if (e != NNG_ECLOSED && e != NNG_ECANCELED) {
            receive(req);
        }
        return;
    }
    if (e == NNG_ECLOSED || e == NNG_ECANCELED) {
        return; /* closing */
    }
    req->msg = e == 0 ? nng_aio_get_msg(req->aio) : NULL;
    nng_aio_set_msg(req->aio, NULL);
    weir_nng_box_put(req->s->box, &req->node);
}

static void take(void *owner, nng_node *node)
{
    weir_nng_server *s = owner;
    weir_nng_req *req = (weir_nng_req *)(void *)node;
    if (!req->msg) { /* a failed receive comes by the loop, so that a lasting failure cannot spin in
                        NNG's threads */
        receive(req);
        return;
    }
    s->fn(s->arg, req, (weir_slice){nng_msg_body(req->msg), nng_msg_len(req->msg)});
}

void weir_nng_reply(weir_nng_req *req, weir_slice reply)
{
    nng_msg *out = NULL;
    if (nng_msg_alloc(&out, 0) != 0 ||
        (reply.n > 0 && nng_msg_append(out, reply.p, reply.n) != 0)) {
        abort(); /* out of memory */
    }
    nng_msg_free(req->msg); /* only now: the reply may point into the request */
    req->msg = NULL;
    req->state = REQ_SENDING;
    nng_aio_set_msg(req->aio, out);
    nng_ctx_send(req->ctx, req->aio);
}

static weir_rc start(weir_nng_server *s, const char *url, size_t message_max_bytes, weir_error *err)
{
    int e = nng_rep0_open(&s->sock);
    if (e != 0) {
        return weir_nng_fail(e, err, "cannot open a socket for", url);
    }
    s->opened = true;
    e = nng_socket_set_size(s->sock, NNG_OPT_RECVMAXSZ, message_max_bytes);
    for (unsigned i = 0; i < s->n && e == 0; i++) {
        weir_nng_req *req = &s->reqs[i];
        req->s = s;
        e = nng_aio_alloc(&req->aio, on_aio, req);
        if (e == 0) {
            e = nng_ctx_open(&req->ctx, s->sock);
            req->opened = e == 0;
        }
    }
    if (e == 0) {
        e = nng_listen(s->sock, url, NULL, 0);
    }
    if (e != 0) {
        return weir_nng_fail(e, err, "cannot listen on", url);
    }
    for (unsigned i = 0; i < s->n; i++) {
        receive(&s->reqs[i]);
    }
    return WEIR_OK;
}

weir_rc weir_nng_serve(weir_nng_server **out, weir_loop *l, const char *url, unsigned contexts,
                       size_t message_max_bytes, weir_nng_fn *fn, void *arg, weir_error *err)
{
    *out = NULL;
    if (contexts == 0 || contexts > CONTEXTS_MAX) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%u contexts: between 1 and %d are possible",
                         contexts, CONTEXTS_MAX);
    }
    weir_nng_server *s = weir_xcalloc(1, sizeof *s);
    s->fn = fn;
    s->arg = arg;
    s->n = contexts;
    s->reqs = weir_xcalloc(contexts, sizeof *s->reqs);
    s->box = weir_nng_box_new(l, take, s);
    weir_rc rc = start(s, url, message_max_bytes, err);
    if (rc != WEIR_OK) {
        weir_nng_server_close(s);
        return rc;
    }
    *out = s;
    return WEIR_OK;
}

void weir_nng_server_close(weir_nng_server *s)
{
    if (!s) {
        return;
    }
    /* Every aio is stopped (which waits for its callback) before anything it uses goes. */
    for (unsigned i = 0; i < s->n; i++) {
        if (s->reqs[i].aio) {
            nng_aio_stop(s->reqs[i].aio);
        }
    }
    for (unsigned i = 0; i < s->n; i++) {
        if (s->reqs[i].opened) {
            (void)nng_ctx_close(s->reqs[i].ctx);
        }
    }
    if (s->opened) {
        weir_nng_close(s->sock);
    }
    weir_nng_box_close(s->box);
    for (unsigned i = 0; i < s->n; i++) {
        if (s->reqs[i].aio) {
            nng_aio_free(s->reqs[i].aio);
        }
        if (s->reqs[i].msg) {
            nng_msg_free(s->reqs[i].msg);
        }
    }
    free(s->reqs);
    free(s);
}
