/* exprgen.h - random typed SQL expressions: the same one as SQL text and as a plan's tree. */
#ifndef WEIR_TESTS_EXPRGEN_H
#define WEIR_TESTS_EXPRGEN_H

#include "libweir/codec/tuple.h"
#include "projector/sql/plan.h"

#include "libweir/base/arena.h"

typedef enum gkind {
    G_BOOL,
    G_INT2,
    G_INT4,
    G_INT8,
    G_NUMERIC,
    G_FLOAT4,
    G_FLOAT8,
    G_TEXT,
    G_BPCHAR, /* char(6) */
    G_DATE,
    G_TIME,
    G_TIMETZ,
    G_TIMESTAMP,
    G_TIMESTAMPTZ,
    G_UUID,
    G_JSONB,
    G_BYTEA,
    G_ENUM, /* type mood */
    G_INTERVAL,
    G_INT_ARRAY,
    G_TEXT_ARRAY,
    G_NUM_ARRAY,
    G_STAMP_ARRAY,
    G_KINDS
} gkind;

enum { EXPRGEN_COLS = 512 };

typedef struct exprgen {
    weir_arena *a;
    uint64_t rng;
    weir_tuple row; /* occurrence 0: every leaf is one of its columns, or that column's value as a
                       constant */
    weir_val vals[EXPRGEN_COLS];
    const char *from; /* "literal AS c0, literal AS c1": what the expressions' SQL selects from */
} exprgen;

typedef struct gexpr {
    weir_expr *e;
    const char *sql;
} gexpr;

void exprgen_init(exprgen *g, weir_arena *a, uint64_t seed); /* resets nothing in a */
uint64_t exprgen_pick(exprgen *g, uint64_t n);               /* 0 … n-1 */
/* SQL that creates the types the expressions use. */
extern const char exprgen_setup[];

weir_type exprgen_type(gkind k);
const char *exprgen_type_name(gkind k);
bool exprgen_ordered(gkind k); /* has < in the engine */
/* A random value's output text; numerics with `scale` digits when that is not negative. {NULL,0}:
 * SQL NULL when allowed. */
weir_slice exprgen_value(exprgen *g, gkind k, int scale, bool nulls);
/* 'text'::type, or NULL::type for {NULL,0}. */
const char *exprgen_literal(exprgen *g, gkind k, weir_slice text);
gexpr exprgen_expr(exprgen *g, gkind k, int depth);

#endif
