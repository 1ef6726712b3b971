/* session.h - one run of weir-migrate: mapping, connections, plan, and how it talks. */
#ifndef WEIR_MIGRATE_SESSION_H
#define WEIR_MIGRATE_SESSION_H

#include "migrations/migrate/plan.h"

enum { MIG_JOB_BYTES = 64 };

typedef struct mig_session {
    weir_arena *a; /* as long as the process */
    mig_mapping *m;
    mig_plan *plan;
    weir_pg *source, *target;
    const char *feed;
    bool json, terminal, yes, restart;
    int64_t rate; /* verify: rows per second, 0: as fast as it goes */
} mig_session;

/* Reads the mapping. false: problems were printed. */
WEIR_MUST_CHECK bool mig_session_read(mig_session *s, const char *path);
/* Connects to both sides; read_only: nothing can be written through these connections. */
WEIR_MUST_CHECK weir_rc mig_session_connect(mig_session *s, bool read_only, weir_error *err);
/* Closes both; what the mapping's check found is forgotten. */
void mig_session_disconnect(mig_session *s);
/* One more connection; the caller's. */
WEIR_MUST_CHECK weir_rc mig_connect(const mig_session *s, bool source, weir_pg **out,
                                    weir_error *err);
/* Resolves the mapping. WEIR_E_INPUT: it has problems, which were printed (JSON: to stdout). */
WEIR_MUST_CHECK weir_rc mig_session_check(mig_session *s, bool running, bool sample,
                                          weir_error *err);
void mig_session_close(mig_session *s);

/* Set by SIGTERM and SIGINT. */
bool mig_stopped(void);
void mig_catch_signals(void);
/* Waits, but no longer than until a stop signal. */
void mig_pause_ms(int64_t ms);

/* The verbs; each returns the exit code. */
int mig_dry_run(mig_session *s);
int mig_check_verb(mig_session *s); /* before `run`: silent when there is nothing to say */
int mig_live_verb(mig_session *s);  /* silent when it follows, or could: 0 */
int mig_run(mig_session *s);        /* 0: cut over; 3: stopped before */
int mig_status(mig_session *s);
int mig_set_paused(mig_session *s, bool paused);
int mig_verify_verb(mig_session *s);
int mig_cutover(mig_session *s);
int mig_abort(mig_session *s);

int mig_fail(const weir_error *err); /* "weir migrate: text" on stderr; 1 */

#endif
