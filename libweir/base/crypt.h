/* crypt.h - digests, signatures and comparisons over OpenSSL, as authentication needs them. Any
 * thread. */
#ifndef WEIR_BASE_CRYPT_H
#define WEIR_BASE_CRYPT_H

#include <stdbool.h>

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

enum { WEIR_SHA256_BYTES = 32 };

/* false: OpenSSL failed. */
WEIR_MUST_CHECK bool weir_sha256(weir_slice text, unsigned char out[WEIR_SHA256_BYTES]);
WEIR_MUST_CHECK bool weir_hmac_sha256(weir_slice key, weir_slice text,
                                      unsigned char out[WEIR_SHA256_BYTES]);
/* In a time that depends on n alone. */
WEIR_MUST_CHECK bool weir_same_bytes(const void *a, const void *b, size_t n);
/* Overwrites what must not stay in memory. */
void weir_wipe(void *p, size_t n);
/* n bytes from getrandom. false: there are none. */
WEIR_MUST_CHECK bool weir_random_bytes(void *p, size_t n);

/* A public RSA key. */
typedef struct weir_rsa weir_rsa;
enum { WEIR_RSA_MIN_BITS = 2048, WEIR_RSA_MAX_BITS = 8192 };

/* Modulus and exponent, big endian. WEIR_E_INPUT: too small, too large, or no key. */
WEIR_MUST_CHECK weir_rc weir_rsa_new(weir_rsa **out, weir_slice modulus, weir_slice exponent,
                                     weir_error *err);
void weir_rsa_free(weir_rsa *k); /* NULL is fine */
/* RSASSA-PKCS1-v1_5 with SHA-256. */
WEIR_MUST_CHECK bool weir_rsa_verify(const weir_rsa *k, weir_slice text, weir_slice signature);

#endif
