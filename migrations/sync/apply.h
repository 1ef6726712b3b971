/* apply.h - a PostgreSQL database as a destination: whole source transactions, grouped, collapsed
 * per key, committed together with the position they reach.
 *
 * Fast path: within a group the changes of one key become one change, and each table's deletes,
 * updates and inserts go out as arrays or COPY. That is the same as one by one as long as every
 * row is found as the source had it; the counts say so. When they do not, or the database refuses,
 * the group is rolled back, fetched again, and applied one by one with a look at each row first:
 * there conflicts are decided (conflict.h).
 *
 * Loose (idempotent) up to loose_until: an INSERT is an upsert, missing rows are no conflict.
 *
 * Rows route per source table: to a target table directly, or to the owner's callbacks (a
 * migration that queries again what changed), or nowhere.
 */
#ifndef WEIR_MIGRATIONS_SYNC_APPLY_H
#define WEIR_MIGRATIONS_SYNC_APPLY_H

#include <stdatomic.h>

#include "libweir/io/pg.h"
#include "migrations/sync/conf.h"
#include "migrations/sync/dest.h"

typedef struct sync_apply sync_apply;

typedef enum sync_route_kind {
    SYNC_ROUTE_NONE,   /* this table's changes are not wanted */
    SYNC_ROUTE_DIRECT, /* rows go into a table, column by column */
    SYNC_ROUTE_EVENTS  /* each event goes to on_event */
} sync_route_kind;

typedef struct sync_route {
    sync_route_kind kind;
    const char *schema, *name;  /* DIRECT: of the target */
    const char *const *columns; /* DIRECT: per source column its name in the target, NULL entry:
                                   not taken; columns NULL: the same names */
    sync_rules rules;
} sync_route;

typedef struct sync_apply_counts {
    atomic_ullong groups, inserted, updated, deleted, truncated, conflicts, careful,
        orphans; /* of conflicts */
} sync_apply_counts;

typedef struct sync_apply_conf {
    const char *uri;        /* of the target; secret */
    const char *source_uri; /* of the source, for rows that did not come whole (reread.h); secret;
                               NULL: what is missing stays as it is */
    const char *feed; /* of the bridge, asked for the rows of tables that join; NULL: none do */
    const char *flow; /* names the position in weir_sync.position; one applier per flow at a time */
    const char *system_id; /* NULL: not checked */
    /* Where a table's rows go; strings must live until close. NULL fn: the same names, rules as
     * below. */
    weir_rc (*route)(void *arg, const weir_relation *rel, sync_route *out, weir_error *err);
    /* EVENTS tables: called in order; what ev points to is valid until the group's before_commit
     * has returned. */
    weir_rc (*on_event)(void *arg, const sync_tx *tx, const weir_relation *rel, const weir_ev *ev,
                        weir_error *err);
    /* Before each commit of a group (and before a TRUNCATE of any table): target is inside the
     * group's transaction, not in pipeline mode. after: the position this commit will reach. May
     * be NULL. */
    weir_rc (*before_commit)(void *arg, weir_pg *target, weir_cursor after, weir_error *err);
    void *arg;
    sync_rules rules;
    /* Two ways: */
    const char *origin; /* replication origin our transactions carry, by which we know who wrote a
                           row; NULL: nobody asks */
    bool from_source;   /* this flow brings the source's changes (ties and priority) */
    bool trace; /* the other flow is told what we took over (tell.h), also what changed nothing */
    int64_t tombstones_keep_ms; /* 0: they are not ours to remove */
    int64_t conflicts_keep_ms;  /* the history; 0: for ever */
    bool defers;  /* conflicts keep what is there: the other flow decides them, and tells */
    bool decides; /* conflicts are decided here, and the other flow is told what the row is now */
    sync_apply_counts *counts;
} sync_apply_conf;

/* Connects at resume, not here. conf's strings are borrowed until close. */
sync_apply *sync_apply_new(const sync_apply_conf *conf);
void sync_apply_free(sync_apply *a); /* NULL is fine; what was not committed is rolled back */
sync_dest sync_apply_dest(sync_apply *a);

/* Creates or updates our part of schema weir_sync. Idempotent, safe against others doing the same.
 */
WEIR_MUST_CHECK weir_rc sync_schema(weir_pg *target, weir_error *err);
/* Sets a flow's position (and until when it is loose) where it has none; what is there stays. */
WEIR_MUST_CHECK weir_rc sync_position_begin(weir_pg *target, const char *flow, weir_cursor at,
                                            uint64_t loose_until, const char *system_id,
                                            weir_error *err);
WEIR_MUST_CHECK weir_rc sync_position_get(weir_pg *target, const char *flow, bool *known,
                                          weir_cursor *at, weir_error *err);
/* Removes what the target at uri knows of the flow, but for its history: the next start begins
 * anew. It must not run. */
WEIR_MUST_CHECK weir_rc sync_flow_forget(const char *uri, const char *flow, weir_error *err);

#endif
