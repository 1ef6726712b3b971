/* gate.c - authentication in front of a service's handler. */
#include "libweir/gate/gate.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#include "libweir/base/clock.h"
#include "libweir/io/loopback.h"

/* Every address the name stands for. What cannot be resolved fails when it is listened on. */
static bool stays_here(const char *host)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    bool here = true;
    if (getaddrinfo(host && host[0] ? host : NULL, "0", &hints, &list) != 0) {
        return true;
    }
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        here = here && weir_is_loopback(ai->ai_addr);
    }
    freeaddrinfo(list);
    return here;
}

weir_rc weir_gate_listen(const weir_auth *auth, const char *option, weir_http_conf *http,
                         weir_error *err)
{
    if (!weir_auth_on(auth) && !stays_here(http->listen)) {
        return weir_fail(err, WEIR_E_DENIED, 0,
                         "%s is %s, which other machines can reach, and authentication is off: "
                         "set auth.keys (and make a key with `weir keys add`) or auth.jwt_keys, or "
                         "listen on 127.0.0.1",
                         option, http->listen);
    }
    if (weir_auth_on(auth)) { /* room for a token of WEIR_CREDENTIAL_MAX beside the other headers */
        http->header_max_bytes += 2 * WEIR_CREDENTIAL_MAX;
    }
    return WEIR_OK;
}

weir_rc weir_gate_certificate(weir_tls **out, const weir_settings *s, weir_metrics *ms,
                              weir_error *err)
{
    *out = NULL;
    if (!s->tls_cert[0]) {
        return WEIR_OK;
    }
    if (!s->tls_key[0]) {
        return weir_fail(err, WEIR_E_INPUT, 0, "tls.cert is set without tls.key");
    }
    return weir_tls_open(out, s->tls_cert, s->tls_key, ms, err);
}

static void put_rate(weir_http_req *req, const weir_rate *rate)
{
    char number[24];
    if (rate->limit == 0) {
        return;
    }
    (void)snprintf(number, sizeof number, "%" PRId64, rate->limit);
    weir_http_set_header(req, "RateLimit-Limit", number);
    (void)snprintf(number, sizeof number, "%" PRId64, rate->remaining);
    weir_http_set_header(req, "RateLimit-Remaining", number);
    (void)snprintf(number, sizeof number, "%" PRId64, rate->reset_s);
    weir_http_set_header(req, "RateLimit-Reset", number);
    if (rate->retry_after_s > 0) {
        (void)snprintf(number, sizeof number, "%" PRId64, rate->retry_after_s);
        weir_http_set_header(req, "Retry-After", number);
    }
}

static bool refuse(weir_http_req *req, const weir_refusal *no)
{
    if (no->challenge) {
        weir_http_set_header(req, "WWW-Authenticate", no->challenge);
    }
    put_rate(req, &no->rate);
    weir_http_problem(req, no->status, NULL, no->detail, NULL);
    return false;
}

/* NULL: *no says why. */
static weir_principal *caller_of(weir_auth *auth, weir_http_req *req, weir_refusal *no)
{
    weir_slice credential;
    weir_arena *a = weir_http_arena(req);
    weir_principal *p = weir_arena_zalloc(a, sizeof *p);
    if (!p) {
        *no = (weir_refusal){.status = 503, .detail = "the request needs too much memory"};
        return NULL;
    }
    if (!weir_auth_on(auth)) {
        return p;
    }
    if (!weir_auth_bearer(weir_http_header(req, "Authorization"), &credential)) {
        credential = (weir_slice){NULL, 0};
    }
    return weir_auth_check(auth, credential, weir_wall_us(), a, p, no) ? p : NULL;
}

bool weir_gate_admit(weir_auth *auth, weir_http_req *req)
{
    weir_refusal no;
    return caller_of(auth, req, &no) ? true : refuse(req, &no);
}

bool weir_gate_pass(weir_auth *auth, weir_http_req *req, unsigned cost)
{
    weir_refusal no;
    weir_principal *p = caller_of(auth, req, &no);
    if (!p) {
        return refuse(req, &no);
    }
    weir_http_set_user(req, p);
    return weir_gate_charge(auth, req, cost);
}

bool weir_gate_charge(weir_auth *auth, weir_http_req *req, unsigned cost)
{
    weir_rate rate;
    weir_refusal no;
    if (cost == 0) {
        return true;
    }
    if (!weir_auth_charge(auth, weir_gate_caller(req), cost, weir_mono_us(), &rate, &no)) {
        return refuse(req, &no);
    }
    put_rate(req, &rate);
    return true;
}

const weir_principal *weir_gate_caller(const weir_http_req *req)
{
    static const weir_principal nobody;
    const weir_principal *p = weir_http_user(req);
    return p ? p : &nobody;
}

bool weir_gate_health(weir_auth *auth, weir_health *health, weir_http_req *req)
{
    const char *path = weir_http_path(req);
    weir_refusal no;
    if (!weir_health_path(path) || !weir_auth_on(auth) || strcmp(path, "/healthz") == 0) {
        return weir_health_handle(health, req);
    }
    if (caller_of(auth, req, &no)) {
        return weir_health_handle(health, req);
    }
    if (strcmp(path, "/readyz") == 0) {
        weir_health_brief(health, req);
    } else {
        (void)refuse(req, &no);
    }
    return true;
}
