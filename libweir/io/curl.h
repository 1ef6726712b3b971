/* curl.h - a small blocking HTTP client (libcurl) for the command line and tests. */
#ifndef WEIR_IO_CURL_H
#define WEIR_IO_CURL_H

#include "libweir/base/arena.h"

typedef struct weir_curl_response {
    int status;
    weir_slice body;
    weir_slice headers; /* raw header block */
} weir_curl_response;

/* header_lines: NULL-terminated array of "Name: value", or NULL. body {NULL,0} with method GET. The
 * response lives in a. WEIR_E_CONN when nobody listens, WEIR_E_TIMEOUT after timeout_ms. Any
 * thread. */
WEIR_MUST_CHECK weir_rc weir_curl(const char *method, const char *url,
                                  const char *const *header_lines, weir_slice body,
                                  int64_t timeout_ms, weir_arena *a, weir_curl_response *out,
                                  weir_error *err);
/* Certificates (PEM) to trust for https instead of the system's; NULL: the system's. For the
 * process, before the first call. Borrowed. */
void weir_curl_trust(const char *ca_file);
/* The value of a response header, {NULL,0} when absent. */
weir_slice weir_curl_header(const weir_curl_response *r, const char *name);

#endif
