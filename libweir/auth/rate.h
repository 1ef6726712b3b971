/* rate.h - how much a caller may still ask: one bucket per caller, refilled evenly (GCRA). Pure but
 * for the lock of weir_rates; the clock is given. */
#ifndef WEIR_AUTH_RATE_H
#define WEIR_AUTH_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "libweir/base/slice.h"

typedef struct weir_rate {
    int64_t limit;         /* per second, and at once; 0: there is no limit */
    int64_t remaining;     /* at once, now */
    int64_t reset_s;       /* until all of it is there again */
    int64_t retry_after_s; /* refused: until it is worth trying; else 0 */
} weir_rate;

/* A bucket: the moment at which it is full again. Zeroed: full. */
typedef struct weir_bucket {
    int64_t full_us;
} weir_bucket;

/* Takes cost; false: not enough left, nothing taken. per_s >= 1. More than a whole bucket is given
 * to a full one, which then owes it. */
bool weir_bucket_take(weir_bucket *b, int64_t per_s, unsigned cost, int64_t now_us, weir_rate *out);

typedef struct weir_rates weir_rates;

weir_rates *weir_rates_new(void);
void weir_rates_free(weir_rates *r); /* NULL is fine */
/* The bucket of that caller, made when new. At most WEIR_RATES_MAX; then those that are full are
 * forgotten, and if none is, the newcomers share one. Any thread. */
bool weir_rates_take(weir_rates *r, weir_slice caller, int64_t per_s, unsigned cost, int64_t now_us,
                     weir_rate *out);

enum { WEIR_RATES_MAX = 65536 };

#endif
