/* auth.c - who is calling.
 *
 * What the files say is a snapshot (auth_set) that checks hold a reference to, so that a reload
 * never waits for a check and a check never for a file. Tokens that were verified are remembered by
 * their digest until they expire or the files change: the second request of a client costs one
 * SHA-256.
 */
#include "libweir/auth/auth.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/auth/grant.h"
#include "libweir/auth/jwt.h"
#include "libweir/auth/keyfile.h"
#include "libweir/base/buf.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/stamp.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum {
    CACHE_MAX = 4096,
    SET_MAX_BYTES = 64 << 20,
    VERIFY_MAX_BYTES = 128 << 10,
    SCOPE_HEX = 32,
    SECOND_US = 1000000
};

typedef struct auth_set {
    atomic_int refs;
    weir_arena *a;
    weir_apikeys keys;
    weir_map *by_id; /* → weir_apikey */
    weir_jwks jwks;
} auth_set;

/* A verified token; texts behind it in one piece of memory. */
typedef struct remembered {
    int64_t until_s;
    const char *name, *scope, *role;
    weir_slice claims;
} remembered;

typedef enum reason {
    WHY_NONE, /* no credential at all */
    WHY_SHAPE,
    WHY_KEY,
    WHY_KEY_EXPIRED,
    WHY_ROLE,
    WHY_RATE,
    WHY_ROOM,
    WHY_TOKEN, /* + weir_jwt_fault */
    WHY_COUNT = WHY_TOKEN + WEIR_JWT_FAULTS
} reason;

struct weir_auth {
    const weir_settings *s;
    weir_arena *a;
    bool on;
    weir_grants roles, read;
    weir_jwt_rules rules;
    weir_rates *rates;
    weir_monitor *mon; /* guards set and cache */
    auth_set *set;
    weir_map *cache;             /* digest of the token → remembered */
    weir_stamp keys_at, jwks_at; /* reload's own */
    weir_metric *m_keys, *m_tokens, *m_refused[WHY_COUNT];
};

/* --- the files --- */

static void set_unref(auth_set *set)
{
    if (set && atomic_fetch_sub(&set->refs, 1) == 1) {
        weir_jwks_fini(&set->jwks);
        weir_map_free(set->by_id);
        weir_arena_free(set->a);
        free(set);
    }
}

