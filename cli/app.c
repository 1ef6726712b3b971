/* app.c - finds an app directory, loads its settings, knows its run files. */
#include "cli/app.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "libweir/io/curl.h"

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The nearest directory upwards with a weir.ini, else the current one. */
static const char *find_dir(weir_arena *a)
{
    char here[PATH_MAX];
    if (!getcwd(here, sizeof here)) {
        return ".";
    }
    for (char *end = here + strlen(here); end > here; *end = '\0', end = strrchr(here, '/')) {
        if (access(weir_arena_printf(a, "%s/weir.ini", here), R_OK) == 0) {
            return weir_arena_strdup(a, here);
        }
        if (!strrchr(here, '/')) {
            break;
        }
    }
    return ".";
}

const char *cli_word(weir_arena *a, const char *path)
{
    static const char *const plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+@%,:=";
    if (path[strspn(path, plain)] == '\0') {
        return path;
    }
    const char *out = "'";
    while (*path) {
        size_t n = strcspn(path, "'");
        out = weir_arena_printf(a, "%s%.*s%s", out, (int)n, path, path[n] ? "'\\''" : "");
        path += n + (path[n] ? 1 : 0);
    }
    return weir_arena_printf(a, "%s'", out);
}

static void set_paths(cli_app *app)
{
    app->dir_word = cli_word(app->a, app->dir);
    const char *ini = weir_arena_printf(app->a, "%s/weir.ini", app->dir);
    app->ini = access(ini, F_OK) == 0 ? ini : NULL;
    app->run_dir = weir_arena_printf(app->a, "%s/.weir", app->dir);
    app->run_ini = weir_arena_printf(app->a, "%s/run.ini", app->run_dir);
    app->up_json = weir_arena_printf(app->a, "%s/up.json", app->run_dir);
    app->lock = weir_arena_printf(app->a, "%s/lock", app->run_dir);
    app->log_dir = weir_arena_printf(app->a, "%s/log", app->run_dir);
}

/* A folder with none of an app's parts is a mistake: with defaults everything would be started, or
 * another app's services be asked. One that `weir up` was in can still be stopped. */
static bool is_app(const cli_app *app)
{
    static const char *const parts[] = {"schema", "commands", "read-models"};
    bool found = app->ini || access(app->lock, F_OK) == 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !found; i++) {
        found = is_dir(weir_arena_printf(app->a, "%s/%s", app->dir, parts[i]));
    }
    return found;
}

/* A command that ends early leaves its app open; the process has one at a time. */
static weir_arena *open_arena;

void cli_app_leave(void)
{
    weir_arena_free(open_arena);
    open_arena = NULL;
}

weir_rc cli_app_open(cli_app *app, const char *dir, weir_error *err)
{
    memset(app, 0, sizeof *app);
    app->a = weir_arena_new(0);
    open_arena = app->a;
    char full[PATH_MAX];
    const char *given = dir ? dir : find_dir(app->a);
    if (!realpath(given, full) || !is_dir(full)) {
        return weir_fail(err, WEIR_E_NOTFOUND, WEIR_EF_CLIENT,
                         "%s is no directory; name an app directory (it holds weir.ini)", given);
    }
    app->dir = weir_arena_strdup(app->a, full);
    set_paths(app);
    if (!is_app(app)) {
        return weir_fail(
            err, WEIR_E_NOTFOUND, WEIR_EF_CLIENT,
            "%s is no app directory: it has neither weir.ini nor schema/, commands/ or "
            "read-models/; name one, or make one: weir init %s",
            app->dir, app->dir_word);
    }
    weir_settings own;
    weir_rc rc = weir_settings_load(&own, app->dir, app->ini, NULL, app->a, err);
    if (rc == WEIR_OK) {
        app->own_postgres = own.postgres_uri[0] == '\0';
        app->own_redis = own.redis_uri[0] == '\0';
        const char *chosen = cli_app_running(app) ? app->run_ini : NULL;
        rc = weir_settings_load(&app->s, app->dir, app->ini, chosen, app->a, err);
    }
    app->name = rc == WEIR_OK ? app->s.app_name : "";
    weir_curl_trust(rc == WEIR_OK && app->s.tls_ca[0] ? app->s.tls_ca : NULL);
    return rc;
}

void cli_app_close(cli_app *app)
{
    open_arena = open_arena == app->a ? NULL : open_arena;
    weir_arena_free(app->a);
    memset(app, 0, sizeof *app);
}

bool cli_app_running(const cli_app *app)
{
    int fd = open(app->lock, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool held = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return held;
}

weir_rc cli_app_need_services(const cli_app *app, weir_error *err)
{
    if (!app->own_postgres || !app->own_redis || cli_app_running(app)) {
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_STATE, WEIR_EF_CLIENT,
                     "it is not up, and weir.ini names no servers of its own; start it: weir up %s",
                     app->dir_word);
}

weir_rc cli_app_open_running(cli_app *app, const char *dir, weir_error *err)
{
    weir_rc rc = cli_app_open(app, dir, err);
    return rc == WEIR_OK ? cli_app_need_services(app, err) : rc;
}

weir_rc cli_app_need_postgres(const cli_app *app, weir_error *err)
{
    if (app->s.postgres_uri[0] != '\0') {
        return WEIR_OK;
    }
    return weir_fail(
        err, WEIR_E_STATE, WEIR_EF_CLIENT,
        "no PostgreSQL: weir.ini names none ([postgres] uri) and `weir up %s` is not running",
        app->dir_word);
}

weir_rc cli_app_need_redis(const cli_app *app, weir_error *err)
{
    if (app->s.redis_uri[0] != '\0') {
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_STATE, WEIR_EF_CLIENT,
                     "no Redis: weir.ini names none ([redis] uri) and `weir up %s` is not running",
                     app->dir_word);
}

/* A service that listens on every address is reached on loopback. */
static const char *reach(const char *listen)
{
    return strcmp(listen, "0.0.0.0") == 0 || strcmp(listen, "::") == 0 ? "127.0.0.1" : listen;
}

static const char *endpoint_scheme(const cli_app *app)
{
    return app->s.tls_cert[0] ? "https" : "http";
}

static const char *url(const cli_app *app, const char *scheme, const char *listen, int64_t port)
{
    return weir_arena_printf(app->a, "%s://%s:%lld", scheme, reach(listen), (long long)port);
}

const char *cli_app_write_url(const cli_app *app)
{
    return url(app, endpoint_scheme(app), app->s.write_listen, app->s.write_port);
}

const char *cli_app_read_url(const cli_app *app)
{
    return url(app, endpoint_scheme(app), app->s.read_listen, app->s.read_port);
}

const char *cli_app_bridge_url(const cli_app *app)
{
    return url(app, "http", app->s.bridge_listen, app->s.bridge_port);
}

const char *cli_app_projector_url(const cli_app *app)
{
    return url(app, "http", app->s.projector_listen, app->s.projector_port);
}

int cli_fail(const char *command, const weir_error *err)
{
    (void)fprintf(stderr, "weir %s: %s\n", command, err->msg);
    return 1;
}

static const char *colour(const char *escape)
{
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") ? escape : "";
}

const char *cli_bold(void)
{
    return colour("\033[1m");
}

const char *cli_dim(void)
{
    return colour("\033[2m");
}

const char *cli_green(void)
{
    return colour("\033[32m");
}

const char *cli_red(void)
{
    return colour("\033[31m");
}

const char *cli_yellow(void)
{
    return colour("\033[33m");
}

const char *cli_plain(void)
{
    return colour("\033[0m");
}
