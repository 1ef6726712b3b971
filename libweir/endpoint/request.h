/* request.h - an ask as the request it would be over HTTP. Pure, but for the arena. */
#ifndef WEIR_ENDPOINT_REQUEST_H
#define WEIR_ENDPOINT_REQUEST_H

#include "libweir/codec/ask.h"
#include "libweir/io/http.h"

/* Fills method, path, headers and query; body is ask->args. WEIR_E_LIMIT: the arena's ceiling. */
WEIR_MUST_CHECK weir_rc weir_endpoint_request(const weir_ask *ask, weir_arena *a,
                                              weir_http_foreign *out, weir_error *err);
/* The answer's message: which header is which field. */
void weir_endpoint_answer(const weir_http_answer *in, weir_buf *out);

#endif
