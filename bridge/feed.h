/* feed.h - the feed server: requests in, frames and positions out, long polls parked until
 * something comes. Loop thread.
 *
 * A subscriber that asks and does not read costs what sp.h lets wait for it and one answer; its
 * further fetches stay parked until it has read. One that leaves takes its parked fetches along. */
#ifndef WEIR_BRIDGE_FEED_H
#define WEIR_BRIDGE_FEED_H

#include "bridge/copier.h"
#include "bridge/crawl.h"
#include "bridge/subs.h"
#include "libweir/io/sp.h"

/* A fetch that waits for something to come. */
typedef struct brg_parked {
    struct brg_feed *f;
    struct brg_parked *prev, *next;
    weir_sp_req *req;
    weir_feed_pos after;
    uint32_t max_bytes, known;
    int64_t deadline_ms;
} brg_parked;

typedef struct brg_feed {
    brg_shared *s;
    brg_copier *copier;
    brg_crawl *crawl;
    weir_sp_server *server;
    weir_loop_timer *timer;     /* deadlines of parked fetches */
    weir_loop_timer *retention; /* once a second */
    brg_subs subs;
    brg_ages ages;
    brg_parked *parked;
    size_t nparked;
    bool trimming;     /* an order to trim is under way */
    weir_cursor floor; /* nothing lies below it in the log, removed or never there */
    weir_arena *a;     /* one request */
    weir_buf out;
    brg_fetch fetch;
    void (*status)(void *arg, weir_buf *out); /* members of the status object, without braces */
    void *status_arg;
    uint64_t requests, fetches, lapsed;
} brg_feed;

WEIR_MUST_CHECK weir_rc brg_feed_open(brg_feed **out, brg_shared *s, brg_copier *copier,
                                      brg_crawl *crawl, weir_error *err);
void brg_feed_close(brg_feed *f);

/* Shared by the feed*.c files. */
void brg_feed_reply(brg_feed *f, weir_sp_req *req, weir_feed_op op, const weir_feed_reply *r);
void brg_feed_refuse(brg_feed *f, weir_sp_req *req, weir_feed_op op, const char *code,
                     const char *fmt, ...) WEIR_PRINTF(5, 6);
/* true: everything may be served. Otherwise it has answered `notready`. */
bool brg_feed_ready(brg_feed *f, weir_sp_req *req, weir_feed_op op);
weir_cursor brg_feed_head(brg_feed *f);
weir_cursor brg_feed_first(brg_feed *f);
void brg_feed_on_subscribe(brg_feed *f, weir_sp_req *req, const weir_feed_req *q);
void brg_feed_on_ack(brg_feed *f, weir_sp_req *req, const weir_feed_req *q);
void brg_feed_on_unsubscribe(brg_feed *f, weir_sp_req *req, const weir_feed_req *q);
void brg_feed_on_list(brg_feed *f, weir_sp_req *req);
void brg_feed_on_status(brg_feed *f, weir_sp_req *req);
void brg_feed_on_crawl(brg_feed *f, weir_sp_req *req, const weir_feed_req *q);
void brg_feed_on_copy(brg_feed *f, weir_sp_req *req, const weir_feed_req *q);
/* Orders sub's present state to be stored; done as in ring.h. false: the log is closing. */
WEIR_MUST_CHECK bool brg_feed_store_sub(brg_feed *f, const brg_sub *sub, void (*done)(void *order),
                                        void *arg);
void brg_feed_retention(void *arg); /* timer */

#endif
