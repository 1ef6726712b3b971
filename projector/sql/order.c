/* order.c - makes the order of jsonb_agg and string_agg total, in the plan and in the SQL that
 * PostgreSQL is asked.
 *
 * A tuple of the block is known once every table's row is: a table's row is known when the known
 * columns hold a unique key of it. Known are: everything outside the block, columns compared with
 * constants, sort columns, and what an equality makes equal to a known column. Where that is not
 * enough the row keys of the unknown tables are added as last sort columns.
 */
#include "projector/sql/analyze.h"

typedef struct known {
    weir_an *an;
    weir_an_block *b;
    bool **col; /* by occurrence of the whole model, by catalog column */
    bool *row;
} known;

static void know_row(known *k, const weir_an_occ *o)
{
    k->row[o->index] = true;
    for (int c = 0; c < o->table->cat->ncols; c++) {
        k->col[o->index][c] = true;
    }
}

static bool learn(known *k, int occ, int col)
{
    bool was = k->col[occ][col];
    k->col[occ][col] = true;
    return !was;
}

/* From col = col and col = constant; those of an outer join hold for its own table only. */
static bool learn_from(known *k, const weir_expr *e, int only)
{
    if (e->op != WEIR_OP_EQ) {
        return false;
    }
    bool news = false;
    for (int side = 0; side < 2; side++) {
        const weir_expr *x = e->args[side];
        const weir_expr *y = e->args[1 - side];
        if (x->op != WEIR_OP_COL || (only >= 0 && x->occ != only)) {
            continue;
        }
        bool given = y->op == WEIR_OP_CONST || (y->op == WEIR_OP_COL && k->col[y->occ][y->col]);
        news |= given && learn(k, x->occ, x->col);
    }
    return news;
}

static bool learn_eqs(known *k, const weir_an_occ *o)
{
    bool news = false;
    int only = o->o.join == WEIR_JOIN_LEFT ? o->index : -1;
    for (int i = 0; i < o->neqs; i++) {
        news |= learn_from(k, o->eqs[i].expr, only);
    }
    for (int i = 0; i < o->on.n; i++) {
        news |= learn_from(k, o->on.p[i], only);
    }
    return news;
}

static bool row_known(const known *k, const weir_an_occ *o)
{
    const weir_cat_table *t = o->table->cat;
    int *cols = WEIR_MEM_ARRAY(&k->an->m, int, (size_t)t->ncols + 1);
    int n = 0;
    for (int c = 0; c < t->ncols; c++) {
        /* a unique key that may hold NULLs is no key for sorting */
        if (k->col[o->index][c] && t->cols[c].not_null) {
            cols[n++] = c;
        }
    }
    return weir_an_covers_unique(t, cols, n);
}

static void close_over(known *k)
{
    bool news = true;
    while (news) {
        news = false;
        for (int i = 0; i < k->b->where.n; i++) {
            news |= learn_from(k, k->b->where.p[i], -1);
        }
        for (int i = 0; i < k->b->occs.n; i++) {
            const weir_an_occ *o = k->b->occs.p[i];
            news |= learn_eqs(k, o);
            if (!k->row[o->index] && row_known(k, o)) {
                know_row(k, o);
                news = true;
            }
        }
    }
}

static known known_of(weir_an *an, weir_an_block *b)
{
    known k = {.an = an, .b = b};
    k.row = WEIR_MEM_ARRAY(&an->m, bool, (size_t)an->occs.n + 1);
    k.col = WEIR_MEM_ARRAY(&an->m, bool *, (size_t)an->occs.n + 1);
    for (int i = 0; i < an->occs.n; i++) {
        const weir_an_occ *o = weir_an_occ_at(an, i);
        k.col[i] = WEIR_MEM_ARRAY(&an->m, bool, (size_t)o->table->cat->ncols + 1);
        if (o->block != b || i == an->root) {
            know_row(&k, o);
        }
    }
    return k;
}

/* --- completing one aggregate
 * ---------------------------------------------------------------------------------------- */

static const char *quoted(weir_an *an, weir_slice name)
{
    char *p = WEIR_MEM_ARRAY(&an->m, char, 2 * name.n + 3);
    size_t n = 0;
    p[n++] = '"';
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '"') {
            p[n++] = '"';
        }
        p[n++] = name.p[i];
    }
    p[n] = '"';
    return p;
}

static void add_sort(weir_an *an, weir_an_block *b, weir_an_agg *g, const weir_an_occ *o, int col)
{
    weir_expr *e = weir_an_column_ref(an, b, o->index, col, g->location);
    if (!e) {
        return;
    }
    if (e->type.ty == WEIR_TY_ENUM) { /* any total order will do; the labels' own is not known */
        e = weir_an_to_text(an, e, g->location);
    }
    if (!weir_ty_has_order(e->type.ty)) {
        (void)weir_an_refuse(an, g->location,
                             "ORDER BY columns that are unique and of a plain type",
                             "the order may tie, and key column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT
                             " cannot break ties",
                             WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(weir_an_col(o, col)->name));
        return;
    }
    e->type.c_order = true; /* ties are broken by bytes, on both sides */
    weir_sort *v = WEIR_MEM_ARRAY(&an->m, weir_sort, (size_t)g->agg.nsort + 1);
    memcpy(v, g->agg.sort, (size_t)g->agg.nsort * sizeof(*v));
    v[g->agg.nsort] = (weir_sort){.expr = e};
    g->agg.sort = v;
    g->agg.nsort++;
}

