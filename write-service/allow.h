/* allow.h - where callbacks may go: the list of write.callback_allow. Immutable once made; any
 * thread. */
#ifndef WEIR_WRITE_ALLOW_H
#define WEIR_WRITE_ALLOW_H

#include <stdbool.h>

#include "libweir/base/err.h"

typedef struct wsvc_allow wsvc_allow;

/* list: words separated by spaces, each a URL whose scheme, host, port and path prefix a callback
 * must have, or "public": any https URL whose address is a public one. A list without a secret to
 * sign with is refused with WEIR_E_INPUT. */
WEIR_MUST_CHECK weir_rc wsvc_allow_new(wsvc_allow **out, const char *list, const char *secret,
                                       weir_error *err);
void wsvc_allow_free(wsvc_allow *a);      /* NULL is fine */
bool wsvc_allow_any(const wsvc_allow *a); /* callbacks may go somewhere */
/* WEIR_E_DENIED: not on the list; WEIR_E_INPUT: no acceptable URL. *public_only (may be NULL): the
 * address must be looked at when it is known. */
WEIR_MUST_CHECK weir_rc wsvc_allow_check(const wsvc_allow *a, const char *url, bool *public_only,
                                         weir_error *err);

#endif
