/* exprgen.c - random typed SQL expressions: the same one as SQL text and as a plan's tree. */
#include "tests/support/exprgen.h"

#include <stdio.h>
#include <string.h>

#include "libweir/base/buf.h"

enum { MOOD_OID = 70001, INTERVAL_OID = 1186 };

const char exprgen_setup[] = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very \"happy\"');";

static const struct {
    weir_type type;
    const char *name;
    bool ordered;
} kinds[G_KINDS] = {
    [G_BOOL] = {{.ty = WEIR_TY_BOOL, .typmod = -1}, "bool", true},
    [G_INT2] = {{.ty = WEIR_TY_INT2, .typmod = -1}, "int2", true},
    [G_INT4] = {{.ty = WEIR_TY_INT4, .typmod = -1}, "int4", true},
    [G_INT8] = {{.ty = WEIR_TY_INT8, .typmod = -1}, "int8", true},
    [G_NUMERIC] = {{.ty = WEIR_TY_NUMERIC, .typmod = -1}, "numeric", true},
    [G_FLOAT4] = {{.ty = WEIR_TY_FLOAT4, .typmod = -1}, "float4", true},
    [G_FLOAT8] = {{.ty = WEIR_TY_FLOAT8, .typmod = -1}, "float8", true},
    [G_TEXT] = {{.ty = WEIR_TY_TEXT, .typmod = -1, .c_order = true}, "text", true},
    [G_BPCHAR] = {{.ty = WEIR_TY_BPCHAR, .typmod = 10, .c_order = true}, "char(6)", true},
    [G_DATE] = {{.ty = WEIR_TY_DATE, .typmod = -1}, "date", true},
    [G_TIME] = {{.ty = WEIR_TY_TIME, .typmod = -1}, "time", true},
    [G_TIMETZ] = {{.ty = WEIR_TY_TIMETZ, .typmod = -1}, "timetz", true},
    [G_TIMESTAMP] = {{.ty = WEIR_TY_TIMESTAMP, .typmod = -1}, "timestamp", true},
    [G_TIMESTAMPTZ] = {{.ty = WEIR_TY_TIMESTAMPTZ, .typmod = -1}, "timestamptz", true},
    [G_UUID] = {{.ty = WEIR_TY_UUID, .typmod = -1}, "uuid", true},
    [G_JSONB] = {{.ty = WEIR_TY_JSONB, .typmod = -1}, "jsonb", false},
    [G_BYTEA] = {{.ty = WEIR_TY_BYTEA, .typmod = -1}, "bytea", true},
    [G_ENUM] = {{.ty = WEIR_TY_ENUM, .typmod = -1, .oid = MOOD_OID}, "mood", false},
    [G_INTERVAL] = {{.ty = WEIR_TY_OTHER, .typmod = -1, .oid = INTERVAL_OID}, "interval", false},
    [G_INT_ARRAY] = {{.ty = WEIR_TY_ARRAY, .elem = WEIR_TY_INT4, .typmod = -1}, "int4[]", false},
    [G_TEXT_ARRAY] = {{.ty = WEIR_TY_ARRAY, .elem = WEIR_TY_TEXT, .typmod = -1}, "text[]", false},
    [G_NUM_ARRAY] = {{.ty = WEIR_TY_ARRAY, .elem = WEIR_TY_NUMERIC, .typmod = -1},
                     "numeric[]",
                     false},
    [G_STAMP_ARRAY] = {{.ty = WEIR_TY_ARRAY, .elem = WEIR_TY_TIMESTAMPTZ, .typmod = -1},
                       "timestamptz[]",
                       false},
};

/* What is cast from what, under which target spelling. G_KINDS as source: any type. */
typedef struct gcast {
    gkind to;
    const char *name; /* NULL: the type's own */
    int typmod;       /* -1: none */
    gkind from;
} gcast;

