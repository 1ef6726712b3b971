/* flow.h - one direction of one sync: a subscription on one side, a destination on the other.
 *
 * The flow's thread takes batches, decodes, drops what came from the destination, and acknowledges
 * to the feed what the destination says is durable. A failure that may pass is retried with
 * backoff from the durable position; one that needs an operator stops the flow with its text.
 */
#ifndef WEIR_MIGRATIONS_SYNC_FLOW_H
#define WEIR_MIGRATIONS_SYNC_FLOW_H

#include <stdatomic.h>

#include "migrations/sync/dest.h"
#include "migrations/sync/source.h"

typedef enum sync_flow_state {
    SYNC_FLOW_STARTING,
    SYNC_FLOW_RUNNING,
    SYNC_FLOW_WAITING, /* retrying; text says what for */
    SYNC_FLOW_PAUSED,
    SYNC_FLOW_FAILED /* text says what an operator must do; it looks again now and then */
} sync_flow_state;

typedef struct sync_flow_view {
    sync_flow_state state;
    char text[500];
    weir_cursor position, head; /* durable at the destination; of the source */
    bool caught_up;
    uint64_t transactions, dropped, events, batches;
    int64_t last_commit_us; /* wall clock of the last transaction taken, since 2000-01-01; 0 none */
} sync_flow_view;

typedef struct sync_flow sync_flow;

typedef struct sync_flow_conf {
    const char *name; /* in logs */
    const char *feed, *subscription;
    const char *drop_origin; /* transactions with this origin prefix are not given; NULL: none */
    const sync_dest *dest;
    const weir_cursor *first; /* where a destination that knows no position begins; NULL: now */
    uint32_t batch_bytes;
} sync_flow_conf;

/* Strings, dest and first are borrowed until free. Starts nothing. */
WEIR_MUST_CHECK weir_rc sync_flow_new(sync_flow **out, const sync_flow_conf *conf, weir_error *err);
void sync_flow_free(sync_flow *f); /* after run returned; NULL is fine */
/* The body of the flow's thread: returns after sync_flow_stop. */
void sync_flow_run(void *flow);
/* Any thread. */
void sync_flow_stop(sync_flow *f);
void sync_flow_pause(sync_flow *f, bool pause);
void sync_flow_view_get(sync_flow *f, sync_flow_view *out);
const char *sync_flow_state_name(sync_flow_state s);

#endif
