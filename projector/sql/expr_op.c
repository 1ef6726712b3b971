/* expr_op.c - operators: comparison, arithmetic, ||, IN, BETWEEN. */
#include "projector/sql/analyze.h"

static const char *float_hint = "cast it: …::numeric";

bool weir_an_equatable(weir_an *an, weir_expr *e, int location, const char *what)
{
    if (weir_x_of(e)->nondeterministic) {
        return weir_an_refuse(an, location, "add COLLATE \"C\"",
                              "%s on a nondeterministic collation is not supported", what);
    }
    if (!weir_ty_has_equality(e->type.ty)) {
        return weir_an_refuse(an, location,
                              weir_ty_is_float(e->type.ty) ? float_hint
                                                           : "compare a column of a plain type",
                              "%s on %s is not supported", what, weir_type_show(e->type, &an->m));
    }
    return true;
}

bool weir_an_orderable(weir_an *an, weir_expr *e, int location, const char *what)
{
    if (!weir_an_equatable(an, e, location, what)) {
        return false;
    }
    if (!weir_ty_has_order(e->type.ty)) {
        return weir_an_refuse(an, location,
                              "order by another column, or cast: …::text COLLATE \"C\"",
                              "%s on %s is not supported", what, weir_type_show(e->type, &an->m));
    }
    if (weir_ty_is_text(e->type.ty) && !e->type.c_order) {
        return weir_an_refuse(an, location, "add COLLATE \"C\": … COLLATE \"C\"",
                              "%s on text needs an order by bytes; this collation is the locale's",
                              what);
    }
    return true;
}

/* Makes both sides comparable: untyped constants take the other's type, integers become numeric
 * beside numeric, char(n) becomes text beside text. Beside varchar it stays char(n), and varchar
 * becomes it: varchar has no operators of its own, so bpchar = bpchar is the better match of the
 * two (PostgreSQL, "Operator Type Resolution", step 3.c). */
static bool align(weir_an *an, weir_expr **l, weir_expr **r, const char *what)
{
    weir_expr *v[2] = {*l, *r};
    bool ints = weir_ty_is_int(v[0]->type.ty) && weir_ty_is_int(v[1]->type.ty);
    if (ints) {
        return true;
    }
    weir_type t = weir_type_of(WEIR_TY_TEXT);
    if (weir_ty_is_text(v[0]->type.ty) && weir_ty_is_text(v[1]->type.ty)) {
        for (int i = 0; v[0]->type.ty != v[1]->type.ty && i < 2; i++) {
            if (v[i]->type.oid == WEIR_OID_VARCHAR) {
                t = weir_type_of(WEIR_TY_BPCHAR);
            }
        }
        for (int i = 0; i < 2; i++) {
            v[i] = v[0]->type.ty == v[1]->type.ty ? v[i] : weir_an_coerce(an, v[i], t, what);
        }
    } else if (!weir_an_coerce_all(an, v, 2, (*l)->location, what, &t)) {
        return false;
    }
    *l = v[0];
    *r = v[1];
    return true;
}

static const char *op_name(weir_op op)
{
    switch (op) {
    case WEIR_OP_EQ: return "=";
    case WEIR_OP_NE: return "<>";
    case WEIR_OP_LT: return "<";
    case WEIR_OP_LE: return "<=";
    case WEIR_OP_GT: return ">";
    case WEIR_OP_GE: return ">=";
    case WEIR_OP_IS_DISTINCT:
    case WEIR_OP_IS_NOT_DISTINCT: return "IS DISTINCT FROM";
    default: return "IN";
    }
}

/* The collation both sides agree on, on a node made only for that. */
static weir_expr *probe(weir_an *an, weir_expr *l, weir_expr *r)
{
    return weir_an_mk2(an, WEIR_OP_COALESCE, l->type, -1, l, r);
}

weir_expr *weir_an_compare(weir_an *an, weir_op op, weir_expr *l, weir_expr *r, int location)
{
    const char *what = op_name(op);
    if (!align(an, &l, &r, what)) {
        return NULL;
    }
    bool order = op == WEIR_OP_LT || op == WEIR_OP_LE || op == WEIR_OP_GT || op == WEIR_OP_GE;
    weir_expr *both = probe(an, l, r);
    bool ok = order ? weir_an_orderable(an, both, location, what)
                    : weir_an_equatable(an, both, location, what);
    return ok ? weir_an_mk2(an, op, weir_type_of(WEIR_TY_BOOL), location, l, r) : NULL;
}