static const gcast casts[] = {
    {G_INT2, NULL, -1, G_INT4},
    {G_INT2, NULL, -1, G_INT8},
    {G_INT2, NULL, -1, G_NUMERIC},
    {G_INT2, NULL, -1, G_FLOAT8},
    {G_INT2, NULL, -1, G_TEXT},
    {G_INT4, NULL, -1, G_INT2},
    {G_INT4, NULL, -1, G_INT8},
    {G_INT4, NULL, -1, G_NUMERIC},
    {G_INT4, NULL, -1, G_FLOAT4},
    {G_INT4, NULL, -1, G_FLOAT8},
    {G_INT4, NULL, -1, G_TEXT},
    {G_INT4, NULL, -1, G_BOOL},
    {G_INT4, NULL, -1, G_JSONB},
    {G_INT8, NULL, -1, G_INT2},
    {G_INT8, NULL, -1, G_INT4},
    {G_INT8, NULL, -1, G_NUMERIC},
    {G_INT8, NULL, -1, G_FLOAT8},
    {G_INT8, NULL, -1, G_FLOAT4},
    {G_INT8, NULL, -1, G_TEXT},
    {G_NUMERIC, NULL, -1, G_INT2},
    {G_NUMERIC, NULL, -1, G_INT4},
    {G_NUMERIC, NULL, -1, G_INT8},
    {G_NUMERIC, NULL, -1, G_FLOAT4},
    {G_NUMERIC, NULL, -1, G_FLOAT8},
    {G_NUMERIC, NULL, -1, G_TEXT},
    {G_NUMERIC, NULL, -1, G_JSONB},
    {G_NUMERIC, "numeric(10,2)", ((10 << 16) | 2) + 4, G_NUMERIC},
    {G_NUMERIC, "numeric(10,2)", ((10 << 16) | 2) + 4, G_INT4},
    {G_NUMERIC, "numeric(10,2)", ((10 << 16) | 2) + 4, G_FLOAT4},
    {G_NUMERIC, "numeric(5,0)", (5 << 16) + 4, G_NUMERIC},
    {G_NUMERIC, "numeric(3,5)", ((3 << 16) | 5) + 4, G_NUMERIC},
    {G_NUMERIC, "numeric(4,-2)", ((4 << 16) | 2046) + 4, G_NUMERIC},
    {G_NUMERIC, "numeric(30,10)", ((30 << 16) | 10) + 4, G_FLOAT8},
    {G_TEXT, NULL, -1, G_KINDS},
    {G_TEXT, NULL, -1, G_BPCHAR},
    {G_TEXT, NULL, -1, G_BOOL},
    {G_TEXT, "varchar(3)", 7, G_KINDS},
    {G_TEXT, "varchar(3)", 7, G_TEXT},
    {G_BPCHAR, "char(6)", 10, G_TEXT},
    {G_BPCHAR, "char(6)", 10, G_INT8},
    {G_BOOL, NULL, -1, G_TEXT},
    {G_BOOL, NULL, -1, G_INT4},
    {G_BOOL, NULL, -1, G_JSONB},
    {G_DATE, NULL, -1, G_TIMESTAMP},
    {G_DATE, NULL, -1, G_TIMESTAMPTZ},
    {G_TIME, NULL, -1, G_TIMESTAMP},
    {G_TIME, NULL, -1, G_TIMESTAMPTZ},
    {G_TIME, "time(2)", 2, G_TIME},
    {G_TIMETZ, NULL, -1, G_TIMESTAMPTZ},
    {G_TIMETZ, NULL, -1, G_TIME},
    {G_TIMESTAMP, NULL, -1, G_DATE},
    {G_TIMESTAMP, NULL, -1, G_TIMESTAMPTZ},
    {G_TIMESTAMP, "timestamp(3)", 3, G_TIMESTAMP},
    {G_TIMESTAMP, "timestamp(0)", 0, G_TIMESTAMP},
    {G_TIMESTAMPTZ, NULL, -1, G_DATE},
    {G_TIMESTAMPTZ, NULL, -1, G_TIMESTAMP},
    {G_TIMESTAMPTZ, "timestamptz(1)", 1, G_TIMESTAMPTZ},
};

void exprgen_init(exprgen *g, weir_arena *a, uint64_t seed)
{
    *g = (exprgen){.a = a, .rng = seed};
    g->row.v = g->vals;
    g->from = "";
}

weir_type exprgen_type(gkind k)
{
    return kinds[k].type;
}

const char *exprgen_type_name(gkind k)
{
    return kinds[k].name;
}

