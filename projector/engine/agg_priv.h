/* agg_priv.h - an aggregate while it is built: shared by agg.c, agg_total.c and agg_order.c. */
#ifndef WEIR_PROJECTOR_ENGINE_AGG_PRIV_H
#define WEIR_PROJECTOR_ENGINE_AGG_PRIV_H

#include "projector/engine/expr_priv.h"

typedef struct weir_agg_item {
    weir_value value;
    weir_value *keys; /* nsort of them, comparable */
} weir_agg_item;

struct weir_acc {
    const weir_agg *agg;
    size_t nitems, cap;
    weir_agg_item *items;
    const weir_num *big;      /* the part of the sum that did not fit; NULL: none */
    weir_int128 coef;         /* sum so far at `scale`, while it fits */
    int64_t count;            /* rows, or non-null arguments */
    int64_t ntrue;            /* bool_and, bool_or */
    weir_value extreme;       /* min, max: as it is to be printed, in the arena */
    weir_value extreme_ready; /* the same, comparable */
    int32_t scale;
    bool list;            /* items are kept; otherwise only the totals */
    bool nan, pinf, ninf; /* seen by sum */
};

/* One non-null argument into count, sum, average, extreme. */
WEIR_MUST_CHECK weir_rc weir_acc_total(weir_acc *acc, const weir_value *v, weir_arena *a,
                                       weir_error *err);
WEIR_MUST_CHECK weir_rc weir_acc_total_finish(weir_acc *acc, weir_arena *a, weir_value *out,
                                              weir_error *err);
/* Removes equals when DISTINCT, then sorts the items by the aggregate's ORDER BY. */
WEIR_MUST_CHECK weir_rc weir_agg_order(weir_acc *acc, weir_arena *a, weir_error *err);

#endif
