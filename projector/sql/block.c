/* block.c - one SELECT: what it may contain, its WHERE, and the value of a sub-select. */
#include "projector/sql/analyze.h"

weir_an_block *weir_an_block_new(weir_an *an, weir_an_block *parent, weir_an_kind kind,
                                 int location)
{
    if (an->blocks.n == WEIR_AN_BLOCKS_MAX) {
        (void)weir_an_refuse(an, location, "split the model", "a model has at most %d sub-selects",
                             WEIR_AN_BLOCKS_MAX - 1);
        return NULL;
    }
    weir_an_block *b = WEIR_MEM_NEW(&an->m, weir_an_block);
    b->index = an->blocks.n;
    b->kind = kind;
    b->parent = parent;
    b->location = location;
    weir_ptrs_push(&an->m, &an->blocks, b);
    return b;
}

typedef struct clause_row {
    unsigned has;
    const char *msg, *hint;
} clause_row;

static const clause_row clause_rows[] = {
    {WEIR_AST_HAS_SETOP, "UNION, INTERSECT and EXCEPT are not supported",
     "make a model of each branch"},
    {WEIR_AST_HAS_WITH, "WITH is not supported",
     "write the query in place: joins or a correlated sub-select"},
    {WEIR_AST_HAS_VALUES, "VALUES is not supported", "a read model reads tables"},
    {WEIR_AST_HAS_DISTINCT, "DISTINCT is not supported",
     "the key makes every document one row; EXISTS (…) tests for rows"},
    {WEIR_AST_HAS_WINDOW, "WINDOW is not supported", "order the array: jsonb_agg(… ORDER BY …)"},
    {WEIR_AST_HAS_LIMIT, "LIMIT and OFFSET are not supported", "leave them out"},
    {WEIR_AST_HAS_ORDER, "ORDER BY is not supported here",
     "documents have no order; order arrays: jsonb_agg(… ORDER BY …)"},
    {WEIR_AST_HAS_LOCKING, "FOR UPDATE is not supported", "leave it out"},
    {WEIR_AST_HAS_INTO, "INTO is not supported", "leave it out"},
};

bool weir_an_clauses(weir_an *an, const weir_an_block *b, const weir_ast_select *s)
{
    bool ok = true;
    for (size_t i = 0; i < sizeof(clause_rows) / sizeof(clause_rows[0]); i++) {
        const clause_row *r = &clause_rows[i];
        if (!(s->has & r->has)) {
            continue;
        }
        int at = r->has == WEIR_AST_HAS_ORDER   ? s->order_location
                 : r->has == WEIR_AST_HAS_LIMIT ? s->limit_location
                 : r->has == WEIR_AST_HAS_WITH  ? s->with_location
                                                : s->location;
        ok = weir_an_refuse(an, at >= 0 ? at : s->location, r->hint, "%s", r->msg);
        if (r->has == WEIR_AST_HAS_SETOP || r->has == WEIR_AST_HAS_VALUES) {
            return false;
        }
    }
    if (b->kind != WEIR_AN_ROOT && s->ngroup) {
        ok =
            weir_an_refuse(an, s->group[0] ? s->group[0]->location : s->location,
                           "aggregate in the sub-select without GROUP BY; its WHERE names the rows",
                           "GROUP BY in a sub-select is not supported");
    }
    if (b->kind != WEIR_AN_ROOT && s->having) {
        ok = weir_an_refuse(an, s->having->location, "CASE WHEN count(*) > … THEN … END",
                            "HAVING in a sub-select is not supported");
    }
    return ok;
}

bool weir_an_where(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    if (!s->where) {
        return true;
    }
    b->clause = WEIR_AN_WHERE;
    weir_expr *e = weir_an_bool(an, b, s->where, "WHERE");
    if (e) {
        weir_an_conjuncts(an, e, &b->where);
    }
    return e != NULL;
}

/* EXISTS looks at no value; what its outputs name is checked all the same, and forgotten. */
static bool exists_outputs(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    int cols = an->cols.n;
    int blocks = an->blocks.n;
    bool ok = true;
    for (int i = 0; i < s->ntargets; i++) {
        const weir_ast *x = s->targets[i].expr;
        if (x && !(x->kind == WEIR_AST_COLUMN && x->star)) {
            ok = weir_an_expr(an, b, x) != NULL && ok;
        }
    }
    if (b->aggs.n) {
        const weir_an_agg *g = b->aggs.p[0];
        return weir_an_refuse(an, g->location, "EXISTS (SELECT 1 FROM …)",
                              "EXISTS over an aggregate is always true");
    }
    if (an->blocks.n == blocks) {
        an->cols.n = cols;
    }
    b->bare.n = 0;
    return ok;
}

static bool scalar_output(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    const weir_ast *x = s->ntargets == 1 ? s->targets[0].expr : NULL;
    if (!x || (x->kind == WEIR_AST_COLUMN && x->star)) {
        return weir_an_refuse(an, s->location, "jsonb_build_object('a', t.a, 'b', t.b)",
                              "a sub-select must have one output");
    }
    b->value = weir_an_expr(an, b, x);
    b->value = b->value ? weir_an_settle(an, b->value) : NULL;
    return b->value != NULL;
}

bool weir_an_bare_ok(weir_an *an, weir_an_block *b)
{
    bool ok = true;
    for (int i = 0; i < b->bare.n && (b->aggs.n || b->grouped); i++) {
        const weir_an_bare *c = b->bare.p[i];
        const weir_an_occ *o = weir_an_occ_at(an, c->occ);
        if (!(b->grouped && o->fixed)) {
            ok = weir_an_refuse(
                an, c->location,
                b->grouped ? "put it into an aggregate: jsonb_agg(…), max(…)"
                           : "put it into an aggregate, or drop the aggregate",
                "column " WEIR_SLICE_FMT "." WEIR_SLICE_FMT " is used outside an aggregate",
                WEIR_SLICE_ARG(o->o.alias), WEIR_SLICE_ARG(weir_an_col(o, c->col)->name));
        }
    }
    return ok;
}

bool weir_an_block_sub(weir_an *an, weir_an_block *b, const weir_ast_select *s)
{
    if (!weir_an_clauses(an, b, s) || !weir_an_from(an, b, s)) {
        return false;
    }
    bool ok = weir_an_where(an, b, s);
    b->clause = WEIR_AN_OUTPUT;
    ok = (b->kind == WEIR_AN_EXISTS ? exists_outputs(an, b, s) : scalar_output(an, b, s)) && ok;
    if (!ok || !weir_an_bind(an, b) || !weir_an_shape(an, b) || !weir_an_bare_ok(an, b)) {
        return false;
    }
    weir_an_order(an, b);
    return true;
}
