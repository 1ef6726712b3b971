/* hash.c - xxHash (XXH3) of bytes. */
#include "libweir/base/hash.h"

#include <stdlib.h>

#include <xxhash.h>

uint64_t weir_hash64(weir_slice s)
{
    return XXH3_64bits(s.p ? s.p : "", s.n);
}

weir_hash128 weir_hash128_of(weir_slice s)
{
    weir_hash128 h;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(s.p ? s.p : "", s.n));
    memcpy(h.b, c.digest, sizeof h.b);
    return h;
}

void weir_hash128_hex(weir_hash128 h, char out[33])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof h.b; i++) {
        out[2 * i] = hex[h.b[i] >> 4];
        out[2 * i + 1] = hex[h.b[i] & 15];
    }
    out[32] = '\0';
}

/* weir_hasher is the library's own state; the type only keeps xxhash out of the callers. */
weir_hasher *weir_hasher_new(void)
{
    XXH3_state_t *x = XXH3_createState();
    if (!x) {
        abort();
    }
    (void)XXH3_128bits_reset(x);
    return (weir_hasher *)x;
}

void weir_hasher_free(weir_hasher *h)
{
    (void)XXH3_freeState((XXH3_state_t *)h);
}

void weir_hasher_reset(weir_hasher *h)
{
    (void)XXH3_128bits_reset((XXH3_state_t *)h);
}

void weir_hasher_add(weir_hasher *h, weir_slice s)
{
    if (s.n) {
        (void)XXH3_128bits_update((XXH3_state_t *)h, s.p, s.n);
    }
}

weir_hash128 weir_hasher_get(const weir_hasher *h)
{
    weir_hash128 out;
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest((const XXH3_state_t *)h));
    memcpy(out.b, c.digest, sizeof out.b);
    return out;
}