static const char *sort_text(weir_an *an, const weir_an_occ *o, int col)
{
    const weir_cat_col *c = weir_an_col(o, col);
    bool bytes = weir_ty_is_text(c->type.ty) || c->type.ty == WEIR_TY_ENUM;
    return weir_mem_printf(&an->m, "%s.%s%s%s", quoted(an, o->o.alias), quoted(an, c->name),
                           c->type.ty == WEIR_TY_ENUM ? "::text" : "",
                           bytes ? " COLLATE \"C\"" : "");
}

/* The parenthesis that closes the call whose name starts at offset at. */
static int closing(const weir_an *an, int at)
{
    int depth = 0;
    for (int i = 0; i < an->toks.n; i++) {
        if (an->toks.t[i].comment || an->toks.t[i].start < at) {
            continue;
        }
        if (weir_tok_is(&an->toks, i, "(")) {
            depth++;
        } else if (weir_tok_is(&an->toks, i, ")") && --depth == 0) {
            return an->toks.t[i].start;
        }
    }
    return -1;
}

static void say_completed(weir_an *an, const weir_an_agg *g, const char *cols)
{
    const char *name = g->agg.kind == WEIR_AGG_JSONB ? "jsonb_agg" : "string_agg";
    const char *hint = weir_mem_printf(
        &an->m, g->has_order ? "add it: ORDER BY …, %s" : "say it: ORDER BY %s", cols);
    weir_diag_add(an->ds, true, g->location + an->src->select_offset, hint,
                  g->has_order ? "the order of %s may tie; ties are ordered by %s"
                               : "%s has no ORDER BY; its elements are ordered by %s",
                  name, cols);
}

static void complete(weir_an *an, weir_an_block *b, weir_an_agg *g)
{
    known k = known_of(an, b);
    for (int i = 0; i < g->agg.nsort; i++) {
        const weir_expr *e = g->agg.sort[i].expr;
        if (e->op == WEIR_OP_COL) {
            learn(&k, e->occ, e->col);
        }
    }
    close_over(&k);
    const char *text = "";
    for (int i = 0; i < b->bound.n; i++) {
        const weir_an_occ *o = b->bound.p[i];
        if (k.row[o->index]) {
            continue;
        }
        const weir_cat_index *key = &o->table->cat->indexes[o->table->key_index];
        for (int c = 0; c < key->ncols; c++) {
            if (!k.col[o->index][key->cols[c]]) {
                add_sort(an, b, g, o, key->cols[c]);
                text = weir_mem_printf(&an->m, "%s%s%s", text, *text ? ", " : "",
                                       sort_text(an, o, key->cols[c]));
            }
        }
        know_row(&k, o);
        close_over(&k);
    }
    if (*text) {
        say_completed(an, g, text);
        weir_an_insert *ins = WEIR_MEM_NEW(&an->m, weir_an_insert);
        ins->at = closing(an, g->location);
        ins->text = weir_mem_printf(&an->m, "%s%s", g->has_order ? ", " : " ORDER BY ", text);
        weir_ptrs_push(&an->m, &an->inserts, ins);
    }
}

void weir_an_order(weir_an *an, weir_an_block *b)
{
    b->clause = WEIR_AN_WHERE; /* what is added here is no output */
    for (int i = 0; i < b->aggs.n; i++) {
        weir_an_agg *g = b->aggs.p[i];
        if (g->agg.kind == WEIR_AGG_JSONB || g->agg.kind == WEIR_AGG_STRING) {
            complete(an, b, g);
        }
    }
}

weir_slice weir_an_oracle_sql(weir_an *an)
{
    weir_slice sql = an->src->select;
    size_t extra = 0;
    for (int i = 0; i < an->inserts.n; i++) {
        extra += strlen(((const weir_an_insert *)an->inserts.p[i])->text);
    }
    char *p = WEIR_MEM_ARRAY(&an->m, char, sql.n + extra + 1);
    size_t n = 0;
    for (size_t i = 0; i < sql.n; i++) {
        for (int k = 0; k < an->inserts.n; k++) {
            const weir_an_insert *ins = an->inserts.p[k];
            if (ins->at == (int)i) {
                memcpy(p + n, ins->text, strlen(ins->text));
                n += strlen(ins->text);
            }
        }
        p[n++] = sql.p[i];
    }
    return weir_slice_of(p, n);
}
