/* options.h - what a client may ask of one command beside its body: Idempotency-Key, If-Match,
 * Prefer: wait, Weir-Begin-Within. Pure.
 */
#ifndef WEIR_WRITE_OPTIONS_H
#define WEIR_WRITE_OPTIONS_H

#include "libweir/base/arena.h"
#include "libweir/base/err.h"
#include "write-service/key.h"

enum { WSVC_OPTION_MAX = 255, WSVC_WAIT_MAX_S = 3600 };

/* The headers as they came; NULL when absent. */
typedef struct wsvc_options_text {
    const char *idempotency_key; /* 1 to 255 printable ASCII characters, with or without quotes */
    const char *if_match;        /* one entity tag; "*" asks for nothing */
    const char *prefer;          /* RFC 7240 */
    const char *begin_within;    /* Weir-Begin-Within: milliseconds; wins over Prefer: wait */
    /* On whose behalf; NULL while authentication is off. */
    const char *scope, *role, *claims;
} wsvc_options_text;

typedef struct wsvc_options {
    const char *json; /* for weir.run_with, in the arena; NULL: nothing is asked for */
    const char *key_text, *version; /* in the arena; NULL: none */
    const char *role, *claims;      /* as given */
    bool has_key;
    wsvc_key key;    /* keeps commands of one Idempotency-Key in order */
    int64_t wait_ms; /* not begun after so long: not to be executed; 0: no limit */
} wsvc_options;

/* WEIR_E_INPUT: msg says which header must be how. WEIR_E_LIMIT: the arena's ceiling. */
WEIR_MUST_CHECK weir_rc wsvc_options_read(wsvc_options *out, const wsvc_options_text *in,
                                          weir_arena *a, weir_error *err);
/* The same for one command of a batch, with a key of its own that no client can send. */
WEIR_MUST_CHECK weir_rc wsvc_options_of_part(wsvc_options *out, const wsvc_options *whole,
                                             size_t part, weir_arena *a, weir_error *err);

#endif
