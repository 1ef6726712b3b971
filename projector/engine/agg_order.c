/* agg_order.c - DISTINCT and ORDER BY inside an aggregate: a stable merge sort whose comparison may
 * fail. */
#include "projector/engine/agg_priv.h"

typedef struct order {
    const weir_agg *agg;
    bool by_value; /* for DISTINCT: by the argument, NULLs last */
    weir_rc rc;    /* the first failure; comparisons after it do not matter */
    weir_error *err;
} order;

static int cmp_one(order *o, const weir_value *x, const weir_value *y, const weir_sort *s)
{
    bool xn = x->form == WEIR_FORM_NULL, yn = y->form == WEIR_FORM_NULL;
    int cmp = 0;
    if (xn || yn) {
        cmp = xn == yn ? 0 : xn ? 1 : -1;
        return s->nulls_first ? -cmp : cmp;
    }
    weir_rc rc = weir_value_cmp_ready(x, y, s->expr->type, &cmp, o->err);
    if (rc && !o->rc) {
        o->rc = rc;
    }
    return s->desc ? -cmp : cmp;
}

static int cmp_items(order *o, const weir_agg_item *x, const weir_agg_item *y)
{
    if (o->by_value) {
        weir_sort asc = {.expr = o->agg->arg};
        return cmp_one(o, x->keys, y->keys, &asc);
    }
    for (int i = 0; i < o->agg->nsort; i++) {
        int c = cmp_one(o, &x->keys[i], &y->keys[i], &o->agg->sort[i]);
        if (c || o->rc) {
            return c;
        }
    }
    return 0;
}

static void merge(order *o, const weir_agg_item *l, size_t nl, size_t nr, weir_agg_item *to)
{
    const weir_agg_item *r = l + nl, *lend = r, *rend = r + nr;
    while (l < lend && r < rend) {
        *to++ = cmp_items(o, l, r) <= 0 ? *l++ : *r++;
    }
    while (l < lend) {
        *to++ = *l++;
    }
    while (r < rend) {
        *to++ = *r++;
    }
}

static bool sorted(order *o, const weir_agg_item *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (cmp_items(o, &items[i - 1], &items[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Bottom-up: runs of 1, 2, 4 … The common case, rows read in key order, is sorted already. */
static weir_rc sort(order *o, weir_agg_item **items, size_t n, weir_arena *a)
{
    if (sorted(o, *items, n) || o->rc) {
        return o->rc;
    }
    weir_agg_item *from = *items, *to = WEIR_ARENA_ARRAY(a, weir_agg_item, n);
    if (!to) {
        return weir_value_full(o->err);
    }
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t nl = n - i < run ? n - i : run;
            size_t nr = n - i - nl < run ? n - i - nl : run;
            merge(o, from + i, nl, nr, to + i);
        }
        weir_agg_item *swap = from;
        from = to;
        to = swap;
    }
    *items = from;
    return o->rc;
}

/* Keeps the first of equal values, in the order they came. */
static weir_rc distinct(weir_acc *acc, weir_arena *a, weir_error *err)
{
    order o = {acc->agg, true, WEIR_OK, err};
    size_t n = acc->nitems;
    weir_agg_item *byval = WEIR_ARENA_ARRAY(a, weir_agg_item, n);
    weir_value *ready = WEIR_ARENA_ARRAY(a, weir_value, n);
    if (!byval || !ready) {
        return weir_value_full(err);
    }
    for (size_t i = 0; i < n; i++) {
        weir_rc rc =
            weir_value_comparable(&acc->items[i].value, acc->agg->arg->type, a, &ready[i], err);
        if (rc) {
            return rc;
        }
        byval[i] = (weir_agg_item){.value = {.i = (int64_t)i}, .keys = &ready[i]};
    }
    weir_rc rc = sort(&o, &byval, n, a);
    weir_agg_item *kept = WEIR_ARENA_ARRAY(a, weir_agg_item, n);
    if (rc || !kept) {
        return rc ? rc : weir_value_full(err);
    }
    size_t m = 0;
    for (size_t i = 0; i < n && !o.rc; i++) {
        if (i == 0 || cmp_items(&o, &byval[i - 1], &byval[i]) != 0) {
            kept[m++] = acc->items[byval[i].value.i];
        }
    }
    acc->items = kept; /* ordered by value: PostgreSQL's own order when there is no ORDER BY */
    acc->nitems = m;
    return o.rc;
}

weir_rc weir_agg_order(weir_acc *acc, weir_arena *a, weir_error *err)
{
    if (acc->agg->distinct && acc->nitems > 0) {
        weir_rc rc = distinct(acc, a, err);
        if (rc) {
            return rc;
        }
    }
    order o = {acc->agg, false, WEIR_OK, err};
    bool matters = acc->agg->kind == WEIR_AGG_JSONB || acc->agg->kind == WEIR_AGG_STRING;
    if (!matters || acc->agg->nsort == 0 || acc->nitems < 2) {
        return WEIR_OK;
    }
    return sort(&o, &acc->items, acc->nitems, a);
}
