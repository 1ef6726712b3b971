/* scope.c - names to columns: aliases of this block, then of the blocks around it. */
#include "projector/sql/analyze.h"

static bool name_matches(const weir_an_occ *o, const weir_ast *x)
{
    if (x->nnames < 2) {
        return true;
    }
    if (x->nnames == 2) {
        return weir_slice_eq(o->o.alias, x->names[0]);
    }
    const weir_cat_table *t = o->table->cat;
    return weir_slice_eq(t->schema, x->names[0]) && weir_slice_eq(t->name, x->names[1]) &&
           weir_slice_eq(o->o.alias, t->name);
}

static int column_index(const weir_cat_table *t, weir_slice name)
{
    for (int i = 0; i < t->ncols; i++) {
        if (weir_slice_eq(t->cols[i].name, name)) {
            return i;
        }
    }
    return -1;
}

static bool merged_away(const weir_an_block *b, int occ, int col)
{
    for (int i = 0; i < b->merged.n; i++) {
        const weir_an_merged *g = b->merged.p[i];
        if (g->right_occ == occ && g->right_col == col) {
            return true;
        }
    }
    return false;
}

typedef struct found {
    int n; /* matches */
    int occ, col;
    bool alias; /* the qualifying alias was there */
} found;

static found find_in(const weir_an_block *b, const weir_ast *x)
{
    found f = {.occ = -1, .col = -1};
    weir_slice name = x->names[x->nnames - 1];
    int lo = b->clause == WEIR_AN_ON ? b->lo : 0;
    int hi = b->clause == WEIR_AN_ON ? b->hi : b->occs.n;
    for (int i = lo; i < hi; i++) {
        const weir_an_occ *o = b->occs.p[i];
        if (!name_matches(o, x)) {
            continue;
        }
        f.alias = x->nnames > 1;
        int col = column_index(o->table->cat, name);
        if (col < 0 || (x->nnames == 1 && merged_away(b, o->index, col))) {
            continue;
        }
        f.n++;
        f.occ = o->index;
        f.col = col;
    }
    return f;
}

/* Who sees this column: the block it belongs to, and the aggregates being read in the blocks
 * between. */
static void note_use(weir_an *an, weir_an_block *from, int occ, int col, int location)
{
    weir_an_block *home = weir_an_occ_at(an, occ)->block;
    for (weir_an_block *b = from; b; b = b->parent) {
        if (b->in_agg) {
            b->agg_own += b == home;
            b->agg_outer += b != home;
        }
        if (b == home) {
            break;
        }
    }
    bool outside =
        !home->in_agg && (home->clause == WEIR_AN_OUTPUT || home->clause == WEIR_AN_HAVING);
    if (outside) {
        weir_an_bare *bare = WEIR_MEM_NEW(&an->m, weir_an_bare);
        *bare = (weir_an_bare){.occ = occ, .col = col, .location = location};
        weir_ptrs_push(&an->m, &home->bare, bare);
    }
}

static bool usable(weir_an *an, const weir_an_occ *o, const weir_cat_col *c, int location)
{
    if (c->generated) {
        return weir_an_refuse(an, location, "use the expression that generates it",
                              "column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT
                              " is generated: it is absent from the change stream",
                              WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(c->name));
    }
    if (c->unpublished) {
        return weir_an_refuse(an, location, "add it to the publication's column list",
                              "column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT
                              " is not in the publication",
                              WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(c->name));
    }
    if (c->type.ty == WEIR_TY_UNKNOWN) {
        bool json = weir_slice_eqz(c->type_name, "json");
        return weir_an_refuse(
            an, location,
            json ? "make the column jsonb: ALTER TABLE … ALTER COLUMN … TYPE jsonb"
                 : "leave the column out, or keep the value in a plain type",
            "column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " has type " WEIR_SLICE_FMT
            ", which cannot be kept incrementally",
            WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(c->name), WEIR_SLICE_ARG(c->type_name));
    }
    return true;
}

weir_expr *weir_an_column_ref(weir_an *an, weir_an_block *b, int occ, int col, int location)
{
    const weir_an_occ *o = weir_an_occ_at(an, occ);
    const weir_cat_col *c = weir_an_col(o, col);
    if (!usable(an, o, c, location)) {
        return NULL;
    }
    note_use(an, b, occ, col, location);
    weir_expr *e = weir_an_mk(an, WEIR_OP_COL, c->type, location, NULL, 0);
    e->type.c_order = c->type.c_order;
    weir_x_of(e)->domain = c->domain;
    e->occ = occ;
    e->col = col;
    if (weir_ty_is_text(c->type.ty)) {
        weir_x_of(e)->coll = WEIR_COLL_IMPLICIT;
        weir_x_of(e)->nondeterministic = c->nondeterministic;
    }
    weir_ptrs_push(&an->m, &an->cols, e);
    return e;
}

static bool alias_exists(const weir_an_block *b, weir_slice name)
{
    for (; b; b = b->parent) {
        for (int i = 0; i < b->occs.n; i++) {
            if (weir_slice_eq(((const weir_an_occ *)b->occs.p[i])->o.alias, name)) {
                return true;
            }
        }
    }
    return false;
}

static void say_unknown(weir_an *an, const weir_an_block *b, const weir_ast *x)
{
    weir_slice name = x->names[x->nnames - 1];
    if (x->nnames == 1 && alias_exists(b, name)) {
        (void)weir_an_refuse(an, x->location, "name the columns: jsonb_build_object('id', t.id, …)",
                             "a whole row (" WEIR_SLICE_FMT ") cannot be a value",
                             WEIR_SLICE_ARG(name));
    } else if (x->nnames > 1 && !alias_exists(b, x->names[x->nnames - 2])) {
        (void)weir_an_refuse(an, x->location, "use the alias given in FROM",
                             "there is no table " WEIR_SLICE_FMT " here",
                             WEIR_SLICE_ARG(x->names[x->nnames - 2]));
    } else {
        (void)weir_an_refuse(an, x->location, NULL, "there is no column " WEIR_SLICE_FMT,
                             WEIR_SLICE_ARG(name));
    }
}

weir_expr *weir_an_column(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    if (x->star || x->nnames < 1 || x->nnames > 3) {
        (void)weir_an_refuse(an, x->location, "name the columns", "a whole row cannot be a value");
        return NULL;
    }
    for (weir_an_block *in = b; in; in = in->parent) {
        found f = find_in(in, x);
        if (f.n > 1) {
            (void)weir_an_refuse(an, x->location, "put the table's alias before it",
                                 "column " WEIR_SLICE_FMT " is ambiguous",
                                 WEIR_SLICE_ARG(x->names[x->nnames - 1]));
            return NULL;
        }
        if (f.n == 1) {
            return weir_an_column_ref(an, b, f.occ, f.col, x->location);
        }
        if (f.alias) {
            break; /* the alias is here and hides outer ones */
        }
    }
    say_unknown(an, b, x);
    return NULL;
}
