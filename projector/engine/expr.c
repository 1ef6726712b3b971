/* expr.c - evaluates an expression tree: leaves, conditionals, and the door to the other kinds. */
#include "projector/engine/expr_priv.h"

/* NOLINTBEGIN(misc-no-recursion): an expression is a tree, as deep as the parser let it be. */

static weir_rc eval_col(const weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    const weir_tuple *row = ev->rows[e->occ];
    *out = weir_value_null();
    if (!row) {
        return WEIR_OK;
    }
    if (e->col < 0 || e->col >= row->n) {
        return weir_fail(err, WEIR_E_PROTO, 0,
                         "a kept row has %d columns, the plan wants number %d", (int)row->n,
                         e->col);
    }
    const weir_val *v = &row->v[e->col];
    if (v->kind == WEIR_VAL_UNCHANGED) {
        return weir_fail(err, WEIR_E_PROTO, 0, "a kept row lacks the value of column %d", e->col);
    }
    if (v->kind == WEIR_VAL_TEXT) {
        *out = weir_value_of_text(v->text);
    }
    return WEIR_OK;
}

/* when, then, when, then, …, else: only what is needed is evaluated. */
static weir_rc eval_case(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    int i = 0;
    for (; i + 1 < e->nargs; i += 2) {
        bool hit;
        weir_rc rc = weir_expr_true(ev, e->args[i], &hit, err);
        if (rc) {
            return rc;
        }
        if (hit) {
            return weir_expr_eval(ev, e->args[i + 1], out, err);
        }
    }
    *out = weir_value_null();
    return i < e->nargs ? weir_expr_eval(ev, e->args[i], out, err) : WEIR_OK;
}

static weir_rc eval_coalesce(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    *out = weir_value_null();
    for (int i = 0; i < e->nargs; i++) {
        weir_rc rc = weir_expr_eval(ev, e->args[i], out, err);
        if (rc || out->form != WEIR_FORM_NULL) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc eval_nullif(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value y;
    int cmp = 1;
    weir_rc rc = weir_expr_eval(ev, e->args[0], out, err);
    if (!rc) {
        rc = weir_expr_eval(ev, e->args[1], &y, err);
    }
    if (rc || out->form == WEIR_FORM_NULL || y.form == WEIR_FORM_NULL) {
        return rc;
    }
    rc = weir_value_cmp(out, &y, weir_expr_common(e->args[0], e->args[1]), ev->a, &cmp, err);
    if (!rc && cmp == 0) {
        *out = weir_value_null();
    }
    return rc;
}

static weir_rc eval_extreme(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    bool greatest = e->op == WEIR_OP_GREATEST;
    *out = weir_value_null();
    for (int i = 0; i < e->nargs; i++) {
        weir_value v;
        int cmp = 0;
        weir_rc rc = weir_expr_eval(ev, e->args[i], &v, err);
        if (rc) {
            return rc;
        }
        if (v.form == WEIR_FORM_NULL) {
            continue;
        }
        if (out->form != WEIR_FORM_NULL) {
            rc = weir_value_cmp(&v, out, e->type, ev->a, &cmp, err);
        } else {
            cmp = greatest ? 1 : -1;
        }
        if (rc) {
            return rc;
        }
        if (greatest ? cmp > 0 : cmp < 0) {
            *out = v;
        }
    }
    return WEIR_OK;
}

static weir_rc eval_cast(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value v;
    weir_rc rc = weir_expr_eval(ev, e->args[0], &v, err);
    return rc ? rc : weir_value_cast(&v, e->args[0]->type, e->type, ev->a, out, err);
}

static weir_rc text_of(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    const weir_type text = {.ty = WEIR_TY_TEXT, .typmod = -1};
    weir_value v;
    weir_rc rc = weir_expr_eval(ev, e, &v, err);
    return rc ? rc : weir_value_cast(&v, e->type, text, ev->a, out, err);
}

static weir_rc eval_concat(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    weir_value x, y;
    *out = weir_value_null();
    weir_rc rc = text_of(ev, e->args[0], &x, err);
    if (!rc) { /* also beside a NULL: its errors are PostgreSQL's errors */
        rc = text_of(ev, e->args[1], &y, err);
    }
    if (rc || x.form == WEIR_FORM_NULL || y.form == WEIR_FORM_NULL) {
        return rc;
    }
    char *p = weir_arena_alloc(ev->a, x.text.n + y.text.n);
    if (!p) {
        return weir_value_full(err);
    }
    memcpy(p, x.text.p, x.text.n);
    memcpy(p + x.text.n, y.text.p, y.text.n);
    *out = weir_value_of_text((weir_slice){p, x.text.n + y.text.n});
    return WEIR_OK;
}

weir_rc weir_expr_eval(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    switch (e->op) {
    case WEIR_OP_CONST:
        *out = e->null ? weir_value_null() : weir_value_of_text(e->text);
        return WEIR_OK;
    case WEIR_OP_COL: return eval_col(ev, e, out, err);
    case WEIR_OP_AGG: *out = ev->aggs[e->agg]; return WEIR_OK;
    case WEIR_OP_SCALAR:
    case WEIR_OP_EXISTS: return ev->sub(ev, e, out, err);
    case WEIR_OP_ADD:
    case WEIR_OP_SUB:
    case WEIR_OP_MUL:
    case WEIR_OP_DIV:
    case WEIR_OP_MOD:
    case WEIR_OP_NEG: return weir_expr_arith(ev, e, out, err);
    case WEIR_OP_CONCAT: return eval_concat(ev, e, out, err);
    case WEIR_OP_CASE: return eval_case(ev, e, out, err);
    case WEIR_OP_COALESCE: return eval_coalesce(ev, e, out, err);
    case WEIR_OP_NULLIF: return eval_nullif(ev, e, out, err);
    case WEIR_OP_GREATEST:
    case WEIR_OP_LEAST: return eval_extreme(ev, e, out, err);
    case WEIR_OP_CAST: return eval_cast(ev, e, out, err);
    case WEIR_OP_JSONB_OBJECT:
    case WEIR_OP_JSONB_ARRAY:
    case WEIR_OP_TO_JSONB: return weir_expr_json(ev, e, out, err);
    default: return weir_expr_bool(ev, e, out, err);
    }
}

weir_rc weir_expr_true(weir_eval *ev, const weir_expr *e, bool *out, weir_error *err)
{
    weir_value v;
    *out = !e;
    if (!e) {
        return WEIR_OK;
    }
    weir_rc rc = weir_expr_eval(ev, e, &v, err);
    if (rc || v.form == WEIR_FORM_NULL) {
        return rc;
    }
    return weir_value_bool(&v, out, err);
}

/* NOLINTEND(misc-no-recursion) */
