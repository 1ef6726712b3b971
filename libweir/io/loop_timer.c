/* loop_timer.c - timers of a loop: a binary heap ordered by due time. */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/loop_priv.h"

static void heap_set(weir_loop *l, size_t i, weir_loop_timer *t)
{
    l->heap[i] = t;
    t->at = i;
}

static void heap_up(weir_loop *l, size_t i)
{
    weir_loop_timer *t = l->heap[i];
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (l->heap[parent]->due_ms <= t->due_ms) {
            break;
        }
        heap_set(l, i, l->heap[parent]);
        i = parent;
    }
    heap_set(l, i, t);
}

static void heap_down(weir_loop *l, size_t i)
{
    weir_loop_timer *t = l->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= l->nheap) {
            break;
        }
        if (child + 1 < l->nheap && l->heap[child + 1]->due_ms < l->heap[child]->due_ms) {
            child++;
        }
        if (t->due_ms <= l->heap[child]->due_ms) {
            break;
        }
        heap_set(l, i, l->heap[child]);
        i = child;
    }
    heap_set(l, i, t);
}

static void heap_push(weir_loop *l, weir_loop_timer *t)
{
    l->heap = weir_loop_grow(l->heap, l->nheap, &l->heap_cap, sizeof(weir_loop_timer *));
    heap_set(l, l->nheap, t);
    heap_up(l, l->nheap++);
}

static void heap_remove(weir_loop *l, weir_loop_timer *t)
{
    size_t i = t->at;
    if (i == SIZE_MAX) {
        return;
    }
    t->at = SIZE_MAX;
    weir_loop_timer *last = l->heap[--l->nheap];
    if (last == t) {
        return;
    }
    heap_set(l, i, last);
    heap_up(l, i);
    heap_down(l, last->at);
}

weir_loop_timer *weir_loop_timer_new(weir_loop *l, weir_loop_fn *fn, void *arg)
{
    weir_loop_timer *t = weir_xcalloc(1, sizeof *t);
    *t = (weir_loop_timer){.l = l, .fn = fn, .arg = arg, .at = SIZE_MAX, .next = l->timers};
    if (t->next) {
        t->next->prev = t;
    }
    l->timers = t;
    return t;
}

void weir_loop_timer_arm(weir_loop_timer *t, int64_t after_ms, bool repeat)
{
    if (after_ms < 0) {
        after_ms = 0;
    }
    heap_remove(t->l, t);
    t->due_ms = weir_mono_ms() + after_ms;
    t->period_ms = !repeat ? 0 : after_ms > 0 ? after_ms : 1;
    heap_push(t->l, t);
}

void weir_loop_timer_disarm(weir_loop_timer *t)
{
    heap_remove(t->l, t);
}

void weir_loop_timer_free(weir_loop_timer *t)
{
    if (!t || t->dead) {
        return;
    }
    weir_loop *l = t->l;
    heap_remove(l, t);
    t->dead = true;
    if (t->prev) {
        t->prev->next = t->next;
    } else {
        l->timers = t->next;
    }
    if (t->next) {
        t->next->prev = t->prev;
    }
    t->next = l->dead_timers;
    l->dead_timers = t;
}

int64_t weir_loop_timer_next_ms(const weir_loop *l, int64_t now_ms)
{
    if (l->nheap == 0) {
        return -1;
    }
    int64_t due = l->heap[0]->due_ms;
    return due > now_ms ? due - now_ms : 0;
}

void weir_loop_timer_run(weir_loop *l, int64_t now_ms)
{
    /* A timer that re-arms itself with 0 ms must not keep the turn from ending: no more runs than
     * timers were armed. */
    for (size_t left = l->nheap; left > 0 && l->nheap > 0 && l->heap[0]->due_ms <= now_ms; left--) {
        weir_loop_timer *t = l->heap[0];
        heap_remove(l, t);
        if (t->period_ms > 0) {
            t->due_ms += t->period_ms;
            if (t->due_ms <= now_ms) { /* late by more than a period: skip what was missed */
                t->due_ms = now_ms + t->period_ms;
            }
            heap_push(l, t);
        }
        t->fn(t->arg);
    }
}

void weir_loop_timer_sweep(weir_loop *l)
{
    while (l->dead_timers) {
        weir_loop_timer *t = l->dead_timers;
        l->dead_timers = t->next;
        free(t);
    }
}

void weir_loop_timer_fini(weir_loop *l)
{
    while (l->timers) {
        weir_loop_timer_free(l->timers);
    }
}
