/* servers.c - private PostgreSQL and Redis for development.
 *
 * initdb refuses root, so as root everything of PostgreSQL belongs to another user. Its folder is
 * APP/.weir where that user can get there, else a folder under /var/tmp named after the app
 * directory; its Unix socket lies in the same place unless the path would be too long for one.
 */
#include "cli/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/hash.h"
#include "libweir/base/str.h"
#include "libweir/io/pg.h"
#include "libweir/io/redis.h"

enum { SOCKET_DIR_MAX = 80, PORT = 5432 };

int cli_free_port(int preferred)
{
    int candidates[] = {preferred, 0};
    for (int i = preferred ? 0 : 1; i < 2; i++) {
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)candidates[i])};
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t len = sizeof sa;
        int one = 1;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            return 0;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        bool ok = bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(fd, 1) == 0 &&
                  getsockname(fd, (struct sockaddr *)&sa, &len) == 0;
        close(fd);
        if (ok) {
            return ntohs(sa.sin_port);
        }
    }
    return 0;
}

/* The newest installed server's folder of binaries, "" for whatever PATH has. */
static const char *pg_bindir(weir_arena *a)
{
    const char *best = "";
    long best_version = 0;
    glob_t g;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            long v = strtol(g.gl_pathv[i] + strlen("/usr/lib/postgresql/"), NULL, 10);
            if (v > best_version) {
                best_version = v;
                best = weir_arena_dupz(
                    a, weir_slice_of(g.gl_pathv[i], strlen(g.gl_pathv[i]) - strlen("initdb")));
            }
        }
        globfree(&g);
    }
    return best;
}

static weir_rc server_user(uid_t *uid, gid_t *gid, weir_error *err)
{
    *uid = 0;
    *gid = 0;
    if (geteuid() != 0) {
        return WEIR_OK;
    }
    static const char *const names[] = {"postgres", "nobody"};
    for (size_t i = 0; i < 2; i++) {
        const struct passwd *pw = getpwnam(names[i]); // NOLINT(concurrency-mt-unsafe): one thread
        if (pw && pw->pw_uid != 0) {
            *uid = pw->pw_uid;
            *gid = pw->pw_gid;
            return WEIR_OK;
        }
    }
    return weir_fail(err, WEIR_E_STATE, 0,
                     "PostgreSQL refuses to run as root and there is no user postgres or nobody");
}

static void drop_to(uid_t uid, gid_t gid)
{
    if (uid != 0 && (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0)) {
        _exit(126);
    }
}

