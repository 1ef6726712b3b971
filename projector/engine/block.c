/* block.c - nested loops over the table occurrences of one block. */
#include "projector/engine/block.h"

#include "projector/engine/row.h"

typedef struct loop {
    const weir_block *b;
    weir_block_fn *fn;
    void *arg;
} loop;

static weir_rc damaged(weir_error *err)
{
    return weir_fail(err, WEIR_E_SYS, 0, "a stored row is damaged");
}

weir_rc weir_block_bind(weir_render *r, int occ, weir_slice row, weir_error *err)
{
    const weir_bound *m = r->m;
    int table = m->plan->occs[occ].table;
    weir_tuple *t = &m->rows[occ];
    if (!weir_row_pick(row, m->to_plan[table], (size_t)m->nto[table], t->v, t->n)) {
        return damaged(err);
    }
    for (int i = 0; i < t->n; i++) {
        if (t->v[i].kind == WEIR_VAL_UNCHANGED) {
            const weir_plan_table *p = &m->plan->tables[table];
            return weir_fail(
                err, WEIR_E_INPUT, 0,
                "column %.*s.%.*s of a row never came with the stream; rebuild the model",
                WEIR_SLICE_ARG(p->name), WEIR_SLICE_ARG(p->cols[i].name));
        }
    }
    r->rows[occ] = t;
    return WEIR_OK;
}

/* The recursion below is as deep as the block has table occurrences, sub-selects included: bounded
 * by the plan. NOLINTBEGIN(misc-no-recursion) */
static weir_rc bind_from(weir_render *r, const loop *l, int at, weir_error *err);

/* The access condition's values. WEIR_E_NOTFOUND: one is NULL, nothing can match. */
static weir_rc access_key(weir_render *r, const weir_occ *o, weir_key *k, weir_error *err)
{
    weir_ty types[WEIR_KEY_COLS_MAX];
    weir_val vals[WEIR_KEY_COLS_MAX];
    const weir_plan *p = r->m->plan;
    if (o->nfrom > WEIR_KEY_COLS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "a join has too many columns");
    }
    for (int i = 0; i < o->nfrom; i++) {
        const weir_tuple *t = r->rows[o->from[i].occ];
        if (!t) {
            return WEIR_E_NOTFOUND;
        }
        vals[i] = t->v[o->from[i].col];
        types[i] = p->tables[p->occs[o->from[i].occ].table].cols[o->from[i].col].type.ty;
    }
    return weir_key_make(k, (size_t)o->nfrom, types, vals, err);
}

/* Occurrence number `at` of the block is bound: its ON, then the next one. *matched when ON held.
 */
