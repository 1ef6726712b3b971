/* waits.c - requests that wait for a position: two heaps over the same entries. */
#include "read-service/waits.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { BY_POSITION, BY_DEADLINE, ORDERS };

struct rsvc_waits {
    rsvc_wait **heap[ORDERS];
    size_t n, cap, max;
};

static bool before(int order, const rsvc_wait *a, const rsvc_wait *b)
{
    return order == BY_POSITION ? a->position < b->position : a->deadline_ms < b->deadline_ms;
}

static void put(rsvc_waits *ws, int order, size_t i, rsvc_wait *w)
{
    ws->heap[order][i] = w;
    w->at[order] = i;
}

static void up(rsvc_waits *ws, int order, size_t i)
{
    rsvc_wait *w = ws->heap[order][i];
    while (i > 0 && before(order, w, ws->heap[order][(i - 1) / 2])) {
        put(ws, order, i, ws->heap[order][(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(ws, order, i, w);
}

static void down(rsvc_waits *ws, int order, size_t i)
{
    rsvc_wait *w = ws->heap[order][i];
    for (size_t child = 2 * i + 1; child < ws->n; child = 2 * i + 1) {
        if (child + 1 < ws->n &&
            before(order, ws->heap[order][child + 1], ws->heap[order][child])) {
            child++;
        }
        if (!before(order, ws->heap[order][child], w)) {
            break;
        }
        put(ws, order, i, ws->heap[order][child]);
        i = child;
    }
    put(ws, order, i, w);
}

rsvc_waits *rsvc_waits_new(size_t max)
{
    rsvc_waits *ws = weir_xcalloc(1, sizeof *ws);
    ws->max = max;
    return ws;
}

void rsvc_waits_free(rsvc_waits *ws)
{
    if (!ws) {
        return;
    }
    for (int order = 0; order < ORDERS; order++) {
        free(ws->heap[order]);
    }
    free(ws);
}

bool rsvc_waits_add(rsvc_waits *ws, rsvc_wait *w)
{
    if (ws->n >= ws->max) {
        return false;
    }
    if (ws->n == ws->cap) {
        ws->cap = ws->cap ? ws->cap * 2 : 64;
        for (int order = 0; order < ORDERS; order++) {
            ws->heap[order] = weir_xrealloc(ws->heap[order], ws->cap * sizeof(rsvc_wait *));
        }
    }
    size_t i = ws->n++;
    for (int order = 0; order < ORDERS; order++) {
        put(ws, order, i, w);
        up(ws, order, i);
    }
    return true;
}

void rsvc_waits_remove(rsvc_waits *ws, rsvc_wait *w)
{
    ws->n--;
    for (int order = 0; order < ORDERS; order++) {
        size_t i = w->at[order];
        rsvc_wait *last = ws->heap[order][ws->n];
        if (last != w) {
            put(ws, order, i, last);
            up(ws, order, i);
            down(ws, order, last->at[order]);
        }
    }
}

size_t rsvc_waits_len(const rsvc_waits *ws)
{
    return ws->n;
}

static rsvc_wait *take_first(rsvc_waits *ws, int order)
{
    rsvc_wait *w = ws->heap[order][0];
    rsvc_waits_remove(ws, w);
    return w;
}

rsvc_wait *rsvc_waits_reached(rsvc_waits *ws, uint64_t position)
{
    return ws->n > 0 && ws->heap[BY_POSITION][0]->position <= position ? take_first(ws, BY_POSITION)
                                                                       : NULL;
}

rsvc_wait *rsvc_waits_expired(rsvc_waits *ws, int64_t now_ms)
{
    return ws->n > 0 && ws->heap[BY_DEADLINE][0]->deadline_ms <= now_ms
               ? take_first(ws, BY_DEADLINE)
               : NULL;
}

rsvc_wait *rsvc_waits_any(rsvc_waits *ws)
{
    return ws->n > 0 ? take_first(ws, BY_DEADLINE) : NULL;
}

int64_t rsvc_waits_deadline_ms(const rsvc_waits *ws)
{
    return ws->n > 0 ? ws->heap[BY_DEADLINE][0]->deadline_ms : INT64_MAX;
}
