/* redis.h - Redis: an asynchronous, pipelined, reconnecting client on a loop, and a blocking one
 * for tools.
 *
 * Asynchronous client: commands issued in one turn leave in one write at its end. States: away,
 * connecting, up. When the connection is lost every pending command gets its callback with reply
 * NULL, in order; commands issued while away are refused (WEIR_E_CONN). Reconnects by itself with
 * backoff. Loop thread only.
 */
#ifndef WEIR_IO_REDIS_H
#define WEIR_IO_REDIS_H

#include <stdatomic.h>

#include "libweir/base/arena.h"
#include "libweir/io/loop.h"

typedef struct weir_redis weir_redis;
typedef struct weir_redis_reply weir_redis_reply; /* valid during the callback only */

typedef enum weir_redis_type {
    WEIR_REDIS_NIL,
    WEIR_REDIS_STRING, /* also status */
    WEIR_REDIS_INT,
    WEIR_REDIS_ARRAY,
    WEIR_REDIS_ERROR
} weir_redis_type;

/* r NULL (what weir_redis_reply_at gives out of range) reads as WEIR_REDIS_NIL everywhere here. */
weir_redis_type weir_redis_reply_type(const weir_redis_reply *r);
weir_slice weir_redis_reply_str(const weir_redis_reply *r); /* STRING and ERROR; else {NULL,0} */
int64_t weir_redis_reply_int(const weir_redis_reply *r);
size_t weir_redis_reply_len(const weir_redis_reply *r); /* ARRAY, else 0 */
/* ARRAY; NULL when r has no element i. */
const weir_redis_reply *weir_redis_reply_at(const weir_redis_reply *r, size_t i);

typedef void
weir_redis_fn(void *arg,
              const weir_redis_reply *reply); /* reply NULL: connection lost, outcome unknown */

/* Clients of one server that share it tell an outage once: when the first of them lost Redis, and
 * when the last of them has it again. Zero at first; any threads. */
typedef struct weir_redis_outage {
    atomic_int away; /* clients that have lost it */
    atomic_bool was_up;
} weir_redis_outage;

typedef struct weir_redis_conf {
    const char *uri;            /* redis://[:password@]host[:port][/db] or unix:///path[?db=n] */
    int64_t connect_timeout_ms; /* 0: 2000 */
    int64_t
        command_timeout_ms; /* 0: 10000; the oldest pending command past it drops the connection */
    size_t pending_max;     /* 0: 65536 commands; more are refused with WEIR_E_LIMIT */
    void (*on_up)(void *arg); /* after AUTH and SELECT succeeded; for a subscriber also after its
                                 channels are confirmed */
    void (*on_away)(void *arg, const weir_error *why); /* each loss, and each attempt that failed */
    void (*on_message)(void *arg, weir_slice channel, weir_slice payload); /* pub/sub */
    void *arg;
    weir_redis_outage *outage; /* shared with other clients, outlives this one; NULL: its own */
} weir_redis_conf;

/* Returns at once; connecting goes on in the background. WEIR_E_INPUT for a malformed uri. */
WEIR_MUST_CHECK weir_rc weir_redis_open(weir_redis **out, weir_loop *l, const weir_redis_conf *conf,
                                        weir_error *err);
void weir_redis_close(weir_redis *r); /* pending callbacks get NULL */
bool weir_redis_up(const weir_redis *r);
size_t weir_redis_pending(const weir_redis *r);
/* Arguments are copied into the output buffer before return. fn may be NULL. */
WEIR_MUST_CHECK weir_rc weir_redis_send(weir_redis *r, size_t argc, const weir_slice *argv,
                                        weir_redis_fn *fn, void *arg);
/* Space-separated literal words, for commands without data: weir_redis_sendz(r, "WATCH a b", …). */
WEIR_MUST_CHECK weir_rc weir_redis_sendz(weir_redis *r, const char *words, weir_redis_fn *fn,
                                         void *arg);
/* This connection becomes a subscriber (and subscribes again after each reconnect). Only on_message
 * speaks from then on. Called before the connection is up: on_up comes when the subscription holds.
 */
WEIR_MUST_CHECK weir_rc weir_redis_subscribe(weir_redis *r, const char *channel);

/* Blocking client. One thread. */
typedef struct weir_redisc weir_redisc;
WEIR_MUST_CHECK weir_rc weir_redisc_open(weir_redisc **out, const char *uri, int64_t timeout_ms,
                                         weir_error *err);
void weir_redisc_close(weir_redisc *c);
/* Pipelining: append any number, then get as many replies in order. Error replies are replies, not
 * weir errors. */
WEIR_MUST_CHECK weir_rc weir_redisc_append(weir_redisc *c, size_t argc, const weir_slice *argv,
                                           weir_error *err);
/* *reply is valid until the next call on c. */
WEIR_MUST_CHECK weir_rc weir_redisc_get(weir_redisc *c, const weir_redis_reply **reply,
                                        weir_error *err);
/* append + get. */
WEIR_MUST_CHECK weir_rc weir_redisc_call(weir_redisc *c, const weir_redis_reply **reply,
                                         size_t argc, const weir_slice *argv, weir_error *err);

#endif
