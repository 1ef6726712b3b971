/* expr_arith.c - integer arithmetic with overflow errors, and numeric arithmetic. */
#include "projector/engine/expr_priv.h"

static weir_rc out_of_range(weir_ty ty, weir_error *err)
{
    return weir_value_fail(err, "22003", "%s out of range",
                           ty == WEIR_TY_INT2   ? "smallint"
                           : ty == WEIR_TY_INT4 ? "integer"
                                                : "bigint");
}

static weir_rc int_op(const weir_expr *e, int64_t x, int64_t y, int64_t *r, weir_error *err)
{
    bool over = false;
    *r = 0;
    switch ((int)e->op) {
    case WEIR_OP_ADD: over = __builtin_add_overflow(x, y, r); break;
    case WEIR_OP_SUB: over = __builtin_sub_overflow(x, y, r); break;
    case WEIR_OP_MUL: over = __builtin_mul_overflow(x, y, r); break;
    default:
        if (y == 0) {
            return weir_value_fail(err, "22012", "division by zero");
        }
        if (y == -1) { /* the smallest integer has no opposite; the processor would trap */
            over = e->op == WEIR_OP_DIV && __builtin_sub_overflow(INT64_C(0), x, r);
        } else {
            *r = e->op == WEIR_OP_DIV ? x / y : x % y;
        }
        break;
    }
    if (over || (e->type.ty == WEIR_TY_INT4 && *r != (int32_t)*r) ||
        (e->type.ty == WEIR_TY_INT2 && *r != (int16_t)*r)) {
        return out_of_range(e->type.ty, err);
    }
    return WEIR_OK;
}

static weir_rc int_arith(const weir_expr *e, const weir_value *x, const weir_value *y,
                         weir_value *out, weir_error *err)
{
    int64_t a, b, r = 0;
    weir_rc rc = weir_value_int(x, &a, err);
    if (!rc) {
        rc = weir_value_int(y, &b, err);
    }
    if (!rc) {
        rc = int_op(e, a, b, &r, err);
    }
    *out = weir_value_of_int(r);
    return rc;
}

static weir_rc num_arith(weir_eval *ev, const weir_expr *e, const weir_value *x,
                         const weir_value *y, weir_value *out, weir_error *err)
{
    const weir_num *a, *b, *r = NULL;
    weir_rc rc = weir_value_num(x, ev->a, &a, err);
    if (!rc) {
        rc = weir_value_num(y, ev->a, &b, err);
    }
    if (!rc) {
        rc = weir_num_arith(e->op, a, b, ev->a, &r, err);
    }
    *out = weir_value_of_num(r);
    return rc;
}

static weir_rc negate(weir_eval *ev, const weir_expr *e, const weir_value *x, weir_value *out,
                      weir_error *err)
{
    const weir_num *n = NULL;
    weir_rc rc;
    if (e->type.ty == WEIR_TY_NUMERIC) {
        rc = weir_value_num(x, ev->a, &n, err);
        if (!rc) {
            rc = weir_num_neg(n, ev->a, &n, err);
        }
        *out = weir_value_of_num(n);
        return rc;
    }
    weir_expr minus = {.op = WEIR_OP_SUB, .type = e->type};
    weir_value zero = weir_value_of_int(0), v = *x;
    return int_arith(&minus, &zero, &v, out, err);
}

weir_rc weir_expr_arith(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value x, y = {0};
    bool unary = e->op == WEIR_OP_NEG;
    if (e->type.ty != WEIR_TY_NUMERIC && !weir_value_ty_int(e->type.ty)) {
        return weir_value_fail(err, "0A000", "arithmetic of this type cannot be evaluated here");
    }
    weir_rc rc = weir_expr_eval(ev, e->args[0], &x, err);
    if (!rc && !unary) {
        rc = weir_expr_eval(ev, e->args[1], &y, err);
    }
    if (rc) {
        return rc;
    }
    if (x.form == WEIR_FORM_NULL || (!unary && y.form == WEIR_FORM_NULL)) {
        *out = weir_value_null();
        return WEIR_OK;
    }
    if (unary) {
        return negate(ev, e, &x, out, err);
    }
    return e->type.ty == WEIR_TY_NUMERIC ? num_arith(ev, e, &x, &y, out, err)
                                         : int_arith(e, &x, &y, out, err);
}
