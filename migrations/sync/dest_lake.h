/* dest_lake.h - a data lake as a flow's destination, with the rows its tables had before. */
#ifndef WEIR_MIGRATIONS_SYNC_DEST_LAKE_H
#define WEIR_MIGRATIONS_SYNC_DEST_LAKE_H

#include "migrations/sync/conf.h"
#include "migrations/sync/dest.h"

typedef struct sync_lake sync_lake;

/* Strings and conf are borrowed until free. Opens nothing. */
sync_lake *sync_lake_new(const sync_conf *conf, const char *flow, const char *feed,
                         const char *subscription);
/* Commits what is whole; the flow's thread has ended. NULL is fine. */
void sync_lake_free(sync_lake *l);
sync_dest sync_lake_dest(sync_lake *l);

/* Before the flow runs, on its thread: opens the lake; a new one begins at the feed's now, durable
 * in its manifest. With initial = copy the rows of tables that were not copied are asked for while
 * the flow runs. */
WEIR_MUST_CHECK weir_rc sync_lake_begin(sync_lake *l, weir_error *err);

typedef struct sync_lake_view {
    uint64_t rows, files, bytes, commits, waiting_rows;
    uint64_t tables, copied; /* initial = copy */
} sync_lake_view;
void sync_lake_view_get(sync_lake *l, sync_lake_view *out); /* any thread */

#endif
