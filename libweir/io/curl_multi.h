/* curl_multi.h - many HTTP POSTs at a time from one thread (libcurl), to places the caller does not
 * trust: no redirects, no proxy, http and https only, the answer's body counted and thrown away.
 */
#ifndef WEIR_IO_CURL_MULTI_H
#define WEIR_IO_CURL_MULTI_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_curl_multi weir_curl_multi;

typedef struct weir_curl_post {
    const char *url;                 /* the caller's until it is done, as everything here */
    const char *const *header_lines; /* NULL-terminated "Name: value" */
    weir_slice body;
    int64_t timeout_ms;
    bool public_only; /* refuse to connect to loopback, private and link-local addresses */
    void *arg;
    /* out */
    int status; /* of HTTP; 0: err says why there is none */
    weir_error err;
    void *transfer; /* private */
} weir_curl_post;

WEIR_MUST_CHECK weir_rc weir_curl_multi_new(weir_curl_multi **out, size_t answer_max_bytes,
                                            weir_error *err);
/* Ends what runs, without telling. NULL is fine. */
void weir_curl_multi_free(weir_curl_multi *m);
/* Begins it. On failure post stays untold. */
WEIR_MUST_CHECK weir_rc weir_curl_multi_add(weir_curl_multi *m, weir_curl_post *post,
                                            weir_error *err);
/* Moves on everything that can move, waiting up to wait_ms for something to happen. */
void weir_curl_multi_step(weir_curl_multi *m, int64_t wait_ms);
/* One that ended, or NULL. */
weir_curl_post *weir_curl_multi_done(weir_curl_multi *m);
/* Ends one that runs, untold, and gives it back; NULL when none does. */
weir_curl_post *weir_curl_multi_drop(weir_curl_multi *m);
size_t weir_curl_multi_running(const weir_curl_multi *m);
void weir_curl_multi_wake(weir_curl_multi *m); /* any thread: ends a step's wait */

/* The parts of an http or https URL as libcurl itself will understand them. */
typedef struct weir_curl_url {
    char scheme[8], host[256], port[8];
    char path[1024]; /* with the query */
} weir_curl_url;
/* WEIR_E_INPUT: no such URL, another scheme, user or password in it, or a part too long. */
WEIR_MUST_CHECK weir_rc weir_curl_url_parse(weir_curl_url *out, const char *url, weir_error *err);

#endif
