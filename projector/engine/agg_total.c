/* agg_total.c - count, sum, avg, min, max, bool_and, bool_or. */
#include "projector/engine/agg_priv.h"

static const weir_int128 fits_max = (weir_int128)1 << 120; /* two of them still add up */

static bool rescale(weir_int128 *v, int32_t digits)
{
    if (*v == 0 || digits == 0) {
        return true; /* zero at any scale is zero */
    }
    int64_t p = 1;
    for (int32_t i = 0; i < digits && i < 18; i++) {
        p *= 10;
    }
    return digits <= 18 && !__builtin_mul_overflow(*v, (weir_int128)p, v);
}

/* Adds c * 10^-scale in 128 bits; false (and nothing changed) when it does not fit. */
static bool add_small(weir_acc *acc, weir_int128 c, int32_t scale)
{
    weir_int128 sum = acc->coef;
    int32_t to = scale > acc->scale ? scale : acc->scale;
    if (!rescale(&sum, to - acc->scale) || !rescale(&c, to - scale)) {
        return false;
    }
    if (sum > fits_max || sum < -fits_max || c > fits_max || c < -fits_max) {
        return false;
    }
    acc->coef = sum + c;
    acc->scale = to;
    return true;
}

static weir_rc add_num(weir_acc *acc, const weir_num *n, weir_arena *a, weir_error *err)
{
    weir_int128 c;
    acc->nan |= n->kind == WEIR_NUM_NAN;
    acc->pinf |= n->kind == WEIR_NUM_PINF;
    acc->ninf |= n->kind == WEIR_NUM_NINF;
    if (n->kind != WEIR_NUM_FINITE || (weir_num_wide(n, &c) && add_small(acc, c, n->scale))) {
        return WEIR_OK;
    }
    if (!acc->big) {
        acc->big = n;
        return WEIR_OK;
    }
    return weir_num_arith(WEIR_OP_ADD, acc->big, n, a, &acc->big, err);
}

static weir_rc add_sum(weir_acc *acc, const weir_value *v, weir_arena *a, weir_error *err)
{
    const weir_num *n;
    weir_rc rc;
    if (weir_value_ty_int(acc->agg->arg->type.ty)) {
        int64_t i;
        rc = weir_value_int(v, &i, err);
        acc->coef += rc ? 0 : i;
        return rc;
    }
    rc = weir_value_num(v, a, &n, err);
    return rc ? rc : add_num(acc, n, a, err);
}

static weir_rc add_extreme(weir_acc *acc, const weir_value *v, weir_arena *a, weir_error *err)
{
    weir_value ready;
    weir_type type = acc->agg->arg->type;
    int cmp = 0;
    weir_rc rc = weir_value_comparable(v, type, a, &ready, err);
    if (!rc && acc->count > 1) {
        rc = weir_value_cmp_ready(&acc->extreme_ready, &ready, type, &cmp, err);
    }
    /* Among equals the later one stays, as numeric_smaller and its kin have it. */
    bool stays = acc->count > 1 && (acc->agg->kind == WEIR_AGG_MIN ? cmp < 0 : cmp > 0);
    if (rc || stays) {
        return rc;
    }
    acc->extreme = *v;
    acc->extreme_ready = ready;
    if (v->form == WEIR_FORM_TEXT && v->text.n > 0) {
        acc->extreme.text = weir_arena_dup(a, v->text);
        if (!acc->extreme.text.p) {
            return weir_value_full(err);
        }
    }
    if (ready.form == WEIR_FORM_TEXT) {
        acc->extreme_ready.text.p = acc->extreme.text.p;
    }
    return WEIR_OK;
}

weir_rc weir_acc_total(weir_acc *acc, const weir_value *v, weir_arena *a, weir_error *err)
{
    bool b = false;
    weir_rc rc = WEIR_OK;
    acc->count++;
    switch (acc->agg->kind) {
    case WEIR_AGG_SUM:
    case WEIR_AGG_AVG: return add_sum(acc, v, a, err);
    case WEIR_AGG_MIN:
    case WEIR_AGG_MAX: return add_extreme(acc, v, a, err);
    case WEIR_AGG_BOOL_AND:
    case WEIR_AGG_BOOL_OR:
        rc = weir_value_bool(v, &b, err);
        acc->ntrue += b;
        return rc;
    default: return WEIR_OK;
    }
}

static weir_rc sum_num(weir_acc *acc, weir_arena *a, const weir_num **out, weir_error *err)
{
    if (acc->nan || (acc->pinf && acc->ninf)) {
        return weir_num_special(WEIR_NUM_NAN, a, out, err);
    }
    if (acc->pinf || acc->ninf) {
        return weir_num_special(acc->pinf ? WEIR_NUM_PINF : WEIR_NUM_NINF, a, out, err);
    }
    weir_rc rc = weir_num_of_wide(acc->coef, acc->scale, a, out, err);
    return rc || !acc->big ? rc : weir_num_arith(WEIR_OP_ADD, *out, acc->big, a, out, err);
}

static weir_rc finish_sum(weir_acc *acc, weir_arena *a, weir_value *out, weir_error *err)
{
    const weir_num *n;
    if (acc->agg->type.ty == WEIR_TY_INT8) {
        if (acc->coef != (int64_t)acc->coef) {
            return weir_value_fail(err, "22003", "bigint out of range");
        }
        *out = weir_value_of_int((int64_t)acc->coef);
        return WEIR_OK;
    }
    weir_rc rc = sum_num(acc, a, &n, err);
    if (!rc && acc->agg->kind == WEIR_AGG_AVG) {
        const weir_num *count;
        rc = weir_num_of_int(acc->count, a, &count, err);
        rc = rc ? rc : weir_num_arith(WEIR_OP_DIV, n, count, a, &n, err);
    }
    *out = weir_value_of_num(n);
    return rc;
}

weir_rc weir_acc_total_finish(weir_acc *acc, weir_arena *a, weir_value *out, weir_error *err)
{
    if (acc->agg->kind == WEIR_AGG_COUNT || acc->agg->kind == WEIR_AGG_COUNT_STAR) {
        *out = weir_value_of_int(acc->count);
        return WEIR_OK;
    }
    *out = weir_value_null();
    if (acc->count == 0) {
        return WEIR_OK;
    }
    switch (acc->agg->kind) {
    case WEIR_AGG_MIN:
    case WEIR_AGG_MAX: *out = acc->extreme; return WEIR_OK;
    case WEIR_AGG_BOOL_AND: *out = weir_value_of_bool(acc->ntrue == acc->count); return WEIR_OK;
    case WEIR_AGG_BOOL_OR: *out = weir_value_of_bool(acc->ntrue > 0); return WEIR_OK;
    default: return finish_sum(acc, a, out, err);
    }
}
