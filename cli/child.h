/* child.h - one supervised process: how it is started, stopped, and started again with backoff. */
#ifndef WEIR_CLI_CHILD_H
#define WEIR_CLI_CHILD_H

#include <signal.h>
#include <sys/types.h>

#include "libweir/base/arena.h"
#include "libweir/base/backoff.h"
#include "libweir/io/loop.h"

enum { CLI_CHILD_ARGS_MAX = 40 };

typedef struct cli_child {
    const char *name;
    const char *argv[CLI_CHILD_ARGS_MAX];
    const char *log; /* stdout and stderr are appended here */
    int stop_signal; /* SIGTERM; SIGINT asks PostgreSQL for a fast shutdown */
    uid_t uid;       /* 0: stay who we are */
    gid_t gid;
    const char *ready_url; /* /readyz, or NULL */
    pid_t pid;             /* 0: not running */
    int pidfd;
    int64_t started_ms, restart_at_ms;
    int restarts;
    int last_status; /* of waitpid */
    weir_backoff backoff;
    struct weir_loop_fd *watch;
} cli_child;

void cli_child_init(cli_child *c, const char *name, const char *log);
void cli_child_arg(cli_child *c, const char *arg);
/* Starts it; the child gets stop_signal when the supervisor dies. */
WEIR_MUST_CHECK weir_rc cli_child_start(cli_child *c, weir_error *err);
/* Reaps it when it has ended; true exactly once per end. */
bool cli_child_ended(cli_child *c);
/* stop_signal, waits up to ms, then SIGKILL. */
void cli_child_stop(cli_child *c, int64_t ms);
/* "exit code 1" or "signal 9 (Killed)" of the last end. */
const char *cli_child_how(const cli_child *c, weir_arena *a);
/* The last line of its log, for a message. */
const char *cli_child_last_line(const cli_child *c, weir_arena *a);

#endif
