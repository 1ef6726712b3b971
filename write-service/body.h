/* body.h - is this text a JSON object a command may be given? And the headers beside it. Pure. */
#ifndef WEIR_WRITE_BODY_H
#define WEIR_WRITE_BODY_H

#include <stdbool.h>

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

enum { WSVC_DEPTH_MAX = 64, WSVC_CORRELATION_MAX = 128 };

/* WEIR_E_INPUT: not JSON, not an object, a key twice, a NUL, deeper than WSVC_DEPTH_MAX; msg names
 * line and column. */
WEIR_MUST_CHECK weir_rc wsvc_body_check(weir_slice body, weir_error *err);
/* application/json or application/…+json, charset absent or UTF-8. NULL is not. */
bool wsvc_media_type_ok(const char *content_type);
/* No Content-Encoding, or identity: bodies are taken as they are. */
bool wsvc_coding_ok(const char *content_encoding);
/* 1 to 128 printable ASCII characters. */
bool wsvc_correlation_ok(const char *id);
/* W3C trace context: version-trace-parent-flags in lower-case hex, ids not all zero, version not
 * ff. */
bool wsvc_traceparent_ok(const char *tp);

#endif
