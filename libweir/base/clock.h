/* clock.h - time in named units. Monotonic for waiting, wall for stamping. Any thread. */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>

int64_t weir_mono_us(void);
int64_t weir_mono_ms(void);
/* The time of the system's last tick, a few ms ago at most: cheap, for limits of a second and more.
 */
int64_t weir_coarse_ms(void);
int64_t weir_wall_us(void); /* since 1970-01-01 UTC */

/* PostgreSQL counts microseconds from 2000-01-01. */
#define WEIR_PG_EPOCH_US INT64_C(946684800000000)

#endif
