/* numeric_text.c - numeric_in, numeric_out and numeric(p,s). */
#include <stdlib.h>
#include <strings.h>

#include "projector/engine/numeric_priv.h"
#include "projector/engine/value_priv.h"

enum { EXPONENT_MAX = 1 << 20 }; /* beyond any number numeric can hold */

typedef struct decimal { /* what was read: digits with the point removed, and its exponent */
    weir_slice whole, frac;
    bool neg;
    int64_t exponent;
} decimal;

static weir_rc bad_syntax(weir_error *err)
{
    return weir_value_fail(err, "22P02", "invalid input syntax for type numeric");
}

static weir_rc overflow(weir_error *err)
{
    return weir_value_fail(err, "22003", "value overflows numeric format");
}

static bool word(weir_slice s, const char *w)
{
    return s.n == strlen(w) && strncasecmp(s.p, w, s.n) == 0;
}

static bool parse_special(weir_slice s, weir_num_kind *kind)
{
    if (word(s, "nan")) {
        *kind = WEIR_NUM_NAN;
    } else if (word(s, "infinity") || word(s, "inf") || word(s, "+infinity") || word(s, "+inf")) {
        *kind = WEIR_NUM_PINF;
    } else if (word(s, "-infinity") || word(s, "-inf")) {
        *kind = WEIR_NUM_NINF;
    } else {
        return false;
    }
    return true;
}

static weir_slice digits(weir_slice s, size_t *i)
{
    size_t from = *i;
    while (*i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9') {
        (*i)++;
    }
    return (weir_slice){s.p + from, *i - from};
}

/* The part after 'e', read like strtol: white space, sign, digits. Saturates. */
static bool parse_exponent(weir_slice s, size_t *i, int64_t *out)
{
    while (*i < s.n && weir_space(s.p[*i])) {
        (*i)++;
    }
    bool neg = *i < s.n && s.p[*i] == '-';
    if (*i < s.n && (s.p[*i] == '-' || s.p[*i] == '+')) {
        (*i)++;
    }
    weir_slice d = digits(s, i);
    int64_t v = 0;
    for (size_t k = 0; k < d.n; k++) {
        v = v > EXPONENT_MAX ? v : v * 10 + (d.p[k] - '0');
    }
    *out = neg ? -v : v;
    return d.n > 0;
}

static bool parse_decimal(weir_slice s, decimal *d)
{
    size_t i = 0;
    *d = (decimal){.neg = s.n > 0 && s.p[0] == '-'};
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
        i++;
    }
    d->whole = digits(s, &i);
    if (i < s.n && s.p[i] == '.') {
        i++;
        d->frac = digits(s, &i);
    }
    if (d->whole.n + d->frac.n == 0) {
        return false;
    }
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (!parse_exponent(s, &i, &d->exponent)) {
            return false;
        }
    }
    return i == s.n;
}

static bool all_zero(weir_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '0') {
            return false;
        }
    }
    return true;
}

static weir_rc from_digits(const decimal *d, weir_arena *a, const weir_num **out, weir_error *err)
{
    size_t n = d->whole.n + d->frac.n;
    int64_t scale = (int64_t)d->frac.n - d->exponent;
    bool zero = all_zero(d->whole) && all_zero(d->frac);
    if (scale > NUM_SCALE_MAX || d->exponent > EXPONENT_MAX) {
        return overflow(err);
    }
    if (zero) {
        return weir_num_of_wide(0, scale > 0 ? (int32_t)scale : 0, a, out, err);
    }
    if (scale < -NUM_INT_DIGITS_MAX) {
        return overflow(err);
    }
    char *z = weir_arena_alloc(a, n + 1);
    if (!z) {
        return weir_value_full(err);
    }
    memcpy(z, d->whole.p, d->whole.n);
    if (d->frac.n) {
        memcpy(z + d->whole.n, d->frac.p, d->frac.n);
    }
    z[n] = '\0';
    mpz_t c;
    mpz_init(c);
    weir_rc rc = WEIR_OK;
    if (mpz_set_str(c, z, 10) != 0) {
        rc = bad_syntax(err);
    } else {
        if (scale < 0) {
            weir_num_grow(c, c, (unsigned long)-scale);
            scale = 0;
        }
        if (d->neg) {
            mpz_neg(c, c);
        }
        rc = weir_num_store(c, scale, a, out, err);
    }
    mpz_clear(c);
    return rc;
}

