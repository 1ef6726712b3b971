/* pg_uri.h - the parts of a PostgreSQL connection string, for tools that must name them to others.
 */
#ifndef WEIR_IO_PG_URI_H
#define WEIR_IO_PG_URI_H

#include "libweir/base/arena.h"

typedef struct weir_pg_uri {
    const char *host, *port, *user, *password, *dbname; /* "" where the string says nothing */
} weir_pg_uri;

/* Understands URIs and key=value strings. Strings in a. WEIR_E_INPUT without quoting the string (it
 * may hold a password). */
WEIR_MUST_CHECK weir_rc weir_pg_uri_parse(weir_arena *a, const char *uri, weir_pg_uri *out,
                                          weir_error *err);

#endif
