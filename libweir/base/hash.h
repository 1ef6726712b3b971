/* hash.h - xxHash (XXH3) of bytes: for identity of content, not against forgery. */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include "libweir/base/slice.h"

typedef struct weir_hash128 {
    unsigned char b[16];
} weir_hash128;

uint64_t weir_hash64(weir_slice s);
weir_hash128 weir_hash128_of(weir_slice s);
/* 32 hex digits and NUL, as xxh128sum prints them. */
void weir_hash128_hex(weir_hash128 h, char out[33]);

/* The same hash over bytes that come in pieces. */
typedef struct weir_hasher weir_hasher;
weir_hasher *weir_hasher_new(void);    /* never NULL */
void weir_hasher_free(weir_hasher *h); /* NULL is fine */
void weir_hasher_reset(weir_hasher *h);
void weir_hasher_add(weir_hasher *h, weir_slice s);
weir_hash128 weir_hasher_get(const weir_hasher *h); /* of everything since new or reset */

#endif
