/* backoff.c - exponential waiting with decorrelated jitter. */
#include "libweir/base/backoff.h"

#include "libweir/base/clock.h"

void weir_backoff_init(weir_backoff *b, int64_t base_ms, int64_t cap_ms, uint64_t seed)
{
    b->base_ms = base_ms > 0 ? base_ms : 1;
    b->cap_ms = cap_ms > b->base_ms ? cap_ms : b->base_ms;
    b->prev_ms = b->base_ms;
    b->rng = seed ? seed : (uint64_t)weir_mono_us() ^ (uint64_t)weir_wall_us() << 20 ^ (uintptr_t)b;
}

/* splitmix64: any seed will do, also 0. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t weir_backoff_next_ms(weir_backoff *b)
{
    int64_t top = b->prev_ms < b->cap_ms / 3 ? b->prev_ms * 3 : b->cap_ms;
    uint64_t span = (uint64_t)(top - b->base_ms) + 1;
    b->prev_ms = b->base_ms + (int64_t)(draw(&b->rng) % span);
    return b->prev_ms;
}

void weir_backoff_reset(weir_backoff *b)
{
    b->prev_ms = b->base_ms;
}