static weir_rc read_jwks(auth_set *set, const char *path, weir_error *err)
{
    weir_slice text;
    weir_rc rc = weir_file_read(path, WEIR_JWKS_MAX_BYTES, set->a, &text, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_jwks_parse(&set->jwks, text, set->a, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", path);
    }
    union {
        const char *in;
        void *out;
    } p = {.in = text.p}; /* in our arena; a secret may stand in it */
    weir_wipe(p.out, text.n);
    return rc;
}

/* A file that is not there holds no keys. */
static weir_rc load(const weir_auth *auth, auth_set **out, weir_error *err)
{
    auth_set *set = weir_xcalloc(1, sizeof *set);
    atomic_store(&set->refs, 1);
    set->a = weir_arena_new(SET_MAX_BYTES);
    set->by_id = weir_map_new();
    weir_rc rc = WEIR_OK;
    if (auth->s->auth_keys[0]) {
        rc = weir_apikeys_read(&set->keys, auth->s->auth_keys, set->a, err);
        rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    if (rc == WEIR_OK && auth->s->auth_jwt_keys[0]) {
        rc = read_jwks(set, auth->s->auth_jwt_keys, err);
        rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    for (size_t i = 0; rc == WEIR_OK && i < set->keys.n; i++) {
        weir_apikey *k = &set->keys.k[i];
        *weir_map_slot(set->by_id, weir_slice_z(k->id), NULL) = k;
    }
    if (rc != WEIR_OK) {
        set_unref(set);
        set = NULL;
    }
    *out = set;
    return rc;
}

static void forget_tokens(weir_auth *auth)
{
    weir_map_iter it = {0};
    while (weir_map_next(auth->cache, &it)) {
        free(it.value);
    }
    weir_map_clear(auth->cache);
}

static weir_rc reload(weir_auth *auth, weir_error *err)
{
    auth_set *fresh = NULL;
    /* Looked at before they are read: what changes meanwhile is seen the next time. */
    weir_stamp keys_at = weir_stamp_of(auth->s->auth_keys),
               jwks_at = weir_stamp_of(auth->s->auth_jwt_keys);
    weir_rc rc = load(auth, &fresh, err);
    auth->keys_at = keys_at;
    auth->jwks_at = jwks_at;
    if (rc != WEIR_OK) {
        return rc;
    }
    size_t keys = fresh->keys.n, tokens = fresh->jwks.n;
    weir_monitor_lock(auth->mon);
    auth_set *old = auth->set;
    auth->set = fresh;
    forget_tokens(auth);
    weir_monitor_unlock(auth->mon);
    set_unref(old);
    WEIR_INFO("AUTH-KEYS", "api_keys=%zu token_keys=%zu", keys, tokens);
    return WEIR_OK;
}

void weir_auth_reload(weir_auth *auth, bool force)
{
    weir_error err = {0};
    if (!auth->on) {
        return;
    }
    weir_stamp keys_at = weir_stamp_of(auth->s->auth_keys),
               jwks_at = weir_stamp_of(auth->s->auth_jwt_keys);
    if (!force && weir_stamp_same(&keys_at, &auth->keys_at) &&
        weir_stamp_same(&jwks_at, &auth->jwks_at)) {
        return;
    }
    if (reload(auth, &err) != WEIR_OK) {
        WEIR_ERROR("AUTH-KEYS-BAD", "what was known before stays in force: %s", err.msg);
    }
}

/* --- opening --- */

static weir_rc check_settings(weir_auth *auth, weir_error *err)
{
    const weir_settings *s = auth->s;
    weir_rc rc = weir_grants_roles(&auth->roles, s->auth_roles, auth->a, err);
    if (rc == WEIR_OK) {
        rc = weir_grants_parse(&auth->read, "auth.read_models", s->auth_read_models, auth->a, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!auth->on && auth->roles.n > 0) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "auth.roles is set but authentication is off: set auth.keys or "
                         "auth.jwt_keys too");
    }
    if (auth->on && auth->roles.n == 0) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "auth.roles is empty: list the PostgreSQL roles that callers may have, "
                         "and run `weir deploy`");
    }
    if (s->auth_jwt_keys[0] && (!s->auth_jwt_issuer[0] || !s->auth_jwt_audience[0])) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "auth.jwt_issuer and auth.jwt_audience must be set with auth.jwt_keys "
                         "(* takes any, which is rarely right)");
    }
    return WEIR_OK;
}

static void add_metrics(weir_auth *auth, weir_metrics *ms)
{
    static const char *const names[] = {"none", "shape", "key", "key_expired",
                                        "role", "rate",  "room"};
    char label[64];
    auth->m_keys = weir_counter(ms, "weir_auth_accepted_total", "Credentials accepted, by kind.",
                                "kind=\"key\"");
    auth->m_tokens = weir_counter(ms, "weir_auth_accepted_total", "Credentials accepted, by kind.",
                                  "kind=\"token\"");
    for (int i = 0; i < WHY_COUNT; i++) {
        if (i == WHY_TOKEN) {
            continue; /* a token without fault */
        }
        (void)snprintf(label, sizeof label, "reason=\"%s%s\"", i > WHY_TOKEN ? "token_" : "",
                       i > WHY_TOKEN ? weir_jwt_fault_name((weir_jwt_fault)(i - WHY_TOKEN))
                                     : names[i]);
        auth->m_refused[i] =
            weir_counter(ms, "weir_auth_refused_total", "Requests refused, by reason.", label);
    }
}

