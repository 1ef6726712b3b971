/* hmac.h - HMAC-SHA256 (OpenSSL), for signatures a receiver can check. Any thread. */
#ifndef WEIR_BASE_HMAC_H
#define WEIR_BASE_HMAC_H

#include "libweir/base/slice.h"

enum { WEIR_HMAC_HEX_BYTES = 65 };

/* 64 lower-case hex digits and a NUL. false: OpenSSL failed; out is "". */
__attribute__((warn_unused_result)) bool weir_hmac_sha256_hex(weir_slice key, weir_slice text,
                                                              char out[WEIR_HMAC_HEX_BYTES]);

#endif