/* Can that user write into path? */
static bool reachable(const char *path, uid_t uid, gid_t gid)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        drop_to(uid, gid);
        _exit(access(path, W_OK | X_OK) == 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static weir_rc own_dir(const char *path, uid_t uid, gid_t gid, weir_error *err)
{
    weir_rc rc = weir_mkdirs(path, 0755, err);
    if (rc == WEIR_OK && uid != 0 && chown(path, uid, gid) != 0) {
        rc = weir_fail_errno(err, "cannot give %s to the PostgreSQL user", path);
    }
    if (rc == WEIR_OK && chmod(path, 0700) != 0) {
        rc = weir_fail_errno(err, "cannot protect %s", path);
    }
    return rc;
}

/* A folder of the server's user: under .weir when reachable, else under /var/tmp. */
static weir_rc server_dir(cli_app *app, const char *leaf, uid_t uid, gid_t gid, const char **out,
                          weir_error *err)
{
    const char *path = weir_arena_printf(app->a, "%s/%s", app->run_dir, leaf);
    weir_rc rc = own_dir(path, uid, gid, err);
    bool short_enough = strcmp(leaf, "pg") == 0 || strlen(path) <= SOCKET_DIR_MAX;
    if (rc != WEIR_OK || !short_enough || (uid != 0 && !reachable(path, uid, gid))) {
        unsigned long long h = weir_hash64(weir_slice_z(app->dir));
        const char *base =
            weir_arena_printf(app->a, "/var/tmp/weir-%u-%016llx", (unsigned)geteuid(), h);
        struct stat st;
        path = weir_arena_printf(app->a, "%s/%s", base, leaf);
        rc = weir_mkdirs(base, 0755, err);
        if (rc == WEIR_OK &&
            (lstat(base, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())) {
            rc = weir_fail(err, WEIR_E_STATE, 0, "%s exists and is not ours; remove it", base);
        }
        rc = rc == WEIR_OK ? own_dir(path, uid, gid, err) : rc;
    }
    *out = path;
    return rc;
}

static weir_rc run_initdb(cli_app *app, const char *bin, const char *data, const cli_child *c,
                          weir_error *err)
{
    cli_child init;
    cli_child_init(&init, "initdb", weir_arena_printf(app->a, "%s/initdb.log", app->log_dir));
    init.uid = c->uid;
    init.gid = c->gid;
    const char *const args[] = {weir_arena_printf(app->a, "%sinitdb", bin),
                                "-D",
                                data,
                                "-U",
                                "postgres",
                                "-A",
                                "trust",
                                "-E",
                                "UTF8",
                                "--locale=C.UTF-8",
                                "--lc-collate=C"};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        cli_child_arg(&init, args[i]);
    }
    weir_rc rc = cli_child_start(&init, err);
    while (rc == WEIR_OK && !cli_child_ended(&init)) {
        struct pollfd p = {.fd = init.pidfd, .events = POLLIN};
        (void)poll(&p, 1, 100);
    }
    if (rc == WEIR_OK && init.last_status != 0) {
        rc = weir_fail(err, WEIR_E_SYS, 0, "initdb failed (%s): %s; see %s",
                       cli_child_how(&init, app->a), cli_child_last_line(&init, app->a), init.log);
    }
    return rc;
}

static void postgres_args(cli_app *app, cli_child *c, const char *bin, const char *data,
                          const char *sock)
{
    const char *const settings[] = {
        "listen_addresses=",
        weir_arena_printf(app->a, "unix_socket_directories=\"%s\"", sock),
        "port=5432",
        "wal_level=logical",
        "max_wal_senders=20",
        "max_replication_slots=20",
        "max_connections=200",
        "max_wal_size=4GB",
        "shared_buffers=256MB",
        "logging_collector=off",
        "log_checkpoints=off"};
    cli_child_arg(c, weir_arena_printf(app->a, "%spostgres", bin));
    cli_child_arg(c, "-D");
    cli_child_arg(c, data);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        cli_child_arg(c, "-c");
        cli_child_arg(c, settings[i]);
    }
}

weir_rc cli_postgres_prepare(cli_app *app, cli_child *c, const char **uri, weir_error *err)
{
    const char *data = NULL, *sock = NULL;
    const char *bin = pg_bindir(app->a);
    cli_child_init(c, "postgres", weir_arena_printf(app->a, "%s/postgres.log", app->log_dir));
    c->stop_signal = SIGINT;
    weir_rc rc = server_user(&c->uid, &c->gid, err);
    rc = rc == WEIR_OK ? server_dir(app, "pg", c->uid, c->gid, &data, err) : rc;
    rc = rc == WEIR_OK ? server_dir(app, "sock", c->uid, c->gid, &sock, err) : rc;
    if (rc != WEIR_OK) {
        return rc;
    }
    if (strpbrk(sock, "'\"\\")) {
        return weir_fail(
            err, WEIR_E_INPUT, 0,
            "the path %s has a quote or backslash, which PostgreSQL's socket folder cannot have",
            sock);
    }
    if (access(weir_arena_printf(app->a, "%s/PG_VERSION", data), F_OK) != 0) {
        rc = run_initdb(app, bin, data, c, err);
    }
    postgres_args(app, c, bin, data, sock);
    *uri = weir_arena_printf(app->a, "host='%s' port=%d user=postgres dbname='%s'", sock, PORT,
                             app->name);
    return rc;
}

static weir_rc create_database(cli_app *app, weir_pg *pg, weir_error *err)
{
    const char *params[] = {app->name};
    weir_pg_rows *rows = NULL;
    weir_rc rc =
        weir_pg_query(pg, "SELECT 1 FROM pg_database WHERE datname = $1", 1, params, &rows, err);
    if (rc == WEIR_OK && weir_pg_nrows(rows) == 0) {
        rc = weir_pg_query(pg,
                           weir_arena_printf(app->a, "CREATE DATABASE %s",
                                             weir_pg_ident(app->a, weir_slice_z(app->name))),
                           0, NULL, NULL, err);
    }
    weir_pg_rows_free(rows);
    return rc;
}