weir_rc weir_auth_open(weir_auth **out, const weir_settings *s, weir_metrics *ms, weir_error *err)
{
    weir_auth *auth = weir_xcalloc(1, sizeof *auth);
    auth->s = s;
    auth->a = weir_arena_new(0);
    auth->on = s->auth_keys[0] || s->auth_jwt_keys[0];
    auth->rules = (weir_jwt_rules){s->auth_jwt_issuer, s->auth_jwt_audience,
                                   s->auth_jwt_leeway_ms / 1000, s->auth_jwt_role_claim};
    auth->rates = weir_rates_new();
    auth->mon = weir_monitor_new();
    auth->cache = weir_map_new();
    if (ms) {
        add_metrics(auth, ms);
    }
    weir_rc rc = check_settings(auth, err);
    if (rc == WEIR_OK && auth->on) {
        rc = reload(auth, err);
    }
    if (rc != WEIR_OK) {
        weir_auth_close(auth);
        auth = NULL;
    }
    *out = auth;
    return rc;
}

void weir_auth_close(weir_auth *auth)
{
    if (auth) {
        forget_tokens(auth);
        weir_map_free(auth->cache);
        set_unref(auth->set);
        weir_monitor_free(auth->mon);
        weir_rates_free(auth->rates);
        weir_arena_free(auth->a);
        free(auth);
    }
}

bool weir_auth_on(const weir_auth *auth)
{
    return auth->on;
}

bool weir_auth_may_read(const weir_auth *auth, const weir_principal *p, weir_slice model)
{
    return !auth->on || weir_grants_allow(&auth->read, p->role, model);
}

/* --- checking --- */

static bool refuse(weir_auth *auth, reason why, weir_refusal *no)
{
    static const char invalid[] = "Bearer realm=\"weir\", error=\"invalid_token\"";
    int fault = (int)why - WHY_TOKEN;
    *no = (weir_refusal){
        .status = 401, .detail = "the key or token is not accepted", .challenge = invalid};
    if (why == WHY_NONE) {
        no->detail = "a key or token is needed: send Authorization: Bearer …";
        no->challenge = "Bearer realm=\"weir\"";
    } else if (why == WHY_ROLE) {
        *no = (weir_refusal){.status = 403,
                             .detail = "the caller has no role that is listed in auth.roles"};
    } else if (why == WHY_ROOM) {
        *no = (weir_refusal){.status = 503, .detail = "the request needs too much memory"};
    } else if (why == WHY_KEY_EXPIRED || fault == WEIR_JWT_EXPIRED) {
        no->detail = "the key or token has expired";
    }
    if (auth->m_refused[why]) {
        weir_metric_add(auth->m_refused[why], 1);
    }
    return false;
}

static const char *listed_role(const weir_auth *auth, const char *role)
{
    for (size_t i = 0; i < auth->roles.n; i++) {
        if (strcmp(auth->roles.g[i].right, role) == 0) {
            return auth->roles.g[i].right;
        }
    }
    return NULL;
}

static bool check_key(weir_auth *auth, auth_set *set, weir_slice credential, weir_slice id,
                      int64_t now_s, weir_arena *a, weir_principal *out, weir_refusal *no)
{
    static const weir_apikey nobody;
    unsigned char digest[WEIR_SHA256_BYTES];
    const weir_apikey *k = weir_map_get(set->by_id, id);
    bool hashed = weir_sha256(credential, digest);
    /* The same work for a key nobody knows. */
    bool same = weir_same_bytes(digest, k ? k->digest : nobody.digest, sizeof digest);
    if (!hashed || !k || !same) {
        return refuse(auth, WHY_KEY, no);
    }
    if (k->expires_s && now_s >= k->expires_s) {
        return refuse(auth, WHY_KEY_EXPIRED, no);
    }
    const char *role = listed_role(auth, k->role);
    if (!role) {
        return refuse(auth, WHY_ROLE, no);
    }
    char *claims = weir_arena_printf(a, "{\"sub\":\"%s\",\"key\":\"%s\"}", k->name, k->id);
    char *scope = weir_arena_printf(a, "k:%s", k->name);
    if (!claims || !scope) {
        return refuse(auth, WHY_ROOM, no);
    }
    *out = (weir_principal){.name = scope + 2,
                            .scope = scope,
                            .role = role,
                            .claims = weir_slice_z(claims),
                            .rate_per_s = k->rate_per_s ? k->rate_per_s : auth->s->auth_rate_per_s};
    if (auth->m_keys) {
        weir_metric_add(auth->m_keys, 1);
    }
    return true;
}

