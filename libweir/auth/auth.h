/* auth.h - who is calling: a credential in, a principal or a refusal out; the same for every
 * transport.
 *
 *   credential bytes ──▶ weir_auth_check ──▶ principal ──▶ weir_auth_charge ──▶ serve it
 *                              └──▶ refusal 401 (403)            └──▶ refusal 429
 *
 * A credential is an API key (weir_<id>_<secret>) or a JWT (HS256, RS256); which, is seen by its
 * shape. While authentication is off every caller is the principal without name and role. All
 * functions may be called by any thread; none blocks on I/O but open and reload.
 */
#ifndef WEIR_AUTH_AUTH_H
#define WEIR_AUTH_AUTH_H

#include "libweir/auth/rate.h"
#include "libweir/base/arena.h"
#include "libweir/base/metrics.h"
#include "libweir/base/settings.h"

typedef struct weir_auth weir_auth;

enum {
    WEIR_CREDENTIAL_MAX = 8192, /* a longer one is refused unread */
    WEIR_CALLER_MAX = 255       /* bytes of a name */
};

typedef struct weir_principal {
    const char *name;   /* of the API key, or the token's sub; NULL: authentication is off */
    const char *scope;  /* tells callers apart (Idempotency-Keys, rates); NULL: off */
    const char *role;   /* PostgreSQL role; lives as long as the weir_auth, equal roles are the same
                           pointer; NULL: off */
    weir_slice claims;  /* JSON object, NUL-terminated beyond n; {NULL,0}: off */
    int64_t rate_per_s; /* 0: no limit */
} weir_principal;

/* Why not. Every text is fixed or made from the configuration, never from a credential. */
typedef struct weir_refusal {
    int status; /* 401, 403, 429; 503: no room */
    const char *detail;
    const char *challenge; /* 401: value of WWW-Authenticate, else NULL */
    weir_rate rate;        /* 429 */
} weir_refusal;

/* [auth] of s (borrowed for the object's life). WEIR_E_INPUT: a contradiction in the settings, or a
 * file that cannot be used; err names the remedy. A key file that does not exist yet is an empty
 * one: everybody is refused until it is there. ms may be NULL. */
WEIR_MUST_CHECK weir_rc weir_auth_open(weir_auth **out, const weir_settings *s, weir_metrics *ms,
                                       weir_error *err);
void weir_auth_close(weir_auth *auth); /* NULL is fine */
bool weir_auth_on(const weir_auth *auth);
/* The role all of whose callers may do what `role` names in auth.read_models. Pure. */
bool weir_auth_may_read(const weir_auth *auth, const weir_principal *p, weir_slice model);

/* Looks whether the files changed, and reads them again; a file that cannot be used is reported in
 * the log once and what was known stays in force. force: reads them in any case (SIGHUP). Call it
 * about once a second. */
void weir_auth_reload(weir_auth *auth, bool force);

/* credential: the bare key or token, {NULL,0} when there is none. wall_us: now. true: *out is
 * filled, its texts (but role) are in a. false: *no is filled. */
WEIR_MUST_CHECK bool weir_auth_check(weir_auth *auth, weir_slice credential, int64_t wall_us,
                                     weir_arena *a, weir_principal *out, weir_refusal *no);
/* Takes cost (commands or queries) from the caller's allowance. false: *no is a 429. rate tells
 * what is left either way; rate->limit 0: p has no limit. */
WEIR_MUST_CHECK bool weir_auth_charge(weir_auth *auth, const weir_principal *p, unsigned cost,
                                      int64_t mono_us, weir_rate *rate, weir_refusal *no);

/* The credential in an HTTP Authorization header (NULL: none, gives {NULL,0}); false: another
 * scheme or malformed. */
WEIR_MUST_CHECK bool weir_auth_bearer(const char *header, weir_slice *credential);

#endif
