/* pace.c - how fast workers may go: the rate limit, and waiting that a stop ends. */
#include "libweir/base/clock.h"
#include "migrations/crawler/job.h"

enum { BURST_DIVISOR = 5, STEP_MS = 50 };

bool crw_wait(crw *c, int64_t ms)
{
    int64_t end = weir_mono_ms() + ms;
    weir_monitor_lock(c->m);
    for (int64_t left = ms; left > 0 && !crw_ended(c); left = end - weir_mono_ms()) {
        (void)weir_monitor_wait(c->m, left);
    }
    weir_monitor_unlock(c->m);
    return !crw_ended(c);
}

static void stand_still(crw *c)
{
    weir_monitor_lock(c->m);
    while (atomic_load(&c->hold) && !crw_ended(c)) {
        (void)weir_monitor_wait(c->m, STEP_MS);
    }
    weir_monitor_unlock(c->m);
}

/* A bucket that may go below zero: who overdraws it waits until it is level again. */
bool crw_pace_rows(crw *c, int64_t n)
{
    if (atomic_load(&c->hold)) {
        stand_still(c);
    }
    if (c->own.rows_per_s == 0) {
        return !crw_ended(c);
    }
    double rate = (double)c->own.rows_per_s;
    weir_monitor_lock(c->m);
    int64_t now = weir_mono_ms();
    c->tokens += (double)(now - c->tokens_at_ms) * rate / 1000;
    c->tokens_at_ms = now;
    if (c->tokens > rate / BURST_DIVISOR) {
        c->tokens = rate / BURST_DIVISOR;
    }
    c->tokens -= (double)n;
    int64_t wait_ms = c->tokens < 0 ? (int64_t)(-c->tokens * 1000 / rate) : 0;
    weir_monitor_unlock(c->m);
    return wait_ms > 0 ? crw_wait(c, wait_ms) : !crw_ended(c);
}
