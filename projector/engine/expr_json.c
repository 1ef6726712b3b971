/* expr_json.c - jsonb_build_object, jsonb_build_array, to_jsonb: nested builders share one buffer.
 */
#include "libweir/base/str.h"
#include "projector/engine/expr_priv.h"

/* NOLINTBEGIN(misc-no-recursion): an expression is a tree, as deep as the parser let it be. */

static weir_rc put_object(weir_eval *ev, const weir_expr *e, weir_buf *out, weir_error *err)
{
    weir_buf_u8(out, '{');
    for (int i = 0; i < e->nargs; i++) {
        if (i > 0) {
            weir_buf_putz(out, ", ");
        }
        weir_json_quote(out, e->keys[i]);
        weir_buf_putz(out, ": ");
        weir_rc rc = weir_expr_jsonb(ev, e->args[i], out, err);
        if (rc) {
            return rc;
        }
    }
    weir_buf_u8(out, '}');
    return WEIR_OK;
}

static weir_rc put_array(weir_eval *ev, const weir_expr *e, weir_buf *out, weir_error *err)
{
    weir_buf_u8(out, '[');
    for (int i = 0; i < e->nargs; i++) {
        if (i > 0) {
            weir_buf_putz(out, ", ");
        }
        weir_rc rc = weir_expr_jsonb(ev, e->args[i], out, err);
        if (rc) {
            return rc;
        }
    }
    weir_buf_u8(out, ']');
    return WEIR_OK;
}

weir_rc weir_expr_jsonb(weir_eval *ev, const weir_expr *e, weir_buf *out, weir_error *err)
{
    weir_value v;
    weir_rc rc;
    switch ((int)e->op) {
    case WEIR_OP_JSONB_OBJECT: rc = put_object(ev, e, out, err); break;
    case WEIR_OP_JSONB_ARRAY: rc = put_array(ev, e, out, err); break;
    default:
        rc = weir_expr_eval(ev, e, &v, err);
        if (!rc) {
            rc = weir_value_jsonb(&v, e->type, ev->a, out, err);
        }
        break;
    }
    if (!rc && out->failed) {
        rc = weir_value_full(err);
    }
    return rc;
}

/* to_jsonb(NULL) is NULL, unlike a member that is NULL. */
static weir_rc to_jsonb(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_buf b;
    weir_value v;
    weir_slice s;
    weir_rc rc = weir_expr_eval(ev, e->args[0], &v, err);
    if (rc || v.form == WEIR_FORM_NULL || e->args[0]->type.ty == WEIR_TY_JSONB) {
        *out = v;
        return rc;
    }
    weir_buf_init(&b, WEIR_TEXT_MAX);
    rc = weir_value_jsonb(&v, e->args[0]->type, ev->a, &b, err);
    if (rc) {
        weir_buf_fini(&b);
        return rc;
    }
    rc = weir_value_take(&b, ev->a, &s, err);
    *out = weir_value_of_text(s);
    return rc;
}

weir_rc weir_expr_json(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_buf b;
    weir_slice s;
    if (e->op == WEIR_OP_TO_JSONB) {
        return to_jsonb(ev, e, out, err);
    }
    weir_buf_init(&b, WEIR_TEXT_MAX);
    weir_rc rc = weir_expr_jsonb(ev, e, &b, err);
    if (rc) {
        weir_buf_fini(&b);
        return rc;
    }
    rc = weir_value_take(&b, ev->a, &s, err);
    *out = weir_value_of_text(s);
    return rc;
}

/* NOLINTEND(misc-no-recursion) */
