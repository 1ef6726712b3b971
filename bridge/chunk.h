/* chunk.h - rows read from a table in one snapshot, and putting them into the stream where they are
 * true. */
#ifndef WEIR_BRIDGE_CHUNK_H
#define WEIR_BRIDGE_CHUNK_H

#include "bridge/assemble.h"
#include "bridge/catalog.h"

enum { BRG_XIP_MAX = 8192 };

typedef struct brg_chunk {
    weir_arena *a; /* owns everything here; freed with the chunk */
    const brg_table *table;
    weir_slice copy_id;
    weir_snapshot snapshot;
    uint64_t passed_lsn; /* the stream must have passed this */
    weir_tuple *rows;
    size_t nrows, cap;
    weir_tuple lo, hi; /* key values; n = 0: open */
    bool range;        /* (lo, hi] is complete with it (not so for keys read once more) */
    bool final;        /* the table is complete with it; such a chunk has no rows of its own */
} brg_chunk;

brg_chunk *brg_chunk_new(const brg_table *table, weir_slice copy_id, size_t max_bytes);
void brg_chunk_free(brg_chunk *c);
/* Copies row. WEIR_E_LIMIT when it does not fit. */
WEIR_MUST_CHECK weir_rc brg_chunk_add(brg_chunk *c, const weir_tuple *row, weir_error *err);
/* The key values of its last row, in the arena a. */
weir_tuple brg_chunk_last_key(const brg_chunk *c, weir_arena *a);

/* Reader thread, between two transactions, when the head has passed passed_lsn. *redo: not merged,
 * read it again (a reason). *emitted: rows put into the stream. With range, every row that exists
 * in (lo, hi] at this place is among them, directly before the RANGE event. */
WEIR_MUST_CHECK weir_rc brg_chunk_emit(brg_chunk *c, brg_assembler *as, brg_window *w,
                                       const char **redo, uint64_t *emitted, weir_error *err);
/* The events that end a table's copy: the range (when c says so) and completion. */
WEIR_MUST_CHECK weir_rc brg_chunk_marks(const brg_chunk *c, uint32_t version, brg_assembler *as,
                                        weir_error *err);

#endif
