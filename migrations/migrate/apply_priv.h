/* apply_priv.h - what apply.c and reject.c share. */
#ifndef WEIR_MIGRATE_APPLY_PRIV_H
#define WEIR_MIGRATE_APPLY_PRIV_H

#include "migrations/migrate/apply.h"

/* Within open transactions on both sides: keys [from, to) of a table. */
WEIR_MUST_CHECK weir_rc mig_put_slice(mig_session *s, const mig_touched *tt, int index, int from,
                                      int to, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_pump(mig_session *s, const char *from, const char *to, int64_t *rows,
                                 weir_error *err);
/* The one row that does not fit: out of the target, into weir_sync.reject. */
WEIR_MUST_CHECK weir_rc mig_reject_put(mig_session *s, const mig_touched *tt, int index, int at,
                                       const weir_error *why, weir_error *err);
/* What was said about these keys before holds no more. */
WEIR_MUST_CHECK weir_rc mig_reject_clear(mig_session *s, const mig_touched *tt, int from, int to,
                                         weir_error *err);

#endif
