/* servers.h - the private PostgreSQL and Redis of `weir up`: where their files lie, who they run
 * as, how to reach them. */
#ifndef WEIR_CLI_SERVERS_H
#define WEIR_CLI_SERVERS_H

#include "cli/app.h"
#include "cli/child.h"

/* A TCP port on 127.0.0.1 that is free now: preferred when it is, else any. 0 when there is none.
 */
int cli_free_port(int preferred);

/* Prepares the data folder (initdb at the first start) and fills c and *uri. As root the server
 * runs as postgres or nobody. */
WEIR_MUST_CHECK weir_rc cli_postgres_prepare(cli_app *app, cli_child *c, const char **uri,
                                             weir_error *err);
/* After the start: waits until it answers, creates the app's database when absent. */
WEIR_MUST_CHECK weir_rc cli_postgres_wait(cli_app *app, cli_child *c, const char *uri, int64_t ms,
                                          weir_error *err);

WEIR_MUST_CHECK weir_rc cli_redis_prepare(cli_app *app, cli_child *c, const char **uri,
                                          weir_error *err);
/* WEIR_E_CONFLICT: the port was taken meanwhile; to be prepared and started again. */
WEIR_MUST_CHECK weir_rc cli_redis_wait(cli_child *c, const char *uri, int64_t ms, weir_error *err);

#endif
