/* agg.c - aggregates: argument, FILTER, DISTINCT, ORDER BY, and the type of the result. */
#include "projector/sql/analyze.h"

bool weir_an_agg_kind(weir_slice name, bool star, weir_agg_kind *out)
{
    static const struct {
        const char *name;
        weir_agg_kind kind;
    } table[] = {{"count", WEIR_AGG_COUNT},     {"sum", WEIR_AGG_SUM},
                 {"avg", WEIR_AGG_AVG},         {"min", WEIR_AGG_MIN},
                 {"max", WEIR_AGG_MAX},         {"bool_and", WEIR_AGG_BOOL_AND},
                 {"every", WEIR_AGG_BOOL_AND},  {"bool_or", WEIR_AGG_BOOL_OR},
                 {"jsonb_agg", WEIR_AGG_JSONB}, {"string_agg", WEIR_AGG_STRING}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (weir_slice_eqz(name, table[i].name)) {
            *out = table[i].kind == WEIR_AGG_COUNT && star ? WEIR_AGG_COUNT_STAR : table[i].kind;
            return true;
        }
    }
    return false;
}

static bool place_ok(weir_an *an, const weir_an_block *b, const weir_ast *x)
{
    if (b->in_agg) {
        return weir_an_refuse(an, x->location, "use a sub-select for the inner one",
                              "an aggregate inside an aggregate is not possible");
    }
    if (b->clause != WEIR_AN_OUTPUT && b->clause != WEIR_AN_HAVING) {
        return weir_an_refuse(an, x->location, "aggregates belong into the outputs or HAVING",
                              "an aggregate is not possible here");
    }
    return true;
}

/* Numbers of unknown scale print the form that came first: 1.5 or 1.50. */
static bool scale_known(weir_an *an, const weir_expr *e, int location, const char *what)
{
    if (e->type.ty == WEIR_TY_NUMERIC && e->type.typmod < 0) {
        return weir_an_refuse(
            an, location, "give it a scale: (…)::numeric(12,2)",
            "%s on numeric without a scale: 1.5 and 1.50 are equal but print differently", what);
    }
    return true;
}

static bool number_arg(weir_an *an, const weir_ast *x, const weir_expr *e)
{
    if (weir_ty_is_int(e->type.ty) || e->type.ty == WEIR_TY_NUMERIC) {
        return true;
    }
    bool real = weir_ty_is_float(e->type.ty);
    return weir_an_refuse(an, x->location,
                          real ? "cast it: sum(x::numeric)" : "sum and avg are for numbers",
                          WEIR_SLICE_FMT " of %s is not supported%s", WEIR_SLICE_ARG(x->text),
                          weir_type_show(e->type, &an->m),
                          real ? ": its result depends on the order of the rows" : "");
}

static bool min_max_arg(weir_an *an, const weir_ast *x, weir_expr *e)
{
    const char *what = weir_mem_printf(&an->m, WEIR_SLICE_FMT, WEIR_SLICE_ARG(x->text));
    if (e->type.ty == WEIR_TY_BOOL || e->type.ty == WEIR_TY_UUID) {
        return weir_an_refuse(an, x->location,
                              e->type.ty == WEIR_TY_BOOL ? "use bool_and or bool_or"
                                                         : "cast it to text",
                              "PostgreSQL has no %s of %s", what, weir_type_show(e->type, &an->m));
    }
    return weir_an_orderable(an, e, x->location, what) && scale_known(an, e, x->location, what);
}

static bool result_type(weir_an *an, const weir_ast *x, weir_agg *g)
{
    weir_expr *e = g->arg;
    switch (g->kind) {
    case WEIR_AGG_COUNT_STAR:
    case WEIR_AGG_COUNT: g->type = weir_type_of(WEIR_TY_INT8); return true;
    case WEIR_AGG_SUM: {
        bool small = e->type.ty == WEIR_TY_INT2 || e->type.ty == WEIR_TY_INT4;
        g->type = weir_type_of(small ? WEIR_TY_INT8 : WEIR_TY_NUMERIC);
        return number_arg(an, x, e);
    }
    case WEIR_AGG_AVG: g->type = weir_type_of(WEIR_TY_NUMERIC); return number_arg(an, x, e);
    case WEIR_AGG_MIN:
    case WEIR_AGG_MAX:
        g->type = e->type;
        g->type.typmod = -1; /* a function's result has none, also min(numeric(12,2)) */
        if (g->type.ty == WEIR_TY_TEXT) { /* there is no max(varchar) */
            g->type.oid = weir_type_of(WEIR_TY_TEXT).oid;
        }
        if (e->type.ty == WEIR_TY_TEXT) {
            g->type.oid = weir_type_of(WEIR_TY_TEXT).oid;
        }
        return min_max_arg(an, x, e);
    case WEIR_AGG_BOOL_AND:
    case WEIR_AGG_BOOL_OR:
        g->type = weir_type_of(WEIR_TY_BOOL);
        g->arg = weir_an_coerce(an, e, g->type, "bool_and/bool_or");
        return g->arg != NULL;
    case WEIR_AGG_JSONB: g->type = weir_type_of(WEIR_TY_JSONB); return true;
    case WEIR_AGG_STRING:
        g->type = weir_type_of(WEIR_TY_TEXT);
        if (!weir_ty_is_text(e->type.ty)) {
            return weir_an_refuse(an, x->location, "cast it: string_agg(x::text, ', ')",
                                  "string_agg needs text, this is %s",
                                  weir_type_show(e->type, &an->m));
        }
        g->arg = weir_an_coerce(an, e, g->type, "string_agg");
        return g->arg != NULL;
    }
    return false;
}

