/* window.h - merging a copied chunk with the live stream: what was delivered while the chunk was
 * read.
 *
 * While a chunk of a table is read the reader notes each change of the table here (per key: the
 * row's merged image and the last xid). A chunk read in snapshot S is put into the stream when the
 * stream has passed the position seen with S. A row whose key was touched by a transaction S does
 * not see is stale: the image from the stream wins, and only columns it left unchanged (TOAST) come
 * from the chunk. Rows that S cannot have under their key, because a transaction it does not see
 * inserted them or moved them there, are put beside the chunk's, so that the range is complete with
 * it. The chunk is read again when that cannot be decided: a transaction S does not see was
 * delivered before the window opened (recent.h), the memory of keys overflowed, the relation
 * changed, or the table was truncated. Pure; reader thread only.
 */
#ifndef WEIR_BRIDGE_WINDOW_H
#define WEIR_BRIDGE_WINDOW_H

#include "bridge/recent.h"
#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/codec/frame.h"

enum { BRG_KEYS_MAX = 32, BRG_MOVED_MAX = 10000 };

typedef struct brg_window brg_window;

/* Borrows recent, to which the transactions are added beside this. */
brg_window *brg_window_new(size_t max_bytes, brg_recent *recent);
void brg_window_free(brg_window *w);

/* A copy of the table begins: key columns by position in its description (nkey 0: no key). Forgets
 * everything. The window is closed: only who moves is noted. */
void brg_window_watch(brg_window *w, uint32_t oid, const uint16_t *key, uint16_t nkey);
void brg_window_unwatch(brg_window *w);
/* A chunk is about to be read: forget the keys of the last one. */
void brg_window_open(brg_window *w);
/* The chunk is done: what changes now needs no memory until the next one. */
void brg_window_close(brg_window *w);
bool brg_window_watches(const brg_window *w, uint32_t oid);

/* At BEGIN of each transaction. */
void brg_window_begin(brg_window *w, uint32_t xid);
/* A row change, TRUNCATE or new description of the watched table, in the running transaction. */
void brg_window_note(brg_window *w, const weir_ev *ev);
void brg_window_truncated(brg_window *w);
void brg_window_relation(brg_window *w, const weir_relation *rel);
/* The connection was lost: what was noted may be incomplete. */
void brg_window_broken(brg_window *w);

/* NULL: the chunk can be merged. Else why it must be read again. */
const char *brg_window_redo(brg_window *w, const weir_snapshot *s, const weir_relation *chunk_rel);
typedef enum brg_merge {
    BRG_ROW_AS_READ,
    BRG_ROW_MERGED,  /* values put over the row's own, in place */
    BRG_ROW_GONE,    /* nothing to emit */
    BRG_ROW_PARTIAL, /* another row came to this key by moving, its TOAST columns unsent: the row is
                        made its image, to be emitted as an update */
} brg_merge;
/* What to emit for a row of the chunk. */
brg_merge brg_window_merge(brg_window *w, const weir_snapshot *s, weir_tuple *row);
/* After every row of the chunk was merged: the rows that came to keys the snapshot did not have
 * them under, and that no row of the chunk stood for. They may lie outside the chunk's range.
 * whole: every column is known. */
void brg_window_arrived(brg_window *w, const weir_snapshot *s,
                        void (*fn)(void *arg, const weir_tuple *row, bool whole), void *arg);

/* Keyless tables: +1 for each row a transaction unseen by s inserted, -1 for each it removed; row
 * identity is its whole text. Calls fn for every distinct row with a balance that is not 0. */
void brg_window_balance(const brg_window *w, const weir_snapshot *s,
                        void (*fn)(void *arg, const weir_tuple *row, int64_t n), void *arg);
/* Keys that moved (key update) while TOAST columns stayed unsent: they must be read once more
 * before the copy is complete. Takes them out; rows of key values in key order, in the arena.
 * overflow: too many, copy the whole table again. */
size_t brg_window_take_moved(brg_window *w, weir_arena *a, weir_tuple **keys, bool *overflow);
/* For a copy that outlives the process: tells fn (NULL: nobody) every moved key once, with a number
 * that grows.
 * brg_window_moved_at: the number the next one gets. */
void brg_window_tell_moved(brg_window *w, void (*fn)(void *arg, uint64_t number, weir_slice key),
                           void *arg);
uint64_t brg_window_moved_at(const brg_window *w);
/* Puts one back, as it was told, after a restart. false: it makes no sense. */
WEIR_MUST_CHECK bool brg_window_put_moved(brg_window *w, uint64_t number, weir_slice key);

/* The text of a row's key (or of the whole row, nkey 0), for the map. */
void brg_window_key(const weir_tuple *row, const uint16_t *key, uint16_t nkey, weir_buf *out);

#endif
