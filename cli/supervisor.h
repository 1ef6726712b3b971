/* supervisor.h - everything of one `weir up`: servers and services, in starting order, kept alive
 * until told to stop. */
#ifndef WEIR_CLI_SUPERVISOR_H
#define WEIR_CLI_SUPERVISOR_H

#include "cli/app.h"
#include "cli/child.h"

enum { CLI_CHILDREN_MAX = 8 };

typedef struct cli_supervisor {
    cli_app *app;
    weir_loop *loop;
    int n;
    const char *pg_uri, *redis_uri;       /* of servers of our own, or NULL */
    cli_child children[CLI_CHILDREN_MAX]; /* postgres, redis, bridge, projector, write, read */
    bool stopping;
    weir_loop_timer *tick;
} cli_supervisor;

/* Starts servers, writes run.ini, deploys, starts services, waits until each is ready; says what it
 * does on stdout. On failure everything started has been stopped. */
WEIR_MUST_CHECK weir_rc cli_supervisor_start(cli_supervisor *s, cli_app *app, weir_error *err);
/* Watches and restarts until SIGTERM or SIGINT, then stops all in reverse order. */
void cli_supervisor_run(cli_supervisor *s);

#endif
