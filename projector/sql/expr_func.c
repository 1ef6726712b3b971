/* expr_func.c - function calls: the jsonb builders, aggregates, and what to write instead of the
 * others. */
#include <stdlib.h>

#include "libweir/base/str.h"
#include "projector/sql/analyze.h"

static bool plain_call(weir_an *an, const weir_ast *x)
{
    if (x->over) {
        return weir_an_refuse(an, x->location, "keep the number in a column, or order the array",
                              "window functions are not supported");
    }
    if (x->odd) {
        return weir_an_refuse(an, x->location, "call a built-in function by its plain name",
                              "this form of call is not supported");
    }
    return true;
}

static bool no_aggregate_parts(weir_an *an, const weir_ast *x)
{
    if (x->star || x->distinct || x->norder || x->filter) {
        return weir_an_refuse(an, x->location, NULL, WEIR_SLICE_FMT " is no aggregate",
                              WEIR_SLICE_ARG(x->text));
    }
    return true;
}

/* --- jsonb_build_object
 * ---------------------------------------------------------------------------------------------- */

typedef struct member {
    weir_slice key;
    weir_expr *value;
    int at;
} member;

static int by_key(const void *a, const void *b)
{
    const member *x = a;
    const member *y = b;
    if (x->key.n != y->key.n) {
        return x->key.n < y->key.n ? -1 : 1;
    }
    int c = weir_slice_cmp(x->key, y->key);
    return c ? c : x->at - y->at;
}

static bool constant_key(weir_an *an, const weir_ast *x, weir_slice *out)
{
    if (x && x->kind == WEIR_AST_CAST && x->args[0] && x->type &&
        (weir_slice_eqz(x->type->name, "text") || weir_slice_eqz(x->type->name, "varchar"))) {
        x = x->args[0];
    }
    if (!x || (x->kind != WEIR_AST_STRING && x->kind != WEIR_AST_INT)) {
        return weir_an_refuse(an, x ? x->location : -1, "jsonb_build_object('name', value, …)",
                              "keys of jsonb_build_object must be constants");
    }
    *out = x->text;
    return true;
}

static weir_expr *json_value(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr *e = weir_an_expr(an, b, x);
    return e ? weir_an_settle(an, e) : NULL;
}

static weir_expr *build_object(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    if (x->nargs % 2) {
        (void)weir_an_refuse(an, x->location, "jsonb_build_object('name', value, …)",
                             "jsonb_build_object needs pairs of key and value");
        return NULL;
    }
    int n = x->nargs / 2;
    member *v = WEIR_MEM_ARRAY(&an->m, member, (size_t)n + 1);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        v[i].at = i;
        ok = constant_key(an, x->args[2 * i], &v[i].key) && ok;
        v[i].value = json_value(an, b, x->args[2 * i + 1]);
        ok = ok && v[i].value;
    }
    if (!ok) {
        return NULL;
    }
    qsort(v, (size_t)n, sizeof(*v), by_key);
    weir_expr **args = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)n + 1);
    weir_slice *keys = WEIR_MEM_ARRAY(&an->m, weir_slice, (size_t)n + 1);
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (i + 1 < n && weir_slice_eq(v[i].key, v[i + 1].key)) {
            continue; /* jsonb keeps the last of equal keys */
        }
        keys[kept] = v[i].key;
        args[kept++] = v[i].value;
    }
    weir_expr *e =
        weir_an_mk(an, WEIR_OP_JSONB_OBJECT, weir_type_of(WEIR_TY_JSONB), x->location, args, kept);
    e->keys = keys;
    return e;
}

static weir_expr *build_array(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr **args = WEIR_MEM_ARRAY(&an->m, weir_expr *, (size_t)x->nargs + 1);
    bool ok = true;
    for (int i = 0; i < x->nargs; i++) {
        args[i] = json_value(an, b, x->args[i]);
        ok = ok && args[i];
    }
    return ok ? weir_an_mk(an, WEIR_OP_JSONB_ARRAY, weir_type_of(WEIR_TY_JSONB), x->location, args,
                           x->nargs)
              : NULL;
}

