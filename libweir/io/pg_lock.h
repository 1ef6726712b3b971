/* pg_lock.h - one process per job: a lock that PostgreSQL keeps as long as the session lives. */
#ifndef WEIR_IO_PG_LOCK_H
#define WEIR_IO_PG_LOCK_H

#include "libweir/io/pg.h"

enum { WEIR_PG_LOCK_STEP_MS = 50 };

typedef struct weir_pg_lock_conf {
    const char *kind, *name; /* together they name the lock, in pg's database */
    int64_t wait_ms;         /* a process that was killed just now may hold it a moment longer */
    bool (*rest)(void *arg); /* between two tries: waits WEIR_PG_LOCK_STEP_MS, or ends the waiting
                                with false; NULL: sleeps */
    void *arg;
} weir_pg_lock_conf;

/* Takes the lock. WEIR_E_CONFLICT: another session has it; err says no more than that. */
WEIR_MUST_CHECK weir_rc weir_pg_lock(weir_pg *pg, const weir_pg_lock_conf *conf, weir_error *err);

#endif
