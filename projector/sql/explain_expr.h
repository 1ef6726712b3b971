/* explain_expr.h - an expression of a plan as readable text. */
#ifndef WEIR_PROJECTOR_SQL_EXPLAIN_EXPR_H
#define WEIR_PROJECTOR_SQL_EXPLAIN_EXPR_H

#include "libweir/base/buf.h"
#include "projector/sql/plan.h"

enum { WEIR_EXPLAIN_EXPR_MAX = 1 << 18 }; /* out's size from which expressions are cut short */

/* b is the block the expression belongs to. */
void weir_explain_expr(const weir_plan *p, const weir_block *b, const weir_expr *e, weir_buf *out);
void weir_explain_agg(const weir_plan *p, const weir_block *b, const weir_agg *g, weir_buf *out);
const char *weir_explain_type(weir_type t);

#endif
