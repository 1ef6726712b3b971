/* pgserver.c - initdb, start and stop of a private PostgreSQL. */
#include "tests/support/pgserver.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/io/pg.h"
#include "tests/support/check.h"

static const char *bindir(void)
{
    static char dir[256];
    const char *env = getenv("WEIR_PG_BINDIR");
    if (env) {
        return env;
    }
    if (dir[0] == '\0') {
        (void)snprintf(dir, sizeof dir, "/usr/lib/postgresql/15/bin");
        for (int v = 18; v >= 15; v--) {
            char path[256];
            (void)snprintf(path, sizeof path, "/usr/lib/postgresql/%d/bin/postgres", v);
            if (access(path, X_OK) == 0) {
                (void)snprintf(dir, sizeof dir, "/usr/lib/postgresql/%d/bin", v);
                break;
            }
        }
    }
    return dir;
}

static void pause_ms(int ms)
{
    struct timespec ts = {ms / 1000, (ms % 1000) * 1000000L};
    (void)nanosleep(&ts, NULL);
}

bool wait_until(bool (*fn)(void *arg), void *arg, int64_t ms)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    ms *= 3;
#endif
    int64_t end = weir_mono_ms() + ms;
    do {
        if (fn(arg)) {
            return true;
        }
        pause_ms(5);
    } while (weir_mono_ms() < end);
    return fn(arg);
}

static bool shell(const char *command)
{
    int st = system(command); /* banned-ok: fixed commands on folders of our own */
    return WIFEXITED(st) && WEXITSTATUS(st) == 0;
}

bool pgserver_installed(void)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/initdb", bindir());
    return access(path, X_OK) == 0;
}

/* initdb and postgres refuse to run as root. */
static const char *user(void)
{
    return getpwnam("postgres") ? "postgres" : "nobody"; /* NOLINT(concurrency-mt-unsafe) */
}

static const char *as_user(void)
{
    static char words[128];
    const struct passwd *pw = getpwnam(user()); /* NOLINT(concurrency-mt-unsafe) */
    if (getuid() != 0 || !pw) {
        return "setpriv --pdeathsig INT";
    }
    (void)snprintf(words, sizeof words,
                   "setpriv --reuid=%u --regid=%u --clear-groups --pdeathsig INT",
                   (unsigned)pw->pw_uid, (unsigned)pw->pw_gid);
    return words;
}

static bool answers(void *arg)
{
    pgserver *s = arg;
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = s->uri, .application_name = "pgserver", .connect_timeout_ms = 2000};
    bool ok = weir_pg_open(&pg, &conf, &err) == WEIR_OK;
    weir_pg_close(pg);
    return ok;
}

bool pgserver_restart(pgserver *s)
{
    pid_t pid = fork();
    if (pid < 0) {
        return false;
    }
    if (pid == 0) {
        char cmd[2048];
        (void)snprintf(
            cmd, sizeof cmd,
            "exec %s %s/postgres -D %s/data -c listen_addresses='' -c "
            "unix_socket_directories=%s/sock "
            "-c fsync=%s -c wal_level=logical -c max_wal_senders=20 -c max_replication_slots=20 "
            "-c wal_sender_timeout=60s -c max_connections=60 -c max_prepared_transactions=5 "
            "-c autovacuum=off >>%s/log 2>&1",
            as_user(), bindir(), s->dir, s->dir, s->fsync ? "on" : "off", s->dir);
        (void)setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", cmd, (char *)NULL);
        _exit(127);
    }
    s->pid = pid;
    if (!wait_until(answers, s, INT64_C(20000) * weir_test_timeout_x())) {
        (void)fprintf(stderr, "PostgreSQL did not start; see %s/log\n", s->dir);
        return false;
    }
    return true;
}

bool pgserver_start(pgserver *s)
{
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/weir-pg-XXXXXX");
    if (!mkdtemp(s->dir)) {
        return false;
    }
    char cmd[2048];
    (void)snprintf(
        cmd, sizeof cmd,
        "mkdir -p %s/sock && { [ \"$(id -u)\" != 0 ] || chown -R %s %s; } && chmod 755 %s && "
        "%s %s/initdb -D %s/data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --lc-collate=C -N "
        ">%s/initdb.log 2>&1",
        s->dir, user(), s->dir, s->dir, as_user(), bindir(), s->dir, s->dir);
    (void)snprintf(s->uri, sizeof s->uri, "postgresql://postgres@/postgres?host=%s/sock", s->dir);
    if (!shell(cmd)) {
        (void)fprintf(stderr, "initdb failed; see %s/initdb.log\n", s->dir);
        return false;
    }
    return pgserver_restart(s);
}

void pgserver_stop(pgserver *s, bool crash)
{
    if (s->pid > 0) {
        (void)kill(s->pid, crash ? SIGQUIT : SIGINT);
        int st = 0;
        (void)waitpid(s->pid, &st, 0);
        s->pid = 0;
    }
}

void pgserver_remove(pgserver *s)
{
    pgserver_stop(s, true);
    if (strncmp(s->dir, "/tmp/weir-pg-", 13) == 0) {
        char cmd[256];
        (void)snprintf(cmd, sizeof cmd, "rm -rf %s", s->dir);
        (void)shell(cmd);
    }
}
