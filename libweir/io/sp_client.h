/* sp_client.h - the asking side of NNG's REQ/REP over TCP and local sockets, on a loop.
 *
 * One connection for any number of requests, made in the background and made again for ever. What
 * is unanswered when it is lost is sent again on the next one: make requests idempotent. A peer
 * that has stopped without a word is left behind: when a request's time is over and nothing has
 * come since it was sent, the connection is made anew.
 *
 * Why it is not NNG's own REQ socket: in Debian 12's libnng 1.5.2 a connection that ends within a
 * message can stop the library's reaper for good (nanomsg/nng #1543, #1827), and closing a socket,
 * which waits for the reaper, then hangs.
 */
#ifndef WEIR_IO_SP_CLIENT_H
#define WEIR_IO_SP_CLIENT_H

#include "libweir/base/buf.h"
#include "libweir/io/loop.h"

enum { WEIR_SP_CALLS_MAX = 64 };

typedef struct weir_sp_client weir_sp_client;
/* rc WEIR_OK with the reply (valid during the call), WEIR_E_TIMEOUT, or WEIR_E_CONN: nobody was
 * there when its time was over. May ask again, and close the client. */
typedef void weir_sp_reply_fn(void *arg, weir_rc rc, weir_slice reply);

/* url as in weir_sp_url_read, without TLS. Loop thread, or before the loop runs, as all of these.
 */
WEIR_MUST_CHECK weir_rc weir_sp_client_open(weir_sp_client **out, weir_loop *l, const char *url,
                                            size_t reply_max_bytes, weir_error *err);
/* Pending requests get no callback. NULL is fine. */
void weir_sp_client_close(weir_sp_client *c);
/* Copies request. WEIR_E_LIMIT: WEIR_SP_CALLS_MAX are in flight. */
WEIR_MUST_CHECK weir_rc weir_sp_request(weir_sp_client *c, weir_slice request, int64_t timeout_ms,
                                        weir_sp_reply_fn *fn, void *arg);
/* Why there is no connection; NULL: there is one, or the first is being made. Until the next turn.
 */
const char *weir_sp_client_down(const weir_sp_client *c);
/* There has been a connection. */
bool weir_sp_client_met(const weir_sp_client *c);

/* Blocking one-shot call for tools: dial, request, reply into *reply (appended). WEIR_E_CONN at
 * once when nobody listens. Any thread. */
WEIR_MUST_CHECK weir_rc weir_sp_call(const char *url, weir_slice request, int64_t timeout_ms,
                                     weir_buf *reply, weir_error *err);

#endif