static bool argument(weir_an *an, weir_an_block *b, const weir_ast *x, weir_agg *g)
{
    int want = g->kind == WEIR_AGG_COUNT_STAR ? 0 : g->kind == WEIR_AGG_STRING ? 2 : 1;
    if (x->nargs != want || (x->star && want)) {
        return weir_an_refuse(an, x->location, NULL, WEIR_SLICE_FMT " needs %d argument%s",
                              WEIR_SLICE_ARG(x->text), want, want == 1 ? "" : "s");
    }
    if (want == 0) {
        return true;
    }
    g->arg = weir_an_expr(an, b, x->args[0]);
    if (!g->arg) {
        return false;
    }
    bool untyped = g->arg->type.ty == WEIR_TY_UNKNOWN;
    if (untyped && g->kind != WEIR_AGG_COUNT && g->kind != WEIR_AGG_STRING) {
        return weir_an_refuse(an, x->location, "cast the constant",
                              WEIR_SLICE_FMT " of an untyped constant is not supported",
                              WEIR_SLICE_ARG(x->text));
    }
    g->arg = weir_an_settle(an, g->arg);
    if (!g->arg || g->kind != WEIR_AGG_STRING) {
        return g->arg != NULL;
    }
    if (x->args[1] && x->args[1]->kind == WEIR_AST_STRING) {
        g->delim = x->args[1]->text;
        return true;
    }
    return weir_an_refuse(an, x->args[1] ? x->args[1]->location : x->location,
                          "string_agg(x, ', ' ORDER BY …)",
                          "the delimiter of string_agg must be a constant");
}

static bool ordered(weir_agg_kind kind)
{
    return kind == WEIR_AGG_JSONB || kind == WEIR_AGG_STRING;
}

static bool sorting(weir_an *an, weir_an_block *b, const weir_ast *x, weir_agg *g)
{
    weir_sort *sort = WEIR_MEM_ARRAY(&an->m, weir_sort, (size_t)x->norder + 1);
    for (int i = 0; i < x->norder; i++) {
        const weir_ast_sort *s = &x->order[i];
        if (s->using_op) {
            return weir_an_refuse(an, s->location, "write ASC or DESC",
                                  "ORDER BY … USING is not supported");
        }
        weir_expr *e = weir_an_expr(an, b, s->expr);
        e = e ? weir_an_settle(an, e) : NULL;
        if (!e || !weir_an_orderable(an, e, s->location, "ORDER BY")) {
            return false;
        }
        sort[i] = (weir_sort){
            .expr = e, .desc = s->desc, .nulls_first = s->nulls ? s->nulls == 1 : s->desc};
    }
    if (ordered(g->kind)) { /* the others do not depend on the order */
        g->nsort = x->norder;
        g->sort = sort;
    }
    return true;
}

static bool distinct(weir_an *an, const weir_ast *x, weir_agg *g)
{
    if (!x->distinct) {
        return true;
    }
    if (ordered(g->kind) || !g->arg) {
        return weir_an_refuse(an, x->location, "let the rows themselves be distinct",
                              "DISTINCT in " WEIR_SLICE_FMT " is not supported",
                              WEIR_SLICE_ARG(x->text));
    }
    bool counts = g->kind == WEIR_AGG_COUNT || g->kind == WEIR_AGG_SUM || g->kind == WEIR_AGG_AVG;
    g->distinct = counts; /* it changes nothing for min, max and the booleans */
    return !counts || (weir_an_equatable(an, g->arg, x->location, "DISTINCT") &&
                       scale_known(an, g->arg, x->location, "DISTINCT"));
}

static bool filter(weir_an *an, weir_an_block *b, const weir_ast *x, weir_agg *g)
{
    if (x->filter) {
        g->filter = weir_an_bool(an, b, x->filter, "FILTER");
        return g->filter != NULL;
    }
    return true;
}

/* PostgreSQL gives an aggregate to the query its columns belong to. */
static bool level_ok(weir_an *an, const weir_an_block *b, const weir_ast *x)
{
    if (b->agg_own == 0 && b->agg_outer > 0) {
        return weir_an_refuse(an, x->location, "aggregate a column of the sub-select's own tables",
                              WEIR_SLICE_FMT " uses only columns of the outer query",
                              WEIR_SLICE_ARG(x->text));
    }
    return true;
}

weir_expr *weir_an_aggregate(weir_an *an, weir_an_block *b, const weir_ast *x, weir_agg_kind kind)
{
    if (!place_ok(an, b, x)) {
        return NULL;
    }
    weir_an_agg *n = WEIR_MEM_NEW(&an->m, weir_an_agg);
    n->agg.kind = kind;
    n->location = x->location;
    n->has_order = x->norder > 0;
    b->in_agg = true;
    b->agg_own = b->agg_outer = 0;
    bool ok = argument(an, b, x, &n->agg);
    ok = filter(an, b, x, &n->agg) && ok;
    ok = sorting(an, b, x, &n->agg) && ok;
    b->in_agg = false;
    ok = ok && level_ok(an, b, x) && result_type(an, x, &n->agg) && distinct(an, x, &n->agg);
    if (!ok) {
        return NULL;
    }
    weir_expr *e = weir_an_mk(an, WEIR_OP_AGG, n->agg.type, x->location, NULL, 0);
    if (weir_ty_is_text(e->type.ty) && n->agg.arg) {
        e->type.c_order = n->agg.arg->type.c_order;
        weir_x_of(e)->coll = weir_x_of(n->agg.arg)->coll;
        n->agg.type.c_order = e->type.c_order;
    }
    e->agg = b->aggs.n;
    weir_ptrs_push(&an->m, &b->aggs, n);
    return e;
}
