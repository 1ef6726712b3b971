/* catalog.h - the commands that exist, as weir.command_catalog told it at one revision. Immutable
 * once loaded. */
#ifndef WEIR_WRITE_CATALOG_H
#define WEIR_WRITE_CATALOG_H

#include "libweir/base/buf.h"
#include "libweir/io/pg.h"

enum { WSVC_COMMANDS_MAX = 10000 };

typedef struct wsvc_entry {
    weir_slice name; /* NUL-terminated */
    weir_slice signature, args, result_type, description, openapi,
        serialize_by; /* args, openapi: JSON text; all may be empty */
    bool isolated, serializable;
} wsvc_entry;

typedef struct wsvc_catalog {
    weir_arena *arena; /* owns everything */
    int64_t revision;
    size_t n;
    wsvc_entry *entries; /* by name, byte order */
} wsvc_catalog;

/* The revision alone. WEIR_E_NOTFOUND: there is no schema weir, or no revision in it, yet. */
WEIR_MUST_CHECK weir_rc wsvc_catalog_revision(weir_pg *pg, int64_t *revision, weir_error *err);
/* Everything, in one snapshot. *out is for wsvc_catalog_free. Any thread that owns pg. */
WEIR_MUST_CHECK weir_rc wsvc_catalog_load(wsvc_catalog **out, weir_pg *pg, weir_error *err);
void wsvc_catalog_free(wsvc_catalog *c); /* NULL is fine */
/* NULL when absent (or c is NULL). */
const wsvc_entry *wsvc_catalog_find(const wsvc_catalog *c, weir_slice name);
/* The name of the nearest command, or NULL. */
const char *wsvc_catalog_nearest(const wsvc_catalog *c, const char *name);

/* Documents: appended to out. */
void wsvc_catalog_list(const wsvc_catalog *c, weir_buf *out);
/* guarded: callers must say who they are. */
void wsvc_catalog_openapi(const wsvc_catalog *c, const char *title, bool guarded, weir_buf *out);

#endif
