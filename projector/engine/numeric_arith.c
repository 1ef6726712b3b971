/* numeric_arith.c - + - * / % with PostgreSQL's scales, special values and range checks. */
#include "projector/engine/numeric_priv.h"
#include "projector/engine/value_priv.h"

enum {
    MIN_SIG_DIGITS = 16,     /* NUMERIC_MIN_SIG_DIGITS: of a quotient */
    MAX_DISPLAY_SCALE = 1000 /* NUMERIC_MAX_DISPLAY_SCALE */
};

static int sign_of(const weir_num *x)
{
    if (x->kind == WEIR_NUM_PINF) {
        return 1;
    }
    if (x->kind == WEIR_NUM_NINF) {
        return -1;
    }
    return x->nlimbs == 0 ? 0 : x->neg ? -1 : 1;
}

static weir_num_kind inf_of(int sign)
{
    return sign > 0 ? WEIR_NUM_PINF : sign < 0 ? WEIR_NUM_NINF : WEIR_NUM_NAN;
}

static weir_rc by_zero(weir_error *err)
{
    return weir_value_fail(err, "22012", "division by zero");
}

static weir_rc special_add(int sx, int sy, bool xinf, bool yinf, weir_num_kind *kind)
{
    if (xinf && yinf && sx != sy) {
        *kind = WEIR_NUM_NAN;
    } else {
        *kind = inf_of(xinf ? sx : sy);
    }
    return WEIR_OK;
}

/* One side at least is an infinity, none is NaN. */
static weir_rc special(weir_op op, const weir_num *x, const weir_num *y, weir_arena *a,
                       const weir_num **out, weir_error *err)
{
    int sx = sign_of(x), sy = sign_of(y);
    bool xinf = x->kind != WEIR_NUM_FINITE, yinf = y->kind != WEIR_NUM_FINITE;
    weir_num_kind kind = WEIR_NUM_NAN;
    switch ((int)op) {
    case WEIR_OP_ADD: (void)special_add(sx, sy, xinf, yinf, &kind); break;
    case WEIR_OP_SUB: (void)special_add(sx, -sy, xinf, yinf, &kind); break;
    case WEIR_OP_MUL: kind = inf_of(sx * sy); break;
    case WEIR_OP_DIV:
        if (sy == 0) {
            return by_zero(err);
        }
        if (!xinf) {
            return weir_num_of_int(0, a, out, err);
        }
        kind = yinf ? WEIR_NUM_NAN : inf_of(sx * sy);
        break;
    default:
        if (sy == 0) {
            return by_zero(err);
        }
        if (!xinf) {
            *out = x;
            return WEIR_OK;
        }
        break;
    }
    return weir_num_special(kind, a, out, err);
}

/* Both coefficients are one word: no GMP. false: not this case. */
static bool fast(weir_op op, const weir_num *x, const weir_num *y, weir_int128 *coef,
                 int32_t *scale)
{
    int64_t cx, cy;
    if (!weir_num_small(x, &cx) || !weir_num_small(y, &cy)) {
        return false;
    }
    if (op == WEIR_OP_MUL) {
        *coef = (weir_int128)cx * cy;
        *scale = x->scale + y->scale;
        return *scale <= NUM_SCALE_MAX;
    }
    int32_t d = x->scale - y->scale;
    if ((op != WEIR_OP_ADD && op != WEIR_OP_SUB) || d > NUM_POW_SMALL || d < -NUM_POW_SMALL) {
        return false;
    }
    weir_int128 wx = (weir_int128)cx * (d < 0 ? weir_num_pow10[-d] : 1);
    weir_int128 wy = (weir_int128)cy * (d > 0 ? weir_num_pow10[d] : 1);
    *coef = op == WEIR_OP_ADD ? wx + wy : wx - wy;
    *scale = d > 0 ? x->scale : y->scale;
    return true;
}

/* First base-10000 digit of |c| * 10^-scale and its weight, digits aligned at the point as
 * PostgreSQL keeps them. */
static void leading(mpz_srcptr c, int32_t scale, int64_t *weight, unsigned long *digit)
{
    *weight = 0;
    *digit = 0;
    if (mpz_sgn(c) == 0) {
        return;
    }
    int64_t e = (int64_t)weir_num_digits(c) - 1 - scale; /* decimal exponent of the first digit */
    int64_t w = e >= 0 ? e / 4 : -((3 - e) / 4);
    int64_t drop = w * 4 + scale; /* decimal digits of c below that base-10000 digit */
    mpz_t t;
    mpz_init(t);
    if (drop > 0) {
        mpz_ui_pow_ui(t, 10, (unsigned long)drop);
        mpz_tdiv_q(t, c, t);
        mpz_abs(t, t);
    } else {
        weir_num_grow(t, c, (unsigned long)-drop);
        mpz_abs(t, t);
    }
    *weight = w;
    *digit = mpz_get_ui(t);
    mpz_clear(t);
}