bool exprgen_ordered(gkind k)
{
    return kinds[k].ordered;
}

const char *exprgen_literal(exprgen *g, gkind k, weir_slice text)
{
    weir_buf b;
    if (!text.p) {
        return weir_arena_printf(g->a, "NULL::%s", kinds[k].name);
    }
    weir_buf_init(&b, 1 << 20);
    weir_buf_u8(&b, '\'');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\'') {
            weir_buf_u8(&b, '\'');
        }
        weir_buf_put(&b, text.p + i, 1);
    }
    weir_buf_printf(&b, "'::%s", kinds[k].name);
    char *z = weir_arena_dupz(g->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return z;
}

static weir_expr *node(exprgen *g, weir_op op, weir_type type, int nargs)
{
    weir_expr *e = WEIR_ARENA_ARRAY(g->a, weir_expr, 1);
    *e = (weir_expr){.op = op, .type = type, .location = -1, .nargs = nargs};
    e->args = WEIR_ARENA_ARRAY(g->a, weir_expr *, (size_t)nargs + 1);
    return e;
}

/* In SQL always a column: PostgreSQL evaluates constants while planning, also where CASE would
 * never come. */
static gexpr leaf(exprgen *g, gkind k)
{
    weir_slice v = exprgen_value(g, k, -1, true);
    gexpr r = {node(g, WEIR_OP_CONST, kinds[k].type, 0), exprgen_literal(g, k, v)};
    r.e->null = !v.p;
    r.e->text = v;
    if (g->row.n == EXPRGEN_COLS) {
        return r;
    }
    int col = g->row.n++;
    g->vals[col] = (weir_val){v.p ? WEIR_VAL_TEXT : WEIR_VAL_NULL, v};
    g->from = weir_arena_printf(g->a, "%s%s%s AS c%d", g->from, col ? ", " : "", r.sql, col);
    r.sql = weir_arena_printf(g->a, "c%d", col);
    if (exprgen_pick(g, 2)) {
        r.e->op = WEIR_OP_COL;
        r.e->col = col;
    }
    return r;
}

static gexpr binary(exprgen *g, weir_op op, gkind result, const char *sign, gexpr x, gexpr y)
{
    gexpr r = {node(g, op, kinds[result].type, 2),
               weir_arena_printf(g->a, "((%s) %s (%s))", x.sql, sign, y.sql)};
    r.e->args[0] = x.e;
    r.e->args[1] = y.e;
    return r;
}

static gexpr unary(exprgen *g, weir_op op, gkind result, const char *fmt_before,
                   const char *fmt_after, gexpr x)
{
    gexpr r = {node(g, op, kinds[result].type, 1),
               weir_arena_printf(g->a, "(%s(%s)%s)", fmt_before, x.sql, fmt_after)};
    r.e->args[0] = x.e;
    return r;
}

static gexpr gen_compare(exprgen *g, int depth)
{
    static const struct {
        weir_op op;
        const char *sign;
    } ops[] = {{WEIR_OP_EQ, "="},
               {WEIR_OP_NE, "<>"},
               {WEIR_OP_IS_DISTINCT, "IS DISTINCT FROM"},
               {WEIR_OP_IS_NOT_DISTINCT, "IS NOT DISTINCT FROM"},
               {WEIR_OP_LT, "<"},
               {WEIR_OP_LE, "<="},
               {WEIR_OP_GT, ">"},
               {WEIR_OP_GE, ">="}};
    gkind k = (gkind)exprgen_pick(g, G_ENUM + 1);
    while (!kinds[k].ordered && k != G_ENUM) {
        k = (gkind)exprgen_pick(g, G_ENUM + 1);
    }
    size_t i = exprgen_pick(g, k == G_ENUM ? 4 : 8);
    gexpr x = exprgen_expr(g, k, depth);
    gexpr y = exprgen_pick(g, 4) ? exprgen_expr(g, k, depth) : x;
    return binary(g, ops[i].op, G_BOOL, ops[i].sign, x, y);
}

