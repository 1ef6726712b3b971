/* external.h - is a bridge that somebody else runs ([source] feed) the right one? */
#ifndef WEIR_MIGRATE_EXTERNAL_H
#define WEIR_MIGRATE_EXTERNAL_H

#include "migrations/migrate/feed.h"

/* WEIR_E_STATE: the bridge reads another database than [source] uri, or does not publish a mapped
 * table whole and under its own name; changes would be missed without a word. With WEIR_EF_RETRY
 * the bridge does not answer, or does not stream yet. */
WEIR_MUST_CHECK weir_rc mig_external_check(mig_session *s, mig_feed *f, weir_error *err);

#endif
