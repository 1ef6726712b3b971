/* nng_client.c - the asking side: one REQ socket, a context per request in flight.
 *
 * REQ sends a request again by itself when its connection is lost and another comes up; the resend
 * timer is set so long that it never fires, because a parked long poll is not a lost one.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/nng_priv.h"

enum {
    CALLS_MAX = 64,
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 1000,
    RESEND_MS = 24 * 3600 * 1000
};

typedef enum call_state { CALL_SENDING, CALL_RECEIVING } call_state;

typedef struct call {
    nng_node node; /* first: the box gives nodes back */
    weir_nng_client *c;
    nng_ctx ctx;
    nng_aio *aio;
    bool opened;
    bool busy;        /* loop thread */
    call_state state; /* while busy: NNG's thread */
    int64_t deadline_ms;
    weir_rc rc;
    nng_msg *msg;
    weir_nng_reply_fn *fn;
    void *arg;
} call;

struct weir_nng_client {
    nng_socket sock;
    nng_box *box;
    bool opened;
    call calls[CALLS_MAX];
};

static void finish(call *k, weir_rc rc)
{
    k->rc = rc;
    weir_nng_box_put(k->c->box, &k->node);
}

/* NNG's thread. */
static void on_aio(void *arg)
{
    call *k = arg;
    int e = nng_aio_result(k->aio);
    if (k->state == CALL_SENDING && e != 0) {
        nng_msg_free(nng_aio_get_msg(k->aio)); /* what was not sent stays ours */
        nng_aio_set_msg(k->aio, NULL);
    }
    if (e == NNG_ECANCELED) {
        return; /* closing */
    }
    if (e == NNG_ETIMEDOUT) { /* a request that never left found nobody to take it */
        finish(k, k->state == CALL_SENDING ? WEIR_E_CONN : WEIR_E_TIMEOUT);
    } else if (e != 0) {
        finish(k, WEIR_E_CONN);
    } else if (k->state == CALL_SENDING) {
        int64_t left_ms = k->deadline_ms - weir_mono_ms();
        k->state = CALL_RECEIVING;
        nng_aio_set_timeout(k->aio, (nng_duration)(left_ms > 0 ? left_ms : 1));
        nng_ctx_recv(k->ctx, k->aio);
    } else {
        k->msg = nng_aio_get_msg(k->aio);
        nng_aio_set_msg(k->aio, NULL);
        finish(k, WEIR_OK);
    }
}

static void take(void *owner, nng_node *node)
{
    call *k = (call *)(void *)node;
    nng_msg *msg = k->msg;
    (void)owner;
    k->msg = NULL;
    k->busy = false; /* before the callback, which may ask again or close the client */
    weir_slice reply =
        msg ? (weir_slice){nng_msg_body(msg), nng_msg_len(msg)} : (weir_slice){NULL, 0};
    k->fn(k->arg, k->rc, reply);
    if (msg) {
        nng_msg_free(msg);
    }
}

static int dial(nng_socket sock, const char *url, size_t reply_max_bytes)
{
    int e = nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, reply_max_bytes);
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    }
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    }
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_REQ_RESENDTIME, RESEND_MS);
    }
    return e == 0 ? nng_dial(sock, url, NULL, NNG_FLAG_NONBLOCK) : e;
}

weir_rc weir_nng_client_open(weir_nng_client **out, weir_loop *l, const char *url,
                             size_t reply_max_bytes, weir_error *err)
{
    *out = NULL;
    weir_nng_client *c = weir_xcalloc(1, sizeof *c);
    int e = nng_req0_open(&c->sock);
    c->opened = e == 0;
    if (e == 0) {
        c->box = weir_nng_box_new(l, take, c);
        e = dial(c->sock, url, reply_max_bytes);
    }
    if (e != 0) {
        weir_nng_client_close(c);
        return weir_nng_fail(e, err, "cannot dial", url);
    }
    *out = c;
    return WEIR_OK;
}

