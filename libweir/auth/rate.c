/* rate.c - buckets of callers. */
#include "libweir/auth/rate.h"

#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum { SECOND_US = 1000000, RATE_MAX = 1000000 };

static int64_t up_to_seconds(int64_t us)
{
    return us <= 0 ? 0 : (us + SECOND_US - 1) / SECOND_US;
}

bool weir_bucket_take(weir_bucket *b, int64_t per_s, unsigned cost, int64_t now_us, weir_rate *out)
{
    per_s = per_s < RATE_MAX ? per_s : RATE_MAX;
    int64_t one_us = SECOND_US / per_s;
    int64_t whole_us = one_us * per_s; /* what a full bucket holds, as time to refill it */
    int64_t owed_us = b->full_us > now_us ? b->full_us - now_us : 0;
    int64_t then_us = owed_us + (int64_t)cost * one_us;
    bool ok = owed_us == 0 || then_us <= whole_us;
    if (ok) {
        b->full_us = now_us + then_us;
        owed_us = then_us;
    }
    int64_t wait_us = then_us - whole_us < owed_us ? then_us - whole_us : owed_us;
    *out = (weir_rate){.limit = per_s,
                       .remaining = owed_us < whole_us ? (whole_us - owed_us) / one_us : 0,
                       .reset_s = up_to_seconds(owed_us),
                       .retry_after_s = ok ? 0 : up_to_seconds(wait_us)};
    return ok;
}

struct weir_rates {
    weir_monitor *mon; /* guards all of it */
    weir_map *buckets;
    weir_bucket others;
};

weir_rates *weir_rates_new(void)
{
    weir_rates *r = weir_xcalloc(1, sizeof *r);
    r->mon = weir_monitor_new();
    r->buckets = weir_map_new();
    return r;
}

static void free_buckets(weir_map *m)
{
    weir_map_iter it = {0};
    while (weir_map_next(m, &it)) {
        free(it.value);
    }
}

void weir_rates_free(weir_rates *r)
{
    if (r) {
        free_buckets(r->buckets);
        weir_map_free(r->buckets);
        weir_monitor_free(r->mon);
        free(r);
    }
}

/* A full bucket and no bucket are the same. */
static void forget_full(weir_rates *r, int64_t now_us)
{
    weir_map *kept = weir_map_new();
    weir_map_iter it = {0};
    while (weir_map_next(r->buckets, &it)) {
        weir_bucket *b = it.value;
        if (b->full_us > now_us) {
            *weir_map_slot(kept, it.key, NULL) = b;
        } else {
            free(b);
        }
    }
    weir_map_free(r->buckets);
    r->buckets = kept;
}

bool weir_rates_take(weir_rates *r, weir_slice caller, int64_t per_s, unsigned cost, int64_t now_us,
                     weir_rate *out)
{
    weir_monitor_lock(r->mon);
    weir_bucket *b = weir_map_get(r->buckets, caller);
    if (!b && weir_map_len(r->buckets) >= WEIR_RATES_MAX) {
        forget_full(r, now_us);
    }
    if (!b && weir_map_len(r->buckets) < WEIR_RATES_MAX) {
        b = weir_xcalloc(1, sizeof *b);
        *weir_map_slot(r->buckets, caller, NULL) = b;
    }
    bool ok = weir_bucket_take(b ? b : &r->others, per_s, cost, now_us, out);
    weir_monitor_unlock(r->mon);
    return ok;
}
