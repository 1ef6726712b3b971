/* bind.c - the order in which a block's tables are found, each by equalities with what is bound
 * before it. */
#include "projector/sql/analyze.h"

static uint64_t bit(int i)
{
    return (uint64_t)1 << i;
}

/* The occurrences an expression reads, sub-selects not looked into. */
static uint64_t reads(const weir_expr *e)
{
    uint64_t m = e->op == WEIR_OP_COL ? bit(e->occ) : 0;
    for (int i = 0; i < e->nargs; i++) {
        m |= reads(e->args[i]);
    }
    return m;
}

/* own.col = other.col with other bound. */
static bool as_eq(const weir_expr *e, int own, uint64_t bound, weir_an_eq *out)
{
    if (e->op != WEIR_OP_EQ || e->args[0]->op != WEIR_OP_COL || e->args[1]->op != WEIR_OP_COL) {
        return false;
    }
    const weir_expr *l = e->args[0];
    const weir_expr *r = e->args[1];
    if (r->occ == own) {
        const weir_expr *t = l;
        l = r;
        r = t;
    }
    if (l->occ != own || r->occ == own || !(bound & bit(r->occ))) {
        return false;
    }
    *out = (weir_an_eq){.my_col = l->col, .occ = r->occ, .col = r->col, .expr = (weir_expr *)e};
    return true;
}

static const weir_ptrs *pool_of(const weir_an_occ *o)
{
    return o->o.join == WEIR_JOIN_LEFT ? &o->on : &o->block->where;
}

static int count_eqs(const weir_an_occ *o, uint64_t bound, weir_an_eq *out)
{
    const weir_ptrs *pool = pool_of(o);
    int n = 0;
    for (int i = 0; i < pool->n; i++) {
        weir_an_eq eq;
        if (as_eq(pool->p[i], o->index, bound, &eq)) {
            if (out) {
                out[n] = eq;
            }
            n++;
        }
    }
    return n;
}

bool weir_an_covers_unique(const weir_cat_table *t, const int *cols, int ncols)
{
    for (int i = 0; i < t->nindexes; i++) {
        const weir_cat_index *x = &t->indexes[i];
        bool all = x->usable && x->ncols > 0;
        for (int k = 0; all && k < x->ncols; k++) {
            bool has = false;
            for (int c = 0; c < ncols; c++) {
                has |= cols[c] == x->cols[k];
            }
            all = has;
        }
        if (all) {
            return true;
        }
    }
    return false;
}

static bool unique_with(weir_an *an, const weir_an_occ *o, uint64_t bound)
{
    int n = count_eqs(o, bound, NULL);
    weir_an_eq *eqs = WEIR_MEM_ARRAY(&an->m, weir_an_eq, (size_t)n + 1);
    int *cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)n + 1);
    count_eqs(o, bound, eqs);
    for (int i = 0; i < n; i++) {
        cols[i] = eqs[i].my_col;
    }
    return weir_an_covers_unique(o->table->cat, cols, n);
}

/* May it come next? An outer join's table waits for everything its ON reads. */
static bool ready(const weir_an_occ *o, uint64_t bound)
{
    if (o->o.join == WEIR_JOIN_LEFT) {
        if (o->block->bound.n == 0) {
            return false; /* a block starts with a row, not with the lack of one */
        }
        for (int i = 0; i < o->on.n; i++) {
            if (reads(o->on.p[i]) & ~(bound | bit(o->index))) {
                return false;
            }
        }
    }
    return count_eqs(o, bound, NULL) > 0;
}

/* Tables with at most one row first; then those that stay to-many whatever is bound; then the
 * others, in FROM's order. */
static weir_an_occ *next_of(weir_an *an, const weir_an_block *b, uint64_t bound,
                            uint64_t everything)
{
    weir_an_occ *best = NULL;
    int best_rank = 3;
    for (int i = 0; i < b->occs.n; i++) {
        weir_an_occ *o = b->occs.p[i];
        if ((bound & bit(o->index)) || !ready(o, bound)) {
            continue;
        }
        int rank = unique_with(an, o, bound) ? 0 : !unique_with(an, o, everything) ? 1 : 2;
        if (rank < best_rank) {
            best = o;
            best_rank = rank;
        }
    }
    return best;
}

static void take(weir_an *an, weir_an_block *b, weir_an_occ *o, uint64_t bound)
{
    int n = count_eqs(o, bound, NULL);
    o->eqs = WEIR_MEM_ARRAY(&an->m, weir_an_eq, (size_t)n + 1);
    o->neqs = count_eqs(o, bound, o->eqs);
    int *cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        cols[i] = o->eqs[i].my_col;
        o->eq_occs |= bit(o->eqs[i].occ);
    }
    o->o.unique = weir_an_covers_unique(o->table->cat, cols, n);
    weir_an_edge(an, o);
    weir_ptrs_push(&an->m, &b->bound, o);
}

