/* tail.c - a ring of frame references in log order. */
#include "bridge/tail.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { SLOT_BYTES = sizeof(brg_frame *) };

struct brg_tail {
    brg_frame **ring;
    size_t cap; /* a power of two */
    size_t at, n;
    size_t bytes, max_bytes;
    weir_cursor from;
    weir_cursor head;    /* end of the last complete thing */
    weir_cursor visible; /* head, or the first frame that waits to be durable */
    weir_cursor durable; /* as told by the writer */
    size_t unsynced;     /* needs_sync frames not yet durable */
};

brg_tail *brg_tail_new(size_t max_bytes, weir_cursor from)
{
    brg_tail *t = weir_xcalloc(1, sizeof *t);
    t->cap = 256;
    t->ring = weir_xcalloc(t->cap, sizeof(brg_frame *));
    t->max_bytes = max_bytes;
    t->from = t->head = t->visible = t->durable = from;
    return t;
}

static brg_frame *nth(const brg_tail *t, size_t i)
{
    return t->ring[(t->at + i) & (t->cap - 1)];
}

void brg_tail_free(brg_tail *t)
{
    if (t) {
        for (size_t i = 0; i < t->n; i++) {
            brg_frame_unref(nth(t, i));
        }
        free(t->ring);
        free(t);
    }
}

static void grow(brg_tail *t)
{
    brg_frame **ring = weir_xcalloc(t->cap * 2, sizeof(brg_frame *));
    for (size_t i = 0; i < t->n; i++) {
        ring[i] = nth(t, i);
    }
    free(t->ring);
    t->ring = ring;
    t->cap *= 2;
    t->at = 0;
}

static bool waits(const brg_tail *t, const brg_frame *f)
{
    return f->needs_sync && weir_cursor_cmp(f->at, t->durable) >= 0;
}

static void refresh(brg_tail *t)
{
    t->visible = t->head;
    for (size_t i = 0; t->unsynced > 0 && i < t->n; i++) {
        if (waits(t, nth(t, i))) {
            t->visible = nth(t, i)->at;
            return;
        }
    }
}

/* Lets the oldest frame go. What lies above it is complete in memory again, so `from` moves there.
 */
static void drop_front(brg_tail *t)
{
    brg_frame *f = nth(t, 0);
    t->at = (t->at + 1) & (t->cap - 1);
    t->n--;
    t->bytes -= brg_frame_bytes(f) + SLOT_BYTES;
    bool waited = waits(t, f);
    t->unsynced -= waited;
    /* Inside a transaction the rest of its parts stays: from is then above it, so readers of it use
     * the log. */
    t->from = (weir_cursor){f->at.lsn, f->at.sub};
    if (t->from.sub == UINT32_MAX) {
        t->from.lsn++;
        t->from.sub = 0;
    } else {
        t->from.sub++;
    }
    brg_frame_unref(f);
    if (waited) {
        refresh(t);
    }
}

void brg_tail_add(brg_tail *t, brg_frame *f)
{
    if (t->n == t->cap) {
        grow(t);
    }
    t->ring[(t->at + t->n++) & (t->cap - 1)] = brg_frame_ref(f);
    t->bytes += brg_frame_bytes(f) + SLOT_BYTES;
    bool first_waiting = waits(t, f) && t->unsynced == 0;
    t->unsynced += waits(t, f);
    if (f->last) {
        t->head = f->end;
    }
    if (first_waiting) {
        t->visible = f->at;
    } else if (t->unsynced == 0) {
        t->visible = t->head;
    }
    while (t->bytes > t->max_bytes && t->n > 0) {
        drop_front(t);
    }
}

void brg_tail_move(brg_tail *t, weir_cursor head)
{
    if (weir_cursor_cmp(head, t->head) > 0) {
        t->head = head;
    }
    if (t->unsynced == 0) {
        t->visible = t->head;
    }
}

void brg_tail_drop_open(brg_tail *t)
{
    while (t->n > 0) {
        brg_frame *f = nth(t, t->n - 1);
        if (weir_cursor_cmp(f->at, t->head) < 0) {
            return;
        }
        t->n--;
        t->bytes -= brg_frame_bytes(f) + SLOT_BYTES;
        brg_frame_unref(
            f); /* never a waiting one: copied rows are complete frames below the head */
    }
}

void brg_tail_durable(brg_tail *t, weir_cursor below)
{
    if (weir_cursor_cmp(below, t->durable) <= 0) {
        return;
    }
    t->durable = below;
    if (t->unsynced > 0) {
        t->unsynced = 0;
        for (size_t i = 0; i < t->n; i++) {
            t->unsynced += waits(t, nth(t, i));
        }
        refresh(t);
    }
}

weir_cursor brg_tail_from(const brg_tail *t)
{
    return t->from;
}

weir_cursor brg_tail_head(const brg_tail *t)
{
    return t->visible;
}

size_t brg_tail_bytes(const brg_tail *t)
{
    return t->bytes;
}

size_t brg_tail_find(const brg_tail *t, weir_cursor at, uint32_t part)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const brg_frame *f = nth(t, mid);
        int c = weir_cursor_cmp(f->at, at);
        if (c < 0 || (c == 0 && f->part < part)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

brg_frame *brg_tail_get(const brg_tail *t, size_t i)
{
    if (i >= t->n) {
        return NULL;
    }
    brg_frame *f = nth(t, i);
    return weir_cursor_cmp(f->at, t->visible) < 0 ? f : NULL;
}
