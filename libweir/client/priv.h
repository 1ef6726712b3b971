/* priv.h - what the files of libweir-client share: connections, calls, errors.
 *
 * A call lives in a slot. Its request id on the wire is top bit, generation of the slot, slot: a
 * late answer to a call that is over finds another generation and is dropped.
 */
#ifndef WEIR_CLIENT_PRIV_H
#define WEIR_CLIENT_PRIV_H

#include "include/weir/client.h"
#include "libweir/base/backoff.h"
#include "libweir/base/buf.h"
#include "libweir/base/sp.h"
#include "libweir/base/tlsstream.h"

enum {
    WEIR_CL_SLOT_BITS = 12,
    WEIR_CL_SLOTS_MAX = 1 << WEIR_CL_SLOT_BITS,
    WEIR_CL_MESSAGE_MAX_BYTES = 1 << 30,
    WEIR_CL_REPLY_MAX_BYTES = 1300 << 20,
    WEIR_CL_URL_BYTES = 512,
};

typedef enum weir_cl_where {
    WEIR_CL_WRITE,
    WEIR_CL_READ,
    WEIR_CL_FEED,
    WEIR_CL_LINES
} weir_cl_where;

typedef enum weir_cl_state {
    WEIR_CL_DOWN,
    WEIR_CL_CONNECTING,
    WEIR_CL_GREETING, /* ours is under way, theirs is awaited */
    WEIR_CL_UP
} weir_cl_state;

/* One connection, made when there is something to send. */
typedef struct weir_cl_line {
    char url_text[WEIR_CL_URL_BYTES]; /* "" : not configured */
    weir_sp_url url;
    weir_cl_state state;
    int fd;
    weir_tls_stream *tls;             /* NULL: bare, or no connection */
    int64_t try_at_ms, give_up_at_ms; /* next attempt; of the attempt under way */
    weir_backoff backoff;
    weir_buf in, out;
    size_t out_at;     /* sent of out */
    uint64_t out_base; /* bytes of this connection that went before out */
    size_t calls;      /* in flight here */
    char why[160];     /* of the last failure */
} weir_cl_line;

struct weir_cl_call;
/* A whole answer without its ids, or why there is none (then body is empty). k: a copy of the call,
 * which is over. */
typedef void weir_cl_done_fn(const struct weir_cl_call *k, weir_slice body,
                             const weir_client_error *err);

typedef struct weir_cl_call {
    bool busy, queued; /* queued: in out of its line's connection */
    bool resend;       /* may be sent again on another connection */
    bool left;         /* it had left completely on a connection that was lost */
    bool command;
    uint32_t generation;
    weir_cl_where where;
    int64_t deadline_ms;
    uint64_t out_end; /* of its message, in bytes of this connection */
    weir_buf message;
    weir_cl_done_fn *done;
    void *arg;          /* done's */
    weir_client_fn *fn; /* the caller's, and its argument */
    void *fn_arg;
    uint32_t next_free;
} weir_cl_call;

struct weir_client {
    weir_cl_line lines[WEIR_CL_LINES];
    char *credentials;
    weir_tls_trust *trust;          /* NULL: no line needs it */
    char *tls_name;                 /* NULL: each line's own host */
    int64_t timeout_ms, soonest_ms; /* no deadline lies before soonest_ms */
    bool keys;
    weir_cl_call *calls;
    uint32_t slots, free_slot, in_flight;
    bool running;
    size_t answered; /* by the run under way */
};

/* error.c */
int weir_cl_error(weir_client_error *err, int code, const char *fmt, ...) WEIR_PRINTF(3, 4);
/* From a problem document. */
void weir_cl_error_problem(weir_client_error *err, int status, weir_slice problem);

/* line.c: advances a connection; what is lost is told to calls.c. */
void weir_cl_line_init(weir_cl_line *l);
void weir_cl_line_fini(weir_cl_line *l);
/* What its connection waits for, in poll's words. */
short weir_cl_line_events(const weir_cl_line *l);
void weir_cl_line_connect(weir_client *c, weir_cl_line *l, int64_t now_ms);
void weir_cl_line_send(weir_client *c, weir_cl_line *l);
void weir_cl_line_ready(weir_client *c, weir_cl_line *l, short revents);
void weir_cl_line_lost(weir_client *c, weir_cl_line *l, const char *why);

/* calls.c: a slot with an empty message; NULL and err: none is free, or there is no such line. */
weir_cl_call *weir_cl_call_new(weir_client *c, weir_cl_where where, int64_t timeout_ms,
                               weir_client_error *err);
/* Its message is complete: it goes on its way. */
void weir_cl_call_go(weir_client *c, weir_cl_call *k);
void weir_cl_call_drop(weir_client *c, weir_cl_call *k); /* not gone yet, and not going */
/* The connection is up: what waits for it is queued. */
void weir_cl_calls_queue(weir_client *c, weir_cl_line *l);
void weir_cl_calls_lost(weir_client *c, weir_cl_line *l);
void weir_cl_calls_expire(weir_client *c, int64_t now_ms);
/* false: it is no answer. */
bool weir_cl_calls_answer(weir_client *c, weir_cl_line *l, weir_slice message);

#endif
