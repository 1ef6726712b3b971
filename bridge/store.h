/* store.h - the log's LMDB environment: databases log, rel, relhash, sub, meta and crawl (layout in
 * docs/internals.md).
 *
 * Write calls take the writer thread's transaction; reads open short ones of their own, on any
 * thread.
 */
#ifndef WEIR_BRIDGE_STORE_H
#define WEIR_BRIDGE_STORE_H

#include "bridge/fetch.h"
#include "libweir/base/arena.h"
#include "libweir/base/hash.h"
#include "libweir/io/lmdb.h"

typedef struct brg_store {
    weir_lmdb *env;
    weir_lmdb_db log, rel, relhash, sub, meta, crawl;
} brg_store;

/* What `meta` says, as read at start. Empty strings and zeros where nothing is stored. */
typedef struct brg_meta {
    char instance[40];
    char system_id[32];
    char slot[64];
    char publication[128];
    char state[16]; /* "", "copying", "streaming" */
    int64_t timeline;
    uint64_t consistent_lsn;
    weir_cursor end;     /* after the last complete thing in the log */
    weir_cursor trimmed; /* everything below it was removed */
} brg_meta;

WEIR_MUST_CHECK weir_rc brg_store_open(brg_store *s, const char *dir, size_t map_bytes,
                                       weir_error *err);
void brg_store_close(brg_store *s);

WEIR_MUST_CHECK weir_rc brg_store_meta(brg_store *s, brg_meta *out, weir_error *err);
WEIR_MUST_CHECK weir_rc brg_store_put_meta(brg_store *s, weir_lmdb_txn *t, const char *name,
                                           const char *text, weir_error *err);
WEIR_MUST_CHECK weir_rc brg_store_put_cursor(brg_store *s, weir_lmdb_txn *t, const char *name,
                                             weir_cursor c, weir_error *err);

/* fn for every key of rel (version, description) and of relhash, or of sub. */
typedef void brg_store_fn(void *arg, weir_slice key, weir_slice value);
WEIR_MUST_CHECK weir_rc brg_store_each(brg_store *s, weir_lmdb_db db, brg_store_fn *fn, void *arg,
                                       weir_error *err);

/* Removes every frame at or above `from`: what a crash or a lost connection left of open
 * transactions. */
WEIR_MUST_CHECK weir_rc brg_store_cut_end(brg_store *s, weir_lmdb_txn *t, weir_cursor from,
                                          weir_error *err);
/* Removes frames below cut from the front, at most max_frames and until max_bytes are freed;
 * *first: the new front. */
typedef struct brg_trim {
    weir_cursor cut;
    size_t max_frames;
    uint64_t max_bytes;
    weir_cursor first; /* out */
    size_t frames;     /* out */
    uint64_t bytes;    /* out */
    bool more;         /* out: stopped by a bound */
} brg_trim;
WEIR_MUST_CHECK weir_rc brg_store_trim(brg_store *s, weir_lmdb_txn *t, brg_trim *trim,
                                       weir_error *err);
/* Empties everything but the subscribers' names (their positions are of another history: the caller
 * decides). */
WEIR_MUST_CHECK weir_rc brg_store_wipe(brg_store *s, weir_lmdb_txn *t, weir_error *err);

/* Frames from the log into f. They are borrowed from *txn, which the caller aborts when the reply
 * is encoded. */
WEIR_MUST_CHECK weir_rc brg_store_fetch(brg_store *s, brg_fetch *f, weir_lmdb_txn **txn,
                                        weir_error *err);

#endif
