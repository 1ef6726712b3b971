/* pg_lock.h - one process per job: a lock that PostgreSQL keeps as long as the session lives. */
#ifndef WEIR_IO_PG_LOCK_H
#define WEIR_IO_PG_LOCK_H

#include "libweir/io/pg.h"

enum { WEIR_PG_LOCK_STEP_MS = 50 };

/* SQL: does a session of this database have the lock? kind is a literal, name an SQL expression. */
#define WEIR_PG_LOCK_HELD(kind, name)                                                              \
    "EXISTS (SELECT FROM pg_locks l, pg_database d WHERE d.datname = current_database() AND "      \
    "l.database = d.oid AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND "         \
    "l.classid::bigint << 32 | l.objid::bigint = hashtextextended('" kind " ' || " name ", 0))"

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
