/* database.h - a PostgreSQL to compile against: the app's own when there is one to talk to, else a
 * scratch server that lives as long as the command. */
#ifndef WEIR_CLI_DATABASE_H
#define WEIR_CLI_DATABASE_H

#include "cli/app.h"
#include "cli/child.h"
#include "libweir/io/pg.h"

typedef struct cli_database {
    weir_pg *pg;
    bool scratch; /* empty, on its own server */
    cli_child server;
    const char *dir; /* of the scratch server */
    pid_t janitor;   /* removes it should we end without cli_database_close */
    int alive_fd;    /* open as long as we live */
} cli_database;

/* The configured database, or the private one of a running `weir up`. */
WEIR_MUST_CHECK weir_rc cli_database_open(cli_database *db, cli_app *app, weir_error *err);
/* That one, or a scratch server where there is none. */
WEIR_MUST_CHECK weir_rc cli_database_open_any(cli_database *db, cli_app *app, weir_error *err);
void cli_database_close(cli_database *db);

#endif
