/* sp.h - the answering side of NNG's REQ/REP over TCP and local sockets, on a loop.
 *
 * Speaks what NNG speaks (libweir/base/sp.h), so its REQ sockets, and those of other languages, are
 * the clients. Why it is not NNG's own REP socket, measured with Debian 12's libnng 1.5.2:
 *   - A client that leaves while an answer is being sent stops the library's reaper for good
 *     (nanomsg/nng #616, mended in 1.6): of 800 such connections, none needing a credential, 777 to
 *     799 never gave back their descriptor or told that they were gone, over tcp and tls+tcp alike.
 *     tests/bench/nng_leave.c counts them; when it prints 0 on all we run on, that reason is gone.
 *   - Each message takes two reads, one write and four changes of threads: 64 commands in flight
 *     went through at 1.5 x pgbench with the library at both ends or at ours, at 3.3 x with this,
 *     where many requests arrive with one read and leave with one write.
 * Requests of one connection may be answered in any order.
 *
 * Everything runs on the loop thread. Bounded: connections, unanswered requests and unsent bytes
 * of a connection (it is not read meanwhile), message size and time to arrive or to be taken (it is
 * closed). Each turn a connection reads and writes a bounded amount, then it is the others' turn.
 */
#ifndef WEIR_IO_SP_H
#define WEIR_IO_SP_H

#include "libweir/base/slice.h"
#include "libweir/io/loop.h"
#include "libweir/io/tls.h"

typedef struct weir_sp_server weir_sp_server;
typedef struct weir_sp_req weir_sp_req;
/* body is valid during the call. Must lead to exactly one weir_sp_reply, in the call or later. */
typedef void weir_sp_fn(void *arg, weir_sp_req *req, weir_slice body);

typedef struct weir_sp_conf {
    const char *url; /* see weir_sp_url_read; borrowed */
    weir_tls *tls;   /* of tls+tcp://; NULL: there is no certificate. Outlives the server */
    bool reuseport;
    unsigned connections_max;
    unsigned unanswered_max;  /* of one connection */
    size_t message_max_bytes; /* of a body */
    weir_sp_fn *fn;
    weir_loop_fn *room_fn; /* NULL: nobody asks weir_sp_full. Else told when it may have changed */
    void *arg;             /* of both */
} weir_sp_conf;

WEIR_MUST_CHECK weir_rc weir_sp_serve(weir_sp_server **out, weir_loop *l, const weir_sp_conf *conf,
                                      weir_error *err);
int weir_sp_port(const weir_sp_server *s); /* 0: a local socket */
unsigned weir_sp_connections(const weir_sp_server *s);
void weir_sp_stop_accepting(weir_sp_server *s);
/* Connections end as their clients' leaving ends them; what is unanswered after that is dropped,
 * and its handles become invalid. NULL is fine. */
void weir_sp_server_close(weir_sp_server *s);

/* Copies body; req is gone afterwards. When its client is gone nothing is sent. */
void weir_sp_reply(weir_sp_req *req, weir_slice body);
/* fn(arg) runs when the connection ends before the reply, which must still be made. */
void weir_sp_on_gone(weir_sp_req *req, weir_loop_fn *fn, void *arg);
/* So much waits to be sent to its client that a long answer had better wait, too. */
bool weir_sp_full(const weir_sp_req *req);

#endif
