/* compile.c - from a model's source to the plan: runs the passes, numbers what the plan keeps. */
#include "projector/sql/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/sql/analyze.h"

bool weir_an_refuse(weir_an *an, int location, const char *hint, const char *fmt, ...)
{
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    int at = location == -1 ? -1 : location + an->src->select_offset;
    weir_diag_add(an->ds, false, at, hint, "%s", text);
    return false;
}

/* --- columns: only what is used stays, in the table's order
 * ---------------------------------------------------------- */

static void need(weir_an *an, int occ, int col)
{
    weir_an_occ_at(an, occ)->table->need[col] = true;
}

static void mark_needed(weir_an *an)
{
    for (int i = 0; i < an->cols.n; i++) {
        const weir_expr *e = an->cols.p[i];
        need(an, e->occ, e->col);
    }
    for (int i = 0; i < an->tables.n; i++) {
        weir_an_table *t = an->tables.p[i];
        const weir_cat_index *key = &t->cat->indexes[t->key_index];
        for (int k = 0; k < key->ncols; k++) {
            t->need[key->cols[k]] = true;
        }
    }
    for (int i = 0; i < an->indexes.n; i++) {
        const weir_plan_index *x = an->indexes.p[i];
        weir_an_table *t = an->tables.p[x->table];
        for (int k = 0; k < x->ncols; k++) {
            t->need[x->cols[k]] = true;
        }
    }
    for (int i = 0; i < an->occs.n; i++) {
        const weir_occ *o = &weir_an_occ_at(an, i)->o;
        for (int k = 0; k < o->nfrom; k++) {
            need(an, o->from[k].occ, o->from[k].col);
        }
        for (int k = 0; k < o->nup; k++) {
            need(an, i, o->my_cols[k]);
        }
    }
    for (int i = 0; i < an->nkey; i++) {
        need(an, an->root, an->key_cols[i]);
    }
}

static int renumber(const weir_an *an, int occ, int col)
{
    return weir_an_occ_at(an, occ)->table->renumber[col];
}

static void renumber_all(weir_an *an)
{
    for (int i = 0; i < an->cols.n; i++) {
        weir_expr *e = an->cols.p[i];
        e->col = renumber(an, e->occ, e->col);
    }
    for (int i = 0; i < an->indexes.n; i++) {
        weir_plan_index *x = an->indexes.p[i];
        const weir_an_table *t = an->tables.p[x->table];
        for (int k = 0; k < x->ncols; k++) {
            x->cols[k] = t->renumber[x->cols[k]];
        }
    }
    for (int i = 0; i < an->occs.n; i++) {
        weir_occ *o = &weir_an_occ_at(an, i)->o;
        for (int k = 0; k < o->nfrom; k++) {
            o->from[k].col = renumber(an, o->from[k].occ, o->from[k].col);
        }
        for (int k = 0; k < o->nup; k++) {
            o->my_cols[k] = renumber(an, i, o->my_cols[k]);
        }
    }
    for (int i = 0; i < an->nkey; i++) {
        an->key_cols[i] = renumber(an, an->root, an->key_cols[i]);
    }
}

static weir_plan_table table_of(weir_an *an, weir_an_table *t)
{
    const weir_cat_index *key = &t->cat->indexes[t->key_index];
    weir_plan_table p = {
        .schema = weir_mem_dup(&an->m, t->cat->schema),
        .name = weir_mem_dup(&an->m, t->cat->name),
        .oid = t->cat->oid,
        .cols = WEIR_MEM_ARRAY(&an->m, weir_plan_col, (size_t)t->cat->ncols + 1),
        .nkey = key->ncols,
        .key = WEIR_MEM_ARRAY(&an->m, int, (size_t)key->ncols + 1),
    };
    for (int c = 0; c < t->cat->ncols; c++) {
        if (t->need[c]) {
            const weir_cat_col *col = &t->cat->cols[c];
            t->renumber[c] = p.ncols;
            p.cols[p.ncols++] = (weir_plan_col){.name = weir_mem_dup(&an->m, col->name),
                                                .type = col->type,
                                                .not_null = col->not_null};
        }
    }
    for (int k = 0; k < key->ncols; k++) {
        p.key[k] = t->renumber[key->cols[k]];
    }
    return p;
}

/* --- the plan
 * --------------------------------------------------------------------------------------------------------
 */

static weir_block block_of(weir_an *an, weir_an_block *b)
{
    weir_block p = {
        .parent = b->parent ? b->parent->index : -1,
        .nocc = b->bound.n,
        .occs = WEIR_MEM_ARRAY(&an->m, int, (size_t)b->bound.n + 1),
        .where = weir_an_conjunction(an, &b->where),
        .naggs = b->aggs.n,
        .aggs = WEIR_MEM_ARRAY(&an->m, weir_agg, (size_t)b->aggs.n + 1),
        .grouped = b->grouped,
        .having = b->having,
        .value = b->value,
    };
    for (int i = 0; i < b->bound.n; i++) {
        p.occs[i] = ((const weir_an_occ *)b->bound.p[i])->index;
    }
    for (int i = 0; i < b->aggs.n; i++) {
        p.aggs[i] = ((const weir_an_agg *)b->aggs.p[i])->agg;
    }
    return p;
}

