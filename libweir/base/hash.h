/* hash.h - xxHash (XXH3) of bytes: for identity of content, not against forgery. */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include "libweir/base/slice.h"

typedef struct weir_hash128 {
    unsigned char b[16];
} weir_hash128;

uint64_t weir_hash64(weir_slice s);
weir_hash128 weir_hash128_of(weir_slice s);

#endif
