/* cmdapp.h - an app of commands, deployed by the command line into a database of its own on
 * writetest's PostgreSQL: for tests of what `weir deploy` makes of a command. One per test binary.
 */
#ifndef WEIR_SUPPORT_CMDAPP_H
#define WEIR_SUPPORT_CMDAPP_H

#include "tests/support/writetest.h"

/* After wt_up. The folder, weir.ini and the database, nothing deployed. 0, or -1. bin_dir is
 * borrowed. */
int cmdapp_up(const char *bin_dir, const char *database);
const char *cmdapp_uri(void);
/* A file of the app, "commands/put.sql". */
void cmdapp_put(const char *name, const char *text);
/* Exit code of a shell command with the CLI as $W and the app as $A; what it said is in
 * cmdapp_said. */
int cmdapp_sh(const char *command);
/* The same, and it must be this one. */
void cmdapp_run(int want, const char *command);
const char *cmdapp_said(void);
/* `weir deploy`, which must succeed. */
void cmdapp_deploy(void);

typedef struct cmdapp_conf {
    const char *name;                  /* of the database and of the service */
    const char *schema_sql, *commands; /* what is deployed */
    const char *ini;                   /* of [write] */
} cmdapp_conf;

/* Group setup: writetest's servers with the write fixture, the app, and a service over it in *s. */
int cmdapp_serve(wt_service *s, const char *bin_dir, const char *fixture_sql_file,
                 const cmdapp_conf *conf);

#endif
