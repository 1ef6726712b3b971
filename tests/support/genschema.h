/* genschema.h - random small schemas: keys of every kind, references with and without constraints.
 */
#ifndef WEIR_TESTS_SUPPORT_GENSCHEMA_H
#define WEIR_TESTS_SUPPORT_GENSCHEMA_H

#include "libweir/base/arena.h"

/* The text of a migration that makes 2 to 6 tables. */
const char *gs_schema(uint64_t seed, weir_arena *a);

#endif
