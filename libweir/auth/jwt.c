/* jwt.c - tokens, strictly. */
#include "libweir/auth/jwt.h"

#include <strings.h>

#include "libweir/base/base64url.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"

enum { HEADER_MAX_BYTES = 2048 };

typedef struct parts {
    weir_slice header, claims, signature; /* as text */
    weir_slice signed_text;               /* header . claims */
} parts;

static bool split(weir_slice token, parts *p)
{
    const char *one = token.n ? memchr(token.p, '.', token.n) : NULL;
    size_t left = one ? token.n - (size_t)(one + 1 - token.p) : 0;
    const char *two = left ? memchr(one + 1, '.', left) : NULL;
    if (!two) {
        return false;
    }
    p->header = weir_slice_of(token.p, (size_t)(one - token.p));
    p->claims = weir_slice_of(one + 1, (size_t)(two - one - 1));
    p->signature = weir_slice_of(two + 1, token.n - (size_t)(two + 1 - token.p));
    p->signed_text = weir_slice_of(token.p, (size_t)(two - token.p));
    return p->header.n > 0 && p->header.n <= HEADER_MAX_BYTES && p->claims.n > 0;
}

static weir_json *object_of(weir_slice text)
{
    weir_json *j = NULL;
    void *iter = NULL;
    const char *key;
    const weir_json *value;
    weir_slice s;
    if (weir_json_parse(&j, text, NULL) != WEIR_OK) {
        return NULL;
    }
    /* The empty object and everything that is none look the same here: neither is of use. */
    if (weir_json_text(j, &s) || !weir_json_next(j, &iter, &key, &value)) {
        weir_json_free(j);
        j = NULL;
    }
    return j;
}

/* What the header says must fit one key of ours. */
static weir_jwt_fault pick(const weir_json *header, const weir_jwks *keys, const weir_jwk **out)
{
    weir_slice alg, kid = {NULL, 0}, typ;
    if (weir_json_get(header, "crit") || weir_json_get(header, "zip") ||
        (weir_json_get(header, "typ") &&
         (!weir_json_str(header, "typ", &typ) ||
          !((typ.n == 3 && strncasecmp(typ.p, "JWT", 3) == 0) ||
            (typ.n == 6 && strncasecmp(typ.p, "at+jwt", 6) == 0)))) ||
        (weir_json_get(header, "kid") && !weir_json_str(header, "kid", &kid))) {
        return WEIR_JWT_MALFORMED;
    }
    if (!weir_json_str(header, "alg", &alg) ||
        !(weir_slice_eqz(alg, "HS256") || weir_slice_eqz(alg, "RS256"))) {
        return WEIR_JWT_ALGORITHM;
    }
    weir_jwt_alg want = alg.p[0] == 'H' ? WEIR_JWT_HS256 : WEIR_JWT_RS256;
    size_t fits = 0;
    for (size_t i = 0; i < keys->n; i++) {
        const weir_jwk *k = &keys->k[i];
        if (k->alg == want && (!kid.p || weir_slice_eq(k->kid, kid))) {
            *out = k;
            fits++;
        }
    }
    return fits == 1 ? WEIR_JWT_OK : WEIR_JWT_KEY; /* without kid there must be no choice */
}

static bool signature_holds(const weir_jwk *k, const parts *p, weir_arena *a)
{
    unsigned char mac[WEIR_SHA256_BYTES];
    weir_slice given;
    if (!weir_base64url_decode(p->signature, a, &given)) {
        return false;
    }
    if (k->alg == WEIR_JWT_RS256) {
        return weir_rsa_verify(k->rsa, p->signed_text, given);
    }
    return given.n == sizeof mac && weir_hmac_sha256(k->secret, p->signed_text, mac) &&
           weir_same_bytes(mac, given.p, sizeof mac);
}

static bool says(const weir_json *value, const char *want)
{
    weir_slice text;
    return weir_json_text(value, &text) && weir_slice_eqz(text, want);
}

static bool audience_fits(const weir_json *claims, const char *want)
{
    const weir_json *aud = weir_json_get(claims, "aud");
    bool fits = strcmp(want, "*") == 0 || says(aud, want);
    for (size_t i = 0; !fits && i < weir_json_len(aud); i++) {
        const weir_json *one = weir_json_at(aud, i);
        fits = one && says(one, want);
    }
    return fits;
}

/* A NumericDate; false: there, but none. */
static bool date(const weir_json *claims, const char *name, bool *there, double *out)
{
    *there = weir_json_get(claims, name) != NULL;
    return !*there || (weir_json_double(claims, name, out) && *out >= 0 && *out <= 1e11);
}

