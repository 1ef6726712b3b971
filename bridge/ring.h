/* ring.h - what waits to be written to the log: bounded by bytes, in order, plus small orders from
 * the loop thread.
 *
 * Full means the producer waits in slices and goes on answering the server between them; it never
 * drops. Any thread.
 */
#ifndef WEIR_BRIDGE_RING_H
#define WEIR_BRIDGE_RING_H

#include "bridge/frame_ref.h"
#include "libweir/base/err.h"
#include "libweir/base/hash.h"

typedef enum brg_item_kind {
    BRG_ITEM_FRAME,    /* frame */
    BRG_ITEM_RELATION, /* version, hash, p/n: the description */
    BRG_ITEM_HEAD,     /* cursor: everything below is complete, without a frame */
    BRG_ITEM_META,     /* name, p/n: text */
    BRG_ITEM_CUT,  /* forget frames at or above the end: parts of a transaction that will come again
                    */
    BRG_ITEM_WIPE, /* empty the log: a first copy begins */
    BRG_ITEM_CRAWL, /* p/n: a batch (batch.h) */
} brg_item_kind;

typedef struct brg_item {
    brg_item_kind kind;
    brg_frame *frame;
    weir_cursor cursor;
    uint32_t version;
    weir_hash128 hash;
    const char *name; /* a literal */
    char *p;          /* malloc'd */
    size_t n;
} brg_item;

/* An order of the loop thread: done(order) runs on the loop after it is durable (rc tells). */
typedef struct brg_order {
    enum { BRG_ORDER_SUB_PUT, BRG_ORDER_SUB_DEL, BRG_ORDER_TRIM, BRG_ORDER_CRAWL } kind;
    char name[128];
    char value[64];
    size_t value_n;
    weir_cursor cut;
    uint64_t max_bytes; /* TRIM: stop after so many */
    bool more;          /* TRIM, out */
    char *p;            /* CRAWL: a batch (batch.h), malloc'd; freed with the order by its owner */
    size_t n;
    weir_rc rc;
    void (*done)(void *order);
    void *arg;
    bool owns_arg; /* malloc'd: freed with an order whose done can never run */
    struct brg_order *next;
} brg_order;

typedef struct brg_ring brg_ring;

brg_ring *brg_ring_new(size_t max_bytes);
void brg_ring_free(brg_ring *r); /* frees what is left in it */

/* Takes item's frame and p on success. false: still full after wait_ms, or closed. */
WEIR_MUST_CHECK bool brg_ring_push(brg_ring *r, const brg_item *item, int64_t wait_ms);
/* Takes o until done is called. false: closed, or too many orders wait. */
WEIR_MUST_CHECK bool brg_ring_order(brg_ring *r, brg_order *o);

/* Writer: up to max items (about max_bytes) and all orders; waits up to wait_ms for the first. When
 * only little is there and nobody waits for it to be durable, it lets a few milliseconds' worth
 * gather: a sync per transaction would cost more than it gives, since readers get frames before the
 * sync. Returns the number of items. */
size_t brg_ring_take(brg_ring *r, brg_item *out, size_t max, size_t max_bytes, brg_order **orders,
                     int64_t wait_ms);
/* Writer: n items taken before are durable. */
void brg_ring_done(brg_ring *r, size_t n);
/* Waits until everything pushed so far is durable. false: not within wait_ms. */
WEIR_MUST_CHECK bool brg_ring_drained(brg_ring *r, int64_t wait_ms);
/* No more pushes; take drains and then returns 0 at once. */
void brg_ring_close(brg_ring *r);
bool brg_ring_closed(brg_ring *r);
size_t brg_ring_bytes(brg_ring *r);
uint64_t brg_ring_full_count(brg_ring *r); /* how often a push found it full */
void brg_item_fini(brg_item *item);
void brg_order_free(brg_order *o); /* NULL is fine */

#endif