static weir_expr *to_jsonb(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_expr *e = x->nargs == 1 ? weir_an_expr(an, b, x->args[0]) : NULL;
    if (x->nargs != 1 || (e && e->type.ty == WEIR_TY_UNKNOWN)) {
        (void)weir_an_refuse(an, x->location, "to_jsonb('…'::text)",
                             "to_jsonb needs one argument of a known type");
        return NULL;
    }
    return e ? weir_an_mk(an, WEIR_OP_TO_JSONB, weir_type_of(WEIR_TY_JSONB), x->location, &e, 1)
             : NULL;
}

/* --- the others
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct instead {
    const char *name, *why, *hint;
} instead;

static const instead others[] = {
    {"now", "the clock", "store the time in a column; a document may change only with its rows"},
    {"clock_timestamp", "the clock", "store the time in a column"},
    {"statement_timestamp", "the clock", "store the time in a column"},
    {"transaction_timestamp", "the clock", "store the time in a column"},
    {"timeofday", "the clock", "store the time in a column"},
    {"random", "chance", "store the value in a column"},
    {"gen_random_uuid", "chance", "store the value in a column"},
    {"nextval", "a sequence", "store the value in a column"},
    {"json_build_object", NULL, "jsonb_build_object"},
    {"json_build_array", NULL, "jsonb_build_array"},
    {"json_agg", NULL, "jsonb_agg"},
    {"json_object_agg", NULL, "jsonb_agg(jsonb_build_object(…))"},
    {"jsonb_object_agg", NULL, "jsonb_agg(jsonb_build_object(…))"},
    {"array_agg", NULL, "jsonb_agg"},
    {"to_json", NULL, "to_jsonb"},
    {"row_to_json", NULL, "jsonb_build_object('name', value, …)"},
    {"concat", NULL, "a || b, with COALESCE(…, '') around what may be NULL"},
    {"unnest", "a set of rows", "keep the elements in a table of their own"},
    {"generate_series", "a set of rows", "only rows of tables can be followed"},
    {"jsonb_array_elements", "a set of rows", "keep the elements in a table of their own"},
    {"regexp_matches", "a set of rows", "keep the value in a column"},
};

static weir_expr *refuse_func(weir_an *an, const weir_ast *x)
{
    static const char *const known[] = {"jsonb_build_object",
                                        "jsonb_build_array",
                                        "to_jsonb",
                                        "count",
                                        "sum",
                                        "avg",
                                        "min",
                                        "max",
                                        "bool_and",
                                        "bool_or",
                                        "every",
                                        "jsonb_agg",
                                        "string_agg"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (!weir_slice_eqz(x->text, others[i].name)) {
            continue;
        }
        const char *hint =
            others[i].why ? others[i].hint : weir_mem_printf(&an->m, "use %s", others[i].hint);
        (void)weir_an_refuse(an, x->location, hint, "%s() is not supported%s%s", others[i].name,
                             others[i].why ? ": it depends on " : "",
                             others[i].why ? others[i].why : "");
        return NULL;
    }
    const char *near =
        weir_nearest(weir_mem_dup(&an->m, x->text).p, known, sizeof(known) / sizeof(known[0]));
    (void)weir_an_refuse(an, x->location,
                         near ? weir_mem_printf(&an->m, "did you mean %s?", near)
                              : "keep the result in a column of the table",
                         "function " WEIR_SLICE_FMT " is not supported", WEIR_SLICE_ARG(x->text));
    return NULL;
}

weir_expr *weir_an_func(weir_an *an, weir_an_block *b, const weir_ast *x)
{
    weir_agg_kind kind;
    if (!plain_call(an, x)) {
        return NULL;
    }
    if (weir_an_agg_kind(x->text, x->star, &kind)) {
        return weir_an_aggregate(an, b, x, kind);
    }
    bool object = weir_slice_eqz(x->text, "jsonb_build_object");
    bool array = weir_slice_eqz(x->text, "jsonb_build_array");
    bool json = weir_slice_eqz(x->text, "to_jsonb");
    if (!object && !array && !json) {
        return refuse_func(an, x);
    }
    if (!no_aggregate_parts(an, x)) {
        return NULL;
    }
    return object ? build_object(an, b, x) : array ? build_array(an, b, x) : to_jsonb(an, b, x);
}
