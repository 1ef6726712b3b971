/* nng.h - request/reply over NNG: a server with many contexts and a client, both delivering on a
 * loop.
 *
 * NNG's own threads only enqueue and wake; every callback here runs on the loop thread.
 */
#ifndef WEIR_IO_NNG_H
#define WEIR_IO_NNG_H

#include "libweir/base/buf.h"
#include "libweir/io/loop.h"

typedef struct weir_nng_server weir_nng_server;
typedef struct weir_nng_req weir_nng_req;
typedef void weir_nng_fn(void *arg, weir_nng_req *req, weir_slice body);

/* contexts bounds how many requests may be unanswered at once (parked long polls included); more
 * wait in NNG. message_max_bytes refuses larger requests (the peer is disconnected). */
WEIR_MUST_CHECK weir_rc weir_nng_serve(weir_nng_server **out, weir_loop *l, const char *url,
                                       unsigned contexts, size_t message_max_bytes, weir_nng_fn *fn,
                                       void *arg, weir_error *err);
void weir_nng_server_close(
    weir_nng_server *s); /* unanswered requests are dropped; their handles become invalid */
/* Copies reply. req is gone afterwards. body of the request is valid until then. */
void weir_nng_reply(weir_nng_req *req, weir_slice reply);

typedef struct weir_nng_client weir_nng_client;
/* rc WEIR_OK with the reply (valid during the call), WEIR_E_TIMEOUT, or WEIR_E_CONN. */
typedef void weir_nng_reply_fn(void *arg, weir_rc rc, weir_slice reply);

/* Dials in the background and redials for ever. A request in flight is sent again after a
 * reconnect: make requests idempotent. */
WEIR_MUST_CHECK weir_rc weir_nng_client_open(weir_nng_client **out, weir_loop *l, const char *url,
                                             size_t reply_max_bytes, weir_error *err);
void weir_nng_client_close(weir_nng_client *c); /* pending requests get no callback */
/* Copies request. Any number may be in flight (each its own context); refused beyond 64 with
 * WEIR_E_LIMIT. */
WEIR_MUST_CHECK weir_rc weir_nng_request(weir_nng_client *c, weir_slice request, int64_t timeout_ms,
                                         weir_nng_reply_fn *fn, void *arg);

/* Blocking one-shot call for tools: dial, request, reply into *reply (appended). Any thread. */
WEIR_MUST_CHECK weir_rc weir_nng_call(const char *url, weir_slice request, int64_t timeout_ms,
                                      weir_buf *reply, weir_error *err);

#endif
