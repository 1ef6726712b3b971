/* pgapply.h - a small applier for tests: what a slot has to say, played into another database as
 * the direct copy's contract wants it (migrations/crawler/crawler.h): any event may be seen
 * already.
 *
 * Needs a publication whose tables have the same names on both sides, and keys of the replica
 * identity that are unique in the target.
 */
#ifndef WEIR_TESTS_PGAPPLY_H
#define WEIR_TESTS_PGAPPLY_H

#include "libweir/io/pg.h"

typedef struct pgapply {
    weir_pg *source, *target;
    const char *slot, *publication;
    int64_t events, reread; /* applied; rows read from the source again */
} pgapply;

/* Everything the slot has up to now, in one target transaction; discard: taken and dropped. */
WEIR_MUST_CHECK weir_rc pgapply_run(pgapply *p, bool discard, weir_error *err);

#endif
