/* explain_expr.c - an expression of a plan as readable text. */
#include "projector/sql/explain_expr.h"

typedef struct op_text {
    const char *infix, *call;
} op_text;

static op_text text_of(weir_op op)
{
    static const op_text table[] = {
        [WEIR_OP_AND] = {" AND ", NULL},
        [WEIR_OP_OR] = {" OR ", NULL},
        [WEIR_OP_EQ] = {" = ", NULL},
        [WEIR_OP_NE] = {" <> ", NULL},
        [WEIR_OP_LT] = {" < ", NULL},
        [WEIR_OP_LE] = {" <= ", NULL},
        [WEIR_OP_GT] = {" > ", NULL},
        [WEIR_OP_GE] = {" >= ", NULL},
        [WEIR_OP_IS_DISTINCT] = {" IS DISTINCT FROM ", NULL},
        [WEIR_OP_IS_NOT_DISTINCT] = {" IS NOT DISTINCT FROM ", NULL},
        [WEIR_OP_ADD] = {" + ", NULL},
        [WEIR_OP_SUB] = {" - ", NULL},
        [WEIR_OP_MUL] = {" * ", NULL},
        [WEIR_OP_DIV] = {" / ", NULL},
        [WEIR_OP_MOD] = {" % ", NULL},
        [WEIR_OP_CONCAT] = {" || ", NULL},
        [WEIR_OP_NOT] = {NULL, "not"},
        [WEIR_OP_IS_NULL] = {NULL, "is_null"},
        [WEIR_OP_IS_NOT_NULL] = {NULL, "is_not_null"},
        [WEIR_OP_IS_TRUE] = {NULL, "is_true"},
        [WEIR_OP_IS_NOT_TRUE] = {NULL, "is_not_true"},
        [WEIR_OP_IS_FALSE] = {NULL, "is_false"},
        [WEIR_OP_IS_NOT_FALSE] = {NULL, "is_not_false"},
        [WEIR_OP_IN] = {NULL, "in"},
        [WEIR_OP_NEG] = {NULL, "-"},
        [WEIR_OP_CASE] = {NULL, "case"},
        [WEIR_OP_COALESCE] = {NULL, "coalesce"},
        [WEIR_OP_NULLIF] = {NULL, "nullif"},
        [WEIR_OP_GREATEST] = {NULL, "greatest"},
        [WEIR_OP_LEAST] = {NULL, "least"},
        [WEIR_OP_JSONB_ARRAY] = {NULL, "jsonb_build_array"},
        [WEIR_OP_TO_JSONB] = {NULL, "to_jsonb"},
    };
    return (size_t)op < sizeof(table) / sizeof(table[0]) ? table[op] : (op_text){NULL, NULL};
}

static void put_list(const weir_plan *p, const weir_block *b, const weir_expr *e, const char *sep,
                     weir_buf *out)
{
    for (int i = 0; i < e->nargs && out->n < WEIR_EXPLAIN_EXPR_MAX; i++) {
        weir_buf_putz(out, i ? sep : "");
        weir_explain_expr(p, b, e->args[i], out);
    }
}

void weir_explain_agg(const weir_plan *p, const weir_block *b, const weir_agg *g, weir_buf *out)
{
    static const char *const names[] = {"count", "count",    "sum",     "avg",       "min",
                                        "max",   "bool_and", "bool_or", "jsonb_agg", "string_agg"};
    weir_buf_printf(out, "%s(%s", names[g->kind], g->distinct ? "DISTINCT " : "");
    if (g->arg) {
        weir_explain_expr(p, b, g->arg, out);
    } else {
        weir_buf_putz(out, "*");
    }
    for (int i = 0; i < g->nsort; i++) {
        weir_buf_putz(out, i ? ", " : " ORDER BY ");
        weir_explain_expr(p, b, g->sort[i].expr, out);
        weir_buf_putz(out, g->sort[i].desc ? " DESC" : "");
        if (g->sort[i].nulls_first != g->sort[i].desc) {
            weir_buf_putz(out, g->sort[i].nulls_first ? " NULLS FIRST" : " NULLS LAST");
        }
    }
    weir_buf_putz(out, ")");
    if (g->filter) {
        weir_buf_putz(out, " FILTER (WHERE ");
        weir_explain_expr(p, b, g->filter, out);
        weir_buf_putz(out, ")");
    }
}

static void put_object(const weir_plan *p, const weir_block *b, const weir_expr *e, weir_buf *out)
{
    weir_buf_putz(out, "{");
    for (int i = 0; i < e->nargs && out->n < WEIR_EXPLAIN_EXPR_MAX; i++) {
        weir_buf_printf(out, "%s" WEIR_SLICE_FMT ": ", i ? ", " : "", WEIR_SLICE_ARG(e->keys[i]));
        weir_explain_expr(p, b, e->args[i], out);
    }
    weir_buf_putz(out, "}");
}

static void put_const(const weir_expr *e, weir_buf *out)
{
    bool bare = e->type.ty >= WEIR_TY_BOOL && e->type.ty <= WEIR_TY_FLOAT8;
    if (e->null) {
        weir_buf_putz(out, "NULL");
    } else if (e->type.ty == WEIR_TY_BOOL) {
        weir_buf_putz(out, weir_slice_eqz(e->text, "t") ? "true" : "false");
    } else {
        weir_buf_printf(out, bare ? WEIR_SLICE_FMT : "'" WEIR_SLICE_FMT "'",
                        WEIR_SLICE_ARG(e->text));
    }
}

static void put_column(const weir_plan *p, const weir_expr *e, weir_buf *out)
{
    const weir_occ *o = &p->occs[e->occ];
    weir_buf_printf(out, WEIR_SLICE_FMT "." WEIR_SLICE_FMT, WEIR_SLICE_ARG(o->alias),
                    WEIR_SLICE_ARG(p->tables[o->table].cols[e->col].name));
}

void weir_explain_expr(const weir_plan *p, const weir_block *b, const weir_expr *e, weir_buf *out)
{
    op_text t = text_of(e->op);
    if (out->n >= WEIR_EXPLAIN_EXPR_MAX) {
        weir_buf_putz(out, "…");
        return;
    }
    switch (e->op) {
    case WEIR_OP_CONST: put_const(e, out); return;
    case WEIR_OP_COL: put_column(p, e, out); return;
    case WEIR_OP_AGG: weir_explain_agg(p, b, &b->aggs[e->agg], out); return;
    case WEIR_OP_SCALAR: weir_buf_printf(out, "(block %d)", e->block); return;
    case WEIR_OP_EXISTS: weir_buf_printf(out, "exists (block %d)", e->block); return;
    case WEIR_OP_JSONB_OBJECT: put_object(p, b, e, out); return;
    case WEIR_OP_CAST:
        weir_explain_expr(p, b, e->args[0], out);
        weir_buf_printf(out, "::%s", weir_explain_type(e->type));
        return;
    default: break;
    }
    weir_buf_putz(out, t.call ? t.call : "");
    weir_buf_putz(out, "(");
    put_list(p, b, e, t.infix ? t.infix : ", ", out);
    weir_buf_putz(out, ")");
}

const char *weir_explain_type(weir_type t)
{
    static const char *const names[] = {
        "unknown",     "bool", "int2",   "int4",  "int8", "numeric", "float4",
        "float8",      "text", "bpchar", "date",  "time", "timetz",  "timestamp",
        "timestamptz", "uuid", "jsonb",  "bytea", "enum", "array",   "other"};
    return names[t.ty];
}
