/* gate.h - authentication in front of a service's handler: one rule for every request, whatever way
 * it came.
 *
 *   handler ──▶ weir_gate_health ──▶ weir_gate_pass ──▶ what the service does, weir_gate_caller
 *
 * Open to everybody are /healthz, and /readyz without its reasons. /status, /metrics and everything
 * else need a caller, once authentication is on. Loop thread of the request.
 */
#ifndef WEIR_GATE_GATE_H
#define WEIR_GATE_GATE_H

#include "libweir/auth/auth.h"
#include "libweir/io/health.h"

/* Where a service may listen. WEIR_E_DENIED: http->listen can be reached by other machines and
 * nobody would be asked who he is; err names the remedy. option: "write.listen". */
WEIR_MUST_CHECK weir_rc weir_gate_listen(const weir_auth *auth, const char *option,
                                         weir_http_conf *http, weir_error *err);
/* The certificate of [tls]; NULL without one. The caller closes it after the HTTP servers that have
 * it; s is borrowed until then. */
WEIR_MUST_CHECK weir_rc weir_gate_certificate(weir_tls **out, const weir_settings *s,
                                              weir_metrics *ms, weir_error *err);

/* true: the path was one of /healthz, /readyz, /status and /metrics, and is answered. */
WEIR_MUST_CHECK bool weir_gate_health(weir_auth *auth, weir_health *health, weir_http_req *req);
/* For weir_http_conf.admit: false when nobody we know sends this; answered. Costs nothing of the
 * rate: weir_gate_pass comes when the body is there. */
WEIR_MUST_CHECK bool weir_gate_admit(weir_auth *auth, weir_http_req *req);
/* false: answered with 401, 403 or 429. cost: of the caller's rate. */
WEIR_MUST_CHECK bool weir_gate_pass(weir_auth *auth, weir_http_req *req, unsigned cost);
/* More of the rate, for a request that turns out to be many; after pass. false: answered with 429.
 */
WEIR_MUST_CHECK bool weir_gate_charge(weir_auth *auth, weir_http_req *req, unsigned cost);
/* Who sent a request that passed; never NULL, lives as long as the request. */
const weir_principal *weir_gate_caller(const weir_http_req *req);

#endif