static weir_expr *arithmetic(weir_an *an, weir_op op, weir_expr *l, weir_expr *r, const weir_ast *x)
{
    weir_expr *v[2] = {l, r};
    for (int i = 0; i < 2; i++) {
        weir_ty ty = v[i]->type.ty;
        bool number = weir_ty_is_int(ty) || ty == WEIR_TY_NUMERIC || ty == WEIR_TY_UNKNOWN;
        bool both_unknown = l->type.ty == WEIR_TY_UNKNOWN && r->type.ty == WEIR_TY_UNKNOWN;
        if (!number || both_unknown) {
            (void)weir_an_refuse(an, x->location,
                                 weir_ty_is_float(ty) ? float_hint
                                                      : "arithmetic is for integers and numeric",
                                 WEIR_SLICE_FMT " on %s is not supported", WEIR_SLICE_ARG(x->text),
                                 weir_type_show(v[i]->type, &an->m));
            return NULL;
        }
    }
    weir_type t;
    if (!weir_an_coerce_all(an, v, 2, x->location, "arithmetic", &t)) {
        return NULL;
    }
    t.typmod = -1;
    return weir_an_mk(an, op, t, x->location, v, 2);
}

static weir_expr *negate(weir_an *an, weir_expr *e, const weir_ast *x)
{
    if (!weir_ty_is_int(e->type.ty) && e->type.ty != WEIR_TY_NUMERIC) {
        (void)weir_an_refuse(an, x->location,
                             weir_ty_is_float(e->type.ty) ? float_hint : "cast it to numeric",
                             "- on %s is not supported", weir_type_show(e->type, &an->m));
        return NULL;
    }
    weir_type t = e->type;
    t.typmod = -1;
    return weir_an_mk(an, WEIR_OP_NEG, t, x->location, &e, 1);
}

/* text || text, and text || anything that is neither array nor jsonb: that side is converted as
 * …::text. */
static weir_expr *concat(weir_an *an, weir_expr *l, weir_expr *r, const weir_ast *x)
{
    weir_expr *v[2] = {l, r};
    bool text = false;
    for (int i = 0; i < 2; i++) {
        weir_ty ty = v[i]->type.ty;
        text |= weir_ty_is_text(ty) || ty == WEIR_TY_UNKNOWN;
        if (ty == WEIR_TY_JSONB || ty == WEIR_TY_ARRAY || ty == WEIR_TY_BYTEA ||
            ty == WEIR_TY_OTHER) {
            (void)weir_an_refuse(an, x->location,
                                 "|| is for text; build JSON with jsonb_build_object",
                                 "|| on %s is not supported", weir_type_show(v[i]->type, &an->m));
            return NULL;
        }
    }
    if (!text) {
        (void)weir_an_refuse(an, x->location, "cast one side: …::text",
                             "|| needs text on one side, not %s and %s",
                             weir_type_show(l->type, &an->m), weir_type_show(r->type, &an->m));
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        v[i] = weir_an_to_text(an, v[i], x->location);
        if (!v[i]) {
            return NULL;
        }
    }
    return weir_an_mk(an, WEIR_OP_CONCAT, weir_type_of(WEIR_TY_TEXT), x->location, v, 2);
}

static bool binary_op(weir_slice name, weir_op *op)
{
    static const struct {
        const char *name;
        weir_op op;
    } table[] = {{"=", WEIR_OP_EQ},     {"<>", WEIR_OP_NE}, {"!=", WEIR_OP_NE}, {"<", WEIR_OP_LT},
                 {"<=", WEIR_OP_LE},    {">", WEIR_OP_GT},  {">=", WEIR_OP_GE}, {"+", WEIR_OP_ADD},
                 {"-", WEIR_OP_SUB},    {"*", WEIR_OP_MUL}, {"/", WEIR_OP_DIV}, {"%", WEIR_OP_MOD},
                 {"||", WEIR_OP_CONCAT}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (weir_slice_eqz(name, table[i].name)) {
            *op = table[i].op;
            return true;
        }
    }
    return false;
}

static weir_expr *simple(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr *l = weir_an_expr(an, b, x->args[0]);
    weir_expr *r = x->nargs > 1 ? weir_an_expr(an, b, x->args[1]) : l;
    weir_op op;
    if (!l || !r) {
        return NULL;
    }
    if (x->nargs == 1 && weir_slice_eqz(x->text, "-")) {
        return negate(an, l, x);
    }
    if (x->nargs == 1 || !binary_op(x->text, &op)) {
        (void)weir_an_refuse(an, x->location, "operators are = <> < <= > >= + - * / % ||",
                             "operator " WEIR_SLICE_FMT " is not supported",
                             WEIR_SLICE_ARG(x->text));
        return NULL;
    }
    if (op == WEIR_OP_CONCAT) {
        return concat(an, l, r, x);
    }
    bool math = op == WEIR_OP_ADD || op == WEIR_OP_SUB || op == WEIR_OP_MUL || op == WEIR_OP_DIV ||
                op == WEIR_OP_MOD;
    return math ? arithmetic(an, op, l, r, x) : weir_an_compare(an, op, l, r, x->location);
}