/* Copies what is remembered; false: nothing is. */
static bool recall(weir_auth *auth, weir_slice digest, int64_t now_s, weir_arena *a,
                   weir_principal *out)
{
    weir_monitor_lock(auth->mon);
    const remembered *m = weir_map_get(auth->cache, digest);
    bool known = m && now_s < m->until_s;
    if (known) {
        *out = (weir_principal){.name = weir_arena_strdup(a, m->name),
                                .scope = weir_arena_strdup(a, m->scope),
                                .role = m->role,
                                .rate_per_s = auth->s->auth_rate_per_s};
        out->claims = weir_slice_of(weir_arena_dupz(a, m->claims), m->claims.n);
    }
    weir_monitor_unlock(auth->mon);
    return known && out->name && out->scope && out->claims.p;
}

/* set: what it was verified with; when it was replaced meanwhile nothing is remembered. */
static void remember(weir_auth *auth, const auth_set *set, weir_slice digest,
                     const weir_principal *p, int64_t until_s)
{
    size_t name = strlen(p->name) + 1, scope = strlen(p->scope) + 1;
    remembered *m = weir_xmalloc(sizeof *m + name + scope + p->claims.n + 1);
    char *at = (char *)(m + 1);
    memcpy(at, p->name, name);
    memcpy(at + name, p->scope, scope);
    memcpy(at + name + scope, p->claims.p, p->claims.n + 1);
    *m = (remembered){until_s, at, at + name, p->role,
                      weir_slice_of(at + name + scope, p->claims.n)};
    weir_monitor_lock(auth->mon);
    if (weir_map_len(auth->cache) >= CACHE_MAX) {
        forget_tokens(auth);
    }
    if (auth->set == set) {
        void **slot = weir_map_slot(auth->cache, digest, NULL);
        free(*slot);
        *slot = m;
        m = NULL;
    }
    weir_monitor_unlock(auth->mon);
    free(m);
}

/* The first role of auth.roles that the token has. */
static const char *token_role(const weir_auth *auth, const weir_jwt *t)
{
    for (size_t i = 0; i < auth->roles.n; i++) {
        for (size_t k = 0; k < t->nroles; k++) {
            if (t->roles[k] && strcmp(auth->roles.g[i].left, t->roles[k]) == 0) {
                return auth->roles.g[i].right;
            }
        }
    }
    return NULL;
}

/* Who it is: issuer and subject, in a fixed length. */
static const char *token_scope(const weir_jwt *t, weir_arena *a)
{
    unsigned char digest[WEIR_SHA256_BYTES];
    char *text = weir_arena_printf(a, "%s\n%s", t->issuer, t->subject);
    char *scope = weir_arena_alloc(a, 2 + SCOPE_HEX + 1);
    if (!text || !scope || !weir_sha256(weir_slice_z(text), digest)) {
        return NULL;
    }
    memcpy(scope, "j:", 2);
    for (size_t i = 0; i < SCOPE_HEX / 2; i++) {
        (void)snprintf(scope + 2 + 2 * i, 3, "%02x", digest[i]);
    }
    return scope;
}

