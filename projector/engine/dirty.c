/* dirty.c - documents that must be rendered. */
#include "projector/engine/dirty.h"

#include <stdlib.h>

#include "libweir/base/hash.h"
#include "libweir/base/xalloc.h"
#include "projector/engine/layout.h"

enum { FIRST = 1024, KEEP = 65536 };

void weir_dirty_init(weir_dirty *d)
{
    *d = (weir_dirty){0};
    weir_buf_init(&d->text, (size_t)1 << 31);
}

void weir_dirty_fini(weir_dirty *d)
{
    free(d->keys);
    free(d->table);
    weir_buf_fini(&d->text);
    *d = (weir_dirty){0};
}

static size_t slot_of(const weir_dirty *d, uint32_t id, weir_slice key)
{
    size_t mask = d->ntable - 1;
    size_t i = (size_t)(weir_hash64(key) + id * UINT64_C(0x9E3779B97F4A7C15)) & mask;
    for (;; i = (i + 1) & mask) {
        if (d->table[i] == 0) {
            return i;
        }
        size_t k = d->table[i] - 1;
        if (d->keys[k].model->id == id && weir_slice_eq(weir_dirty_text(d, k), key)) {
            return i;
        }
    }
}

/* Small sets are cleared entry by entry: a table that once grew must not cost every small batch. */
void weir_dirty_reset(weir_dirty *d)
{
    if (d->ntable > KEEP) {
        weir_dirty_fini(d);
        weir_dirty_init(d);
        return;
    }
    if (d->n * 8 < d->ntable) {
        for (size_t i = 0; i < d->n; i++) {
            size_t at = (size_t)(weir_hash64(weir_dirty_text(d, i)) +
                                 d->keys[i].model->id * UINT64_C(0x9E3779B97F4A7C15)) &
                        (d->ntable - 1);
            while (d->table[at] != 0) { /* its whole cluster goes, as everything does */
                d->table[at] = 0;
                at = (at + 1) & (d->ntable - 1);
            }
        }
    } else if (d->ntable) {
        memset(d->table, 0, d->ntable * sizeof *d->table);
    }
    d->n = 0;
    weir_buf_reset(&d->text);
}

static void grow(weir_dirty *d)
{
    size_t n = d->ntable ? d->ntable * 2 : FIRST;
    free(d->table);
    d->table = weir_xcalloc(n, sizeof *d->table);
    d->ntable = n;
    for (size_t i = 0; i < d->n; i++) {
        d->table[slot_of(d, d->keys[i].model->id, weir_dirty_text(d, i))] = (uint32_t)(i + 1);
    }
}

void weir_dirty_add(weir_dirty *d, const struct weir_bound *model, weir_slice key)
{
    if ((d->n + 1) * 2 > d->ntable) {
        grow(d);
    }
    size_t at = slot_of(d, model->id, key);
    if (d->table[at] != 0) {
        return;
    }
    if (d->n == d->cap) {
        d->cap = d->cap ? d->cap * 2 : FIRST;
        d->keys = weir_xrealloc(d->keys, d->cap * sizeof *d->keys);
    }
    size_t off = d->text.n;
    weir_buf_puts(&d->text, key);
    d->keys[d->n++] = (weir_dirty_key){model, off, key.n};
    d->table[at] = (uint32_t)d->n;
}
