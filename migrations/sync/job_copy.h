/* job_copy.h - how a flow begins: the subscription, the copy of what is there already, the first
 * position. */
#ifndef WEIR_MIGRATIONS_SYNC_JOB_COPY_H
#define WEIR_MIGRATIONS_SYNC_JOB_COPY_H

#include "migrations/sync/conf.h"

typedef struct sync_copy_view {
    int64_t tables, tables_done, rows, rows_total, rows_per_s, eta_s;
    char text[200]; /* "" when it is over */
} sync_copy_view;

typedef struct sync_begin {
    const sync_conf *conf;
    const char *flow, *feed, *subscription;
    const char *source_uri, *target_uri;
    bool copy;
    bool (*on)(void *arg); /* false: stop */
    void (*progress)(void *arg, const sync_copy_view *v);
    void *arg;
} sync_begin;

/* Idempotent, resumable after a crash anywhere; returns at once for a flow that has begun. First
 * the subscription (durable in the bridge's log), then the copy, then the position, with how far
 * the flow is loose. */
WEIR_MUST_CHECK weir_rc sync_begin_flow(const sync_begin *b, weir_error *err);

/* After the copy: are indexes and constraints left to be built, and where must the flow be first?
 */
WEIR_MUST_CHECK weir_rc sync_begin_left(const sync_begin *b, bool *left, uint64_t *loose_until,
                                        weir_error *err);
/* Builds them. */
WEIR_MUST_CHECK weir_rc sync_begin_finish(const sync_begin *b, weir_error *err);

#endif
