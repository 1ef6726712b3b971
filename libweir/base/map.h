/* map.h - a hash map from byte keys to one pointer: open addressing, xxh3, one owner thread.
 *
 * Keys are copied into the map; values are the caller's. Iteration order is undefined; no insert
 * while iterating.
 */
#ifndef WEIR_BASE_MAP_H
#define WEIR_BASE_MAP_H

#include "libweir/base/slice.h"

typedef struct weir_map weir_map;

weir_map *weir_map_new(void);
void weir_map_free(weir_map *m); /* values are not freed */
void weir_map_clear(weir_map *m);
size_t weir_map_len(const weir_map *m);
void *weir_map_get(const weir_map *m,
                   weir_slice key); /* NULL when absent (a stored NULL looks the same) */
bool weir_map_has(const weir_map *m, weir_slice key);
/* Returns the address of the value slot, created as NULL when absent (*created tells, may be NULL).
 * Valid until the next insert or delete. */
void **weir_map_slot(weir_map *m, weir_slice key, bool *created);
void *weir_map_del(weir_map *m, weir_slice key); /* the value that was there, or NULL */

typedef struct weir_map_iter {
    size_t i;
    weir_slice key; /* borrowed from the map */
    void *value;
} weir_map_iter;
bool weir_map_next(const weir_map *m, weir_map_iter *it); /* start with a zeroed iterator */

#endif
