/* jwt.h - JSON Web Tokens (RFC 7519), compact, signed with HS256 or RS256. Pure; the clock is
 * given.
 *
 *   base64url(header) . base64url(claims) . base64url(signature)
 *
 * The key decides the algorithm, never the token; the claims are not looked at before the signature
 * holds.
 */
#ifndef WEIR_AUTH_JWT_H
#define WEIR_AUTH_JWT_H

#include "libweir/auth/jwks.h"

enum { WEIR_JWT_MAX_BYTES = 8192, WEIR_JWT_SUB_MAX = 255 };

typedef struct weir_jwt_rules {
    const char *issuer;   /* "*": any */
    const char *audience; /* "*": any */
    int64_t leeway_s;
    const char *role_claim; /* a member's name, or a JSON Pointer ("/realm/roles") */
} weir_jwt_rules;

typedef enum weir_jwt_fault {
    WEIR_JWT_OK,
    WEIR_JWT_MALFORMED,
    WEIR_JWT_ALGORITHM, /* none, or not one of ours */
    WEIR_JWT_KEY,       /* no key of that name, or of that algorithm */
    WEIR_JWT_SIGNATURE,
    WEIR_JWT_CLAIMS, /* malformed, or sub or exp is missing */
    WEIR_JWT_EXPIRED,
    WEIR_JWT_EARLY, /* nbf or iat lies in the future */
    WEIR_JWT_ISSUER,
    WEIR_JWT_AUDIENCE,
    WEIR_JWT_FAULTS
} weir_jwt_fault;

enum { WEIR_JWT_ROLES_MAX = 64 };

typedef struct weir_jwt {
    const char *subject, *issuer;          /* issuer "": the token has none */
    weir_slice claims;                     /* as they stood in the token, NUL-terminated beyond n */
    int64_t expires_s;                     /* since 1970, leeway not included */
    const char *roles[WEIR_JWT_ROLES_MAX]; /* texts of the role claim; more are passed over */
    size_t nroles;
} weir_jwt;

/* Everything in *out is in a. */
WEIR_MUST_CHECK weir_jwt_fault weir_jwt_verify(weir_jwt *out, weir_slice token,
                                               const weir_jwks *keys, const weir_jwt_rules *rules,
                                               int64_t now_s, weir_arena *a);
/* "expired": for metrics. */
const char *weir_jwt_fault_name(weir_jwt_fault fault);

#endif