static bool refuse_unbound(weir_an *an, const weir_an_block *b, const weir_an_occ *o)
{
    bool sub = b->kind != WEIR_AN_ROOT && b->bound.n == 0;
    if (sub) {
        return weir_an_refuse(
            an, o->location, "add WHERE child.parent_id = parent.id, columns on both sides",
            "the sub-select is not tied to the outer query by an equality of columns");
    }
    return weir_an_refuse(an, o->location, "join it: JOIN … ON a.x = b.y, columns of the same type",
                          "table " WEIR_SLICE_FMT " is not joined by an equality of columns",
                          WEIR_SLICE_ARG(o->o.alias));
}

/* Everything outside the block is bound when the block runs. */
static uint64_t outside(const weir_an_block *b)
{
    uint64_t m = 0;
    for (b = b->parent; b; b = b->parent) {
        for (int i = 0; i < b->occs.n; i++) {
            m |= bit(((const weir_an_occ *)b->occs.p[i])->index);
        }
    }
    return m;
}

bool weir_an_bind(weir_an *an, weir_an_block *b)
{
    uint64_t bound = outside(b);
    uint64_t everything = bound;
    if (an->too_large) {
        return false; /* what follows walks expressions as trees */
    }
    for (int i = 0; i < b->occs.n; i++) {
        everything |= bit(((const weir_an_occ *)b->occs.p[i])->index);
    }
    if (b->kind == WEIR_AN_ROOT) {
        weir_an_occ *root = weir_an_occ_at(an, an->root);
        root->o.join = WEIR_JOIN_ROOT;
        root->o.unique = true;
        root->fixed = true;
        weir_ptrs_push(&an->m, &b->bound, root);
        bound |= bit(root->index);
    }
    while (bound != everything) {
        weir_an_occ *o = next_of(an, b, bound, everything);
        if (!o) {
            break;
        }
        take(an, b, o, bound);
        bound |= bit(o->index);
    }
    bool ok = true;
    for (int i = 0; i < b->occs.n; i++) {
        const weir_an_occ *o = b->occs.p[i];
        if (!(bound & bit(o->index))) {
            ok = refuse_unbound(an, b, o);
            if (b->kind != WEIR_AN_ROOT) {
                return ok;
            }
        }
    }
    return ok;
}

/* --- shape: where several rows may come from
 * ------------------------------------------------------------------------ */

static void mark_fixed(weir_an_block *b)
{
    uint64_t fixed = outside(b);
    for (int i = 0; i < b->bound.n; i++) {
        weir_an_occ *o = b->bound.p[i];
        o->fixed = o->fixed || (o->o.unique && (o->eq_occs & ~fixed) == 0);
        if (o->fixed) {
            fixed |= bit(o->index);
        }
    }
}

static bool refuse_many(weir_an *an, const weir_an_block *b, const weir_an_occ *o)
{
    if (b->kind == WEIR_AN_ROOT) {
        return weir_an_refuse(
            an, o->location,
            "aggregate it: (SELECT jsonb_agg(…) FROM … WHERE …), or join by a unique key",
            "table " WEIR_SLICE_FMT
            " may give several rows per key: the join does not cover a unique key of it",
            WEIR_SLICE_ARG(o->o.alias));
    }
    return weir_an_refuse(an, o->location,
                          "aggregate: (SELECT jsonb_agg(… ORDER BY …) …), or join by a unique key",
                          "the sub-select may return several rows: the join does not cover a "
                          "unique key of " WEIR_SLICE_FMT,
                          WEIR_SLICE_ARG(o->o.alias));
}

/* Several to-many tables are fine in one chain (orders, their lines); side by side they multiply
 * each other's rows. */
static bool one_chain(weir_an *an, weir_an_block *b)
{
    int last = -1;
    for (int i = 0; i < b->bound.n; i++) {
        weir_an_occ *o = b->bound.p[i];
        bool hangs = false;
        for (int k = 0; k < o->neqs; k++) {
            const weir_an_occ *p = weir_an_occ_at(an, o->eqs[k].occ);
            if (p->block == b && p->many >= 0) {
                o->many = p->many;
                hangs |= p->many == last;
            }
        }
        if (o->o.unique) {
            continue;
        }
        if (last >= 0 && !hangs) {
            return weir_an_refuse(
                an, o->location, "give each its own sub-select: (SELECT … FROM … WHERE …) AS name",
                "tables " WEIR_SLICE_FMT " and " WEIR_SLICE_FMT
                " multiply each other's rows (fan-out)",
                WEIR_SLICE_ARG(weir_an_occ_at(an, last)->o.alias), WEIR_SLICE_ARG(o->o.alias));
        }
        last = o->index;
        o->many = o->index;
    }
    return true;
}

bool weir_an_shape(weir_an *an, weir_an_block *b)
{
    mark_fixed(b);
    if (b->kind == WEIR_AN_EXISTS) {
        return true;
    }
    if (b->aggs.n || b->grouped) {
        return one_chain(an, b);
    }
    for (int i = 0; i < b->bound.n; i++) {
        const weir_an_occ *o = b->bound.p[i];
        if (!o->o.unique) {
            return refuse_many(an, b, o);
        }
    }
    return true;
}
