/* key.h - canonical key bytes: equal values have equal bytes, whatever text they came as.
 *
 *   integers (any width)   int64, big endian, sign bit flipped: 8 bytes
 *   everything else        canonical text, then 0x00 (no text of PostgreSQL holds one)
 *     numeric              without trailing zeros of the fraction
 *     char(n)              without trailing blanks
 *     float                -0 is 0
 * A key longer than WEIR_KEY_CUT bytes is cut there and followed by the xxh128 of the whole, so
 * that an index entry (4 + columns + row key) always fits into LMDB's 511 bytes. Pure; any thread.
 */
#ifndef WEIR_PROJECTOR_ENGINE_KEY_H
#define WEIR_PROJECTOR_ENGINE_KEY_H

#include "libweir/base/err.h"
#include "libweir/codec/tuple.h"
#include "projector/sql/plan.h"

enum { WEIR_KEY_CUT = 224, WEIR_KEY_MAX = WEIR_KEY_CUT + 16, WEIR_KEY_COLS_MAX = 64 };

typedef struct weir_key {
    uint16_t n;
    unsigned char b[WEIR_KEY_MAX];
} weir_key;

static inline weir_slice weir_key_slice(const weir_key *k)
{
    return (weir_slice){(const char *)k->b, k->n};
}

/* n columns, n at most WEIR_KEY_COLS_MAX. WEIR_E_NOTFOUND (no text) when one of them is NULL or
 * absent: such a row is in no index. WEIR_E_PROTO when an integer's text is none. */
WEIR_MUST_CHECK weir_rc weir_key_make(weir_key *k, size_t n, const weir_ty *types,
                                      const weir_val *vals, weir_error *err);

#endif
