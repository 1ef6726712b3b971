/* numeric.c - numbers in the arena: how they are made, compared and seen by GMP. */
#include "projector/engine/numeric_priv.h"

#include <stdlib.h>

#include "projector/engine/value_priv.h"

_Static_assert(GMP_NUMB_BITS == 64 && sizeof(mp_limb_t) == sizeof(uint64_t),
               "limbs are copied as 64-bit words");

const int64_t weir_num_pow10[NUM_POW_SMALL + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
};

static weir_num *num_alloc(weir_arena *a, size_t nlimbs)
{
    return weir_arena_alloc(a, sizeof(weir_num) + nlimbs * sizeof(uint64_t));
}

weir_rc weir_num_special(weir_num_kind kind, weir_arena *a, const weir_num **out, weir_error *err)
{
    weir_num *n = num_alloc(a, 0);
    if (!n) {
        return weir_value_full(err);
    }
    *n = (weir_num){.kind = kind};
    *out = n;
    return WEIR_OK;
}

weir_rc weir_num_of_wide(weir_int128 coef, int32_t scale, weir_arena *a, const weir_num **out,
                         weir_error *err)
{
    bool neg = coef < 0;
    unsigned __int128 m = neg ? -(unsigned __int128)coef : (unsigned __int128)coef;
    uint64_t hi = (uint64_t)(m >> 64);
    uint64_t lo = (uint64_t)m;
    uint32_t n = hi ? 2 : lo ? 1 : 0;
    weir_num *r = num_alloc(a, n);
    if (!r) {
        return weir_value_full(err);
    }
    *r = (weir_num){.kind = WEIR_NUM_FINITE, .neg = neg, .scale = scale, .nlimbs = n};
    if (n > 0) {
        r->limb[0] = lo;
    }
    if (n > 1) {
        r->limb[1] = hi;
    }
    *out = r;
    return WEIR_OK;
}

weir_rc weir_num_of_int(int64_t i, weir_arena *a, const weir_num **out, weir_error *err)
{
    return weir_num_of_wide(i, 0, a, out, err);
}

bool weir_num_wide(const weir_num *x, weir_int128 *coef)
{
    if (x->kind != WEIR_NUM_FINITE || x->nlimbs > 2 || (x->nlimbs == 2 && x->limb[1] >> 63)) {
        return false;
    }
    unsigned __int128 m = 0;
    if (x->nlimbs == 2) {
        m = (unsigned __int128)x->limb[1] << 64;
    }
    if (x->nlimbs > 0) {
        m |= x->limb[0];
    }
    *coef = x->neg ? -(weir_int128)m : (weir_int128)m;
    return true;
}

bool weir_num_small(const weir_num *x, int64_t *coef)
{
    if (x->kind != WEIR_NUM_FINITE || x->nlimbs > 1 || (x->nlimbs == 1 && x->limb[0] >> 63)) {
        return false;
    }
    int64_t m = x->nlimbs ? (int64_t)x->limb[0] : 0;
    *coef = x->neg ? -m : m;
    return true;
}

mpz_srcptr weir_num_view(mpz_ptr view, const weir_num *x)
{
    mp_size_t n = (mp_size_t)x->nlimbs;
    return mpz_roinit_n(view, (mp_srcptr)x->limb, x->neg ? -n : n);
}

void weir_num_grow(mpz_ptr r, mpz_srcptr c, unsigned long n)
{
    mpz_t p;
    mpz_init(p);
    mpz_ui_pow_ui(p, 10, n);
    mpz_mul(r, c, p);
    mpz_clear(p);
}

void weir_num_shrink(mpz_ptr r, mpz_srcptr c, unsigned long n)
{
    bool neg = mpz_sgn(c) < 0;
    mpz_t p;
    mpz_init(p);
    mpz_ui_pow_ui(p, 10, n);
    /* (2|c| + p) / 2p is |c| / p rounded half up, that is half away from zero with the sign put
     * back. */
    mpz_abs(r, c);
    mpz_mul_2exp(r, r, 1);
    mpz_add(r, r, p);
    mpz_mul_2exp(p, p, 1);
    mpz_fdiv_q(r, r, p);
    if (neg) {
        mpz_neg(r, r);
    }
    mpz_clear(p);
}

size_t weir_num_digits(mpz_srcptr c)
{
    if (mpz_sgn(c) == 0) {
        return 0;
    }
    size_t n = mpz_sizeinbase(c, 10); /* exact or one too many */
    mpz_t p;
    mpz_init(p);
    mpz_ui_pow_ui(p, 10, n - 1);
    if (mpz_cmpabs(c, p) < 0) {
        n--;
    }
    mpz_clear(p);
    return n;
}

