/* sequence.h - the target's sequences go on where the source's are. */
#ifndef WEIR_MIGRATE_SEQUENCE_H
#define WEIR_MIGRATE_SEQUENCE_H

#include "migrations/migrate/session.h"

/* Every sequence that fills a mapped column of the target, and those of [sequences]: set to what
 * the source's says now (or the largest value there is, when that is more) plus the margin. *n: how
 * many; lines about them are appended to out (may be NULL). */
WEIR_MUST_CHECK weir_rc mig_sequences_set(mig_session *s, int *n, weir_buf *out, weir_error *err);

#endif
