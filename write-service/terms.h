/* terms.h - on what terms a command is accepted to be executed later: priority, time, order,
 * callback; from the request's headers. Pure. */
#ifndef WEIR_WRITE_TERMS_H
#define WEIR_WRITE_TERMS_H

#include <stdbool.h>

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

enum { WSVC_KEY_MAX = 200, WSVC_URL_MAX = 1000, WSVC_PRIORITY_DEFAULT = 5 };

/* The headers as they came; NULL when absent. */
typedef struct wsvc_terms_text {
    const char *priority;     /* Weir-Priority: 0 to 9, 9 first */
    const char *not_before;   /* Weir-Not-Before: RFC 3339, or +milliseconds from now */
    const char *deadline;     /* Weir-Deadline: the same */
    const char *ordering_key; /* Weir-Ordering-Key: 1 to 200 printable ASCII characters */
    const char *callback;     /* Weir-Callback: a URL */
} wsvc_terms_text;

typedef struct wsvc_terms {
    int priority;
    int64_t delay_us, deadline_us; /* from now; deadline 0: none */
    const char *ordering_key;      /* NULL: none */
    const char *callback;          /* NULL: none; not yet judged by the allow-list */
} wsvc_terms;

/* Does a Prefer header (RFC 7240) ask for respond-async? NULL does not. */
bool wsvc_prefers_async(const char *prefer);
/* The name of a header that was given, or NULL when none was. */
const char *wsvc_terms_given(const wsvc_terms_text *in);
/* WEIR_E_INPUT names the header. wall_us: now. */
WEIR_MUST_CHECK weir_rc wsvc_terms_read(wsvc_terms *out, const wsvc_terms_text *in, int64_t wall_us,
                                        weir_error *err);
/* An RFC 3339 instant ("2026-11-21T14:00:00.5+01:00") in microseconds since 1970. */
WEIR_MUST_CHECK bool wsvc_instant_read(const char *text, int64_t *wall_us);

#endif
