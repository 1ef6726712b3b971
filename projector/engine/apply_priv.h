/* apply_priv.h - what apply.c and range.c share: how a relation of the stream maps to tables kept.
 */
#ifndef WEIR_PROJECTOR_ENGINE_APPLY_PRIV_H
#define WEIR_PROJECTOR_ENGINE_APPLY_PRIV_H

#include "projector/engine/apply.h"

enum { WEIR_TABLES_PER_REL = 4 };

typedef struct weir_relmap_table {
    weir_ltable *t;
    int ncols;
    int *from; /* layout column -> relation column, -1: the stream does not tell it */
    bool misfit;
    int misfit_col;
    char text[160];
} weir_relmap_table;

struct weir_relmap {
    int n;
    weir_relmap_table tables[WEIR_TABLES_PER_REL];
};

weir_relmap *weir_apply_map(weir_apply *ap, uint32_t version); /* NULL: never described */
WEIR_MUST_CHECK weir_rc weir_apply_remove(weir_apply *ap, const weir_ltable *t, weir_slice rowkey,
                                          weir_error *err);

/* range.c: a row was written: the chunk of the moment, or the crawl that is under way, named it. */
WEIR_MUST_CHECK weir_rc weir_range_name(weir_apply *ap, weir_ltable *t, weir_slice rowkey,
                                        weir_error *err);

#endif
