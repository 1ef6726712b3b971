/* expr.c - expressions: building typed nodes, constants, logic, CASE and its kin, sub-selects. */
#include "projector/sql/analyze.h"
#include "projector/sql/literal.h"

/* Collation of a text node from its text arguments: the stronger decides, equals must agree. */
static void merge_collation(weir_an *an, weir_x *x)
{
    if (!weir_ty_is_text(x->e.type.ty)) {
        return;
    }
    x->e.type.c_order = an->cat->default_c_order;
    bool from_args =
        x->e.op != WEIR_OP_CAST || (x->e.nargs == 1 && weir_ty_is_text(x->e.args[0]->type.ty));
    for (int i = 0; from_args && i < x->e.nargs; i++) {
        const weir_x *a = weir_x_of(x->e.args[i]);
        if (!weir_ty_is_text(a->e.type.ty) || a->coll < x->coll || a->coll == WEIR_COLL_NONE) {
            continue;
        }
        bool stronger = a->coll > x->coll;
        x->e.type.c_order = stronger ? a->e.type.c_order : x->e.type.c_order && a->e.type.c_order;
        x->nondeterministic = a->nondeterministic || (!stronger && x->nondeterministic);
        x->coll = a->coll;
    }
}

/* A choice among values of one domain is of that domain; with others among them the domain's
 * modifier (numeric(8,2)) is forgotten, as PostgreSQL does it. */
static void merge_domain(weir_x *x)
{
    bool some = x->e.op == WEIR_OP_CASE;
    bool all = x->e.op == WEIR_OP_COALESCE || x->e.op == WEIR_OP_GREATEST ||
               x->e.op == WEIR_OP_LEAST || x->e.op == WEIR_OP_NULLIF;
    int n = x->e.op == WEIR_OP_NULLIF ? 1 : x->e.nargs;
    bool any = false;
    bool same = x->e.op != WEIR_OP_NULLIF;
    for (int i = 0; (some || all) && i < n; i++) {
        if (all || i % 2 == 1 || i == n - 1) {
            uint32_t d = weir_x_of(x->e.args[i])->domain;
            same = same && d == weir_x_of(x->e.args[n - 1])->domain;
            any |= d != 0;
        }
    }
    if (any && same) {
        x->domain = weir_x_of(x->e.args[n - 1])->domain;
    } else if (any) {
        x->e.type.typmod = -1;
    }
}

weir_expr *weir_an_mk(weir_an *an, weir_op op, weir_type type, int location, weir_expr **args,
                      int nargs)
{
    weir_x *x = WEIR_MEM_NEW(&an->m, weir_x);
    x->e.op = op;
    x->e.type = type;
    x->e.location = location;
    x->e.agg = x->e.block = x->e.occ = x->e.col = -1;
    x->e.nargs = nargs;
    x->e.args = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)nargs + 1);
    int64_t size = 1;
    for (int i = 0; i < nargs; i++) {
        x->e.args[i] = args[i];
        size += weir_x_of(args[i])->size;
    }
    x->size = size > WEIR_AN_EXPR_SIZE_MAX ? WEIR_AN_EXPR_SIZE_MAX + 1 : (int)size;
    if (size > WEIR_AN_EXPR_SIZE_MAX) {
        an->too_large = true;
        (void)weir_an_refuse(an, -1, "split the model", "an expression is too large");
    }
    merge_collation(an, x);
    merge_domain(x);
    return &x->e;
}

weir_expr *weir_an_mk2(weir_an *an, weir_op op, weir_type type, int location, weir_expr *l,
                       weir_expr *r)
{
    weir_expr *v[2] = {l, r};
    return weir_an_mk(an, op, type, location, v, 2);
}

weir_expr *weir_an_const(weir_an *an, weir_type type, weir_slice text, int location)
{
    weir_expr *e = weir_an_mk(an, WEIR_OP_CONST, type, location, NULL, 0);
    e->text = text;
    return e;
}

void weir_an_conjuncts(weir_an *an, weir_expr *e, weir_ptrs *out)
{
    if (e->op != WEIR_OP_AND) {
        weir_ptrs_push(&an->m, out, e);
        return;
    }
    for (int i = 0; i < e->nargs; i++) {
        weir_an_conjuncts(an, e->args[i], out);
    }
}

weir_expr *weir_an_conjunction(weir_an *an, const weir_ptrs *v)
{
    if (v->n == 0) {
        return NULL;
    }
    weir_expr **p = (weir_expr **)v->p;
    return v->n == 1
               ? p[0]
               : weir_an_mk(an, WEIR_OP_AND, weir_type_of(WEIR_TY_BOOL), p[0]->location, p, v->n);
}

