/* ring.c - the bounded way from the decoding thread to the log. */
#include "bridge/ring.h"

#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum {
    GATHER_MS = 50,
    GATHER_BYTES = 1024 * 1024,
    ITEMS_MAX = 16384,
    ITEM_OVERHEAD = 128,
    ORDERS_MAX = 4096
};

struct brg_ring {
    weir_monitor *m;
    brg_item *items;
    size_t at, n;
    size_t bytes,
        max_bytes; /* bytes count until durable, so that memory is bounded, not just the queue */
    size_t taken, taken_bytes;
    uint64_t pushed, done;
    uint64_t full;
    brg_order *orders, **orders_end;
    size_t norders;
    size_t urgent; /* items waiting, or threads waiting in drained, that want no delay */
    bool closed;
};

static bool is_urgent(const brg_item *i)
{
    return (i->kind != BRG_ITEM_FRAME && i->kind != BRG_ITEM_HEAD) ||
           (i->frame && i->frame->needs_sync);
}

static size_t weight(const brg_item *i)
{
    return ITEM_OVERHEAD + i->n + (i->frame ? i->frame->n : 0);
}

brg_ring *brg_ring_new(size_t max_bytes)
{
    brg_ring *r = weir_xcalloc(1, sizeof *r);
    r->m = weir_monitor_new();
    r->items = weir_xcalloc(ITEMS_MAX, sizeof *r->items);
    r->max_bytes = max_bytes;
    r->orders_end = &r->orders;
    return r;
}

void brg_item_fini(brg_item *item)
{
    brg_frame_unref(item->frame);
    free(item->p);
    item->frame = NULL;
    item->p = NULL;
}

void brg_order_free(brg_order *o)
{
    if (o) {
        free(o->p);
        free(o->owns_arg ? o->arg : NULL);
        free(o);
    }
}

void brg_ring_free(brg_ring *r)
{
    if (r) {
        for (size_t i = 0; i < r->n; i++) {
            brg_item_fini(&r->items[(r->at + i) % ITEMS_MAX]);
        }
        while (r->orders) {
            brg_order *next = r->orders->next;
            brg_order_free(r->orders);
            r->orders = next;
        }
        free(r->items);
        weir_monitor_free(r->m);
        free(r);
    }
}

/* One item larger than the bound passes when it is alone. */
static bool has_room(const brg_ring *r, const brg_item *item)
{
    return r->n < ITEMS_MAX && (r->bytes == 0 || r->bytes + weight(item) <= r->max_bytes);
}

bool brg_ring_push(brg_ring *r, const brg_item *item, int64_t wait_ms)
{
    int64_t end = weir_mono_ms() + wait_ms;
    weir_monitor_lock(r->m);
    if (!has_room(r, item)) {
        r->full++;
    }
    while (!r->closed && !has_room(r, item)) {
        int64_t left = end - weir_mono_ms();
        if (left <= 0) {
            break;
        }
        (void)weir_monitor_wait(r->m, left);
    }
    bool ok = !r->closed && has_room(r, item);
    if (ok) {
        r->items[(r->at + r->n++) % ITEMS_MAX] = *item;
        r->bytes += weight(item);
        r->pushed++;
        r->urgent += is_urgent(item);
        if (r->n == 1 || is_urgent(item) || r->bytes >= GATHER_BYTES ||
            r->bytes >= r->max_bytes / 2) {
            weir_monitor_wake(r->m); /* else the writer is gathering, and this would not end it */
        }
    }
    weir_monitor_unlock(r->m);
    return ok;
}

bool brg_ring_order(brg_ring *r, brg_order *o)
{
    weir_monitor_lock(r->m);
    bool ok = !r->closed && r->norders < ORDERS_MAX;
    if (ok) {
        o->next = NULL;
        *r->orders_end = o;
        r->orders_end = &o->next;
        r->norders++;
        weir_monitor_wake(r->m);
    }
    weir_monitor_unlock(r->m);
    return ok;
}

size_t brg_ring_take(brg_ring *r, brg_item *out, size_t max, size_t max_bytes, brg_order **orders,
                     int64_t wait_ms)
{
    int64_t end = weir_mono_ms() + wait_ms;
    size_t n = 0;
    size_t bytes = 0;
    weir_monitor_lock(r->m);
    while (r->n == 0 && !r->orders && !r->closed) {
        int64_t left = end - weir_mono_ms();
        if (left <= 0) {
            break;
        }
        (void)weir_monitor_wait(r->m, left);
    }
    int64_t gather = weir_mono_ms() + GATHER_MS;
    while (max > 0 && r->urgent == 0 && !r->orders && !r->closed && r->bytes < GATHER_BYTES &&
           r->bytes < r->max_bytes / 2) {
        int64_t left = gather - weir_mono_ms();
        if (left <= 0) {
            break;
        }
        (void)weir_monitor_wait(r->m, left);
    }
    while (n < max && r->n > 0 && (n == 0 || bytes < max_bytes)) {
        out[n] = r->items[r->at];
        r->urgent -= is_urgent(&out[n]);
        bytes += weight(&out[n++]);
        r->at = (r->at + 1) % ITEMS_MAX;
        r->n--;
    }
    r->taken += n;
    r->taken_bytes += bytes;
    *orders = r->orders;
    r->orders = NULL;
    r->orders_end = &r->orders;
    r->norders = 0;
    weir_monitor_unlock(r->m);
    return n;
}

void brg_ring_done(brg_ring *r, size_t n)
{
    weir_monitor_lock(r->m);
    r->done += n;
    r->taken -= n;
    if (r->taken == 0) {
        r->bytes -= r->taken_bytes;
        r->taken_bytes = 0;
    }
    weir_monitor_wake(r->m);
    weir_monitor_unlock(r->m);
}

bool brg_ring_drained(brg_ring *r, int64_t wait_ms)
{
    int64_t end = weir_mono_ms() + wait_ms;
    weir_monitor_lock(r->m);
    uint64_t goal = r->pushed;
    r->urgent++;
    weir_monitor_wake(r->m);
    while (r->done < goal) {
        int64_t left = end - weir_mono_ms();
        if (left <= 0) {
            break;
        }
        (void)weir_monitor_wait(r->m, left);
    }
    bool ok = r->done >= goal;
    r->urgent--;
    weir_monitor_unlock(r->m);
    return ok;
}

void brg_ring_close(brg_ring *r)
{
    weir_monitor_lock(r->m);
    r->closed = true;
    weir_monitor_wake(r->m);
    weir_monitor_unlock(r->m);
}

bool brg_ring_closed(brg_ring *r)
{
    weir_monitor_lock(r->m);
    bool closed = r->closed && r->n == 0;
    weir_monitor_unlock(r->m);
    return closed;
}

size_t brg_ring_bytes(brg_ring *r)
{
    weir_monitor_lock(r->m);
    size_t bytes = r->bytes;
    weir_monitor_unlock(r->m);
    return bytes;
}

uint64_t brg_ring_full_count(brg_ring *r)
{
    weir_monitor_lock(r->m);
    uint64_t full = r->full;
    weir_monitor_unlock(r->m);
    return full;
}