static bool verify(weir_auth *auth, auth_set *set, weir_slice credential, weir_slice digest,
                   int64_t now_s, weir_arena *a, weir_principal *out, weir_refusal *no)
{
    weir_jwt t;
    weir_arena *own = weir_arena_new(VERIFY_MAX_BYTES);
    weir_jwt_fault fault = weir_jwt_verify(&t, credential, &set->jwks, &auth->rules, now_s, own);
    bool ok = fault == WEIR_JWT_OK ? true : refuse(auth, WHY_TOKEN + (reason)fault, no);
    const char *role = ok ? token_role(auth, &t) : NULL;
    if (ok && !role) {
        ok = refuse(auth, WHY_ROLE, no);
    }
    if (ok) {
        *out = (weir_principal){.name = weir_arena_strdup(a, t.subject),
                                .scope = token_scope(&t, a),
                                .role = role,
                                .rate_per_s = auth->s->auth_rate_per_s};
        out->claims = weir_slice_of(weir_arena_dupz(a, t.claims), t.claims.n);
        ok = out->name && out->scope && out->claims.p ? true : refuse(auth, WHY_ROOM, no);
    }
    if (ok) {
        remember(auth, set, digest, out, t.expires_s + auth->rules.leeway_s);
    }
    weir_arena_free(own);
    return ok;
}

static bool check_token(weir_auth *auth, auth_set *set, weir_slice credential, int64_t now_s,
                        weir_arena *a, weir_principal *out, weir_refusal *no)
{
    unsigned char digest[WEIR_SHA256_BYTES];
    if (!weir_sha256(credential, digest)) {
        return refuse(auth, WHY_SHAPE, no);
    }
    weir_slice d = weir_slice_of((const char *)digest, sizeof digest);
    if (!recall(auth, d, now_s, a, out) && !verify(auth, set, credential, d, now_s, a, out, no)) {
        return false;
    }
    if (auth->m_tokens) {
        weir_metric_add(auth->m_tokens, 1);
    }
    return true;
}

bool weir_auth_check(weir_auth *auth, weir_slice credential, int64_t wall_us, weir_arena *a,
                     weir_principal *out, weir_refusal *no)
{
    weir_slice id = {NULL, 0};
    int64_t now_s = wall_us / SECOND_US;
    memset(out, 0, sizeof *out);
    memset(no, 0, sizeof *no);
    if (!auth->on) {
        return true;
    }
    if (credential.n == 0) {
        return refuse(auth, WHY_NONE, no);
    }
    if (credential.n > WEIR_CREDENTIAL_MAX) {
        return refuse(auth, WHY_SHAPE, no);
    }
    weir_monitor_lock(auth->mon);
    auth_set *set = auth->set;
    atomic_fetch_add(&set->refs, 1);
    weir_monitor_unlock(auth->mon);
    bool ok = weir_apikey_id(credential, &id)
                  ? check_key(auth, set, credential, id, now_s, a, out, no)
                  : check_token(auth, set, credential, now_s, a, out, no);
    set_unref(set);
    return ok;
}

bool weir_auth_charge(weir_auth *auth, const weir_principal *p, unsigned cost, int64_t mono_us,
                      weir_rate *rate, weir_refusal *no)
{
    memset(rate, 0, sizeof *rate);
    memset(no, 0, sizeof *no);
    if (!p->scope || p->rate_per_s <= 0 ||
        weir_rates_take(auth->rates, weir_slice_z(p->scope), p->rate_per_s, cost, mono_us, rate)) {
        return true;
    }
    (void)refuse(auth, WHY_RATE, no);
    *no = (weir_refusal){
        .status = 429, .detail = "the caller has used up what it may ask", .rate = *rate};
    return false;
}

bool weir_auth_bearer(const char *header, weir_slice *credential)
{
    static const char scheme[] = "bearer";
    *credential = (weir_slice){NULL, 0};
    if (!header) {
        return true;
    }
    for (size_t i = 0; i < sizeof scheme - 1; i++, header++) {
        if ((*header | 0x20) != scheme[i]) {
            return false;
        }
    }
    if (*header != ' ') {
        return false;
    }
    weir_slice rest = weir_slice_trim(weir_slice_z(header));
    *credential = rest;
    return rest.n > 0 && !memchr(rest.p, ' ', rest.n);
}
