/* state.h - the projector's state in LMDB: rows, join indexes, what was emitted, what is still
 * dirty. One open write transaction at a time holds everything a step does; nothing is visible or
 * kept before weir_state_commit.
 *
 *   meta    name                                 see the service
 *   recent  lsn:u64 document's key in emit       empty (projector/recent.c)
 *   row     table:u32 row-key                    the row (row.h)
 *   idx     index:u32 columns row-key            empty
 *   emit    model:u32 document-key               hash:16 lsn:u64 flags:u8 [the whole key when it
 * was cut] parked  model:u32 document-key               lsn:u64 reason, NUL, [the whole key when it
 * was cut] dirty   model:u32 document-key               [the whole key when it was cut] documents
 * to be rendered at the next boundary task    number:u64                           a walk to be
 * continued (walk.h) Document keys are weir_dockey_text; longer than 400 bytes they are cut and
 * followed by the xxh128 of the whole. Loop thread only. Errors of LMDB pass through: WEIR_E_LIMIT
 * is a full map, WEIR_E_SYS a broken file.
 */
#ifndef WEIR_PROJECTOR_ENGINE_STATE_H
#define WEIR_PROJECTOR_ENGINE_STATE_H

#include "libweir/base/hash.h"
#include "libweir/io/lmdb.h"
#include "projector/engine/layout.h"

typedef struct weir_state weir_state;

typedef enum weir_db {
    WEIR_DB_META,
    WEIR_DB_ROW,
    WEIR_DB_IDX,
    WEIR_DB_EMIT,
    WEIR_DB_PARKED,
    WEIR_DB_DIRTY,
    WEIR_DB_TASK,
    WEIR_DB_RECENT,
    WEIR_DB_NAMED,
    WEIR_DB_COUNT
} weir_db;

WEIR_MUST_CHECK weir_rc weir_state_open(weir_state **out, const char *dir, size_t map_bytes,
                                        weir_error *err);
void weir_state_close(weir_state *st);      /* aborts an open transaction; NULL is fine */
weir_lmdb *weir_state_lmdb(weir_state *st); /* for the checkpoint thread's weir_lmdb_sync */

WEIR_MUST_CHECK weir_rc weir_state_begin(weir_state *st, weir_error *err);
WEIR_MUST_CHECK weir_rc
weir_state_commit(weir_state *st, weir_error *err); /* ended either way; scans must have ended */
void weir_state_abort(weir_state *st);              /* fine without a transaction */
WEIR_MUST_CHECK weir_rc weir_state_wipe(weir_state *st,
                                        weir_error *err); /* everything but meta; own transaction */

/* Plain access. Slices from get are valid until the next write. WEIR_E_NOTFOUND without text. */
WEIR_MUST_CHECK weir_rc weir_state_get(weir_state *st, weir_db db, weir_slice key,
                                       weir_slice *value, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_state_put(weir_state *st, weir_db db, weir_slice key, weir_slice value,
                                       weir_error *err);
WEIR_MUST_CHECK weir_rc weir_state_del(weir_state *st, weir_db db, weir_slice key,
                                       weir_error *err); /* absent is fine */
size_t weir_state_count(weir_state *st, weir_db db);

WEIR_MUST_CHECK weir_rc weir_state_row_get(weir_state *st, const weir_ltable *t, weir_slice rowkey,
                                           weir_slice *row, weir_error *err);
/* Replaces old_row by new_row ({NULL,0}: none) and brings the table's indexes in line. The images
 * must not lie in the state. */
WEIR_MUST_CHECK weir_rc weir_state_row_write(weir_state *st, const weir_ltable *t,
                                             weir_slice rowkey, weir_slice old_row,
                                             weir_slice new_row, weir_error *err);
/* Adds the entry of one row to one index (building it). */
WEIR_MUST_CHECK weir_rc weir_state_index_row(weir_state *st, const weir_lindex *x,
                                             weir_slice rowkey, weir_slice row, weir_error *err);

/* Entries of a database under a prefix (at most WEIR_LMDB_MAX_KEY bytes), in key order. Each
 * started scan must be ended. */
typedef struct weir_scan {
    weir_lmdb_cursor *cur; /* private */
    weir_db db;
    bool started;
    uint16_t nprefix, nat;
    char prefix[WEIR_LMDB_MAX_KEY + 1];
    char at[WEIR_LMDB_MAX_KEY + 1];
} weir_scan;
/* from: whole key to start at (>=), or {NULL,0}: the prefix' first. */
WEIR_MUST_CHECK weir_rc weir_scan_start(weir_state *st, weir_scan *s, weir_db db, weir_slice prefix,
                                        weir_slice from, weir_error *err);
/* WEIR_E_EOF at the end. rest is the key behind the prefix. Valid until the next write. */
WEIR_MUST_CHECK weir_rc weir_scan_next(weir_scan *s, weir_slice *rest, weir_slice *value,
                                       weir_error *err);
void weir_scan_end(weir_state *st, weir_scan *s); /* fine twice, fine on a zeroed one */

/* model/table/index id ‖ tail, into buf; returns the slice. tail is cut to what fits. */
enum { WEIR_IDKEY_MAX = 512 };
weir_slice weir_idkey(char buf[WEIR_IDKEY_MAX], uint32_t id, weir_slice a, weir_slice b);
/* The key of a document in emit, parked and dirty: id ‖ key, cut when long (*cut tells). */
weir_slice weir_dockey_state(char buf[WEIR_IDKEY_MAX], uint32_t id, weir_slice key, bool *cut);

#endif
