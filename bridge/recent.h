/* recent.h - the transactions delivered lately, some of which a snapshot may not see yet: the redo
 * rule.
 *
 * A commit is in the stream before SELECT can see it (longer while it waits for a synchronous
 * standby). A chunk read in a snapshot that does not see a transaction delivered before the chunk's
 * window opened holds rows older than the stream, and must be read again. What a barrier has shown
 * to be visible is forgotten; what does not fit is not forgotten silently. Pure; reader thread
 * only.
 */
#ifndef WEIR_BRIDGE_RECENT_H
#define WEIR_BRIDGE_RECENT_H

#include <stdbool.h>

#include "libweir/codec/lsn.h"

enum { BRG_RECENT_MAX = 1 << 18 };

typedef struct brg_recent brg_recent;

/* Nothing is known of what was delivered before: unsure until the first settled. max: a power of
 * two. */
brg_recent *brg_recent_new(size_t max);
void brg_recent_free(brg_recent *r);

void brg_recent_add(brg_recent *r, uint32_t xid);
/* How many were ever added. */
uint64_t brg_recent_mark(const brg_recent *r);
/* A window opens: those added before this one are visible to every snapshot taken from now on, so
 * its chunk need not ask for them. (What one chunk's snapshot sees, another's that is older may
 * not: each asks from where it opened.) */
uint64_t brg_recent_open(const brg_recent *r);
/* Everything added before `mark`, and before this process, is visible to every snapshot from now
 * on: a barrier that began after the mark was taken is over. */
void brg_recent_settled(brg_recent *r, uint64_t mark);

extern const char brg_recent_unsure[]; /* the one reason that a new barrier heals */
/* Why a chunk read in s must be read again; from and open_at: what brg_recent_open and
 * brg_recent_mark said when its window opened. NULL: it need not. */
const char *brg_recent_redo(brg_recent *r, uint64_t from, uint64_t open_at, const weir_snapshot *s);

#endif