static gexpr gen_in(exprgen *g, int depth)
{
    gkind k = exprgen_pick(g, 2) ? G_INT4 : G_TEXT;
    int n = 1 + (int)exprgen_pick(g, 4);
    gexpr r = {node(g, WEIR_OP_IN, kinds[G_BOOL].type, n + 1), NULL};
    gexpr x = exprgen_expr(g, k, depth);
    const char *list = "";
    r.e->args[0] = x.e;
    for (int i = 1; i <= n; i++) {
        gexpr y =
            leaf(g, k); /* constants only: PostgreSQL evaluates the whole list, we stop early */
        r.e->args[i] = y.e;
        list = weir_arena_printf(g->a, "%s%s%s", list, i > 1 ? ", " : "", y.sql);
    }
    r.sql = weir_arena_printf(g->a, "((%s) IN (%s))", x.sql, list);
    return r;
}

static gexpr gen_bool(exprgen *g, int depth)
{
    static const struct {
        weir_op op;
        const char *after;
    } tests[] = {{WEIR_OP_IS_TRUE, " IS TRUE"},   {WEIR_OP_IS_NOT_TRUE, " IS NOT TRUE"},
                 {WEIR_OP_IS_FALSE, " IS FALSE"}, {WEIR_OP_IS_NOT_FALSE, " IS NOT FALSE"},
                 {WEIR_OP_IS_NULL, " IS NULL"},   {WEIR_OP_IS_NOT_NULL, " IS NOT NULL"}};
    size_t i;
    switch (exprgen_pick(g, 6)) {
    case 0:
        return binary(g, WEIR_OP_AND, G_BOOL, "AND", exprgen_expr(g, G_BOOL, depth),
                      exprgen_expr(g, G_BOOL, depth));
    case 1:
        return binary(g, WEIR_OP_OR, G_BOOL, "OR", exprgen_expr(g, G_BOOL, depth),
                      exprgen_expr(g, G_BOOL, depth));
    case 2: return unary(g, WEIR_OP_NOT, G_BOOL, "NOT ", "", exprgen_expr(g, G_BOOL, depth));
    case 3:
        i = exprgen_pick(g, 6);
        return unary(g, tests[i].op, G_BOOL, "", tests[i].after, exprgen_expr(g, G_BOOL, depth));
    case 4: return gen_in(g, depth);
    default: return gen_compare(g, depth);
    }
}

static gexpr gen_arith(exprgen *g, gkind k, int depth)
{
    static const struct {
        weir_op op;
        const char *sign;
    } ops[] = {{WEIR_OP_ADD, "+"},
               {WEIR_OP_SUB, "-"},
               {WEIR_OP_MUL, "*"},
               {WEIR_OP_DIV, "/"},
               {WEIR_OP_MOD, "%"}};
    if (exprgen_pick(g, 8) == 0) {
        return unary(g, WEIR_OP_NEG, k, "- ", "", exprgen_expr(g, k, depth));
    }
    size_t i = exprgen_pick(g, 5);
    return binary(g, ops[i].op, k, ops[i].sign, exprgen_expr(g, k, depth),
                  exprgen_expr(g, k, depth));
}

static gexpr gen_case(exprgen *g, gkind k, int depth)
{
    bool has_else = exprgen_pick(g, 3) > 0;
    gexpr r = {node(g, WEIR_OP_CASE, kinds[k].type, has_else ? 5 : 4), NULL};
    gexpr arg[5];
    for (int i = 0; i < 5; i++) {
        arg[i] = exprgen_expr(g, i == 0 || i == 2 ? G_BOOL : k, depth);
        r.e->args[i < r.e->nargs ? i : r.e->nargs] = arg[i].e;
    }
    r.sql = weir_arena_printf(g->a, "(CASE WHEN %s THEN %s WHEN %s THEN %s%s%s END)", arg[0].sql,
                              arg[1].sql, arg[2].sql, arg[3].sql, has_else ? " ELSE " : "",
                              has_else ? arg[4].sql : "");
    return r;
}

static gexpr call2(exprgen *g, weir_op op, const char *name, gkind k, int depth)
{
    gexpr x = exprgen_expr(g, k, depth), y = exprgen_expr(g, k, depth);
    gexpr r = binary(g, op, k, "", x, y);
    r.sql = weir_arena_printf(g->a, "%s(%s, %s)", name, x.sql, y.sql);
    return r;
}

