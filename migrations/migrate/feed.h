/* feed.h - the source's changes as keys: which rows of which tables were touched, and by whom.
 *
 * The values in the events do not matter here: every touched row is read again from the source. So
 * a batch is a set of keys, the transactions that must be visible before they are read, and the
 * cursor that holds once they are applied.
 */
#ifndef WEIR_MIGRATE_FEED_H
#define WEIR_MIGRATE_FEED_H

#include "libweir/base/map.h"
#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"
#include "migrations/migrate/session.h"

enum { MIG_BATCH_KEYS = 5000, MIG_XIDS_MAX = 65536, MIG_RELS_MAX = 10000 };

typedef struct mig_key {
    const weir_slice *v; /* nkey texts of the source's key */
} mig_key;

typedef struct mig_touched {
    const mig_ptable *t;
    weir_map *seen;
    int n, cap;
    mig_key *keys;
    bool truncated;
} mig_touched;

typedef struct mig_feed {
    mig_session *s;
    const char *name; /* of the subscription */
    weir_feed_pos after;
    uint32_t known;
    weir_arena *rels_arena;
    weir_relation *rels[MIG_RELS_MAX]; /* by version */
    /* the batch */
    weir_arena *a;
    mig_touched *touched; /* one per mapped table */
    int ntouched, nkeys;
    uint32_t *xids;
    int nxids;
    int64_t events;
    weir_cursor next; /* holds when the batch is applied, and whole */
    bool whole;       /* the batch ends between two transactions */
    weir_cursor head;
    weir_buf request, reply;
} mig_feed;

void mig_feed_init(mig_feed *f, mig_session *s);
void mig_feed_fini(mig_feed *f);
/* From now on (at.lsn 0; *at is set) or from *at. WEIR_E_STATE when the log no longer has it. */
WEIR_MUST_CHECK weir_rc mig_feed_subscribe(mig_feed *f, weir_cursor *at, const char *system_id,
                                           const char **system_id_now, weir_error *err);
/* Waits up to wait_ms for changes and adds them to the batch. */
WEIR_MUST_CHECK weir_rc mig_feed_fetch(mig_feed *f, int64_t wait_ms, weir_error *err);
/* The bridge's status object, in a. */
WEIR_MUST_CHECK weir_rc mig_feed_status(mig_feed *f, weir_arena *a, weir_slice *out,
                                        weir_error *err);
void mig_feed_reset(mig_feed *f); /* the batch was applied */
WEIR_MUST_CHECK weir_rc mig_feed_ack(mig_feed *f, weir_cursor at, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_feed_unsubscribe(mig_feed *f, weir_error *err);
/* Adds a key by its texts (copied). */
void mig_feed_touch(mig_feed *f, int table, const weir_slice *key);

#endif
