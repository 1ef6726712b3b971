/* walk.h - from the images of changed rows through the state as it is now to the root documents
 * they can touch.
 *
 * Old and new image both, along the `up` edges, equality only: filters never narrow it, so that a
 * document that left or entered a filter is found too. Complete for any batch (proof and
 * simulation: notes on SQL read models), also when a transaction is applied in several pieces, each
 * walked through the state right after it.
 *
 * Memory is bounded by the budget: rows visited plus keys found. When it is used up, what is left
 * is written to the state as tasks ("continue this index scan at that row") and done later through
 * the same state: the caller applies nothing more that could be published until every task is done.
 *   task = model:u32 occ:u16 nprefix:u16 prefix resume        the scan of occ's up_index for
 * prefix, from resume on Loop thread only.
 */
#ifndef WEIR_PROJECTOR_ENGINE_WALK_H
#define WEIR_PROJECTOR_ENGINE_WALK_H

#include "projector/engine/dirty.h"
#include "projector/engine/state.h"

typedef struct weir_walk {
    weir_state *st;
    weir_dirty *dirty;
    int64_t budget;      /* counts down; at or below 0 the rest becomes tasks */
    uint64_t *next_task; /* number of the next task, counted up */
    uint64_t tasks;      /* tasks written */
    weir_buf key;        /* scratch */
} weir_walk;

void weir_walk_init(weir_walk *w, weir_state *st, weir_dirty *dirty, uint64_t *next_task);
void weir_walk_fini(weir_walk *w);

/* One changed row of table t (rows as stored, {NULL,0}: none) for one model. */
WEIR_MUST_CHECK weir_rc weir_walk_change(weir_walk *w, const weir_bound *m, const weir_ltable *t,
                                         weir_slice old_row, weir_slice new_row, weir_error *err);
/* Goes on with a task; the caller removes it first. task must not lie in the state.
 * WEIR_E_NOTFOUND: its model is gone. */
WEIR_MUST_CHECK weir_rc weir_walk_task(weir_walk *w, const weir_bound *const *models,
                                       size_t nmodels, weir_slice task, weir_error *err);
/* The document key of a root row, appended to out; false when a key column is NULL or absent. */
WEIR_MUST_CHECK bool weir_walk_dockey(const weir_bound *m, const weir_tuple *root, weir_buf *out);

/* For the test of the tests: true makes every walk use the new image only, which must be found out.
 */
void weir_walk_set_broken(bool on);

#endif