static weir_rc bound_one(weir_render *r, const loop *l, int at, bool *matched, weir_error *err)
{
    const weir_occ *o = &r->m->plan->occs[l->b->occs[at]];
    bool ok = true;
    if (o->on) {
        weir_rc rc = weir_expr_true(&r->ev, o->on, &ok, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    if (!ok) {
        return WEIR_OK;
    }
    *matched = true;
    return bind_from(r, l, at + 1, err);
}

static weir_rc by_rowkey(weir_render *r, const loop *l, int at, weir_slice rowkey, bool *matched,
                         weir_error *err)
{
    int occ = l->b->occs[at];
    weir_slice row;
    weir_rc rc =
        weir_state_row_get(r->st, r->m->tables[r->m->plan->occs[occ].table], rowkey, &row, err);
    if (rc == WEIR_E_NOTFOUND) {
        return WEIR_OK;
    }
    if (rc == WEIR_OK) {
        rc = weir_block_bind(r, occ, row, err);
    }
    return rc == WEIR_OK ? bound_one(r, l, at, matched, err) : rc;
}

static weir_rc by_index(weir_render *r, const loop *l, int at, const weir_key *k, bool *matched,
                        weir_error *err)
{
    const weir_occ *o = &r->m->plan->occs[l->b->occs[at]];
    char buf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice prefix =
        weir_idkey(buf, r->m->indexes[o->access]->id, weir_key_slice(k), (weir_slice){NULL, 0});
    weir_rc rc = weir_scan_start(r->st, &s, WEIR_DB_IDX, prefix, (weir_slice){NULL, 0}, err);
    while (rc == WEIR_OK) {
        weir_slice rowkey;
        weir_slice none;
        rc = weir_scan_next(&s, &rowkey, &none, err);
        if (rc == WEIR_E_EOF) {
            rc = WEIR_OK;
            break;
        }
        if (rc == WEIR_OK) {
            rc = by_rowkey(r, l, at, rowkey, matched, err);
        }
    }
    weir_scan_end(r->st, &s);
    return rc;
}

static weir_rc bind_from(weir_render *r, const loop *l, int at, weir_error *err)
{
    if (at == l->b->nocc) {
        bool pass = true;
        if (l->b->where) {
            weir_rc rc = weir_expr_true(&r->ev, l->b->where, &pass, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
        return pass ? l->fn(r, l->b, l->arg, err) : WEIR_OK;
    }
    int occ = l->b->occs[at];
    const weir_occ *o = &r->m->plan->occs[occ];
    bool matched = false;
    weir_key k;
    k.n = 0;
    weir_rc rc = access_key(r, o, &k, err);
    if (rc == WEIR_OK) {
        rc = o->access == WEIR_BY_ROWKEY ? by_rowkey(r, l, at, weir_key_slice(&k), &matched, err)
                                         : by_index(r, l, at, &k, &matched, err);
    } else if (rc == WEIR_E_NOTFOUND) {
        rc = WEIR_OK;
    }
    if (rc == WEIR_OK && !matched && o->join == WEIR_JOIN_LEFT) {
        r->rows[occ] = NULL;
        rc = bind_from(r, l, at + 1, err);
    }
    return rc;
}

/* NOLINTEND(misc-no-recursion) */

weir_rc weir_block_run(weir_render *r, const weir_block *b, int first, weir_block_fn *fn, void *arg,
                       weir_error *err)
{
    loop l = {b, fn, arg};
    weir_rc rc = bind_from(r, &l, first, err);
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

/* --- aggregates
 * --------------------------------------------------------------------------------------- */

typedef struct agg_run {
    weir_acc **accs;
    weir_block_group *g;
} agg_run;

static weir_rc agg_step(weir_render *r, const weir_block *b, void *arg, weir_error *err)
{
    agg_run *run = arg;
    if (run->g->tuples++ == 0 && run->g->on_first) {
        weir_rc rc = run->g->on_first(r, b, run->g->arg, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    for (int i = 0; i < b->naggs; i++) {
        weir_rc rc = weir_acc_step(run->accs[i], &r->ev, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc too_large(weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0,
                     "the document needs more memory than its ceiling allows");
}

weir_rc weir_block_aggregate(weir_render *r, weir_block_group *g, weir_error *err)
{
    const weir_block *b = g->b;
    size_t n = (size_t)b->naggs;
    agg_run run = {WEIR_ARENA_ARRAY(r->a, weir_acc *, n), g};
    g->aggs = WEIR_ARENA_ARRAY(r->a, weir_value, n);
    g->tuples = 0;
    if (!run.accs || !g->aggs) {
        return too_large(err);
    }
    for (size_t i = 0; i < n; i++) {
        run.accs[i] = weir_acc_new(&b->aggs[i], r->a);
        if (!run.accs[i]) {
            return too_large(err);
        }
    }
    weir_rc rc = weir_block_run(r, b, g->first, agg_step, &run, err);
    for (size_t i = 0; i < n && rc == WEIR_OK; i++) {
        rc = weir_acc_finish(run.accs[i], &r->ev, &g->aggs[i], err);
    }
    return rc;
}

/* --- sub-selects
 * --------------------------------------------------------------------------------------- */

static weir_rc found(weir_render *r, const weir_block *b, void *arg, weir_error *err)
{
    (void)r;
    (void)b;
    (void)err;
    *(bool *)arg = true;
    return WEIR_E_EOF;
}

typedef struct scalar_run {
    size_t n;
    weir_value v;
} scalar_run;

/* A text that still lies in the state is fine: nothing is written until the document is done. But
 * the value's row storage is bound anew by the next tuple, and the texts it points to stay where
 * they are. */
static weir_rc scalar_row(weir_render *r, const weir_block *b, void *arg, weir_error *err)
{
    scalar_run *run = arg;
    if (run->n++ > 0) {
        weir_rc rc = weir_fail(err, WEIR_E_INPUT, 0,
                               "more than one row returned by a subquery used as an expression");
        memcpy(err->sqlstate, "21000", 6);
        return rc;
    }
    return weir_expr_eval(&r->ev, b->value, &run->v, err);
}

static weir_rc aggregated(weir_render *r, const weir_block *b, bool exists, weir_value *out,
                          weir_error *err)
{
    weir_block_group g = {.b = b};
    const weir_value *outer = r->ev.aggs;
    weir_rc rc = weir_block_aggregate(r, &g, err);
    if (rc != WEIR_OK) {
        r->ev.aggs = outer;
        return rc;
    }
    bool pass = !(b->grouped && g.tuples == 0);
    r->ev.aggs = g.aggs;
    if (pass && b->having) {
        rc = weir_expr_true(&r->ev, b->having, &pass, err);
    }
    if (rc == WEIR_OK && exists) {
        *out = (weir_value){.form = WEIR_FORM_BOOL, .i = pass};
    } else if (rc == WEIR_OK && pass) {
        rc = weir_expr_eval(&r->ev, b->value, out, err);
    }
    r->ev.aggs = outer;
    return rc;
}

weir_rc weir_block_sub(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_render *r = ev->env;
    const weir_block *b = &r->m->plan->blocks[e->block];
    bool exists = e->op == WEIR_OP_EXISTS;
    *out = (weir_value){.form = WEIR_FORM_NULL};
    if (b->naggs > 0) {
        return aggregated(r, b, exists, out, err);
    }
    if (exists) {
        bool yes = false;
        weir_rc rc = weir_block_run(r, b, 0, found, &yes, err);
        *out = (weir_value){.form = WEIR_FORM_BOOL, .i = yes};
        return rc;
    }
    scalar_run run = {0};
    run.v.form = WEIR_FORM_NULL;
    weir_rc rc = weir_block_run(r, b, 0, scalar_row, &run, err);
    *out = run.v;
    return rc;
}
