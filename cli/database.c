/* database.c - a PostgreSQL to compile against. */
#include "cli/database.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/servers.h"
#include "migrations/deploy/deploy.h"

enum { SERVER_WAIT_MS = 30000, SERVER_STOP_MS = 10000, OPEN_FILES = 16, LOOK_MS = 50 };

weir_rc cli_database_open(cli_database *db, cli_app *app, weir_error *err)
{
    *db = (cli_database){.pg = NULL};
    weir_rc rc = cli_app_need_postgres(app, err);
    weir_pg_conf conf = {
        .uri = app->s.postgres_uri, .application_name = "weir", .wait_max_ms = DEP_WAIT_MS};
    if (rc == WEIR_OK && (rc = weir_pg_open(&db->pg, &conf, err)) != WEIR_OK) {
        weir_error_wrap(err, "postgres.uri");
    }
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    (void)remove(path);
    return 0;
}

static void remove_dir(const char *dir)
{
    (void)nftw(dir, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* --- the janitor
 * A child that removes the folder when this process has ended without doing so (Ctrl-C, kill -9).
 * The server is told to stop by its parent's death.
 * ----------------------------------------------------------------------------------------------------
 */

static bool server_is_there(const char *dir)
{
    char pattern[4200];
    glob_t g;
    (void)snprintf(pattern, sizeof pattern, "%s/*/postmaster.pid", dir);
    bool there = glob(pattern, 0, NULL, &g) == 0;
    if (there) {
        globfree(&g);
    }
    return there;
}

static void keep_house(int alive_fd, const char *dir)
{
    char byte;
    int null = open("/dev/null", O_RDWR);
    (void)setsid();
    for (int fd = 0; fd <= 2; fd++) {
        (void)dup2(null, fd); /* nobody waits for our end of a pipe */
    }
    while (read(alive_fd, &byte, 1) > 0) {
    }
    for (int left = SERVER_STOP_MS; left > 0 && server_is_there(dir); left -= LOOK_MS) {
        (void)poll(NULL, 0, LOOK_MS);
    }
    remove_dir(dir);
    _exit(0);
}

static weir_rc start_janitor(cli_database *db, weir_error *err)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0) {
        return weir_fail_errno(err, "cannot make a pipe");
    }
    db->janitor = fork();
    if (db->janitor == 0) {
        (void)close(fd[1]);
        keep_house(fd[0], db->dir);
    }
    (void)close(fd[0]);
    db->alive_fd = fd[1];
    return db->janitor > 0 ? WEIR_OK : weir_fail_errno(err, "cannot start a process");
}

static weir_rc scratch_dir(cli_app *app, const char **out, weir_error *err)
{
    const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char *dir =
        weir_arena_printf(app->a, "%s/weir-check-XXXXXX", base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp(dir)) {
        return weir_fail_errno(err, "cannot make a folder for a scratch PostgreSQL");
    }
    *out = dir;
    /* the server may run as another user, in a subfolder of its own */
    return chmod(dir, 0755) == 0
               ? WEIR_OK
               : weir_fail_errno(err, "cannot open %s to the PostgreSQL user", dir);
}

static weir_rc open_scratch(cli_database *db, cli_app *app, weir_error *err)
{
    cli_app scratch = *app;
    const char *uri = NULL;
    weir_rc rc = scratch_dir(app, &db->dir, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    db->scratch = true;
    rc = start_janitor(db, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    scratch.dir = db->dir;
    scratch.run_dir = db->dir;
    scratch.log_dir = db->dir;
    rc = cli_postgres_prepare(&scratch, &db->server, &uri, err);
    rc = rc == WEIR_OK ? cli_child_start(&db->server, err) : rc;
    rc = rc == WEIR_OK ? cli_postgres_wait(&scratch, &db->server, uri, SERVER_WAIT_MS, err) : rc;
    weir_pg_conf conf = {.uri = uri, .application_name = "weir", .wait_max_ms = DEP_WAIT_MS};
    return rc == WEIR_OK ? weir_pg_open(&db->pg, &conf, err) : rc;
}

weir_rc cli_database_open_any(cli_database *db, cli_app *app, weir_error *err)
{
    if (!app->own_postgres || cli_app_running(app)) {
        return cli_database_open(db, app, err);
    }
    *db = (cli_database){.pg = NULL};
    weir_rc rc = open_scratch(db, app, err);
    if (rc != WEIR_OK) {
        cli_database_close(db);
    }
    return rc;
}

void cli_database_close(cli_database *db)
{
    weir_pg_close(db->pg);
    db->pg = NULL;
    if (db->server.pid > 0) {
        cli_child_stop(&db->server, SERVER_STOP_MS);
    }
    if (db->dir) {
        remove_dir(db->dir);
        db->dir = NULL;
    }
    if (db->janitor > 0) {
        (void)close(db->alive_fd);
        (void)waitpid(db->janitor, NULL, 0);
        db->janitor = 0;
    }
}
