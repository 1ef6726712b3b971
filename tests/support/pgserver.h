/* pgserver.h - a private PostgreSQL for one test binary: own folder, Unix socket only, gone with
 * the test. */
#ifndef WEIR_TESTS_PGSERVER_H
#define WEIR_TESTS_PGSERVER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pgserver {
    char dir[128]; /* holds data/, sock/, log */
    char uri[256]; /* superuser, database postgres */
    int pid;
    bool fsync; /* set before start */
} pgserver;

/* Whether a server's binaries are there at all. */
bool pgserver_installed(void);
/* initdb + start + wait until it answers. false: prints why. As root it runs as the user
 * postgres, or nobody where there is no such user. It dies with the test. */
bool pgserver_start(pgserver *s);
/* Starts again on the same folder (after pgserver_stop or a crash). */
bool pgserver_restart(pgserver *s);
void pgserver_stop(pgserver *s, bool crash); /* fast shutdown, or SIGQUIT */
void pgserver_remove(pgserver *s);           /* stop and delete the folder */

/* Runs fn(arg) every 5 ms until it is true or ms passed (three times that under sanitizers). */
bool wait_until(bool (*fn)(void *arg), void *arg, int64_t ms);

/* In front of SQL about a slot: a walsender lives on for a moment after its reader has gone. */
#define PGSERVER_NO_WALSENDER                                                                      \
    "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE active_pid IS " \
    "NOT NULL; "

#endif
