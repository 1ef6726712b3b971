/* clock.c - time in named units. */
#include "libweir/base/clock.h"

#include <time.h>

static int64_t now_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t weir_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t weir_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t weir_coarse_ms(void)
{
    return now_us(CLOCK_MONOTONIC_COARSE) / 1000;
}

int64_t weir_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}
