/* block.h - private to render: evaluates one query block by nested loops. */
#ifndef WEIR_PROJECTOR_ENGINE_BLOCK_H
#define WEIR_PROJECTOR_ENGINE_BLOCK_H

#include "projector/engine/render.h"

/* fn is called for each tuple that passed WHERE, with every occurrence of the block bound.
 * WEIR_E_EOF from it ends the block early (and is no error). The block's occurrences from number
 * `first` on are bound here; earlier ones are bound already. */
typedef weir_rc weir_block_fn(weir_render *r, const weir_block *b, void *arg, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_block_run(weir_render *r, const weir_block *b, int first,
                                       weir_block_fn *fn, void *arg, weir_error *err);

/* Aggregates of a block over its tuples. */
typedef struct weir_block_group {
    const weir_block *b;
    int first;               /* as for weir_block_run */
    weir_block_fn *on_first; /* or NULL: runs once, while the first tuple is bound */
    void *arg;
    weir_value *aggs; /* out: naggs results, in r->a */
    size_t tuples;    /* out: how many passed */
} weir_block_group;
WEIR_MUST_CHECK weir_rc weir_block_aggregate(weir_render *r, weir_block_group *g, weir_error *err);

/* ev->sub: scalar sub-selects and EXISTS. */
weir_rc weir_block_sub(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err);

/* Binds a stored row to an occurrence. */
WEIR_MUST_CHECK weir_rc weir_block_bind(weir_render *r, int occ, weir_slice row, weir_error *err);

/* Errors of the state are told from errors of the document by this: the state's never have these
 * codes. */
static inline bool weir_block_is_document_error(weir_rc rc)
{
    return rc == WEIR_E_INPUT || rc == WEIR_E_LIMIT;
}

#endif
