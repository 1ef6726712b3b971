/* sp.h - the answering side of NNG's REQ/REP over TCP and local sockets, on a loop.
 *
 * Speaks what NNG speaks (libweir/base/sp.h), so its REQ sockets, and those of other languages, are
 * the clients. It is not NNG's own REP socket because that one takes four changes of threads and as
 * many system calls per message, more than a command costs here; many requests arrive with one
 * read and leave with one write. Requests of one connection may be answered in any order.
 *
 * Everything runs on the loop thread. Bounded: connections, unanswered requests and unsent bytes
 * of a connection (it is not read meanwhile), message size and time to arrive (it is closed).
 */
#ifndef WEIR_IO_SP_H
#define WEIR_IO_SP_H

#include "libweir/base/slice.h"
#include "libweir/io/loop.h"

typedef struct weir_sp_server weir_sp_server;
typedef struct weir_sp_req weir_sp_req;
/* body is valid during the call. Must lead to exactly one weir_sp_reply, in the call or later. */
typedef void weir_sp_fn(void *arg, weir_sp_req *req, weir_slice body);

typedef struct weir_sp_conf {
    const char *url; /* see weir_sp_url_read; borrowed */
    bool reuseport;
    unsigned connections_max;
    unsigned unanswered_max;  /* of one connection */
    size_t message_max_bytes; /* of a body */
    weir_sp_fn *fn;
    void *arg;
} weir_sp_conf;

WEIR_MUST_CHECK weir_rc weir_sp_serve(weir_sp_server **out, weir_loop *l, const weir_sp_conf *conf,
                                      weir_error *err);
int weir_sp_port(const weir_sp_server *s); /* 0: a local socket */
unsigned weir_sp_connections(const weir_sp_server *s);
void weir_sp_stop_accepting(weir_sp_server *s);
/* Every request must have been answered. NULL is fine. */
void weir_sp_server_close(weir_sp_server *s);

/* Copies body; req is gone afterwards. When its client is gone nothing is sent. */
void weir_sp_reply(weir_sp_req *req, weir_slice body);
/* fn(arg) runs when the connection ends before the reply, which must still be made. */
void weir_sp_on_gone(weir_sp_req *req, weir_loop_fn *fn, void *arg);

#endif
