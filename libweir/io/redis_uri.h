/* redis_uri.h - redis:// and unix:// addresses taken apart. */
#ifndef WEIR_IO_REDIS_URI_H
#define WEIR_IO_REDIS_URI_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_redis_uri {
    char host[256]; /* "" when path is set */
    int port;
    char path[108]; /* Unix socket, "" when host is set */
    char user[128]; /* "" for the default user */
    char password[256];
    int db;
} weir_redis_uri;

/* redis://[[user]:password@]host[:port][/db] or unix://[[user]:password@]/path[?db=n]; user and
 * password may be percent-encoded; an IPv6 host stands in brackets. WEIR_E_INPUT; the text never
 * contains the password. Any thread. */
WEIR_MUST_CHECK weir_rc weir_redis_uri_parse(const char *uri, weir_redis_uri *out, weir_error *err);

/* host:port or the path, without the login: for people. Returns buf. */
enum { WEIR_REDIS_WHERE_BYTES = 300 };
const char *weir_redis_uri_where(const weir_redis_uri *uri, char buf[WEIR_REDIS_WHERE_BYTES]);
/* What to add to Redis's refusal of a login: how a password is given; else "". */
const char *weir_redis_login_hint(weir_slice refusal);

#endif
