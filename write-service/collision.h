/* collision.h - which row a command could not get in time, as the wrapper around it tells:
 * {"table": name, "row": [["column", "value"]…]}. Pure; any thread.
 */
#ifndef WEIR_WRITE_COLLISION_H
#define WEIR_WRITE_COLLISION_H

#include <stddef.h>

#include <jansson.h>

#include "libweir/base/slice.h"

typedef struct wsvc_collision {
    json_t *doc;
    const char *table; /* never NULL */
    const json_t *row;
    size_t ncolumns; /* 0: the row is not known */
} wsvc_collision;

/* text: may be NULL. NULL: it names no table. The caller frees it. */
wsvc_collision *wsvc_collision_new(const char *text);
void wsvc_collision_free(wsvc_collision *c); /* NULL is fine */

/* i below ncolumns. Borrowed; empty when it is no text. */
weir_slice wsvc_collision_column(const wsvc_collision *c, size_t i);
weir_slice wsvc_collision_value(const wsvc_collision *c, size_t i);

#endif
