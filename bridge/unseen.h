/* unseen.h - changes of tables that send no event: partitions attached, detached, dropped or
 * emptied by themselves, values that ALTER TABLE rewrote, columns that took another's name, renamed
 * labels of enums.
 *
 * A thread compares the catalog with the shape of the published tables that the log remembers, and
 * has what changed so read again (crawl.h). The new shape is remembered in the same write that
 * orders the crawl, so nothing is forgotten between the two, and what happened while the bridge was
 * away is found as well.
 */
#ifndef WEIR_BRIDGE_UNSEEN_H
#define WEIR_BRIDGE_UNSEEN_H

#include "bridge/crawl.h"

typedef struct brg_unseen brg_unseen;

brg_unseen *brg_unseen_new(brg_shared *s, brg_crawl *crawl); /* borrows both */
void brg_unseen_run(void *arg);                              /* the thread; arg: brg_unseen */
void brg_unseen_free(brg_unseen *u); /* after the thread and the loop have ended; NULL is fine */

#endif