static weir_jwt_fault check_times(const weir_json *claims, const weir_jwt_rules *rules,
                                  int64_t now_s, weir_jwt *out)
{
    bool has_exp, has_nbf, has_iat;
    double exp = 0, nbf = 0, iat = 0, now = (double)now_s, leeway = (double)rules->leeway_s;
    if (!date(claims, "exp", &has_exp, &exp) || !date(claims, "nbf", &has_nbf, &nbf) ||
        !date(claims, "iat", &has_iat, &iat) || !has_exp) {
        return WEIR_JWT_CLAIMS;
    }
    out->expires_s = (int64_t)exp;
    if (now >= exp + leeway) {
        return WEIR_JWT_EXPIRED;
    }
    return nbf > now + leeway || iat > now + leeway ? WEIR_JWT_EARLY : WEIR_JWT_OK;
}

/* A member by name, or by JSON Pointer. */
static const weir_json *find(const weir_json *claims, const char *path)
{
    if (path[0] != '/') {
        return weir_json_get(claims, path);
    }
    const weir_json *at = claims;
    while (at && *path == '/') {
        char name[256];
        size_t n = 0;
        for (path++; *path && *path != '/'; path++) {
            char c = *path;
            if (c == '~' && (path[1] == '0' || path[1] == '1')) {
                c = *++path == '0' ? '~' : '/';
            }
            if (n + 1 == sizeof name) {
                return NULL;
            }
            name[n++] = c;
        }
        name[n] = '\0';
        at = weir_json_get(at, name);
    }
    return at;
}

static void take_roles(weir_jwt *out, const weir_json *value, weir_arena *a)
{
    weir_slice text;
    if (value && weir_json_text(value, &text)) {
        out->roles[out->nroles++] = weir_arena_dupz(a, text);
        return;
    }
    for (size_t i = 0; i < weir_json_len(value) && out->nroles < WEIR_JWT_ROLES_MAX; i++) {
        const weir_json *one = weir_json_at(value, i);
        if (one && weir_json_text(one, &text)) {
            out->roles[out->nroles++] = weir_arena_dupz(a, text);
        }
    }
}

static weir_jwt_fault check_claims(const weir_json *claims, const weir_jwt_rules *rules,
                                   int64_t now_s, weir_arena *a, weir_jwt *out)
{
    weir_slice sub, iss = {"", 0};
    if (!weir_json_str(claims, "sub", &sub) || sub.n == 0 || sub.n > WEIR_JWT_SUB_MAX ||
        (weir_json_get(claims, "iss") && !weir_json_str(claims, "iss", &iss))) {
        return WEIR_JWT_CLAIMS;
    }
    weir_jwt_fault fault = check_times(claims, rules, now_s, out);
    if (fault != WEIR_JWT_OK) {
        return fault;
    }
    if (strcmp(rules->issuer, "*") != 0 && !weir_slice_eqz(iss, rules->issuer)) {
        return WEIR_JWT_ISSUER;
    }
    if (!audience_fits(claims, rules->audience)) {
        return WEIR_JWT_AUDIENCE;
    }
    out->subject = weir_arena_dupz(a, sub);
    out->issuer = weir_arena_dupz(a, iss);
    take_roles(out, find(claims, rules->role_claim), a);
    return out->subject && out->issuer ? WEIR_JWT_OK : WEIR_JWT_CLAIMS;
}

weir_jwt_fault weir_jwt_verify(weir_jwt *out, weir_slice token, const weir_jwks *keys,
                               const weir_jwt_rules *rules, int64_t now_s, weir_arena *a)
{
    parts p;
    weir_slice header, claims;
    const weir_jwk *key = NULL;
    memset(out, 0, sizeof *out);
    if (token.n > WEIR_JWT_MAX_BYTES || !split(token, &p) ||
        !weir_base64url_decode(p.header, a, &header)) {
        return WEIR_JWT_MALFORMED;
    }
    weir_json *j = object_of(header);
    weir_jwt_fault fault = j ? pick(j, keys, &key) : WEIR_JWT_MALFORMED;
    weir_json_free(j);
    if (fault != WEIR_JWT_OK) {
        return fault;
    }
    if (!signature_holds(key, &p, a)) {
        return WEIR_JWT_SIGNATURE;
    }
    if (!weir_base64url_decode(p.claims, a, &claims) || !(j = object_of(claims))) {
        return WEIR_JWT_CLAIMS;
    }
    out->claims = weir_slice_of(weir_arena_dupz(a, claims), claims.n);
    fault = out->claims.p ? check_claims(j, rules, now_s, a, out) : WEIR_JWT_CLAIMS;
    weir_json_free(j);
    return fault;
}

const char *weir_jwt_fault_name(weir_jwt_fault fault)
{
    static const char *const names[] = {"ok",     "malformed", "algorithm", "key",    "signature",
                                        "claims", "expired",   "early",     "issuer", "audience"};
    _Static_assert(sizeof names / sizeof names[0] == WEIR_JWT_FAULTS, "one name each");
    return names[fault];
}
