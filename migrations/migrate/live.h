/* live.h - following the source: fetch, apply, acknowledge, until the cut-over or a stop. */
#ifndef WEIR_MIGRATE_LIVE_H
#define WEIR_MIGRATE_LIVE_H

#include "migrations/migrate/feed.h"
#include "migrations/migrate/state.h"

/* One fetch and what it brought. A feed or database that is away is waited for. WEIR_E_EOF: stop.
 */
WEIR_MUST_CHECK weir_rc mig_live_step(mig_session *s, mig_feed *f, int64_t wait_ms,
                                      weir_error *err);
/* Until everything is applied that the source had written when this began, and when the last chunk
 * was read. */
WEIR_MUST_CHECK weir_rc mig_live_catch_up(mig_session *s, mig_feed *f, weir_error *err);
/* Until the migration is cut over (WEIR_OK) or the process is to stop (WEIR_E_EOF). */
WEIR_MUST_CHECK weir_rc mig_live(mig_session *s, mig_feed *f, weir_error *err);

/* A position of the source that everything committed so far is below, and that is flushed: the
 * stream will pass it. Writes a logical message. */
WEIR_MUST_CHECK weir_rc mig_source_now(weir_pg *source, uint64_t *lsn, weir_error *err);
/* Waits until the applier has passed lsn; says so when nobody applies. */
WEIR_MUST_CHECK weir_rc mig_wait_applied(mig_session *s, uint64_t lsn, int64_t ms, weir_error *err);

#endif
