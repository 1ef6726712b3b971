/* etag.h - entity tags: a strong hash of the document. Pure. */
#ifndef READ_SERVICE_ETAG_H
#define READ_SERVICE_ETAG_H

#include "libweir/base/slice.h"

enum { RSVC_ETAG_SIZE = 35 }; /* 32 hex digits, two quotes, NUL */

void rsvc_etag_of(weir_slice document, char out[RSVC_ETAG_SIZE]);
/* Does the value of an If-None-Match header name the tag? Weak comparison, as RFC 9110 asks: W/ is
 * ignored; "*" names all. */
bool rsvc_etag_matches(const char *if_none_match, const char *etag);

#endif
