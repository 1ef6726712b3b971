/* base64url.h - RFC 4648 section 5 without padding, as tokens and keys use it. Pure. */
#ifndef WEIR_BASE_BASE64URL_H
#define WEIR_BASE_BASE64URL_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

/* Strict: no padding, no white space, no bits left over: one text per value. false: it is not that,
 * or a is full. */
WEIR_MUST_CHECK bool weir_base64url_decode(weir_slice text, weir_arena *a, weir_slice *out);
void weir_base64url_put(weir_buf *out, weir_slice bytes);

#endif
