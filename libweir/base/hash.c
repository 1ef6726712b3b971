/* hash.c - xxHash (XXH3) of bytes. */
#include "libweir/base/hash.h"

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
