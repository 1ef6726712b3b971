/* dest.h - where a flow's transactions go: a PostgreSQL database, files, a migration's mapping.
 *
 * A flow calls resume once (and again after every failure: whatever was not durable is forgotten
 * and comes again), then begin, event…, commit for each transaction in order, and flush between
 * batches. A transaction may be spread over batches: begin and commit can lie in different ones.
 * All on the flow's thread.
 */
#ifndef WEIR_MIGRATIONS_SYNC_DEST_H
#define WEIR_MIGRATIONS_SYNC_DEST_H

#include "libweir/codec/frame.h"
#include "libweir/codec/lsn.h"

struct sync_source;

typedef struct sync_tx {
    weir_frame_kind kind; /* TX, CHUNK (rows read by a crawl), MESSAGE */
    uint32_t xid;
    uint64_t commit_lsn;
    int64_t commit_us;                /* since 2000-01-01 */
    weir_slice origin;                /* replication origin of the source's transaction, "" none */
    uint64_t origin_lsn;              /* position there */
    weir_cursor after;                /* valid at commit: everything below it has been given */
    const struct sync_source *source; /* for sync_source_relation (TRUNCATE) */
} sync_tx;

typedef struct sync_dest {
    void *self;
    /* Connects or reopens as needed, forgets what was not durable, and says up to where it is.
     * *known false: nothing was ever durable here. */
    weir_rc (*resume)(void *self, bool *known, weir_cursor *durable, weir_error *err);
    weir_rc (*begin)(void *self, const sync_tx *tx, weir_error *err);
    /* rel: of ev->rel, NULL where the event has none. What ev points to is valid until the next
     * flush has returned. */
    weir_rc (*event)(void *self, const sync_tx *tx, const weir_relation *rel, const weir_ev *ev,
                     weir_error *err);
    weir_rc (*commit)(void *self, const sync_tx *tx, weir_error *err);
    /* A transaction that is not for us (it came from there): only the position moves. */
    weir_rc (*skip)(void *self, const sync_tx *tx, weir_error *err);
    /* A logical message `weir.sync` in such a transaction: what the other flow tells us (tell.h).
     * Before its skip. May be NULL. content is valid until the next flush has returned. */
    weir_rc (*told)(void *self, const sync_tx *tx, weir_slice content, weir_error *err);
    /* Take over what was given: afterwards nothing borrowed is looked at. caught_up: nothing more
     * is there now. *durable: everything below it is durable; may lie behind what was given. */
    weir_rc (*flush)(void *self, bool caught_up, weir_cursor *durable, weir_error *err);
} sync_dest;

#endif
