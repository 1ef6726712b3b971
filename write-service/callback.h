/* callback.h - a thread that tells receivers what became of their commands, again and again until
 * they acknowledge with 2xx or have failed too often.
 *
 * Signed like this: Weir-Timestamp: seconds since 1970; Weir-Signature: v1=hex of HMAC-SHA256 over
 * "timestamp.body", once per secret. One ordering key is told in order.
 */
#ifndef WEIR_WRITE_CALLBACK_H
#define WEIR_WRITE_CALLBACK_H

#include "libweir/base/buf.h"
#include "libweir/base/metrics.h"
#include "write-service/allow.h"

typedef struct wsvc_callbacks wsvc_callbacks;

typedef struct wsvc_callbacks_conf {
    const char *uri;    /* strings borrowed */
    const char *secret; /* one, or two separated by a space while they are being changed */
    int64_t timeout_ms;
    int attempts_max;
    int64_t pause_max_ms; /* between two tries */
    const wsvc_allow *allow;
    weir_metrics *metrics;
} wsvc_callbacks_conf;

WEIR_MUST_CHECK weir_rc wsvc_callbacks_start(wsvc_callbacks **out, const wsvc_callbacks_conf *conf,
                                             weir_error *err);
void wsvc_callbacks_wake(wsvc_callbacks *c); /* there may be something to tell; any thread */
/* What is on its way is not waited for: it will be told again. */
void wsvc_callbacks_stop(wsvc_callbacks *c);
bool wsvc_callbacks_ended(const wsvc_callbacks *c);
void wsvc_callbacks_free(wsvc_callbacks *c); /* joins; NULL is fine */
/* Members for /status, without a comma in front. Any thread. */
void wsvc_callbacks_status(const wsvc_callbacks *c, weir_buf *out);

/* The value of Weir-Signature, appended. false: OpenSSL failed. Pure. */
WEIR_MUST_CHECK bool wsvc_callback_sign(weir_buf *out, const char *secrets, const char *timestamp,
                                        weir_slice body);

#endif
