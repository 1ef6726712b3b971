/* fingerprint.c - one number for everything that decides documents and state; names of aliases and
 * places are not in it. */
#include "libweir/base/hash.h"
#include "projector/sql/compile.h"

enum { FINGERPRINT_BYTES_MAX = 64 << 20 };

static void put_int(weir_buf *b, int64_t v)
{
    weir_buf_u64(b, (uint64_t)v);
}

static void put_text(weir_buf *b, weir_slice s)
{
    put_int(b, (int64_t)s.n);
    weir_buf_puts(b, s);
}

static void put_ints(weir_buf *b, const int *v, int n)
{
    put_int(b, n);
    for (int i = 0; i < n; i++) {
        put_int(b, v[i]);
    }
}

static void put_type(weir_buf *b, weir_type t)
{
    put_int(b, t.ty);
    put_int(b, t.elem);
    put_int(b, t.typmod);
    put_int(b, t.c_order);
}

static void put_expr(weir_buf *b, const weir_expr *e)
{
    if (!e) {
        put_int(b, -1);
        return;
    }
    put_int(b, e->op);
    put_type(b, e->type);
    if (e->op == WEIR_OP_COL) {
        put_int(b, e->occ);
        put_int(b, e->col);
    }
    put_int(b, e->agg);
    put_int(b, e->block);
    put_int(b, e->null);
    put_text(b, e->text);
    put_int(b, e->nargs);
    for (int i = 0; i < e->nargs; i++) {
        if (e->op == WEIR_OP_JSONB_OBJECT) {
            put_text(b, e->keys[i]);
        }
        put_expr(b, e->args[i]);
    }
}

static void put_tables(weir_buf *b, const weir_plan *p)
{
    for (int i = 0; i < p->ntables; i++) {
        const weir_plan_table *t = &p->tables[i];
        put_text(b, t->schema);
        put_text(b, t->name);
        put_int(b, (int64_t)t->oid); /* a table made anew under the name is another one */
        put_int(b, t->ncols);
        for (int c = 0; c < t->ncols; c++) {
            put_text(b, t->cols[c].name);
            put_type(b, t->cols[c].type);
        }
        put_ints(b, t->key, t->nkey);
    }
    for (int i = 0; i < p->nindexes; i++) {
        put_int(b, p->indexes[i].table);
        put_ints(b, p->indexes[i].cols, p->indexes[i].ncols);
    }
}

static void put_occs(weir_buf *b, const weir_plan *p)
{
    for (int i = 0; i < p->nocc; i++) {
        const weir_occ *o = &p->occs[i];
        put_int(b, o->table);
        put_int(b, o->block);
        put_int(b, o->join);
        put_int(b, o->access);
        put_int(b, o->nfrom);
        for (int k = 0; k < o->nfrom; k++) {
            put_int(b, o->from[k].occ);
            put_int(b, o->from[k].col);
        }
        put_expr(b, o->on);
        put_int(b, o->up);
        put_int(b, o->up_index);
        put_ints(b, o->my_cols, o->nup);
        put_int(b, o->unique);
    }
}

static void put_agg(weir_buf *b, const weir_agg *g)
{
    put_int(b, g->kind);
    put_type(b, g->type);
    put_int(b, g->distinct);
    put_expr(b, g->arg);
    put_expr(b, g->filter);
    put_text(b, g->delim);
    put_int(b, g->nsort);
    for (int i = 0; i < g->nsort; i++) {
        put_expr(b, g->sort[i].expr);
        put_int(b, g->sort[i].desc);
        put_int(b, g->sort[i].nulls_first);
    }
}

static void put_blocks(weir_buf *b, const weir_plan *p)
{
    for (int i = 0; i < p->nblocks; i++) {
        const weir_block *k = &p->blocks[i];
        put_int(b, k->parent);
        put_ints(b, k->occs, k->nocc);
        put_expr(b, k->where);
        put_int(b, k->naggs);
        for (int g = 0; g < k->naggs; g++) {
            put_agg(b, &k->aggs[g]);
        }
        put_int(b, k->grouped);
        put_expr(b, k->having);
        put_expr(b, k->value);
    }
}

uint64_t weir_plan_fingerprint(const weir_plan *p)
{
    weir_buf b;
    weir_buf_init(&b, FINGERPRINT_BYTES_MAX);
    put_int(&b, 2); /* version of this form and of the engine's rendering rules */
    put_text(&b, p->model);
    put_tables(&b, p);
    put_occs(&b, p);
    put_blocks(&b, p);
    for (int i = 0; i < p->noutputs; i++) {
        put_text(&b, p->outputs[i].name);
        put_expr(&b, p->outputs[i].expr);
    }
    put_int(&b, p->root);
    put_ints(&b, p->key_cols, p->nkey);
    for (int i = 0; i < p->nkey; i++) {
        put_text(&b, p->key_names[i]);
    }
    put_int(&b, p->key_index);
    uint64_t h = weir_hash64(weir_buf_slice(&b));
    weir_buf_fini(&b);
    return h;
}
