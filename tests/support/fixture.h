/* fixture.h - private servers and programs for one test binary: everything in one fresh folder,
 * everything ended by close.
 *
 * A server that is not installed makes each test skip with the reason, or fail where CI=true.
 * Children die with the test binary, also when it crashes.
 */
#ifndef WEIR_SUPPORT_FIXTURE_H
#define WEIR_SUPPORT_FIXTURE_H

#include <sys/types.h>

#include "libweir/base/arena.h"
#include "libweir/io/pg.h"
#include "tests/support/pgserver.h"

enum { FIXTURE_PG = 1, FIXTURE_REDIS = 2 };
enum { FIXTURE_PROCS_MAX = 16, FIXTURE_ARGS_MAX = 24, FIXTURE_ENV_MAX = 16 };

typedef struct fixture_proc {
    char name[32];
    char log[192]; /* stdout and stderr, appended over restarts */
    const char *argv[FIXTURE_ARGS_MAX + 1];
    const char *env[FIXTURE_ENV_MAX + 1]; /* NAME=value on top of ours */
    pid_t pid;                            /* 0: not running */
} fixture_proc;

typedef struct fixture {
    char dir[128];
    char missing[200]; /* why the tests cannot run, "" when they can */
    weir_arena *a;
    pgserver pg;
    weir_pg *sql; /* superuser connection, opened on first use */
    char redis_uri[192], redis_sock[160];
    fixture_proc *redis;
    fixture_proc procs[FIXTURE_PROCS_MAX];
    size_t nprocs;
} fixture;

/* Starts what `want` (FIXTURE_PG | FIXTURE_REDIS) says. 0, or -1 with the reason printed. A missing
 * server is no failure here: fixture_need in each test decides. For cmocka's group setup. */
int fixture_open(fixture *f, unsigned want);
void fixture_close(fixture *f); /* ends everything, removes the folder */
/* First line of each test: skips it, or fails it where CI=true, when a server is missing. */
void fixture_need(const fixture *f);

/* Starts argv (NULL-terminated; env too, may be NULL). Strings are copied. NULL and printed when it
 * cannot be started. */
fixture_proc *fixture_spawn(fixture *f, const char *name, const char *const *argv,
                            const char *const *env);
bool fixture_restart(fixture_proc *p); /* after it ended or was killed */
void fixture_kill9(fixture_proc *p);   /* SIGKILL and wait */
/* SIGTERM, waits up to ms, then SIGKILL. The exit code, 128 + signal, or -1 when it had to be
 * killed. */
int fixture_stop(fixture_proc *p, int64_t ms);
bool fixture_running(fixture_proc *p); /* reaps it when it ended */
void fixture_tail(const fixture_proc *p, int lines);
void fixture_tails(fixture *f, int lines); /* of every program and server */

/* Waits for a condition; on the deadline prints what was awaited. Deadlines are stretched by
 * WEIR_TEST_TIMEOUT_X and under sanitizers. */
bool weir_wait_until(bool (*cond)(void *arg), void *arg, int64_t ms, const char *what);
/* The same; on the deadline prints the tails of all logs and fails the test. */
void fixture_wait(fixture *f, bool (*cond)(void *arg), void *arg, int64_t ms, const char *what);

/* A free TCP port that is this process' own for as long as it lives: no second call gives it, here
 * or in a test that runs beside, nor does the kernel to a connection. So a service that was killed
 * finds its port free when it starts again. */
int fixture_free_port(void);
/* Makes a port this process' own as above; false where somebody has it or listens on it. */
bool fixture_take_port(int port);

/* SQL as superuser in database postgres; an error fails the test with the server's text. */
void fixture_sql(fixture *f, const char *sql);
/* The first column of the first row in the fixture's arena; "" for none or NULL. */
const char *fixture_sql_value(fixture *f, const char *sql);

#endif