weir_rc weir_num_parse(weir_slice s, weir_arena *a, const weir_num **out, weir_error *err)
{
    decimal d;
    weir_num_kind kind;
    s = weir_value_strip(s);
    if (!parse_decimal(s, &d)) {
        return parse_special(s, &kind) ? weir_num_special(kind, a, out, err) : bad_syntax(err);
    }
    if (d.exponent != 0 || d.whole.n + d.frac.n > NUM_POW_SMALL) {
        return from_digits(&d, a, out, err);
    }
    int64_t v = 0;
    for (size_t i = 0; i < d.whole.n; i++) {
        v = v * 10 + (d.whole.p[i] - '0');
    }
    for (size_t i = 0; i < d.frac.n; i++) {
        v = v * 10 + (d.frac.p[i] - '0');
    }
    return weir_num_of_wide(d.neg ? -v : v, (int32_t)d.frac.n, a, out, err);
}

/* Digits without sign of |x| into buf (at least 24 bytes for the fast case), or malloc'd by GMP
 * into *big. */
static size_t plain_digits(const weir_num *x, char *buf, char **big)
{
    uint64_t v = x->nlimbs ? x->limb[0] : 0;
    if (x->nlimbs <= 1) {
        size_t n = 0;
        char tmp[24];
        do {
            tmp[n++] = (char)('0' + v % 10);
            v /= 10;
        } while (v);
        for (size_t i = 0; i < n; i++) {
            buf[i] = tmp[n - 1 - i];
        }
        return n;
    }
    mpz_t view;
    *big = mpz_get_str(NULL, 10, weir_num_view(view, x));
    if (x->neg) {
        memmove(*big, *big + 1, strlen(*big));
    }
    return strlen(*big);
}

static void gmp_free(char *p, size_t n)
{
    void (*release)(void *, size_t);
    mp_get_memory_functions(NULL, NULL, &release);
    release(p, n);
}

weir_rc weir_num_text(const weir_num *x, weir_arena *a, weir_slice *out, weir_error *err)
{
    static const char *const names[] = {
        [WEIR_NUM_NINF] = "-Infinity", [WEIR_NUM_PINF] = "Infinity", [WEIR_NUM_NAN] = "NaN"};
    if (x->kind != WEIR_NUM_FINITE) {
        *out = weir_slice_z(names[x->kind]);
        return WEIR_OK;
    }
    char small[24];
    char *big = NULL;
    size_t n = plain_digits(x, small, &big);
    const char *d = big ? big : small;
    size_t scale = (size_t)x->scale;
    size_t lead = n > scale ? n - scale : 0; /* digits before the point */
    char *z = weir_arena_alloc(a, n + scale + 4);
    if (z) {
        char *w = z;
        if (x->neg) {
            *w++ = '-';
        }
        if (lead == 0) {
            *w++ = '0';
        }
        memcpy(w, d, lead);
        w += lead;
        if (scale) {
            *w++ = '.';
            memset(w, '0', scale);
            memcpy(w + scale - (n - lead), d + lead, n - lead);
            w += scale;
        }
        *out = (weir_slice){z, (size_t)(w - z)};
    }
    if (big) {
        gmp_free(big, strlen(big) + 1 + x->neg);
    }
    return z ? WEIR_OK : weir_value_full(err);
}

/* mpz_t c (initialised) = x at exactly `scale` digits; a negative scale rounds before the point. */
static void rescale(mpz_ptr c, const weir_num *x, int scale)
{
    mpz_t view;
    mpz_srcptr v = weir_num_view(view, x);
    if (scale >= x->scale) {
        weir_num_grow(c, v, (unsigned long)(scale - x->scale));
    } else {
        weir_num_shrink(c, v, (unsigned long)(x->scale - scale));
    }
}

weir_rc weir_num_typmod(const weir_num *x, int32_t typmod, weir_arena *a, const weir_num **out,
                        weir_error *err)
{
    if (typmod < 4 || x->kind == WEIR_NUM_NAN) {
        *out = x;
        return WEIR_OK;
    }
    int precision = (int)(((uint32_t)typmod - 4) >> 16) & 0xffff;
    int scale = ((int)(((uint32_t)typmod - 4) & 0x7ff) ^ 1024) - 1024; /* 11 bits, signed */
    if (x->kind != WEIR_NUM_FINITE) {
        return weir_value_fail(err, "22003",
                               "numeric field overflow: precision %d, scale %d cannot hold an "
                               "infinite value",
                               precision, scale);
    }
    mpz_t c;
    mpz_init(c);
    rescale(c, x, scale);
    weir_rc rc;
    if ((int64_t)weir_num_digits(c) > precision) {
        rc = weir_value_fail(err, "22003", "numeric field overflow: precision %d, scale %d",
                             precision, scale);
    } else {
        if (scale < 0) {
            weir_num_grow(c, c, (unsigned long)-scale);
        }
        rc = weir_num_store(c, scale < 0 ? 0 : scale, a, out, err);
    }
    mpz_clear(c);
    return rc;
}
