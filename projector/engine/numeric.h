/* numeric.h - PostgreSQL's numeric: exact decimals with a display scale, NaN and infinities.
 *
 * value = (-1)^neg * limb[nlimbs-1 … 0] * 10^-scale; limbs are 64 bits, least significant first, no
 * leading zero limb. A number is immutable and lies whole in its arena: nothing to free. Results,
 * scales and errors are those of PostgreSQL 15's numeric.c.
 */
#ifndef WEIR_PROJECTOR_ENGINE_NUMERIC_H
#define WEIR_PROJECTOR_ENGINE_NUMERIC_H

#include "projector/engine/value.h"

typedef __int128 weir_int128;

typedef enum weir_num_kind {
    WEIR_NUM_FINITE,
    WEIR_NUM_NINF,
    WEIR_NUM_PINF,
    WEIR_NUM_NAN, /* greater than everything, equal to itself */
} weir_num_kind;

struct weir_num {
    weir_num_kind kind;
    bool neg;
    int32_t scale;   /* digits shown after the point: 0 … 16383 */
    uint32_t nlimbs; /* 0: zero */
    uint64_t limb[];
};

/* All: WEIR_E_INPUT with SQLSTATE (22003 overflow, 22012 division by zero, 22P02 syntax),
 * WEIR_E_LIMIT when a is full. */
WEIR_MUST_CHECK weir_rc weir_num_of_int(int64_t i, weir_arena *a, const weir_num **out,
                                        weir_error *err);
WEIR_MUST_CHECK weir_rc weir_num_of_wide(weir_int128 coef, int32_t scale, weir_arena *a,
                                         const weir_num **out, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_num_special(weir_num_kind kind, weir_arena *a, const weir_num **out,
                                         weir_error *err);
/* What numeric_in accepts, surrounding white space included. */
WEIR_MUST_CHECK weir_rc weir_num_parse(weir_slice s, weir_arena *a, const weir_num **out,
                                       weir_error *err);
WEIR_MUST_CHECK weir_rc weir_num_text(const weir_num *x, weir_arena *a, weir_slice *out,
                                      weir_error *err);

/* op: WEIR_OP_ADD, SUB, MUL, DIV, MOD. */
WEIR_MUST_CHECK weir_rc weir_num_arith(weir_op op, const weir_num *x, const weir_num *y,
                                       weir_arena *a, const weir_num **out, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_num_neg(const weir_num *x, weir_arena *a, const weir_num **out,
                                     weir_error *err);
/* numeric(p,s) with typmod ((p << 16) | s) + 4; -1 gives x itself. */
WEIR_MUST_CHECK weir_rc weir_num_typmod(const weir_num *x, int32_t typmod, weir_arena *a,
                                        const weir_num **out, weir_error *err);
/* Rounded half away from zero. WEIR_E_INPUT 22003 when out of int64's range; 0A000 for NaN and
 * infinities. */
WEIR_MUST_CHECK weir_rc weir_num_to_int(const weir_num *x, int64_t *out, weir_error *err);

int weir_num_cmp(const weir_num *x, const weir_num *y); /* < 0, 0, > 0; scale does not count */
/* Coefficient of a finite number when it fits; false otherwise. */
bool weir_num_wide(const weir_num *x, weir_int128 *coef);

#endif