static int64_t quotient_scale(mpz_srcptr cx, const weir_num *x, mpz_srcptr cy, const weir_num *y)
{
    int64_t w1, w2;
    unsigned long d1, d2;
    leading(cx, x->scale, &w1, &d1);
    leading(cy, y->scale, &w2, &d2);
    int64_t q = w1 - w2 - (d1 <= d2 ? 1 : 0);
    int64_t s = MIN_SIG_DIGITS - q * 4;
    s = s > x->scale ? s : x->scale;
    s = s > y->scale ? s : y->scale;
    s = s > 0 ? s : 0;
    return s < MAX_DISPLAY_SCALE ? s : MAX_DISPLAY_SCALE;
}

/* r = cx / cy to `scale` digits, half away from zero. */
static void divide(mpz_ptr r, mpz_srcptr cx, mpz_srcptr cy, int64_t shift)
{
    mpz_t n, d;
    mpz_inits(n, d, NULL);
    mpz_abs(n, cx);
    mpz_abs(d, cy);
    if (shift >= 0) {
        weir_num_grow(n, n, (unsigned long)shift);
    } else {
        weir_num_grow(d, d, (unsigned long)-shift);
    }
    mpz_mul_2exp(n, n, 1);
    mpz_add(n, n, d);
    mpz_mul_2exp(d, d, 1);
    bool neg = mpz_sgn(cx) * mpz_sgn(cy) < 0;
    mpz_fdiv_q(r, n, d);
    if (neg) {
        mpz_neg(r, r);
    }
    mpz_clears(n, d, NULL);
}

static void align(mpz_ptr tx, mpz_srcptr cx, mpz_ptr ty, mpz_srcptr cy, int32_t d)
{
    weir_num_grow(tx, cx, d < 0 ? (unsigned long)-d : 0);
    weir_num_grow(ty, cy, d > 0 ? (unsigned long)d : 0);
}

static weir_rc exact(weir_op op, const weir_num *x, const weir_num *y, weir_arena *a,
                     const weir_num **out, weir_error *err)
{
    mpz_t vx, vy, r, t;
    mpz_srcptr cx = weir_num_view(vx, x), cy = weir_num_view(vy, y);
    int64_t scale = x->scale > y->scale ? x->scale : y->scale;
    mpz_inits(r, t, NULL);
    switch ((int)op) {
    case WEIR_OP_ADD:
        align(r, cx, t, cy, x->scale - y->scale);
        mpz_add(r, r, t);
        break;
    case WEIR_OP_SUB:
        align(r, cx, t, cy, x->scale - y->scale);
        mpz_sub(r, r, t);
        break;
    case WEIR_OP_MUL:
        mpz_mul(r, cx, cy);
        scale = (int64_t)x->scale + y->scale;
        if (scale > NUM_SCALE_MAX) {
            weir_num_shrink(r, r, (unsigned long)(scale - NUM_SCALE_MAX));
            scale = NUM_SCALE_MAX;
        }
        break;
    case WEIR_OP_DIV:
        scale = quotient_scale(cx, x, cy, y);
        divide(r, cx, cy, scale + y->scale - x->scale);
        break;
    default:
        align(r, cx, t, cy, x->scale - y->scale);
        mpz_tdiv_r(r, r, t);
        break;
    }
    weir_rc rc = weir_num_store(r, scale, a, out, err);
    mpz_clears(r, t, NULL);
    return rc;
}

weir_rc weir_num_arith(weir_op op, const weir_num *x, const weir_num *y, weir_arena *a,
                       const weir_num **out, weir_error *err)
{
    if (x->kind == WEIR_NUM_NAN || y->kind == WEIR_NUM_NAN) {
        return weir_num_special(WEIR_NUM_NAN, a, out, err);
    }
    if (x->kind != WEIR_NUM_FINITE || y->kind != WEIR_NUM_FINITE) {
        return special(op, x, y, a, out, err);
    }
    if ((op == WEIR_OP_DIV || op == WEIR_OP_MOD) && y->nlimbs == 0) {
        return by_zero(err);
    }
    weir_int128 coef;
    int32_t scale;
    if (fast(op, x, y, &coef, &scale)) {
        return weir_num_of_wide(coef, scale, a, out, err);
    }
    return exact(op, x, y, a, out, err);
}