void weir_nng_client_close(weir_nng_client *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (c->calls[i].aio) {
            nng_aio_stop(c->calls[i].aio); /* waits for its callback */
        }
    }
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (c->calls[i].opened) {
            (void)nng_ctx_close(c->calls[i].ctx);
        }
    }
    if (c->opened) {
        weir_nng_close(c->sock);
    }
    weir_nng_box_close(c->box);
    for (size_t i = 0; i < CALLS_MAX; i++) {
        if (c->calls[i].aio) {
            nng_aio_free(c->calls[i].aio);
        }
        if (c->calls[i].msg) {
            nng_msg_free(c->calls[i].msg);
        }
    }
    free(c);
}

/* A free call with its context, opened on first use; NULL when all are in flight. */
static call *free_call(weir_nng_client *c)
{
    for (size_t i = 0; i < CALLS_MAX; i++) {
        call *k = &c->calls[i];
        if (k->busy) {
            continue;
        }
        k->c = c;
        if (!k->aio && nng_aio_alloc(&k->aio, on_aio, k) != 0) {
            k->aio = NULL;
            return NULL;
        }
        if (!k->opened) {
            k->opened = nng_ctx_open(&k->ctx, c->sock) == 0;
        }
        return k->opened ? k : NULL;
    }
    return NULL;
}

weir_rc weir_nng_request(weir_nng_client *c, weir_slice request, int64_t timeout_ms,
                         weir_nng_reply_fn *fn, void *arg)
{
    nng_msg *msg = NULL;
    call *k = free_call(c);
    if (!k) {
        return WEIR_E_LIMIT;
    }
    if (nng_msg_alloc(&msg, 0) != 0 ||
        (request.n > 0 && nng_msg_append(msg, request.p, request.n) != 0)) {
        abort(); /* out of memory */
    }
    if (timeout_ms < 1 || timeout_ms > RESEND_MS) {
        timeout_ms = timeout_ms < 1 ? 1 : RESEND_MS;
    }
    k->fn = fn;
    k->arg = arg;
    k->deadline_ms = weir_mono_ms() + timeout_ms;
    k->busy = true;
    k->state = CALL_SENDING;
    nng_aio_set_msg(k->aio, msg);
    nng_aio_set_timeout(k->aio, (nng_duration)timeout_ms);
    nng_ctx_send(k->ctx, k->aio);
    return WEIR_OK;
}

static int exchange(nng_socket sock, const char *url, weir_slice request, int64_t timeout_ms,
                    nng_msg **reply)
{
    nng_msg *msg = NULL;
    nng_duration ms = (nng_duration)(timeout_ms < 1           ? 1
                                     : timeout_ms > RESEND_MS ? RESEND_MS
                                                              : timeout_ms);
    int e = nng_socket_set_size(sock, NNG_OPT_RECVMAXSZ, 0); /* a tool takes any answer */
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_SENDTIMEO, ms);
    }
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, ms);
    }
    if (e == 0) {
        e = nng_socket_set_ms(sock, NNG_OPT_REQ_RESENDTIME, RESEND_MS);
    }
    if (e == 0) {
        e = nng_dial(sock, url, NULL, 0); /* waits, so that a refused connection is told at once */
    }
    if (e == 0) {
        e = nng_msg_alloc(&msg, 0);
    }
    if (e == 0) {
        e = request.n > 0 ? nng_msg_append(msg, request.p, request.n) : 0;
    }
    if (e == 0) {
        e = nng_sendmsg(sock, msg, 0);
        msg = e == 0 ? NULL : msg;
    }
    if (msg) {
        nng_msg_free(msg);
    }
    return e == 0 ? nng_recvmsg(sock, reply, 0) : e;
}

weir_rc weir_nng_call(const char *url, weir_slice request, int64_t timeout_ms, weir_buf *reply,
                      weir_error *err)
{
    nng_socket sock;
    nng_msg *msg = NULL;
    weir_rc rc = WEIR_OK;
    int e = nng_req0_open(&sock);
    if (e != 0) {
        return weir_nng_fail(e, err, "cannot open a socket for", url);
    }
    e = exchange(sock, url, request, timeout_ms, &msg);
    if (e != 0) {
        rc = weir_nng_fail(e, err, "no answer from", url);
    } else {
        weir_buf_put(reply, nng_msg_body(msg), nng_msg_len(msg));
        rc = reply->failed ? weir_fail(err, WEIR_E_LIMIT, 0, "the answer of %s is too large", url)
                           : WEIR_OK;
        nng_msg_free(msg);
    }
    weir_nng_close(sock);
    return rc;
}
