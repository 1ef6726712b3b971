/* explain.c - a plan for people: class, key, kept tables, join indexes, edges, blocks. */
#include "projector/sql/compile.h"
#include "projector/sql/explain_expr.h"

static void put_cols(const weir_plan_table *t, const int *cols, int n, weir_buf *out)
{
    for (int i = 0; i < n; i++) {
        weir_buf_printf(out, "%s" WEIR_SLICE_FMT, i ? ", " : "",
                        WEIR_SLICE_ARG(t->cols[cols[i]].name));
    }
}

static void put_tables(const weir_plan *p, weir_buf *out)
{
    weir_buf_putz(out, "state\n");
    for (int i = 0; i < p->ntables; i++) {
        const weir_plan_table *t = &p->tables[i];
        weir_buf_printf(out, "  table " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " key (",
                        WEIR_SLICE_ARG(t->schema), WEIR_SLICE_ARG(t->name));
        put_cols(t, t->key, t->nkey, out);
        weir_buf_putz(out, ") keeps ");
        for (int c = 0; c < t->ncols; c++) {
            weir_buf_printf(out, "%s" WEIR_SLICE_FMT " %s", c ? ", " : "",
                            WEIR_SLICE_ARG(t->cols[c].name), weir_explain_type(t->cols[c].type));
        }
        weir_buf_putz(out, "\n");
    }
    for (int i = 0; i < p->nindexes; i++) {
        const weir_plan_table *t = &p->tables[p->indexes[i].table];
        weir_buf_printf(out, "  index %d on " WEIR_SLICE_FMT " (", i, WEIR_SLICE_ARG(t->name));
        put_cols(t, p->indexes[i].cols, p->indexes[i].ncols, out);
        weir_buf_putz(out, ")\n");
    }
}

static void put_way(int index, weir_buf *out)
{
    if (index == WEIR_BY_ROWKEY) {
        weir_buf_putz(out, "row key");
    } else {
        weir_buf_printf(out, "index %d", index);
    }
}

static void put_lookup(const weir_plan *p, const weir_occ *o, weir_buf *out)
{
    weir_buf_printf(out, ": %s by ", o->join == WEIR_JOIN_LEFT ? "left" : "inner");
    put_way(o->access, out);
    weir_buf_putz(out, " = (");
    for (int i = 0; i < o->nfrom; i++) {
        const weir_occ *f = &p->occs[o->from[i].occ];
        weir_buf_printf(out, "%s" WEIR_SLICE_FMT "." WEIR_SLICE_FMT, i ? ", " : "",
                        WEIR_SLICE_ARG(f->alias),
                        WEIR_SLICE_ARG(p->tables[f->table].cols[o->from[i].col].name));
    }
    weir_buf_printf(out, "), %s; a change walks to " WEIR_SLICE_FMT " by ",
                    o->unique ? "N:1" : "1:N", WEIR_SLICE_ARG(p->occs[o->up].alias));
    put_way(o->up_index, out);
    weir_buf_putz(out, " = (");
    put_cols(&p->tables[o->table], o->my_cols, o->nup, out);
    weir_buf_putz(out, ")");
}

static void put_occ(const weir_plan *p, const weir_block *b, const weir_occ *o, weir_buf *out)
{
    const weir_plan_table *t = &p->tables[o->table];
    weir_buf_printf(out, "  " WEIR_SLICE_FMT, WEIR_SLICE_ARG(o->alias));
    if (!weir_slice_eq(o->alias, t->name)) {
        weir_buf_printf(out, " (" WEIR_SLICE_FMT ")", WEIR_SLICE_ARG(t->name));
    }
    if (o->join == WEIR_JOIN_ROOT) {
        weir_buf_putz(out, ": root by ");
        put_way(p->key_index, out);
    } else {
        put_lookup(p, o, out);
    }
    if (o->on) {
        weir_buf_putz(out, " on ");
        weir_explain_expr(p, b, o->on, out);
    }
    weir_buf_putz(out, "\n");
}

static void put_block(const weir_plan *p, int index, weir_buf *out)
{
    const weir_block *b = &p->blocks[index];
    if (index == 0) {
        weir_buf_printf(out, "block 0%s\n", b->grouped ? " grouped by the key" : "");
    } else {
        const char *kind = !b->value ? "exists" : b->naggs ? "aggregates" : "value";
        weir_buf_printf(out, "block %d in block %d: %s\n", index, b->parent, kind);
    }
    for (int i = 0; i < b->nocc; i++) {
        put_occ(p, b, &p->occs[b->occs[i]], out);
    }
    if (b->where) {
        weir_buf_putz(out, "  where ");
        weir_explain_expr(p, b, b->where, out);
        weir_buf_putz(out, "\n");
    }
    if (b->having) {
        weir_buf_putz(out, "  having ");
        weir_explain_expr(p, b, b->having, out);
        weir_buf_putz(out, "\n");
    }
    if (b->value) {
        weir_buf_putz(out, "  gives ");
        weir_explain_expr(p, b, b->value, out);
        weir_buf_putz(out, "\n");
    }
}

void weir_plan_explain(const weir_plan *p, weir_buf *out)
{
    const weir_plan_table *root = &p->tables[p->occs[p->root].table];
    weir_buf_printf(out, "model " WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(p->model));
    weir_buf_putz(out, "class incremental: a change re-assembles the documents it can touch\nkey ");
    for (int i = 0; i < p->nkey; i++) {
        weir_buf_printf(out, "%s" WEIR_SLICE_FMT, i ? ", " : "", WEIR_SLICE_ARG(p->key_names[i]));
    }
    weir_buf_printf(out, " = " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " (", WEIR_SLICE_ARG(root->schema),
                    WEIR_SLICE_ARG(root->name));
    put_cols(root, p->key_cols, p->nkey, out);
    weir_buf_putz(out, ")\n");
    put_tables(p, out);
    for (int i = 0; i < p->nblocks; i++) {
        put_block(p, i, out);
    }
    weir_buf_putz(out, "outputs\n");
    for (int i = 0; i < p->noutputs; i++) {
        weir_buf_printf(out, "  " WEIR_SLICE_FMT " %s = ", WEIR_SLICE_ARG(p->outputs[i].name),
                        weir_explain_type(p->outputs[i].expr->type));
        weir_explain_expr(p, &p->blocks[0], p->outputs[i].expr, out);
        weir_buf_putz(out, "\n");
    }
}
