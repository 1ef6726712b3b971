/* apply.h - change events into the state, and the net change of every row touched since the last
 * reset: the first old image and the newest one, for the walk.
 *
 * Any prefix of a transaction may be applied, walked and committed: the walk is complete step by
 * step, and applying an event again changes nothing in the end. Only publishing has to wait for the
 * transaction's last part (the caller's business).
 *  - an insert or read over a row that is there is an upsert;
 *  - an unchanged TOAST value is taken from the old tuple the event carries, else from the stored
 * row, else it is absent;
 *  - an update whose key changed deletes the old row and writes the new one;
 *  - a truncate is a delete of every row, in pieces: weir_apply_truncate until it says done.
 * Loop thread only.
 */
#ifndef WEIR_PROJECTOR_ENGINE_APPLY_H
#define WEIR_PROJECTOR_ENGINE_APPLY_H

#include "libweir/base/map.h"
#include "libweir/codec/frame.h"
#include "projector/engine/state.h"

typedef struct weir_change {
    const weir_ltable *t;
    weir_slice rowkey;
    weir_slice old_row, new_row; /* {NULL,0}: none */
} weir_change;

/* How a relation version of the stream maps to the tables kept of it. */
typedef struct weir_relmap weir_relmap;

typedef struct weir_apply {
    weir_state *st;
    weir_layout *layout;
    weir_arena *a; /* images of the step; reset with it */
    size_t n, cap;
    weir_change *changes;
    uint32_t *index; /* open addressing over changes: number + 1, 0 empty */
    size_t nindex;
    weir_map *relmaps;   /* relation version -> weir_relmap */
    weir_map *relations; /* relation version -> weir_relation */
    weir_buf row;        /* scratch */
    weir_val *vals;
    size_t cap_vals;
    uint64_t rows; /* events applied, ever */
    bool learned;
    bool chunk;         /* set by the caller: the events are of copied rows (a CHUNK frame) */
    uint64_t swept;     /* rows that ranges removed, ever */
    int range_table;    /* a range that is under way: which of its tables, */
    weir_key range_at;  /* where in it */
    uint32_t range_rel; /* the range that this frame held, 0: none */
    bool range_end;     /* it was the table's last */
    bool range_forget;  /* it did not follow on the one before */
} weir_apply;

void weir_apply_init(weir_apply *ap, weir_state *st, weir_layout *layout);
void weir_apply_fini(weir_apply *ap);
void weir_apply_reset(
    weir_apply *ap); /* forgets the changes: they have been walked and committed */
void weir_apply_relayout(weir_apply *ap);      /* the layout changed: relation maps are made anew */
size_t weir_apply_bytes(const weir_apply *ap); /* memory the changes hold */

/* A relation description that came with the feed; copied. true: it was not known before. */
bool weir_apply_relation(weir_apply *ap, const weir_relation *rel);
bool weir_apply_knows(const weir_apply *ap, uint32_t version);
/* What the stream no longer tells of a kept table: a column that is gone or has another type, or
 * its key. */
typedef struct weir_misfit {
    weir_ltable *t;
    int col;          /* -1: its key, so nothing of the table can be kept up to date */
    const char *what; /* valid until the next relayout */
} weir_misfit;
/* The first misfit; false when version serves every table kept of it. A column counts once it is
 * complete: before, older versions are still on their way. */
bool weir_apply_misfit(weir_apply *ap, uint32_t version, weir_misfit *out);
/* Did the layout learn the stream's types since the last call? Then it must be saved. */
bool weir_apply_learned(weir_apply *ap);

/* INSERT, UPDATE, DELETE, READ. Other kinds are ignored. WEIR_E_PROTO: the event does not fit its
 * relation. */
WEIR_MUST_CHECK weir_rc weir_apply_event(weir_apply *ap, const weir_ev *ev, weir_error *err);
/* Deletes up to max rows of the tables kept of that relation; *done when none is left. */
WEIR_MUST_CHECK weir_rc weir_apply_truncate(weir_apply *ap, uint32_t rel, size_t max, bool *done,
                                            weir_error *err);

/* RANGE: deletes the rows of its range, in the tables kept of its relation, that its chunk did not
 * name; looks at up to max rows. Again until *done; the same again after a restart does no harm. */
WEIR_MUST_CHECK weir_rc weir_apply_range(weir_apply *ap, const weir_ev *ev, size_t max, bool *done,
                                         weir_error *err);
/* The end of a CHUNK frame, to be committed with a cursor behind it: forgets what was named for a
 * range that is done. */
WEIR_MUST_CHECK weir_rc weir_apply_chunk_end(weir_apply *ap, weir_error *err);
void weir_apply_range_reset(weir_apply *ap); /* the state was discarded under a range */
/* The i-th table that is kept of a relation; NULL: there are no more. */
const weir_ltable *weir_apply_table(weir_apply *ap, uint32_t rel, int i);

#endif