weir_rc cli_postgres_wait(cli_app *app, cli_child *c, const char *uri, int64_t ms, weir_error *err)
{
    const char *end = strstr(uri, " dbname=");
    const char *admin = weir_arena_printf(app->a, "%.*s dbname=postgres", (int)(end - uri), uri);
    weir_pg_conf conf = {.uri = admin, .application_name = "weir up"};
    for (int64_t until = weir_mono_ms() + ms;;) {
        weir_pg *pg = NULL;
        if (cli_child_ended(c)) {
            return weir_fail(err, WEIR_E_SYS, 0, "PostgreSQL ended at start (%s): %s; see %s",
                             cli_child_how(c, app->a), cli_child_last_line(c, app->a), c->log);
        }
        weir_rc rc = weir_pg_open(&pg, &conf, err);
        if (rc == WEIR_OK) {
            rc = create_database(app, pg, err);
            weir_pg_close(pg);
            return rc;
        }
        if (weir_mono_ms() > until) {
            weir_error_wrap(err, "PostgreSQL does not answer; see %s", c->log);
            return rc;
        }
        (void)poll(NULL, 0, 20);
    }
}

weir_rc cli_redis_prepare(cli_app *app, cli_child *c, const char **uri, weir_error *err)
{
    enum { REDIS_PORT = 7706 };
    const char *dir = weir_arena_printf(app->a, "%s/redis", app->run_dir);
    weir_rc rc = weir_mkdirs(dir, 0700, err);
    int port = cli_free_port(REDIS_PORT);
    if (rc == WEIR_OK && port == 0) {
        rc = weir_fail(err, WEIR_E_SYS, 0, "there is no free port for Redis");
    }
    cli_child_init(c, "redis", weir_arena_printf(app->a, "%s/redis.log", app->log_dir));
    const char *const args[] = {"redis-server",
                                "--bind",
                                "127.0.0.1",
                                "--port",
                                weir_arena_printf(app->a, "%d", port),
                                "--save",
                                "",
                                "--appendonly",
                                "no",
                                "--daemonize",
                                "no",
                                "--dir",
                                dir};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        cli_child_arg(c, args[i]);
    }
    *uri = weir_arena_printf(app->a, "redis://127.0.0.1:%d/0", port);
    return rc;
}

/* Somebody else's server may be on the port that was free a moment ago. */
static bool is_process(weir_redisc *r, pid_t pid)
{
    weir_error err = {0};
    const weir_redis_reply *reply = NULL;
    char text[40];
    weir_slice argv[] = {WEIR_SLICE_LIT("INFO"), WEIR_SLICE_LIT("server")};
    int n = snprintf(text, sizeof text, "process_id:%d\r", (int)pid);
    if (weir_redisc_call(r, &reply, 2, argv, &err) != WEIR_OK) {
        return false;
    }
    weir_slice info = weir_redis_reply_str(reply);
    return info.n > 0 && memmem(info.p, info.n, text, (size_t)n) != NULL;
}

static bool port_was_taken(const cli_child *c)
{
    weir_arena *a = weir_arena_new(0);
    bool taken = strstr(cli_child_last_line(c, a), "Failed listening on port") != NULL;
    weir_arena_free(a);
    return taken;
}

weir_rc cli_redis_wait(cli_child *c, const char *uri, int64_t ms, weir_error *err)
{
    for (int64_t until = weir_mono_ms() + ms;;) {
        weir_redisc *r = NULL;
        if (cli_child_ended(c)) {
            return port_was_taken(c)
                       ? weir_fail(err, WEIR_E_CONFLICT, 0, "another took Redis's port; see %s",
                                   c->log)
                       : weir_fail(err, WEIR_E_SYS, 0,
                                   "redis-server ended at start; is it installed? See %s", c->log);
        }
        weir_rc rc = weir_redisc_open(&r, uri, 1000, err);
        if (rc == WEIR_OK) {
            bool ours = is_process(r, c->pid);
            weir_redisc_close(r);
            if (ours) {
                return WEIR_OK;
            }
            rc = weir_fail(err, WEIR_E_CONFLICT, 0, "another Redis answers on its port; try again");
        }
        if (weir_mono_ms() > until) {
            return rc;
        }
        (void)poll(NULL, 0, 20);
    }
}
