/* dirty.h - documents that must be rendered: a set of (model, document key) in memory, with a
 * budget that the walk obeys. Loop thread only. */
#ifndef WEIR_PROJECTOR_ENGINE_DIRTY_H
#define WEIR_PROJECTOR_ENGINE_DIRTY_H

#include "libweir/base/buf.h"

struct weir_bound;

typedef struct weir_dirty_key {
    const struct weir_bound *model;
    size_t off, n; /* of its text in weir_dirty.text */
} weir_dirty_key;

typedef struct weir_dirty {
    size_t n, cap;
    weir_dirty_key *keys; /* in the order of discovery, without duplicates */
    weir_buf text;
    uint32_t *table; /* open addressing over keys: index + 1, 0 empty */
    size_t ntable;
} weir_dirty;

void weir_dirty_init(weir_dirty *d);
void weir_dirty_fini(weir_dirty *d);
void weir_dirty_reset(weir_dirty *d);
/* key is copied. */
void weir_dirty_add(weir_dirty *d, const struct weir_bound *model, weir_slice key);
static inline weir_slice weir_dirty_text(const weir_dirty *d, size_t i)
{
    return (weir_slice){d->text.p + d->keys[i].off, d->keys[i].n};
}

#endif
