/* backoff.h - how long to wait before the next try: exponential with decorrelated jitter.
 *
 * next = min(cap, random between base and 3 * previous) (M. Brooker, "Exponential Backoff And
 * Jitter", AWS 2015).
 */
#ifndef WEIR_BASE_BACKOFF_H
#define WEIR_BASE_BACKOFF_H

#include <stdint.h>

typedef struct weir_backoff {
    int64_t base_ms, cap_ms, prev_ms;
    uint64_t rng;
} weir_backoff;

void weir_backoff_init(weir_backoff *b, int64_t base_ms, int64_t cap_ms,
                       uint64_t seed); /* seed 0: from the clock */
int64_t weir_backoff_next_ms(weir_backoff *b);
void weir_backoff_reset(weir_backoff *b); /* after a success */

#endif
