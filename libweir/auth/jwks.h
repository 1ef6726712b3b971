/* jwks.h - the keys that sign tokens: a JSON Web Key Set (RFC 7517) in a file.
 *
 *   {"keys": [{"kty": "RSA", "alg": "RS256", "kid": "2026-11", "n": …, "e": "AQAB"},
 *             {"kty": "oct", "alg": "HS256", "kid": "batch", "k": …}]}
 *
 * Each key says itself what it is for: a token cannot choose another algorithm for it.
 */
#ifndef WEIR_AUTH_JWKS_H
#define WEIR_AUTH_JWKS_H

#include "libweir/base/arena.h"
#include "libweir/base/crypt.h"

enum { WEIR_JWKS_MAX = 64, WEIR_JWKS_MAX_BYTES = 1 << 20, WEIR_HS256_MIN_BYTES = 32 };

typedef enum weir_jwt_alg { WEIR_JWT_HS256, WEIR_JWT_RS256 } weir_jwt_alg;

typedef struct weir_jwk {
    weir_slice kid; /* {NULL,0}: none */
    weir_jwt_alg alg;
    weir_slice secret; /* HS256 */
    weir_rsa *rsa;     /* RS256 */
} weir_jwk;

typedef struct weir_jwks {
    size_t n;
    weir_jwk k[WEIR_JWKS_MAX];
} weir_jwks;

/* WEIR_E_INPUT says which key and why; never what stands in it. A key set without a usable key is
 * refused too; keys for encryption ("use": "enc") are passed over. Texts are in a, the rest is
 * freed by weir_jwks_fini, also after a failure. */
WEIR_MUST_CHECK weir_rc weir_jwks_parse(weir_jwks *out, weir_slice text, weir_arena *a,
                                        weir_error *err);
void weir_jwks_fini(weir_jwks *ks); /* wipes the secrets */

#endif
