/* state.h - what a migration remembers in the target: phase, position, what it made. */
#ifndef WEIR_MIGRATE_STATE_H
#define WEIR_MIGRATE_STATE_H

#include "libweir/codec/lsn.h"
#include "migrations/migrate/session.h"

typedef enum mig_phase {
    MIG_NONE,
    MIG_PREPARE,
    MIG_COPY,
    MIG_KEYS,
    MIG_CATCH_UP,
    MIG_CONSTRAINTS,
    MIG_LIVE,
    MIG_VERIFIED,
    MIG_CUT_OVER
} mig_phase;

typedef struct mig_state {
    mig_phase phase;
    bool paused;
    weir_cursor at; /* lsn 0: not subscribed yet */
    uint64_t passed;
    int64_t changes, truncates, rejects, silent_ms; /* since the applier was heard of */
    const char *mapping, *waits, *system_id;
} mig_state;

const char *mig_phase_name(mig_phase p);

/* Creates or updates the tables of the state. */
WEIR_MUST_CHECK weir_rc mig_state_schema(weir_pg *target, weir_error *err);
/* MIG_NONE when the migration is not known (or the tables are not there). On errors *out stays as
 * it was: a lost connection says nothing of the migration. */
WEIR_MUST_CHECK weir_rc mig_state_read(weir_pg *target, weir_arena *a, const char *name,
                                       mig_state *out, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_state_phase(weir_pg *target, const char *name, mig_phase p,
                                        weir_error *err);
/* The applier is alive, and what it waits for ("" nothing). */
WEIR_MUST_CHECK weir_rc mig_state_seen(weir_pg *target, const char *name, const char *waits,
                                       weir_error *err);
/* One statement with the migration's name as $1 and one more text as $2 (NULL: none). */
WEIR_MUST_CHECK weir_rc mig_state_sql(weir_pg *target, const char *sql, const char *name,
                                      const char *value, weir_error *err);
/* Only one process may apply a migration; the connection holds that right. Waits 10 s for one that
 * is just leaving (killed a moment ago, say); WEIR_E_CONFLICT: another process stays at it. */
WEIR_MUST_CHECK weir_rc mig_state_lock(weir_pg *target, const char *name, weir_error *err);

#endif
