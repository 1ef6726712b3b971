/* seen.c - a set of the newest commit times over a floor. */
#include "migrations/sync/seen.h"

#include <stdlib.h>
#include <string.h>

#include "libweir/base/xalloc.h"

void sync_seen_init(sync_seen *s, int64_t floor_us)
{
    *s = (sync_seen){.floor_us = floor_us, .newest_us = floor_us};
    s->ring = weir_xcalloc(SYNC_SEEN_MAX, sizeof *s->ring);
    s->slots = weir_xcalloc(SYNC_SEEN_SLOTS, sizeof *s->slots);
}

void sync_seen_fini(sync_seen *s)
{
    free(s->ring);
    free(s->slots);
    *s = (sync_seen){.floor_us = 0};
}

static size_t place(int64_t us)
{
    uint64_t h = (uint64_t)us * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 40) & (SYNC_SEEN_SLOTS - 1);
}

static void put(sync_seen *s, int64_t us)
{
    size_t i = place(us);
    while (s->slots[i] != 0 && s->slots[i] != us) {
        i = (i + 1) & (SYNC_SEEN_SLOTS - 1);
    }
    s->slots[i] = us;
}

/* Half of the oldest go below the floor; the slots are made anew. */
static void age(sync_seen *s)
{
    size_t old = s->n / 2;
    for (size_t k = 0; k < old; k++) {
        int64_t us = s->ring[(s->first + k) % SYNC_SEEN_MAX];
        s->floor_us = us > s->floor_us ? us : s->floor_us;
    }
    s->first = (s->first + old) % SYNC_SEEN_MAX;
    s->n -= old;
    memset(s->slots, 0, SYNC_SEEN_SLOTS * sizeof *s->slots);
    for (size_t k = 0; k < s->n; k++) {
        put(s, s->ring[(s->first + k) % SYNC_SEEN_MAX]);
    }
}

void sync_seen_add(sync_seen *s, int64_t commit_us)
{
    if (s->n == SYNC_SEEN_MAX) {
        age(s);
    }
    s->ring[(s->first + s->n++) % SYNC_SEEN_MAX] = commit_us;
    s->newest_us = commit_us > s->newest_us ? commit_us : s->newest_us;
    put(s, commit_us);
}

bool sync_seen_has(const sync_seen *s, int64_t commit_us)
{
    if (commit_us <= s->floor_us) {
        return true;
    }
    size_t i = place(commit_us);
    while (s->slots[i] != 0) {
        if (s->slots[i] == commit_us) {
            return true;
        }
        i = (i + 1) & (SYNC_SEEN_SLOTS - 1);
    }
    return false;
}

/* Smallest first, so that it makes room for a later one. */
static void sift_down(int64_t *heap, size_t n)
{
    size_t i = 0;
    for (size_t child = 1; child < n; child = 2 * i + 1) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[i] <= heap[child]) {
            return;
        }
        int64_t us = heap[i];
        heap[i] = heap[child];
        heap[child] = us;
        i = child;
    }
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

size_t sync_seen_keep(const sync_seen *s, int64_t *floor_us, int64_t kept_us[SYNC_SEEN_KEPT])
{
    size_t n = 0;
    *floor_us = s->floor_us;
    for (size_t k = 0; k < s->n; k++) {
        int64_t us = s->ring[(s->first + k) % SYNC_SEEN_MAX];
        if (us <= *floor_us) {
            continue;
        }
        if (n < SYNC_SEEN_KEPT) {
            kept_us[n++] = us;
            if (n == SYNC_SEEN_KEPT) {
                qsort(kept_us, n, sizeof *kept_us, by_time); /* sorted is a heap */
            }
        } else if (us < kept_us[0]) {
            *floor_us = us;
        } else {
            *floor_us = kept_us[0];
            kept_us[0] = us;
            sift_down(kept_us, n);
        }
    }
    qsort(kept_us, n, sizeof *kept_us, by_time);
    return n;
}

int64_t sync_seen_newest(const sync_seen *s)
{
    return s->newest_us;
}
