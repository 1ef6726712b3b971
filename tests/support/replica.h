/* replica.h - one table rebuilt from the feed alone, as a subscriber would: what the chunk merge
 * must make right.
 *
 * The key is the first column, an integer. Unchanged TOAST columns keep what the row had; a gap
 * that was never filled shows as
 * "~" in the text. RANGE removes rows of (lo, hi] that no event since the range before it
 * confirmed.
 */
#ifndef WEIR_TESTS_REPLICA_H
#define WEIR_TESTS_REPLICA_H

#include "tests/support/bridgeproc.h"

typedef struct replica replica;

/* schema-less name of the table; keyless: rows are counted by their whole text. */
replica *replica_new(const char *table, bool keyless);
void replica_free(replica *r);
/* For feedlines.on_event, with the replica as arg. */
void replica_event(void *arg, feedlines *f, const weir_relation *rel, const weir_ev *ev);
/* Lines "id|col|col", ordered by key (keyless: by text), NULL as empty, long texts as md5-less
 * length+head. malloc'd. */
char *replica_text(const replica *r);
uint64_t replica_copied(const replica *r); /* COPIED events seen */

#endif