weir_expr *weir_an_bool(weir_an *an, weir_an_block *b, const weir_ast *x, const char *what)
{
    weir_expr *e = weir_an_expr(an, b, x);
    if (!e) {
        return NULL;
    }
    if (e->type.ty != WEIR_TY_BOOL && e->type.ty != WEIR_TY_UNKNOWN) {
        (void)weir_an_refuse(an, x->location, "compare it with something",
                             "%s needs a boolean, this is %s", what,
                             weir_type_show(e->type, &an->m));
        return NULL;
    }
    return weir_an_coerce(an, e, weir_type_of(WEIR_TY_BOOL), what);
}

/* All arguments that are there; NULL after a refusal (every argument is looked at, so that each
 * error is said). */
static weir_expr **args_of(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr **v = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)x->nargs + 1);
    bool ok = true;
    for (int i = 0; i < x->nargs; i++) {
        v[i] = x->args[i] ? weir_an_expr(an, b, x->args[i]) : NULL;
        ok = ok && v[i];
    }
    return ok ? v : NULL;
}

static weir_expr *number(weir_an *an, const weir_ast *x)
{
    int64_t v = 0;
    if (weir_slice_i64(x->text, &v)) { /* -2147483648 comes as a number, and is an integer */
        bool small = v >= INT32_MIN && v <= INT32_MAX;
        return weir_an_const(an, weir_type_of(small ? WEIR_TY_INT4 : WEIR_TY_INT8), x->text,
                             x->location);
    }
    weir_slice text = {NULL, 0};
    const char *why = NULL;
    if (!weir_literal_numeric(x->text, &an->m, &text, &why)) {
        (void)weir_an_refuse(an, x->location, NULL, "%s", why);
        return NULL;
    }
    return weir_an_const(an, weir_type_of(WEIR_TY_NUMERIC), text, x->location);
}

static weir_expr *logic(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr **v = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)x->nargs + 1);
    bool ok = true;
    for (int i = 0; i < x->nargs; i++) {
        const char *what = x->kind == WEIR_AST_AND ? "AND" : x->kind == WEIR_AST_OR ? "OR" : "NOT";
        v[i] = weir_an_bool(an, b, x->args[i], what);
        ok = ok && v[i];
    }
    weir_op op = x->kind == WEIR_AST_AND  ? WEIR_OP_AND
                 : x->kind == WEIR_AST_OR ? WEIR_OP_OR
                                          : WEIR_OP_NOT;
    return ok ? weir_an_mk(an, op, weir_type_of(WEIR_TY_BOOL), x->location, v, x->nargs) : NULL;
}

static weir_expr *test(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    static const weir_op ops[] = {WEIR_OP_IS_NULL,     WEIR_OP_IS_NOT_NULL, WEIR_OP_IS_TRUE,
                                  WEIR_OP_IS_NOT_TRUE, WEIR_OP_IS_FALSE,    WEIR_OP_IS_NOT_FALSE};
    bool null_test = x->kind == WEIR_AST_IS_NULL || x->kind == WEIR_AST_IS_NOT_NULL;
    weir_expr *e = null_test ? weir_an_expr(an, b, x->args[0])
                             : weir_an_bool(an, b, x->args[0], "IS TRUE/FALSE");
    e = e ? weir_an_settle(an, e) : NULL;
    return e ? weir_an_mk(an, ops[x->kind - WEIR_AST_IS_NULL], weir_type_of(WEIR_TY_BOOL),
                          x->location, &e, 1)
             : NULL;
}

/* The whens of a CASE, at 0, 2, 4, …; with a tested value each is an equality with it. */
static bool case_whens(weir_an *an, weir_an_block *b, const weir_ast *x, weir_expr **v, int n)
{
    weir_expr *tested = x->args[0] ? weir_an_expr(an, b, x->args[0]) : NULL;
    if (x->args[0] && !tested) {
        return false;
    }
    bool ok = true;
    for (int i = 0; i + 1 < n; i += 2) {
        const weir_ast *when = x->args[1 + i];
        if (tested) {
            weir_expr *w = weir_an_expr(an, b, when);
            v[i] = w ? weir_an_compare(an, WEIR_OP_EQ, tested, w, when->location) : NULL;
        } else {
            v[i] = weir_an_bool(an, b, when, "WHEN");
        }
        ok = ok && v[i];
    }
    return ok;
}

