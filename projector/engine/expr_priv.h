/* expr_priv.h - the kinds of expressions, one file each, and what they share. */
#ifndef WEIR_PROJECTOR_ENGINE_EXPR_PRIV_H
#define WEIR_PROJECTOR_ENGINE_EXPR_PRIV_H

#include "projector/engine/expr.h"
#include "projector/engine/value_priv.h"

WEIR_MUST_CHECK weir_rc weir_expr_bool(weir_eval *ev, const weir_expr *e, weir_value *out,
                                       weir_error *err); /* AND OR NOT, IS …, comparisons, IN */
WEIR_MUST_CHECK weir_rc weir_expr_arith(weir_eval *ev, const weir_expr *e, weir_value *out,
                                        weir_error *err); /* + - * / % and unary - */
WEIR_MUST_CHECK weir_rc weir_expr_json(weir_eval *ev, const weir_expr *e, weir_value *out,
                                       weir_error *err); /* the jsonb builders */

/* The type two compared expressions share. */
static inline weir_type weir_expr_common(const weir_expr *x, const weir_expr *y)
{
    return x->type.ty == WEIR_TY_UNKNOWN ? y->type : x->type;
}

#endif
