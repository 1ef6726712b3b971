/* numeric_priv.h - what the numeric files share: GMP views of a number and the way back into the
 * arena. */
#ifndef WEIR_PROJECTOR_ENGINE_NUMERIC_PRIV_H
#define WEIR_PROJECTOR_ENGINE_NUMERIC_PRIV_H

#include <gmp.h>

#include "projector/engine/numeric.h"

enum {
    NUM_SCALE_MAX = 16383, /* NUMERIC_DSCALE_MAX */
    NUM_INT_DIGITS_MAX =
        131072,         /* digits before the point: weight is an int16 of base-10000 digits */
    NUM_POW_SMALL = 18, /* 10^18 fits int64 */
};

extern const int64_t weir_num_pow10[NUM_POW_SMALL + 1];

/* A read-only view; valid while x is; needs no clear. */
mpz_srcptr weir_num_view(mpz_ptr view, const weir_num *x);
/* Copies c * 10^-scale into the arena after PostgreSQL's range checks. c is untouched. */
WEIR_MUST_CHECK weir_rc weir_num_store(mpz_srcptr c, int64_t scale, weir_arena *a,
                                       const weir_num **out, weir_error *err);
/* r = c / 10^n, rounded half away from zero. r may be c. */
void weir_num_shrink(mpz_ptr r, mpz_srcptr c, unsigned long n);
/* r = c * 10^n. */
void weir_num_grow(mpz_ptr r, mpz_srcptr c, unsigned long n);
/* Decimal digits of |c|; 0 for zero. Exact. */
size_t weir_num_digits(mpz_srcptr c);
/* The coefficient when it is one int64. */
bool weir_num_small(const weir_num *x, int64_t *coef);

#endif
