/* edge.c - one occurrence's access path (how it is found) and walk edge (which rows it touches),
 * and the join indexes. */
#include <stdlib.h>

#include "projector/sql/analyze.h"

int weir_an_index(weir_an *an, int table, const int *cols, int ncols)
{
    for (int i = 0; i < an->indexes.n; i++) {
        const weir_plan_index *x = an->indexes.p[i];
        if (x->table == table && x->ncols == ncols &&
            memcmp(x->cols, cols, (size_t)ncols * sizeof(*cols)) == 0) {
            return i;
        }
    }
    weir_plan_index *x = WEIR_MEM_NEW(&an->m, weir_plan_index);
    x->table = table;
    x->ncols = ncols;
    x->cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)ncols + 1);
    memcpy(x->cols, cols, (size_t)ncols * sizeof(*cols));
    weir_ptrs_push(&an->m, &an->indexes, x);
    return an->indexes.n - 1;
}

/* One pair per column to look up by: sought = known. */
typedef struct pair {
    int sought;   /* column of the table looked up */
    int occ, col; /* where the value comes from */
    int eq;       /* which equality it is */
} pair;

static int by_sought(const void *a, const void *b)
{
    const pair *x = a;
    const pair *y = b;
    return x->sought != y->sought ? x->sought - y->sought : x->eq - y->eq;
}

static int find_pair(const pair *v, int n, int sought)
{
    for (int i = 0; i < n; i++) {
        if (v[i].sought == sought) {
            return i;
        }
    }
    return -1;
}

/* Keeps the first pair per column; when all columns of the row key are among them keeps just these,
 * in the key's order. Returns the index, or WEIR_BY_ROWKEY. */
static int choose(weir_an *an, const weir_an_table *t, int table, pair *v, int *n)
{
    qsort(v, (size_t)*n, sizeof(*v), by_sought);
    int kept = 0;
    for (int i = 0; i < *n; i++) {
        if (i == 0 || v[i].sought != v[i - 1].sought) {
            v[kept++] = v[i];
        }
    }
    *n = kept;
    const weir_cat_index *key = &t->cat->indexes[t->key_index];
    pair *k = WEIR_MEM_ARRAY(&an->m, pair, (size_t)key->ncols + 1);
    bool all = true;
    for (int i = 0; i < key->ncols && all; i++) {
        int at = find_pair(v, kept, key->cols[i]);
        all = at >= 0;
        if (all) {
            k[i] = v[at];
        }
    }
    if (all) {
        memcpy(v, k, (size_t)key->ncols * sizeof(*k));
        *n = key->ncols;
        return WEIR_BY_ROWKEY;
    }
    int *cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)kept + 1);
    for (int i = 0; i < kept; i++) {
        cols[i] = v[i].sought;
    }
    return weir_an_index(an, table, cols, kept);
}

static void drop(weir_ptrs *v, const void *p)
{
    int kept = 0;
    for (int i = 0; i < v->n; i++) {
        if (v->p[i] != p) {
            v->p[kept++] = v->p[i];
        }
    }
    v->n = kept;
}

/* The equalities that the lookup guarantees are no filters any more; the others stay. */
static void set_access(weir_an *an, weir_an_occ *o)
{
    pair *v = WEIR_MEM_ARRAY(&an->m, pair, (size_t)o->neqs + 1);
    int n = o->neqs;
    for (int i = 0; i < n; i++) {
        const weir_an_eq *q = &o->eqs[i];
        v[i] = (pair){.sought = q->my_col, .occ = q->occ, .col = q->col, .eq = i};
    }
    o->o.access = choose(an, o->table, o->table_index, v, &n);
    o->o.nfrom = n;
    o->o.from = WEIR_MEM_ARRAY(&an->m, weir_colref, (size_t)n + 1);
    weir_ptrs *pool = o->o.join == WEIR_JOIN_LEFT ? &o->on : &o->block->where;
    for (int i = 0; i < n; i++) {
        o->o.from[i] = (weir_colref){.occ = v[i].occ, .col = v[i].col};
        drop(pool, o->eqs[v[i].eq].expr);
    }
}

/* How good occurrence p is as the way towards the root: many columns, then the block's own and the
 * latest bound. */
static int score(const weir_an_occ *o, int p)
{
    int ncols = 0;
    for (int i = 0; i < o->neqs; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++) {
            seen |= o->eqs[k].occ == p && o->eqs[k].col == o->eqs[i].col;
        }
        ncols += o->eqs[i].occ == p && !seen;
    }
    return ncols;
}

static int choose_parent(const weir_an *an, const weir_an_occ *o)
{
    int best = -1;
    int best_score = 0;
    for (int i = 0; i < an->occs.n; i++) {
        int s = score(o, i) * 4;
        if (s == 0) {
            continue;
        }
        s += weir_an_occ_at(an, i)->block == o->block ? 2 : 0;
        s += i != an->root ? 1 : 0;
        if (s > best_score) {
            best = i;
            best_score = s;
        }
    }
    return best;
}

static void set_up(weir_an *an, weir_an_occ *o)
{
    o->o.up = choose_parent(an, o);
    const weir_an_occ *p = weir_an_occ_at(an, o->o.up);
    pair *v = WEIR_MEM_ARRAY(&an->m, pair, (size_t)o->neqs + 1);
    int n = 0;
    for (int i = 0; i < o->neqs; i++) {
        if (o->eqs[i].occ == o->o.up) {
            v[n++] =
                (pair){.sought = o->eqs[i].col, .occ = o->index, .col = o->eqs[i].my_col, .eq = i};
        }
    }
    o->o.up_index = choose(an, p->table, p->table_index, v, &n);
    o->o.nup = n;
    o->o.my_cols = WEIR_MEM_ARRAY(&an->m, int, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        o->o.my_cols[i] = v[i].col;
    }
}

void weir_an_edge(weir_an *an, weir_an_occ *o)
{
    set_access(an, o);
    set_up(an, o);
}
