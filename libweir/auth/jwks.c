/* jwks.c - a JSON Web Key Set, strictly read. */
#include "libweir/auth/jwks.h"

#include "libweir/base/base64url.h"
#include "libweir/codec/json.h"

static weir_rc bad(weir_error *err, size_t i, const char *why)
{
    return weir_fail(err, WEIR_E_INPUT, 0, "key %zu (from 0): %s", i, why);
}

static bool bytes_of(const weir_json *j, const char *name, weir_arena *a, weir_slice *out)
{
    weir_slice text;
    return weir_json_str(j, name, &text) && weir_base64url_decode(text, a, out) && out->n > 0;
}

static weir_rc take_secret(weir_jwk *k, const weir_json *j, size_t i, weir_arena *a,
                           weir_error *err)
{
    k->alg = WEIR_JWT_HS256;
    if (!bytes_of(j, "k", a, &k->secret)) {
        return bad(err, i, "k must be base64url without padding");
    }
    if (k->secret.n < WEIR_HS256_MIN_BYTES) {
        return bad(err, i, "the secret of an HS256 key must have 32 bytes or more");
    }
    return WEIR_OK;
}

static weir_rc take_rsa(weir_jwk *k, const weir_json *j, size_t i, weir_arena *a, weir_error *err)
{
    weir_slice n, e;
    weir_error why = {0};
    k->alg = WEIR_JWT_RS256;
    if (weir_json_get(j, "d") || weir_json_get(j, "p")) {
        return bad(err, i,
                   "it holds a private key; put only the public part (n, e) here, and "
                   "take the private one as known to others");
    }
    if (!bytes_of(j, "n", a, &n) || !bytes_of(j, "e", a, &e)) {
        return bad(err, i, "n and e must be base64url without padding");
    }
    return weir_rsa_new(&k->rsa, n, e, &why) == WEIR_OK ? WEIR_OK : bad(err, i, why.msg);
}

static bool same_kid(const weir_jwks *ks, weir_slice kid)
{
    for (size_t i = 0; kid.p && i < ks->n; i++) {
        if (weir_slice_eq(ks->k[i].kid, kid)) {
            return true;
        }
    }
    return false;
}

static weir_rc take_key(weir_jwks *out, const weir_json *j, size_t i, weir_arena *a,
                        weir_error *err)
{
    weir_slice kty, alg, kid = {NULL, 0}, use;
    if (weir_json_str(j, "use", &use) && !weir_slice_eqz(use, "sig")) {
        return WEIR_OK;
    }
    if (weir_json_get(j, "kid") && (!weir_json_str(j, "kid", &kid) || kid.n == 0 || kid.n > 256)) {
        return bad(err, i, "kid must be a text of 1 to 256 bytes");
    }
    if (same_kid(out, kid)) {
        return bad(err, i, "another key has the same kid");
    }
    if (!weir_json_str(j, "kty", &kty) || !weir_json_str(j, "alg", &alg)) {
        return bad(err, i, "kty and alg must be there");
    }
    if (out->n == WEIR_JWKS_MAX) {
        return bad(err, i, "there are too many keys");
    }
    weir_jwk *k = &out->k[out->n];
    bool oct = weir_slice_eqz(kty, "oct") && weir_slice_eqz(alg, "HS256");
    bool rsa = weir_slice_eqz(kty, "RSA") && weir_slice_eqz(alg, "RS256");
    if (!oct && !rsa) {
        return bad(err, i, "it must be kty oct with alg HS256, or kty RSA with alg RS256");
    }
    *k = (weir_jwk){.kid = kid.p ? weir_arena_dup(a, kid) : kid};
    weir_rc rc = oct ? take_secret(k, j, i, a, err) : take_rsa(k, j, i, a, err);
    out->n += rc == WEIR_OK;
    return rc;
}

weir_rc weir_jwks_parse(weir_jwks *out, weir_slice text, weir_arena *a, weir_error *err)
{
    weir_json *j = NULL;
    weir_error why = {0};
    out->n = 0;
    if (weir_json_parse(&j, text, &why) != WEIR_OK) {
        /* The parser's text may quote what it read. */
        return weir_fail(err, WEIR_E_INPUT, 0, "not well-formed JSON, or a member stands twice");
    }
    const weir_json *keys = weir_json_get(j, "keys");
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < weir_json_len(keys); i++) {
        rc = take_key(out, weir_json_at(keys, i), i, a, err);
    }
    weir_json_free(j);
    if (rc == WEIR_OK && out->n == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "there is no key to check signatures with");
    }
    return rc;
}

void weir_jwks_fini(weir_jwks *ks)
{
    for (size_t i = 0; i < ks->n; i++) {
        union {
            const char *in;
            void *out;
        } p = {.in = ks->k[i].secret.p}; /* in our arena, and ours to change */
        weir_wipe(p.out, ks->k[i].secret.n);
        weir_rsa_free(ks->k[i].rsa);
    }
    ks->n = 0;
}