static weir_expr *negated(weir_an *an, weir_expr *e, bool yes, int location)
{
    return e && yes ? weir_an_mk(an, WEIR_OP_NOT, weir_type_of(WEIR_TY_BOOL), location, &e, 1) : e;
}

/* args[0] in the others. */
static weir_expr *in_list(weir_an *an, weir_an_block *b, weir_ast *const *args, int n, int location)
{
    weir_expr **v = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)n + 1);
    bool ok = n > 1;
    bool ints = true;
    bool padded = false;
    bool text = false;
    for (int i = 0; i < n; i++) {
        v[i] = weir_an_expr(an, b, args[i]);
        ok = ok && v[i];
        ints = ints && v[i] && weir_ty_is_int(v[i]->type.ty);
        padded |= v[i] && v[i]->type.ty == WEIR_TY_BPCHAR;
        text |= v[i] && v[i]->type.ty == WEIR_TY_TEXT;
    }
    if (padded && text) { /* which of the two compares depends on how many constants there are */
        (void)weir_an_refuse(an, location, "cast it to text: …::text IN (…)",
                             "IN mixes character and text");
        return NULL;
    }
    weir_type t;
    if (!ok || (!ints && !weir_an_coerce_all(an, v, n, location, "IN", &t))) {
        return NULL;
    }
    weir_expr *both = weir_an_mk(an, WEIR_OP_COALESCE, v[0]->type, -1, v, n);
    return weir_an_equatable(an, both, location, "IN")
               ? weir_an_mk(an, WEIR_OP_IN, weir_type_of(WEIR_TY_BOOL), location, v, n)
               : NULL;
}

static weir_expr *between(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr *v[3];
    if (x->nargs != 3) {
        return NULL;
    }
    for (int i = 0; i < 3; i++) {
        v[i] = weir_an_expr(an, b, x->args[i]);
        if (!v[i]) {
            return NULL;
        }
    }
    weir_expr *lo = weir_an_compare(an, WEIR_OP_GE, v[0], v[1], x->location);
    weir_expr *hi = lo ? weir_an_compare(an, WEIR_OP_LE, v[0], v[2], x->location) : NULL;
    weir_expr *e =
        hi ? weir_an_mk2(an, WEIR_OP_AND, weir_type_of(WEIR_TY_BOOL), x->location, lo, hi) : NULL;
    return negated(an, e, x->negated, x->location);
}

/* x = ANY (ARRAY[a, b]) is x IN (a, b). */
static weir_expr *any_array(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    const weir_ast *array = x->args[1];
    if (!weir_slice_eqz(x->text, "=") || !array || array->kind != WEIR_AST_ARRAY ||
        array->nargs == 0) {
        (void)weir_an_refuse(an, x->location, "x IN (…)", "only x = ANY (ARRAY[…]) is supported");
        return NULL;
    }
    weir_ast **args = WEIR_MEM_ARRAY(&an->m, weir_ast *, (size_t)array->nargs + 1);
    args[0] = x->args[0];
    memcpy(args + 1, array->args, (size_t)array->nargs * sizeof(*args));
    return in_list(an, b, args, array->nargs + 1, x->location);
}

weir_expr *weir_an_operator(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    switch (x->kind) {
    case WEIR_AST_IN:
        return negated(an, in_list(an, b, x->args, x->nargs, x->location), x->negated, x->location);
    case WEIR_AST_BETWEEN: return between(an, b, x);
    case WEIR_AST_OP_ANY: return any_array(an, b, x);
    case WEIR_AST_DISTINCT:
    case WEIR_AST_NOT_DISTINCT: {
        weir_expr *l = weir_an_expr(an, b, x->args[0]);
        weir_expr *r = weir_an_expr(an, b, x->args[1]);
        weir_op op = x->kind == WEIR_AST_DISTINCT ? WEIR_OP_IS_DISTINCT : WEIR_OP_IS_NOT_DISTINCT;
        return l && r ? weir_an_compare(an, op, l, r, x->location) : NULL;
    }
    default: return simple(an, b, x);
    }
}
