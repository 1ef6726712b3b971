/* apply.h - touched rows read again from the source, and put into the target in the place they have
 * there.
 *
 * One batch: a REPEATABLE READ transaction of the source whose snapshot sees every transaction of
 * the batch (an event can be in the stream before SELECT sees it: then it waits); one transaction
 * of the target that removes the rows of all touched keys, inserts what the source has for them
 * now, and moves the position. Any later change brings a later event, so this converges; it is
 * idempotent, and neither order nor completeness of an event matters.
 *
 * A row that does not fit goes to weir_sync.reject, under the source's key. Rejects are tried again
 * when something changed: two rows that exchange a unique value may arrive one by one.
 */
#ifndef WEIR_MIGRATE_APPLY_H
#define WEIR_MIGRATE_APPLY_H

#include "migrations/migrate/feed.h"

/* Temporary tables of this connection, and the session's role. Once per connection. */
WEIR_MUST_CHECK weir_rc mig_apply_prepare(mig_session *s, weir_error *err);
/* Applies the batch of f; with f->whole the position moves to f->next in the same transaction.
 * waits (may be NULL) is told when the source's visibility is waited for long. */
WEIR_MUST_CHECK weir_rc mig_apply(mig_session *s, mig_feed *f, weir_error *err);
/* Rejected keys of all tables, at most some hundred, added to the batch; *n: how many. */
WEIR_MUST_CHECK weir_rc mig_apply_retry(mig_session *s, mig_feed *f, int *n, weir_error *err);

/* The source's keys as rows of VALUES: "('a'::int4, …), …", for keys [from, to). */
void mig_key_values(const mig_touched *t, int from, int to, weir_arena *a, weir_buf *out);
/* "a, b" of the source's key; "x, y" of the target's. prefix before each name. */
const char *mig_source_key(const mig_ptable *t, weir_arena *a);
const char *mig_target_key(const mig_ptable *t, const char *prefix, weir_arena *a);
/* Comma-separated target columns, and their expressions over the source's row. */
const char *mig_columns(const mig_ptable *t, weir_arena *a);
const char *mig_exprs(const mig_ptable *t, weir_arena *a);
/* How the crawler's records call this table. */
const char *mig_crawl_id(const mig_ptable *t, weir_arena *a);

#endif