static weir_expr *null_of(weir_an *an, int location)
{
    weir_expr *e = weir_an_const(an, weir_type_of(WEIR_TY_UNKNOWN), WEIR_SLICE_LIT(""), location);
    e->null = true;
    return e;
}

static weir_expr *case_expr(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    int n = x->nargs - 1; /* when, then, …, else */
    int nresults = 0;
    weir_expr **v = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)n);
    weir_expr **results = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)n);
    bool ok = case_whens(an, b, x, v, n);
    /* PostgreSQL looks at ELSE first when it chooses the type. */
    results[nresults++] = x->args[n] ? weir_an_expr(an, b, x->args[n]) : null_of(an, x->location);
    for (int i = 1; i + 1 < n; i += 2) {
        results[nresults++] = weir_an_expr(an, b, x->args[1 + i]);
    }
    for (int i = 0; i < nresults; i++) {
        ok = ok && results[i];
    }
    weir_type t;
    if (!ok || !weir_an_coerce_all(an, results, nresults, x->location, "CASE", &t)) {
        return NULL;
    }
    v[n - 1] = results[0];
    for (int i = 1; i < nresults; i++) {
        v[2 * i - 1] = results[i];
    }
    return weir_an_mk(an, WEIR_OP_CASE, t, x->location, v, n);
}

static weir_expr *choice(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_op op = x->kind == WEIR_AST_COALESCE   ? WEIR_OP_COALESCE
                 : x->kind == WEIR_AST_GREATEST ? WEIR_OP_GREATEST
                                                : WEIR_OP_LEAST;
    const char *what = op == WEIR_OP_COALESCE   ? "COALESCE"
                       : op == WEIR_OP_GREATEST ? "GREATEST"
                                                : "LEAST";
    weir_expr **v = args_of(an, b, x);
    weir_type t;
    if (!v || !weir_an_coerce_all(an, v, x->nargs, x->location, what, &t)) {
        return NULL;
    }
    weir_expr *e = weir_an_mk(an, op, t, x->location, v, x->nargs);
    return op == WEIR_OP_COALESCE || weir_an_orderable(an, e, x->location, what) ? e : NULL;
}

static weir_expr *nullif(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr **v = args_of(an, b, x);
    if (!v) {
        return NULL;
    }
    weir_expr *eq = weir_an_compare(an, WEIR_OP_EQ, v[0], v[1], x->location);
    if (!eq) {
        return NULL;
    }
    /* The comparison may have converted its sides; PostgreSQL returns the first argument as
     * converted, and varchar is compared as text. */
    weir_type t = eq->args[0]->type;
    if (t.oid == WEIR_OID_VARCHAR) {
        t.oid = weir_type_of(WEIR_TY_TEXT).oid;
        t.typmod = -1;
    }
    return weir_an_mk(an, WEIR_OP_NULLIF, t, x->location, eq->args, 2);
}

static weir_expr *collate(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr *e = weir_an_expr(an, b, x->args[0]);
    e = e ? weir_an_settle(an, e) : NULL;
    if (!e) {
        return NULL;
    }
    bool bytes = weir_slice_eqz(x->text, "C") || weir_slice_eqz(x->text, "POSIX") ||
                 weir_slice_eqz(x->text, "ucs_basic");
    if (!bytes || x->odd || !weir_ty_is_text(e->type.ty)) {
        (void)weir_an_refuse(an, x->location, "COLLATE \"C\" orders by bytes, as Weir does",
                             bytes ? "%s has no collation" : "only COLLATE \"C\" is supported",
                             weir_type_show(e->type, &an->m));
        return NULL;
    }
    weir_x *copy = WEIR_MEM_NEW(&an->m, weir_x);
    *copy = *weir_x_of(e);
    copy->e.type.c_order = true;
    copy->coll = WEIR_COLL_EXPLICIT;
    copy->nondeterministic = false;
    if (e->op == WEIR_OP_COL) {
        weir_ptrs_push(&an->m, &an->cols, &copy->e);
    }
    return &copy->e;
}