/* A cast to k when there is one; a conditional otherwise. */
static gexpr gen_cast(exprgen *g, gkind k, int depth)
{
    enum { N = sizeof casts / sizeof casts[0] };
    size_t from = exprgen_pick(g, N);
    for (size_t n = 0; n < N; n++) {
        const gcast *c = &casts[(from + n) % N];
        if (c->to != k) {
            continue;
        }
        gkind src = c->from == G_KINDS ? (gkind)exprgen_pick(g, G_KINDS) : c->from;
        gexpr x = exprgen_expr(g, src, depth);
        gexpr r = {node(g, WEIR_OP_CAST, kinds[k].type, 1),
                   weir_arena_printf(g->a, "((%s)::%s)", x.sql, c->name ? c->name : kinds[k].name)};
        r.e->type.typmod = c->typmod;
        r.e->args[0] = x.e;
        return r;
    }
    return gen_case(g, k, depth);
}

static gexpr gen_jsonb(exprgen *g, int depth)
{
    static const char *const names[] = {"a", "k\"q", "longer"};
    gexpr x = exprgen_expr(g, (gkind)exprgen_pick(g, G_KINDS), depth);
    gexpr y = exprgen_expr(g, (gkind)exprgen_pick(g, G_KINDS), depth);
    gexpr z = exprgen_expr(g, G_JSONB, depth);
    if (exprgen_pick(g, 3) == 0) {
        gexpr r = unary(g, WEIR_OP_TO_JSONB, G_JSONB, "to_jsonb", "", x);
        return r;
    }
    gexpr r = {node(g, WEIR_OP_JSONB_ARRAY, kinds[G_JSONB].type, 3), NULL};
    r.e->args[0] = x.e;
    r.e->args[1] = y.e;
    r.e->args[2] = z.e;
    r.sql = weir_arena_printf(g->a, "jsonb_build_array(%s, %s, %s)", x.sql, y.sql, z.sql);
    if (exprgen_pick(g, 2)) {
        r.e->op = WEIR_OP_JSONB_OBJECT;
        r.e->keys = WEIR_ARENA_ARRAY(g->a, weir_slice, 3);
        for (int i = 0; i < 3; i++) {
            r.e->keys[i] = weir_slice_z(names[i]);
        }
        r.sql = weir_arena_printf(g->a, "jsonb_build_object('longer', %s, 'k\"q', %s, 'a', %s)",
                                  z.sql, y.sql, x.sql);
    }
    return r;
}

static gexpr gen_conditional(exprgen *g, gkind k, int depth)
{
    bool equal = kinds[k].ordered || k == G_ENUM;
    switch (exprgen_pick(g, kinds[k].ordered ? 5 : equal ? 3 : 2)) {
    case 0: return gen_case(g, k, depth);
    case 1: return call2(g, WEIR_OP_COALESCE, "COALESCE", k, depth);
    case 2: return call2(g, WEIR_OP_NULLIF, "NULLIF", k, depth);
    case 3: return call2(g, WEIR_OP_GREATEST, "GREATEST", k, depth);
    default: return call2(g, WEIR_OP_LEAST, "LEAST", k, depth);
    }
}

gexpr exprgen_expr(exprgen *g, gkind k, int depth)
{
    if (depth <= 0 || exprgen_pick(g, 5) == 0) {
        return leaf(g, k);
    }
    uint64_t way = exprgen_pick(g, 6);
    if (way == 0) {
        return gen_conditional(g, k, depth - 1);
    }
    if (way < 3) {
        return gen_cast(g, k, depth - 1);
    }
    switch (k) {
    case G_BOOL: return gen_bool(g, depth - 1);
    case G_INT2:
    case G_INT4:
    case G_INT8:
    case G_NUMERIC: return gen_arith(g, k, depth - 1);
    case G_TEXT:
        return binary(g, WEIR_OP_CONCAT, G_TEXT, "||", exprgen_expr(g, G_TEXT, depth - 1),
                      exprgen_expr(g, G_TEXT, depth - 1));
    case G_JSONB: return gen_jsonb(g, depth - 1);
    default: return gen_conditional(g, k, depth - 1);
    }
}
