/* conflict.h - two changes of one row that did not know of each other: who wins. Pure. */
#ifndef WEIR_MIGRATIONS_SYNC_CONFLICT_H
#define WEIR_MIGRATIONS_SYNC_CONFLICT_H

#include <stdbool.h>
#include <stdint.h>

#include "migrations/sync/conf.h"

typedef enum sync_conflict_kind {
    SYNC_NO_CONFLICT,
    SYNC_INSERT_EXISTS,
    SYNC_UPDATE_ORIGIN_DIFFERS,
    SYNC_UPDATE_MISSING,
    SYNC_UPDATE_DELETED, /* also an insert of a key that was deleted here meanwhile */
    SYNC_DELETE_ORIGIN_DIFFERS,
    SYNC_DELETE_MISSING
} sync_conflict_kind;

const char *sync_conflict_name(sync_conflict_kind k);

typedef enum sync_change { SYNC_CHANGE_INSERT, SYNC_CHANGE_UPDATE, SYNC_CHANGE_DELETE } sync_change;

/* What is in the target for the key. */
typedef struct sync_local {
    bool there;    /* a row */
    bool deleted;  /* no row, but a tombstone */
    bool unknown;  /* the row's (tombstone's) change was made here and the source did not know of
                      it when it made its own */
    bool has_time; /* us is known */
    int64_t us;
} sync_local;

sync_conflict_kind sync_conflict_find(sync_change change, const sync_local *local);

/* DEFER: what is there stays until the other side has decided. */
typedef enum sync_verdict { SYNC_APPLY, SYNC_KEEP, SYNC_STOP, SYNC_ASK, SYNC_DEFER } sync_verdict;
/* Is it one that a policy decides (not only a row that is missing)? */
bool sync_conflict_real(sync_conflict_kind k);
/* from_source: the remote change comes from the side called source; that side wins ties. */
sync_verdict sync_conflict_decide(const sync_rules *r, sync_conflict_kind kind,
                                  const sync_local *local, int64_t remote_us, bool from_source);

#endif