weir_expr *weir_an_subselect(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    bool exists = x->sub == WEIR_AST_SUB_EXISTS;
    if (x->sub == WEIR_AST_SUB_ANY) {
        (void)weir_an_refuse(an, x->location,
                             "EXISTS (SELECT 1 FROM t WHERE t.x = …), or NOT EXISTS for NOT IN",
                             "IN (SELECT …) is not supported: one NULL changes every row");
        return NULL;
    }
    if (x->sub != WEIR_AST_SUB_SCALAR && !exists) {
        (void)weir_an_refuse(an, x->location, "(SELECT jsonb_agg(… ORDER BY …) FROM … WHERE …)",
                             x->sub == WEIR_AST_SUB_ARRAY ? "ARRAY(SELECT …) is not supported"
                                                          : "this sub-select is not supported");
        return NULL;
    }
    weir_an_block *sub =
        weir_an_block_new(an, b, exists ? WEIR_AN_EXISTS : WEIR_AN_SCALAR, x->select->location);
    if (!sub || !weir_an_block_sub(an, sub, x->select)) {
        return NULL;
    }
    weir_type t = exists ? weir_type_of(WEIR_TY_BOOL) : sub->value->type;
    weir_expr *e =
        weir_an_mk(an, exists ? WEIR_OP_EXISTS : WEIR_OP_SCALAR, t, x->location, NULL, 0);
    e->block = sub->index;
    if (!exists) {
        e->type.c_order = sub->value->type.c_order;
        weir_x_of(e)->domain = weir_x_of(sub->value)->domain;
        weir_x_of(e)->coll = weir_x_of(sub->value)->coll;
        weir_x_of(e)->nondeterministic = weir_x_of(sub->value)->nondeterministic;
    }
    return e;
}

static weir_expr *constant(weir_an *an, const weir_ast *x)
{
    weir_ty ty = x->kind == WEIR_AST_INT    ? WEIR_TY_INT4
                 : x->kind == WEIR_AST_BOOL ? WEIR_TY_BOOL
                                            : WEIR_TY_UNKNOWN;
    weir_expr *e = weir_an_const(an, weir_type_of(ty), x->text, x->location);
    e->null = x->kind == WEIR_AST_NULL;
    return e;
}

static weir_expr *refuse_other(weir_an *an, const weir_ast *x)
{
    bool clock = weir_slice_eqz(x->text, "a value of the session or clock");
    (void)weir_an_refuse(
        an, x->location,
        clock ? "store the time in a column; a document may change only with its rows"
              : "see the list of supported expressions in docs/read-models.md",
        WEIR_SLICE_FMT " is not supported", WEIR_SLICE_ARG(x->text));
    return NULL;
}

weir_expr *weir_an_expr(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    if (!x) {
        return NULL;
    }
    switch (x->kind) {
    case WEIR_AST_NULL:
    case WEIR_AST_INT:
    case WEIR_AST_BOOL:
    case WEIR_AST_STRING: return constant(an, x);
    case WEIR_AST_NUMBER: return number(an, x);
    case WEIR_AST_COLUMN: return weir_an_column(an, b, x);
    case WEIR_AST_AND:
    case WEIR_AST_OR:
    case WEIR_AST_NOT: return logic(an, b, x);
    case WEIR_AST_IS_NULL:
    case WEIR_AST_IS_NOT_NULL:
    case WEIR_AST_IS_TRUE:
    case WEIR_AST_IS_NOT_TRUE:
    case WEIR_AST_IS_FALSE:
    case WEIR_AST_IS_NOT_FALSE: return test(an, b, x);
    case WEIR_AST_OPERATOR:
    case WEIR_AST_DISTINCT:
    case WEIR_AST_NOT_DISTINCT:
    case WEIR_AST_IN:
    case WEIR_AST_BETWEEN:
    case WEIR_AST_OP_ANY: return weir_an_operator(an, b, x);
    case WEIR_AST_CASE: return case_expr(an, b, x);
    case WEIR_AST_COALESCE:
    case WEIR_AST_GREATEST:
    case WEIR_AST_LEAST: return choice(an, b, x);
    case WEIR_AST_NULLIF: return nullif(an, b, x);
    case WEIR_AST_CAST: {
        weir_expr *e = weir_an_expr(an, b, x->args[0]);
        return e ? weir_an_cast(an, e, x->type, x->location) : NULL;
    }
    case WEIR_AST_FUNC: return weir_an_func(an, b, x);
    case WEIR_AST_SUBSELECT: return weir_an_subselect(an, b, x);
    case WEIR_AST_COLLATE: return collate(an, b, x);
    case WEIR_AST_PARAM:
        (void)weir_an_refuse(an, x->location, "write the value itself",
                             "parameters are not supported");
        return NULL;
    case WEIR_AST_ARRAY:
        (void)weir_an_refuse(an, x->location, "jsonb_build_array(…), or x IN (…)",
                             "ARRAY[…] is not supported here");
        return NULL;
    case WEIR_AST_OTHER: return refuse_other(an, x);
    }
    return NULL;
}
