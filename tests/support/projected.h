/* projected.h - what a projector left behind: its emit map, and what Redis was given. */
#ifndef WEIR_TESTS_PROJECTED_H
#define WEIR_TESTS_PROJECTED_H

#include <stddef.h>

#include "libweir/io/redis.h"

/* Documents of the emit map in the projector's folder; *dead are only remembered as deleted. The
 * projector must not be running. */
void projected_count(const char *dir, size_t *live, size_t *dead);

typedef struct projected_writes {
    weir_slice first; /* the verb of the oldest command that writes; borrowed from the log */
    bool document, position;
} projected_writes;

/* log: the answer to SLOWLOG GET, newest first. Was the document written, was the position? */
projected_writes projected_log(const weir_redis_reply *log, const char *document,
                               const char *position);

#endif