static int by_name(const void *a, const void *b)
{
    const weir_output *x = a;
    const weir_output *y = b;
    if (x->name.n != y->name.n) {
        return x->name.n < y->name.n ? -1 : 1;
    }
    return weir_slice_cmp(x->name, y->name);
}

/* BY_ROWKEY only in the key's own order; otherwise an index in @key order. */
static int key_index_of(weir_an *an)
{
    const weir_an_occ *root = weir_an_occ_at(an, an->root);
    const weir_cat_index *key = &root->table->cat->indexes[root->table->key_index];
    if (key->ncols == an->nkey &&
        memcmp(key->cols, an->key_cols, (size_t)an->nkey * sizeof(*key->cols)) == 0) {
        return WEIR_BY_ROWKEY;
    }
    return weir_an_index(an, root->table_index, an->key_cols, an->nkey);
}

static void fill_lists(weir_an *an, weir_plan *p)
{
    p->tables = WEIR_MEM_ARRAY(&an->m, weir_plan_table, (size_t)an->tables.n + 1);
    for (int i = 0; i < an->tables.n; i++) {
        p->tables[p->ntables++] = table_of(an, an->tables.p[i]);
    }
    renumber_all(an);
    p->indexes = WEIR_MEM_ARRAY(&an->m, weir_plan_index, (size_t)an->indexes.n + 1);
    for (int i = 0; i < an->indexes.n; i++) {
        p->indexes[p->nindexes++] = *(const weir_plan_index *)an->indexes.p[i];
    }
    p->occs = WEIR_MEM_ARRAY(&an->m, weir_occ, (size_t)an->occs.n + 1);
    for (int i = 0; i < an->occs.n; i++) {
        weir_an_occ *o = weir_an_occ_at(an, i);
        o->o.on = weir_an_conjunction(an, &o->on);
        p->occs[p->nocc++] = o->o;
    }
    p->blocks = WEIR_MEM_ARRAY(&an->m, weir_block, (size_t)an->blocks.n + 1);
    for (int i = 0; i < an->blocks.n; i++) {
        p->blocks[p->nblocks++] = block_of(an, an->blocks.p[i]);
    }
    p->outputs = WEIR_MEM_ARRAY(&an->m, weir_output, (size_t)an->outputs.n + 1);
    for (int i = 0; i < an->outputs.n; i++) {
        p->outputs[p->noutputs++] = *(const weir_output *)an->outputs.p[i];
    }
    qsort(p->outputs, (size_t)p->noutputs, sizeof(*p->outputs), by_name);
}

static weir_plan *finish(weir_an *an)
{
    weir_plan *p = WEIR_MEM_NEW(&an->m, weir_plan);
    p->model = weir_mem_dup(&an->m, an->src->name);
    p->sql = weir_mem_dup(&an->m, an->src->select);
    p->oracle_sql = weir_an_oracle_sql(an);
    p->root = an->root;
    p->key_index = key_index_of(an);
    mark_needed(an);
    fill_lists(an, p);
    p->nkey = an->nkey;
    p->key_cols = an->key_cols;
    p->key_names = WEIR_MEM_ARRAY(&an->m, weir_slice, (size_t)an->nkey + 1);
    for (int i = 0; i < an->nkey; i++) {
        p->key_names[i] = weir_mem_dup(&an->m, an->key_names[i]);
    }
    return p;
}

static void run(weir_an *an, weir_plan **out)
{
    weir_ast_select *s = NULL;
    if (weir_scan(an->src->select, &an->m, &an->toks, an->ds)) {
        s = weir_ast_parse(an->src->select, an->src->select_offset, &an->m, an->ds);
    }
    weir_an_block *b = s ? weir_an_block_new(an, NULL, WEIR_AN_ROOT, s->location) : NULL;
    if (b && weir_an_block_root(an, b, s) && an->fatal == WEIR_OK && an->ds->errors == 0) {
        *out = finish(an);
    }
}

weir_rc weir_plan_compile(const weir_model_src *src, weir_catalog *cat, weir_arena *a,
                          weir_plan **out, weir_diags *ds, weir_error *err)
{
    weir_an an = {.cat = cat, .src = src, .ds = ds, .err = err, .root = -1};
    weir_mem_init(&an.m, a);
    *out = NULL;
    int before = ds->errors;
    run(&an, out);
    weir_rc rc = WEIR_OK;
    if (an.fatal != WEIR_OK) {
        rc = an.fatal;
    } else if (ds->errors > before || !*out) {
        rc = weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "read model " WEIR_SLICE_FMT ": refused",
                       WEIR_SLICE_ARG(src->name));
        if (ds->errors == before) {
            weir_diag_add(ds, false, -1, NULL, "the model cannot be kept incrementally");
        }
    } else if (an.m.failed) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "read model " WEIR_SLICE_FMT ": too large to compile",
                       WEIR_SLICE_ARG(src->name));
    }
    if (rc != WEIR_OK) {
        *out = NULL;
    }
    weir_mem_fini(&an.m);
    return rc;
}
