/* expr_bool.c - three-valued logic, tests and comparisons. */
#include "projector/engine/expr_priv.h"

typedef enum truth { FALSE, TRUE, UNKNOWN } truth;

static weir_rc eval_truth(weir_eval *ev, const weir_expr *e, truth *out, weir_error *err)
{
    weir_value v;
    bool b = false;
    *out = UNKNOWN;
    weir_rc rc = weir_expr_eval(ev, e, &v, err);
    if (rc || v.form == WEIR_FORM_NULL) {
        return rc;
    }
    rc = weir_value_bool(&v, &b, err);
    *out = b ? TRUE : FALSE;
    return rc;
}

static weir_value of_truth(truth t)
{
    return t == UNKNOWN ? weir_value_null() : weir_value_of_bool(t == TRUE);
}

/* AND ends at the first false, OR at the first true; NULL otherwise wins over the neutral value. */
static weir_rc logic(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    truth ends = e->op == WEIR_OP_AND ? FALSE : TRUE;
    truth all = e->op == WEIR_OP_AND ? TRUE : FALSE;
    for (int i = 0; i < e->nargs; i++) {
        truth t;
        weir_rc rc = eval_truth(ev, e->args[i], &t, err);
        if (rc) {
            return rc;
        }
        if (t == ends) {
            *out = of_truth(ends);
            return WEIR_OK;
        }
        all = t == UNKNOWN ? UNKNOWN : all;
    }
    *out = of_truth(all);
    return WEIR_OK;
}

static weir_rc test(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    truth t;
    weir_rc rc = eval_truth(ev, e->args[0], &t, err);
    if (rc) {
        return rc;
    }
    switch ((int)e->op) {
    case WEIR_OP_NOT: *out = of_truth(t == UNKNOWN ? UNKNOWN : t == TRUE ? FALSE : TRUE); break;
    case WEIR_OP_IS_TRUE: *out = weir_value_of_bool(t == TRUE); break;
    case WEIR_OP_IS_NOT_TRUE: *out = weir_value_of_bool(t != TRUE); break;
    case WEIR_OP_IS_FALSE: *out = weir_value_of_bool(t == FALSE); break;
    default: *out = weir_value_of_bool(t != FALSE); break;
    }
    return WEIR_OK;
}

static weir_rc null_test(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value v;
    weir_rc rc = weir_expr_eval(ev, e->args[0], &v, err);
    *out = weir_value_of_bool((!rc && v.form == WEIR_FORM_NULL) == (e->op == WEIR_OP_IS_NULL));
    return rc;
}

static bool holds(weir_op op, int cmp)
{
    switch ((int)op) {
    case WEIR_OP_EQ:
    case WEIR_OP_IS_NOT_DISTINCT: return cmp == 0;
    case WEIR_OP_NE:
    case WEIR_OP_IS_DISTINCT: return cmp != 0;
    case WEIR_OP_LT: return cmp < 0;
    case WEIR_OP_LE: return cmp <= 0;
    case WEIR_OP_GT: return cmp > 0;
    default: return cmp >= 0;
    }
}

static weir_rc compare(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value x, y;
    int cmp = 0;
    bool distinct = e->op == WEIR_OP_IS_DISTINCT || e->op == WEIR_OP_IS_NOT_DISTINCT;
    weir_rc rc = weir_expr_eval(ev, e->args[0], &x, err);
    if (!rc) {
        rc = weir_expr_eval(ev, e->args[1], &y, err);
    }
    if (rc) {
        return rc;
    }
    bool xn = x.form == WEIR_FORM_NULL, yn = y.form == WEIR_FORM_NULL;
    if (xn || yn) {
        *out = distinct ? weir_value_of_bool((xn != yn) == (e->op == WEIR_OP_IS_DISTINCT))
                        : weir_value_null();
        return WEIR_OK;
    }
    rc = weir_value_cmp(&x, &y, weir_expr_common(e->args[0], e->args[1]), ev->a, &cmp, err);
    *out = weir_value_of_bool(holds(e->op, cmp));
    return rc;
}

static weir_rc in_list(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value x;
    bool unknown = false;
    weir_rc rc = weir_expr_eval(ev, e->args[0], &x, err);
    *out = weir_value_null();
    if (rc || x.form == WEIR_FORM_NULL) {
        return rc;
    }
    for (int i = 1; i < e->nargs; i++) {
        weir_value y;
        int cmp = 1;
        rc = weir_expr_eval(ev, e->args[i], &y, err);
        if (!rc && y.form == WEIR_FORM_NULL) {
            unknown = true;
        } else if (!rc) {
            rc = weir_value_cmp(&x, &y, weir_expr_common(e->args[0], e->args[i]), ev->a, &cmp, err);
        }
        if (rc) {
            return rc;
        }
        if (cmp == 0) {
            *out = weir_value_of_bool(true);
            return WEIR_OK;
        }
    }
    *out = unknown ? weir_value_null() : weir_value_of_bool(false);
    return WEIR_OK;
}

weir_rc weir_expr_bool(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    switch ((int)e->op) {
    case WEIR_OP_AND:
    case WEIR_OP_OR: return logic(ev, e, out, err);
    case WEIR_OP_NOT:
    case WEIR_OP_IS_TRUE:
    case WEIR_OP_IS_NOT_TRUE:
    case WEIR_OP_IS_FALSE:
    case WEIR_OP_IS_NOT_FALSE: return test(ev, e, out, err);
    case WEIR_OP_IS_NULL:
    case WEIR_OP_IS_NOT_NULL: return null_test(ev, e, out, err);
    case WEIR_OP_EQ:
    case WEIR_OP_NE:
    case WEIR_OP_LT:
    case WEIR_OP_LE:
    case WEIR_OP_GT:
    case WEIR_OP_GE:
    case WEIR_OP_IS_DISTINCT:
    case WEIR_OP_IS_NOT_DISTINCT: return compare(ev, e, out, err);
    case WEIR_OP_IN: return in_list(ev, e, out, err);
    default:
        return weir_fail(err, WEIR_E_INPUT, 0, "the plan has an unknown operation %d", (int)e->op);
    }
}
