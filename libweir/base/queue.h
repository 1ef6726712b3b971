/* queue.h - a bounded queue of pointers between threads: full is an answer, never a wait for the
 * producer.
 *
 * Any number of producers and consumers. The queue never owns what is in it.
 */
#ifndef WEIR_BASE_QUEUE_H
#define WEIR_BASE_QUEUE_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_queue weir_queue;

weir_queue *weir_queue_new(size_t capacity); /* capacity >= 1 */
void weir_queue_free(weir_queue *q);         /* must be empty of things that need freeing */

WEIR_MUST_CHECK bool weir_queue_push(weir_queue *q,
                                     void *item); /* false: full or closed; counted when full */
/* Waits up to wait_ms for room. false: still full, or closed. For threads that may block (never a
 * loop thread). */
WEIR_MUST_CHECK bool weir_queue_push_wait(weir_queue *q, void *item, int64_t wait_ms);
/* Up to max items in FIFO order into out; waits up to wait_ms (-1 for ever) for the first. 0: none,
 * or closed and drained. */
size_t weir_queue_pop(weir_queue *q, void **out, size_t max, int64_t wait_ms);
/* The same, but behind the first item takes the next one only while more(first, next) is true; more
 * runs under the lock. */
size_t weir_queue_pop_while(weir_queue *q, void **out, size_t max, int64_t wait_ms,
                            bool (*more)(const void *first, const void *next));
void weir_queue_close(weir_queue *q); /* pushes fail, pops drain then return 0 at once */
bool weir_queue_closed(weir_queue *q);
size_t weir_queue_len(weir_queue *q);
uint64_t weir_queue_refused(weir_queue *q); /* pushes refused because it was full */

#endif
