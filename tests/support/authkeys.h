/* authkeys.h - API keys and tokens for tests of callers. */
#ifndef WEIR_SUPPORT_AUTHKEYS_H
#define WEIR_SUPPORT_AUTHKEYS_H

#include "libweir/auth/keyfile.h"

/* What signs the tokens below; 32 bytes. */
#define AUTHKEYS_SECRET "0123456789abcdef0123456789abcdef"

typedef struct authkeys_one {
    weir_apikey key; /* name, role, rate_per_s by the test */
    char header[sizeof "Authorization: Bearer " + WEIR_KEY_CHARS]; /* as a client sends it */
} authkeys_one;

/* Makes keys and headers, writes the file. Fails the test when it cannot. */
void authkeys_make(authkeys_one *list, size_t n, const char *path);
/* The file with the first n of them. */
void authkeys_write(const authkeys_one *list, size_t n, const char *path);
/* A key set with AUTHKEYS_SECRET under the name kid. */
void authkeys_jwks(const char *path, const char *kid, weir_arena *a);
/* The compact token, signed with AUTHKEYS_SECRET whatever alg says. */
const char *authkeys_token(const char *alg, const char *kid, const char *claims, weir_arena *a);

#endif
