/* app.h - an app directory as the command line sees it: settings with the overlay of a running
 * `weir up`, and the run files. */
#ifndef WEIR_CLI_APP_H
#define WEIR_CLI_APP_H

#include "libweir/base/settings.h"

typedef struct cli_app {
    weir_arena *a;
    const char *dir;      /* absolute */
    const char *dir_word; /* the same, quoted for a shell where it must be */
    const char *name;
    const char *ini; /* NULL: the app has no weir.ini, everything is default */
    const char *run_dir, *run_ini, *up_json, *lock, *log_dir;
    weir_settings s;
    bool own_postgres,
        own_redis; /* weir.ini and the environment name none: `weir up` brings them */
} cli_app;

/* dir NULL: the current directory, or the nearest parent that has a weir.ini. Settings are loaded
 * with what a `weir up` that runs has chosen (.weir/run.ini) as overlay. A directory without
 * weir.ini is an app with defaults when it has schema/, commands/ or read-models/, else
 * WEIR_E_NOTFOUND. */
WEIR_MUST_CHECK weir_rc cli_app_open(cli_app *app, const char *dir, weir_error *err);
void cli_app_close(cli_app *app);
/* At the end of the process: frees what a command that failed left open. */
void cli_app_leave(void);
/* Does a `weir up` hold the lock of this directory? */
bool cli_app_running(const cli_app *app);
/* WEIR_E_STATE with the next step when no service of this app can be running: nothing is configured
 * and it is not up. What answers on its ports is another app's then. */
WEIR_MUST_CHECK weir_rc cli_app_need_services(const cli_app *app, weir_error *err);
/* cli_app_open for a command that asks the services. */
WEIR_MUST_CHECK weir_rc cli_app_open_running(cli_app *app, const char *dir, weir_error *err);
/* WEIR_E_STATE with the next step when there is no PostgreSQL to talk to (nothing configured and
 * not up). */
WEIR_MUST_CHECK weir_rc cli_app_need_postgres(const cli_app *app, weir_error *err);
WEIR_MUST_CHECK weir_rc cli_app_need_redis(const cli_app *app, weir_error *err);

const char *cli_app_write_url(const cli_app *app);
const char *cli_app_read_url(const cli_app *app);
/* Of their health ports. */
const char *cli_app_bridge_url(const cli_app *app);
const char *cli_app_projector_url(const cli_app *app);

/* path as one word of a POSIX shell. */
const char *cli_word(weir_arena *a, const char *path);
/* "weir <command>: text" on stderr; returns 1. */
int cli_fail(const char *command, const weir_error *err);

/* ANSI escapes, "" when stdout is no terminal or NO_COLOR is set. */
const char *cli_bold(void);
const char *cli_dim(void);
const char *cli_green(void);
const char *cli_red(void);
const char *cli_yellow(void);
const char *cli_plain(void);

#endif