static bool int_part_too_long(mpz_srcptr c, int64_t scale)
{
    /* log10(2) < 0.302: most numbers are far too short for the exact count. */
    if (mpz_sizeinbase(c, 2) < (size_t)NUM_INT_DIGITS_MAX * 3) {
        return false;
    }
    return (int64_t)weir_num_digits(c) - scale > NUM_INT_DIGITS_MAX;
}

weir_rc weir_num_store(mpz_srcptr c, int64_t scale, weir_arena *a, const weir_num **out,
                       weir_error *err)
{
    if (scale < 0 || scale > NUM_SCALE_MAX || int_part_too_long(c, scale)) {
        return weir_value_fail(err, "22003", "value overflows numeric format");
    }
    size_t n = mpz_size(c);
    weir_num *r = num_alloc(a, n);
    if (!r) {
        return weir_value_full(err);
    }
    *r = (weir_num){.kind = WEIR_NUM_FINITE,
                    .neg = mpz_sgn(c) < 0,
                    .scale = (int32_t)scale,
                    .nlimbs = (uint32_t)n};
    if (n > 0) {
        memcpy(r->limb, mpz_limbs_read(c), n * sizeof(uint64_t));
    }
    *out = r;
    return WEIR_OK;
}

static int cmp_finite(const weir_num *x, const weir_num *y)
{
    int64_t sx, sy;
    int32_t d = x->scale - y->scale;
    if (weir_num_small(x, &sx) && weir_num_small(y, &sy) && d <= NUM_POW_SMALL &&
        d >= -NUM_POW_SMALL) {
        weir_int128 wx = (weir_int128)sx * (d < 0 ? weir_num_pow10[-d] : 1);
        weir_int128 wy = (weir_int128)sy * (d > 0 ? weir_num_pow10[d] : 1);
        return (wx > wy) - (wx < wy);
    }
    mpz_t vx, vy, t;
    mpz_init(t);
    int c;
    if (d >= 0) {
        weir_num_grow(t, weir_num_view(vy, y), (unsigned long)d);
        c = mpz_cmp(weir_num_view(vx, x), t);
    } else {
        weir_num_grow(t, weir_num_view(vx, x), (unsigned long)-d);
        c = mpz_cmp(t, weir_num_view(vy, y));
    }
    mpz_clear(t);
    return c;
}

int weir_num_cmp(const weir_num *x, const weir_num *y)
{
    static const int rank[] = {
        [WEIR_NUM_NINF] = 0, [WEIR_NUM_FINITE] = 1, [WEIR_NUM_PINF] = 2, [WEIR_NUM_NAN] = 3};
    if (x->kind != WEIR_NUM_FINITE || y->kind != WEIR_NUM_FINITE) {
        return rank[x->kind] - rank[y->kind];
    }
    return cmp_finite(x, y);
}

weir_rc weir_num_neg(const weir_num *x, weir_arena *a, const weir_num **out, weir_error *err)
{
    if (x->kind == WEIR_NUM_NAN) {
        *out = x;
        return WEIR_OK;
    }
    if (x->kind != WEIR_NUM_FINITE) {
        return weir_num_special(x->kind == WEIR_NUM_PINF ? WEIR_NUM_NINF : WEIR_NUM_PINF, a, out,
                                err);
    }
    size_t bytes = x->nlimbs * sizeof(uint64_t);
    weir_num *r = num_alloc(a, x->nlimbs);
    if (!r) {
        return weir_value_full(err);
    }
    *r = *x;
    memcpy(r->limb, x->limb, bytes);
    r->neg = x->nlimbs > 0 && !x->neg;
    *out = r;
    return WEIR_OK;
}

weir_rc weir_num_to_int(const weir_num *x, int64_t *out, weir_error *err)
{
    if (x->kind != WEIR_NUM_FINITE) {
        return weir_value_fail(err, "0A000", "cannot convert %s to an integer",
                               x->kind == WEIR_NUM_NAN ? "NaN" : "infinity");
    }
    int64_t c;
    if (x->scale == 0 && weir_num_small(x, &c)) {
        *out = c;
        return WEIR_OK;
    }
    mpz_t v, t;
    mpz_init(t);
    weir_num_shrink(t, weir_num_view(v, x), (unsigned long)x->scale);
    bool fits = mpz_fits_slong_p(t) != 0;
    *out = fits ? mpz_get_si(t) : 0;
    mpz_clear(t);
    return fits ? WEIR_OK : weir_value_fail(err, "22003", "bigint out of range");
}
