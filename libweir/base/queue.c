/* queue.c - a bounded queue of pointers between threads. */
#include "libweir/base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "libweir/base/xalloc.h"

struct weir_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* an item came, or closed */
    pthread_cond_t drained; /* room came, or closed */
    size_t cap, head, len;
    uint64_t refused;
    bool closed;
    void *items[];
};

static void cond_init_mono(pthread_cond_t *c)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

weir_queue *weir_queue_new(size_t capacity)
{
    assert(capacity >= 1 && capacity < SIZE_MAX / sizeof(void *) / 2);
    weir_queue *q = weir_xcalloc(1, sizeof *q + capacity * sizeof q->items[0]);
    q->cap = capacity;
    pthread_mutex_init(&q->lock, NULL);
    cond_init_mono(&q->filled);
    cond_init_mono(&q->drained);
    return q;
}

void weir_queue_free(weir_queue *q)
{
    if (!q) {
        return;
    }
    pthread_cond_destroy(&q->drained);
    pthread_cond_destroy(&q->filled);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static struct timespec deadline_in(int64_t wait_ms)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += (time_t)(wait_ms / 1000);
    ts.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    return ts;
}

/* Lock held. false once the deadline has passed. wait_ms < 0 waits for ever. */
static bool wait_on(weir_queue *q, pthread_cond_t *c, int64_t wait_ms, const struct timespec *until)
{
    if (wait_ms < 0) {
        return pthread_cond_wait(c, &q->lock) == 0;
    }
    return pthread_cond_timedwait(c, &q->lock, until) == 0;
}

static void put_locked(weir_queue *q, void *item)
{
    q->items[(q->head + q->len) % q->cap] = item;
    q->len++;
    pthread_cond_signal(&q->filled);
}

bool weir_queue_push(weir_queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    bool ok = !q->closed && q->len < q->cap;
    if (ok) {
        put_locked(q, item);
    } else if (!q->closed) {
        q->refused++;
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

bool weir_queue_push_wait(weir_queue *q, void *item, int64_t wait_ms)
{
    struct timespec until = deadline_in(wait_ms < 0 ? 0 : wait_ms);
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->len == q->cap && wait_on(q, &q->drained, wait_ms, &until)) {
    }
    bool ok = !q->closed && q->len < q->cap;
    if (ok) {
        put_locked(q, item);
    } else if (!q->closed) {
        q->refused++;
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

size_t weir_queue_pop_while(weir_queue *q, void **out, size_t max, int64_t wait_ms,
                            bool (*more)(const void *first, const void *next))
{
    struct timespec until = deadline_in(wait_ms < 0 ? 0 : wait_ms);
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->len == 0 && wait_ms != 0 && wait_on(q, &q->filled, wait_ms, &until)) {
    }
    size_t n = 0;
    while (n < max && q->len > 0 && (n == 0 || !more || more(out[0], q->items[q->head]))) {
        out[n++] = q->items[q->head];
        q->head = (q->head + 1) % q->cap;
        q->len--;
    }
    if (n == 1) {
        pthread_cond_signal(&q->drained);
    } else if (n > 1) {
        pthread_cond_broadcast(&q->drained);
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}

size_t weir_queue_pop(weir_queue *q, void **out, size_t max, int64_t wait_ms)
{
    return weir_queue_pop_while(q, out, max, wait_ms, NULL);
}

void weir_queue_close(weir_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->filled);
    pthread_cond_broadcast(&q->drained);
    pthread_mutex_unlock(&q->lock);
}

bool weir_queue_closed(weir_queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool closed = q->closed;
    pthread_mutex_unlock(&q->lock);
    return closed;
}

size_t weir_queue_len(weir_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t len = q->len;
    pthread_mutex_unlock(&q->lock);
    return len;
}

uint64_t weir_queue_refused(weir_queue *q)
{
    pthread_mutex_lock(&q->lock);
    uint64_t refused = q->refused;
    pthread_mutex_unlock(&q->lock);
    return refused;
}
