/* slice.h - borrowed bytes: a pointer and a length, never NUL-terminated by promise. */
#ifndef WEIR_BASE_SLICE_H
#define WEIR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct weir_slice {
    const char *p; /* may be NULL only when n is 0 */
    size_t n;
} weir_slice;

#define WEIR_SLICE_FMT      "%.*s"
#define WEIR_SLICE_ARG(s)   (int)(s).n, (s).p ? (s).p : ""
#define WEIR_SLICE_LIT(lit) ((weir_slice){(lit), sizeof(lit) - 1})

static inline weir_slice weir_slice_of(const char *p, size_t n)
{
    return (weir_slice){p, n};
}

static inline weir_slice weir_slice_z(const char *z)
{
    return (weir_slice){z, z ? strlen(z) : 0};
}

static inline bool weir_slice_eq(weir_slice a, weir_slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool weir_slice_eqz(weir_slice a, const char *z)
{
    return weir_slice_eq(a, weir_slice_z(z));
}

/* Byte order, then length: <0, 0, >0. */
int weir_slice_cmp(weir_slice a, weir_slice b);
bool weir_slice_starts(weir_slice s, weir_slice prefix);
/* Without ASCII white space at both ends. */
weir_slice weir_slice_trim(weir_slice s);
/* Decimal with optional sign, whole slice, no white space; false on anything else or overflow. */
bool weir_slice_i64(weir_slice s, int64_t *out);
bool weir_slice_u64(weir_slice s, uint64_t *out);

#endif
