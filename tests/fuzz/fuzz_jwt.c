/* fuzz_jwt.c - what a client shows to be let in: tokens, keys and headers, and the key sets and key
 * files they are checked with, from hostile bytes. */
#include <assert.h>

#include "libweir/auth/auth.h"
#include "libweir/auth/jwt.h"
#include "libweir/auth/keyfile.h"
#include "libweir/base/base64url.h"
#include "libweir/base/buf.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static const char set[] = "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"a\",\"k\":"
                          "\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE\"}]}";
static const weir_jwt_rules rules = {"*", "*", 30, "/realm/roles"};

/* Header and claims of the input, signed rightly: so that what lies behind the signature is reached
 * too. */
static weir_slice signed_token(weir_slice in, const weir_jwks *ks, weir_arena *a)
{
    unsigned char mac[WEIR_SHA256_BYTES];
    weir_buf b;
    const char *nl = in.n ? memchr(in.p, '\n', in.n) : NULL;
    size_t left = nl ? (size_t)(nl - in.p) : 0;
    weir_buf_init(&b, 1 << 20);
    weir_base64url_put(&b, nl ? weir_slice_of(in.p, left) : WEIR_SLICE_LIT("{\"alg\":\"HS256\"}"));
    weir_buf_putz(&b, ".");
    weir_base64url_put(&b, nl ? weir_slice_of(nl + 1, in.n - left - 1) : in);
    if (!weir_hmac_sha256(ks->k[0].secret, weir_buf_slice(&b), mac)) {
        assert(false);
    }
    weir_buf_putz(&b, ".");
    weir_base64url_put(&b, weir_slice_of((const char *)mac, sizeof mac));
    weir_slice out = weir_arena_dup(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

static void touch_token(weir_slice token, const weir_jwks *ks, weir_arena *a)
{
    weir_jwt t;
    if (weir_jwt_verify(&t, token, ks, &rules, 1800000000, a) == WEIR_JWT_OK) {
        fuzz_touch(weir_slice_z(t.subject));
        fuzz_touch(t.claims);
        assert(t.claims.p[t.claims.n] == '\0' && t.nroles <= WEIR_JWT_ROLES_MAX);
        for (size_t i = 0; i < t.nroles; i++) {
            fuzz_touch(weir_slice_z(t.roles[i]));
        }
    }
}

static void touch_files(weir_slice in, weir_arena *a)
{
    weir_jwks ks;
    weir_apikeys keys;
    weir_error err;
    if (weir_jwks_parse(&ks, in, a, &err) == WEIR_OK) {
        for (size_t i = 0; i < ks.n; i++) {
            fuzz_touch(ks.k[i].kid);
            fuzz_touch(ks.k[i].secret);
        }
    }
    weir_jwks_fini(&ks);
    if (weir_apikeys_parse(&keys, in, a, &err) == WEIR_OK) {
        for (size_t i = 0; i < keys.n; i++) {
            fuzz_touch(weir_slice_z(keys.k[i].name));
            fuzz_touch(weir_slice_z(keys.k[i].role));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice in = weir_slice_of((const char *)data, size), part;
    weir_jwks ks;
    weir_error err;
    if (weir_jwks_parse(&ks, weir_slice_z(set), a, &err) == WEIR_OK) {
        touch_token(in, &ks, a);
        touch_token(signed_token(in, &ks, a), &ks, a);
    }
    weir_jwks_fini(&ks);
    touch_files(in, a);
    if (size >= WEIR_KEY_CHARS) {
        fuzz_sink += weir_apikey_id(in, &part);
    }
    char *header = weir_arena_dupz(a, in);
    if (weir_auth_bearer(header, &part)) {
        fuzz_touch(part);
    }
    weir_arena_free(a);
    return 0;
}
