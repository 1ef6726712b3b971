/* up.c - `weir up`, `weir down` and `weir env`. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/detach.h"
#include "cli/supervisor.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "libweir/io/pg_uri.h"

enum { DOWN_WAIT_MS = 60000 };

static void print_addresses(const cli_app *app)
{
    (void)printf("\n  %-10s %s\n  %-10s %s\n  %-10s %s\n", "commands", cli_app_write_url(app),
                 "queries", cli_app_read_url(app), "feed", app->s.bridge_feed);
    (void)printf("  %-10s eval \"$(weir env %s)\"\n", "shell", app->dir_word);
    (void)fflush(stdout);
}

/* The lock stays with the process (and is gone when it dies, however it dies). */
static int take_lock(cli_app *app, weir_error *err)
{
    if (weir_mkdirs(app->log_dir, 0755, err) != WEIR_OK) {
        return -1;
    }
    int fd = open(app->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)weir_fail(err, WEIR_E_CONFLICT, 0, "%s is already up", app->dir);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static int supervise(void *arg, int ready_fd)
{
    cli_app *app = arg;
    weir_error err = {0};
    cli_supervisor s;
    int lock = take_lock(app, &err);
    if (lock < 0) {
        return cli_fail("up", &err);
    }
    (void)printf("%sweir up%s %s\n", cli_bold(), cli_plain(), app->dir);
    (void)fflush(stdout);
    int rc = 0;
    if (cli_supervisor_start(&s, app, &err) != WEIR_OK) {
        rc = cli_fail("up", &err);
    } else {
        print_addresses(app);
        if (ready_fd >= 0) {
            cli_detach_ready(ready_fd, weir_arena_printf(app->a, "%s/up.log", app->log_dir));
        } else {
            (void)printf("\n  Ctrl-C stops everything\n");
            (void)fflush(stdout);
        }
        cli_supervisor_run(&s);
    }
    close(lock);
    return rc;
}

static int open_app(const char *command, int argc, char **argv, const char *flag, bool *flagged,
                    cli_app *app)
{
    const char *dir = NULL;
    for (int i = 0; i < argc; i++) {
        if (flag && strcmp(argv[i], flag) == 0) {
            *flagged = true;
        } else if (argv[i][0] == '-' || dir) {
            (void)fprintf(stderr, "weir %s: unexpected %s; see weir %s --help\n", command, argv[i],
                          command);
            return 2;
        } else {
            dir = argv[i];
        }
    }
    weir_error err = {0};
    return cli_app_open(app, dir, &err) == WEIR_OK ? 0 : cli_fail(command, &err);
}

int cli_up(int argc, char **argv)
{
    cli_app app;
    bool detached = false;
    int rc = open_app("up", argc, argv, "--detach", &detached, &app);
    if (rc != 0) {
        return rc;
    }
    if (cli_app_running(&app)) {
        (void)printf("%s is already up\n", app.dir);
        print_addresses(&app);
        return 0;
    }
    rc = detached ? cli_detach(supervise, &app) : supervise(&app, -1);
    if (detached && rc == 0) {
        (void)printf("  %-10s weir down %s\n", "stop", app.dir_word);
    }
    cli_app_close(&app);
    return rc;
}

static int supervisor_pid(cli_app *app)
{
    weir_error err = {0};
    weir_slice text = {0};
    weir_json *j = NULL;
    int64_t pid = 0;
    if (weir_file_read(app->up_json, 1 << 20, app->a, &text, &err) == WEIR_OK &&
        weir_json_parse(&j, text, &err) == WEIR_OK) {
        (void)weir_json_i64(j, "supervisor", &pid);
        weir_json_free(j);
    }
    return (int)pid;
}

int cli_down(int argc, char **argv)
{
    cli_app app;
    int rc = open_app("down", argc, argv, NULL, NULL, &app);
    if (rc != 0) {
        return rc;
    }
    if (!cli_app_running(&app)) {
        (void)printf("%s is not up\n", app.dir);
        return 0;
    }
    int pid = supervisor_pid(&app);
    if (pid <= 1 || kill(pid, SIGTERM) != 0) {
        (void)fprintf(stderr, "weir down: cannot signal the supervisor (pid %d)\n", pid);
        return 1;
    }
    for (int64_t until = weir_mono_ms() + DOWN_WAIT_MS; cli_app_running(&app);) {
        if (weir_mono_ms() > until) {
            (void)fprintf(stderr, "weir down: it is still stopping; see %s/up.log\n", app.log_dir);
            return 1;
        }
        (void)poll(NULL, 0, 20);
    }
    (void)printf("%s is down\n", app.dir);
    cli_app_close(&app);
    return 0;
}

/* Single quotes, for a POSIX shell. */
static void export_line(const char *name, const char *value)
{
    if (value[0] == '\0') {
        return;
    }
    (void)printf("export %s='", name);
    for (const char *p = value; *p; p++) {
        if (*p == '\'') {
            (void)fputs("'\\''", stdout);
        } else {
            (void)putchar(*p);
        }
    }
    (void)printf("'\n");
}

int cli_env(int argc, char **argv)
{
    cli_app app;
    weir_error err = {0};
    weir_pg_uri pg;
    int rc = open_app("env", argc, argv, NULL, NULL, &app);
    if (rc != 0) {
        return rc;
    }
    if (cli_app_need_postgres(&app, &err) != WEIR_OK ||
        weir_pg_uri_parse(app.a, app.s.postgres_uri, &pg, &err) != WEIR_OK) {
        return cli_fail("env", &err);
    }
    export_line("PGHOST", pg.host);
    export_line("PGPORT", pg.port);
    export_line("PGUSER", pg.user);
    export_line("PGPASSWORD", pg.password);
    export_line("PGDATABASE", pg.dbname);
    export_line("REDIS_URL", app.s.redis_uri);
    export_line("WEIR_WRITE_URL", cli_app_write_url(&app));
    export_line("WEIR_WRITE_NNG_URL", app.s.write_nng);
    export_line("WEIR_READ_NNG_URL", app.s.read_nng);
    export_line("WEIR_READ_URL", cli_app_read_url(&app));
    export_line("WEIR_FEED_URL", app.s.bridge_feed);
    export_line("WEIR_NAMESPACE", app.s.redis_namespace);
    cli_app_close(&app);
    return 0;
}
