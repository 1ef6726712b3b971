/* agg.c - aggregates over the tuples of one block: totals as they come, lists kept and ordered at
 * the end.
 *
 * Lists (jsonb_agg, string_agg, anything DISTINCT) keep one item per tuple in the arena: the value,
 * and the sort keys in the form that compares fastest. DISTINCT removes equals first, then the
 * ORDER BY is applied, stable.
 */
#include "projector/engine/agg_priv.h"

weir_acc *weir_acc_new(const weir_agg *agg, weir_arena *a)
{
    weir_acc *acc = weir_arena_zalloc(a, sizeof *acc);
    if (acc) {
        acc->agg = agg;
        acc->list = agg->distinct || agg->kind == WEIR_AGG_JSONB || agg->kind == WEIR_AGG_STRING;
    }
    return acc;
}

static weir_rc keep(const weir_value *v, weir_arena *a, weir_value *out, weir_error *err)
{
    *out = *v;
    if (v->form == WEIR_FORM_TEXT && v->text.n > 0) {
        out->text = weir_arena_dup(a, v->text);
        if (!out->text.p) {
            return weir_value_full(err);
        }
    }
    return WEIR_OK;
}

/* Room for one more item; the old array stays in the arena, so growth doubles. */
static bool grow(weir_acc *acc, weir_arena *a)
{
    if (acc->nitems < acc->cap) {
        return true;
    }
    size_t cap = acc->cap ? acc->cap * 2 : 8;
    weir_agg_item *items = WEIR_ARENA_ARRAY(a, weir_agg_item, cap);
    if (!items) {
        return false;
    }
    if (acc->nitems) {
        memcpy(items, acc->items, acc->nitems * sizeof *items);
    }
    acc->items = items;
    acc->cap = cap;
    return true;
}

/* The item's value: for jsonb_agg already as jsonb text, unless DISTINCT must still compare it. */
static weir_rc item_value(weir_acc *acc, weir_eval *ev, const weir_value *v, weir_value *out,
                          weir_error *err)
{
    const weir_expr *arg = acc->agg->arg;
    bool in_arena = arg->op == WEIR_OP_JSONB_OBJECT || arg->op == WEIR_OP_JSONB_ARRAY;
    if (in_arena) {
        *out = *v;
        return WEIR_OK;
    }
    if (acc->agg->distinct) {
        weir_value ready;
        weir_rc rc = weir_value_comparable(v, arg->type, ev->a, &ready, err);
        if (rc) {
            return rc;
        }
    }
    return keep(v, ev->a, out, err);
}

static weir_rc add_item(weir_acc *acc, weir_eval *ev, const weir_value *v, weir_error *err)
{
    const weir_agg *agg = acc->agg;
    if (!grow(acc, ev->a)) {
        return weir_value_full(err);
    }
    weir_agg_item *it = &acc->items[acc->nitems];
    it->keys = agg->nsort ? WEIR_ARENA_ARRAY(ev->a, weir_value, (size_t)agg->nsort) : NULL;
    if (agg->nsort && !it->keys) {
        return weir_value_full(err);
    }
    weir_rc rc = item_value(acc, ev, v, &it->value, err);
    for (int i = 0; i < agg->nsort && !rc; i++) {
        weir_value key, ready;
        rc = weir_expr_eval(ev, agg->sort[i].expr, &key, err);
        if (!rc) {
            rc = weir_value_comparable(&key, agg->sort[i].expr->type, ev->a, &ready, err);
        }
        if (!rc) {
            rc = keep(&ready, ev->a, &it->keys[i], err);
        }
    }
    if (!rc) {
        acc->nitems++;
    }
    return rc;
}

weir_rc weir_acc_step(weir_acc *acc, weir_eval *ev, weir_error *err)
{
    const weir_agg *agg = acc->agg;
    weir_value v = weir_value_null();
    bool in;
    weir_rc rc = weir_expr_true(ev, agg->filter, &in, err);
    if (rc || !in) {
        return rc;
    }
    if (agg->kind == WEIR_AGG_COUNT_STAR) {
        acc->count++;
        return WEIR_OK;
    }
    rc = weir_expr_eval(ev, agg->arg, &v, err);
    if (rc || (v.form == WEIR_FORM_NULL && agg->kind != WEIR_AGG_JSONB)) {
        return rc;
    }
    return acc->list ? add_item(acc, ev, &v, err) : weir_acc_total(acc, &v, ev->a, err);
}

static weir_rc finish_jsonb(weir_acc *acc, weir_eval *ev, weir_value *out, weir_error *err)
{
    weir_buf b;
    weir_slice s;
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, WEIR_TEXT_MAX);
    weir_buf_u8(&b, '[');
    for (size_t i = 0; i < acc->nitems && !rc; i++) {
        if (i > 0) {
            weir_buf_putz(&b, ", ");
        }
        rc = weir_value_jsonb(&acc->items[i].value, acc->agg->arg->type, ev->a, &b, err);
    }
    weir_buf_u8(&b, ']');
    if (rc) {
        weir_buf_fini(&b);
        return rc;
    }
    rc = weir_value_take(&b, ev->a, &s, err);
    *out = weir_value_of_text(s);
    return rc;
}

static weir_rc finish_string(weir_acc *acc, weir_eval *ev, weir_value *out, weir_error *err)
{
    const weir_type text = {.ty = WEIR_TY_TEXT, .typmod = -1};
    weir_buf b;
    weir_slice s;
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, WEIR_TEXT_MAX);
    for (size_t i = 0; i < acc->nitems && !rc; i++) {
        weir_value v;
        if (i > 0) {
            weir_buf_puts(&b, acc->agg->delim);
        }
        rc = weir_value_cast(&acc->items[i].value, acc->agg->arg->type, text, ev->a, &v, err);
        if (!rc) {
            rc = weir_value_text(&v, text, ev->a, &s, err);
        }
        if (!rc) {
            weir_buf_puts(&b, s);
        }
    }
    if (rc) {
        weir_buf_fini(&b);
        return rc;
    }
    rc = weir_value_take(&b, ev->a, &s, err);
    *out = weir_value_of_text(s);
    return rc;
}

weir_rc weir_acc_finish(weir_acc *acc, weir_eval *ev, weir_value *out, weir_error *err)
{
    const weir_agg *agg = acc->agg;
    weir_rc rc = WEIR_OK;
    *out = weir_value_null();
    if (acc->list) {
        rc = weir_agg_order(acc, ev->a, err);
    }
    if (rc || (acc->list && acc->nitems == 0 && agg->kind != WEIR_AGG_COUNT)) {
        return rc;
    }
    if (agg->kind == WEIR_AGG_JSONB) {
        return finish_jsonb(acc, ev, out, err);
    }
    if (agg->kind == WEIR_AGG_STRING) {
        return finish_string(acc, ev, out, err);
    }
    for (size_t i = 0; i < acc->nitems && !rc; i++) { /* DISTINCT totals */
        rc = weir_acc_total(acc, &acc->items[i].value, ev->a, err);
    }
    return rc ? rc : weir_acc_total_finish(acc, ev->a, out, err);
}
