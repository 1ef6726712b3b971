/* redis_priv.h - the asynchronous client's struct, shared by redis.c, redis_conn.c and
 * redis_reply.c only. */
#ifndef WEIR_IO_REDIS_PRIV_H
#define WEIR_IO_REDIS_PRIV_H

#include <hiredis/hiredis.h>

#include "libweir/base/backoff.h"
#include "libweir/base/buf.h"
#include "libweir/io/redis.h"
#include "libweir/io/redis_uri.h"

enum {
    REDIS_PENDING_DEFAULT = 65536,
    REDIS_CHANNELS_MAX = 16,
    REDIS_READ_BYTES = 64 * 1024,
    REDIS_READS_PER_TURN = 16,
    REDIS_OUT_KEEP_BYTES = 4 * 1024 * 1024,
    REDIS_PING_MS = 5000
};
#define REDIS_OUT_MAX_BYTES ((size_t)1 << 30)

typedef enum redis_state { RDS_AWAY, RDS_CONNECTING, RDS_GREETING, RDS_UP } redis_state;

typedef struct redis_pending {
    weir_redis_fn *fn;
    void *arg;
    int64_t sent_ms;
} redis_pending;

struct weir_redis {
    weir_loop *l;
    weir_redis_conf conf;
    weir_redis_uri uri;
    redis_state state;
    redisContext *rc;
    weir_loop_fd *source;
    weir_loop_timer
        *timer; /* away: next try; connecting, greeting: give up; up: look for overdue replies */
    weir_backoff backoff;
    int64_t greet_until_ms;
    weir_buf out;
    size_t out_sent;
    /* FIFO of pending commands, a ring whose capacity is a power of two */
    redis_pending *ring;
    size_t ring_cap, ring_head, ring_n;
    /* pub/sub */
    char *channels[REDIS_CHANNELS_MAX];
    size_t nchannels, nconfirmed;
    int64_t heard_ms, pinged_ms;
    /* lifetime: callbacks may close the client they are called from */
    int busy;
    bool closed;
    bool away; /* counted in the outage */
    weir_redis_outage own_outage;
};

/* Puts one command into the output; never checks the state. False at the output's bound. */
WEIR_MUST_CHECK bool weir_redis_put(weir_redis *r, size_t argc, const weir_slice *argv);
void weir_redis_expect(weir_redis *r, weir_redis_fn *fn, void *arg);
/* Starts a connection attempt; failures lead to weir_redis_drop. */
void weir_redis_connect(weir_redis *r);
/* Ends the connection: pending callbacks get NULL, a new try is planned. */
void weir_redis_drop(weir_redis *r, const weir_error *why);
void weir_redis_on_timer(void *arg);
/* Writes what is there; false: the connection was dropped. */
bool weir_redis_flush(weir_redis *r);
void weir_redis_read(weir_redis *r);
void weir_redis_greeted(weir_redis *r);
/* Enter and leave around callbacks; leave frees a client that was closed meanwhile and then returns
 * false. */
void weir_redis_enter(weir_redis *r);
bool weir_redis_leave(weir_redis *r);

#endif
