/* crew.h - a few child processes of one command, kept alive until told to stop; run.json says who
 * they are. */
#ifndef WEIR_CLI_CREW_H
#define WEIR_CLI_CREW_H

#include "cli/child.h"

enum { CLI_CREW_MAX = 4 };

typedef struct cli_crew {
    weir_arena *a;
    weir_loop *loop;
    const char *dir; /* state folder */
    const char *url; /* of the main process' endpoint, for run.json */
    int n;
    cli_child children[CLI_CREW_MAX]; /* in starting order; stopped in reverse */
    bool stopping;
    int lock;
    weir_loop_timer *tick;
} cli_crew;

/* The state folder beside an ini file: FILE.ini -> FILE.weir, absolute. */
const char *cli_crew_dir(weir_arena *a, const char *ini);
/* Makes the folder (0700), takes its lock, catches SIGTERM and SIGINT. WEIR_E_CONFLICT: it runs
 * already. */
WEIR_MUST_CHECK weir_rc cli_crew_open(cli_crew *c, weir_arena *a, const char *dir, weir_error *err);
WEIR_MUST_CHECK weir_rc cli_crew_start(cli_crew *c, cli_child *child, weir_error *err);
/* Starts again what has ended, with backoff, and says so. false: told to stop. */
bool cli_crew_turn(cli_crew *c, int64_t wait_ms);
/* Keeps all alive until SIGTERM or SIGINT. */
void cli_crew_run(cli_crew *c);
/* Stops all in reverse order, frees. */
void cli_crew_close(cli_crew *c);

/* Of a folder from outside. */
bool cli_crew_running(const char *dir);
/* Members of run.json; false when nothing runs. url in a. */
bool cli_crew_info(const char *dir, weir_arena *a, int *supervisor, const char **url);
/* SIGTERM to the supervisor, waits until it is gone. */
WEIR_MUST_CHECK weir_rc cli_crew_end(const char *dir, weir_error *err);

#endif
