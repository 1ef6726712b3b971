/* fixture.c - private servers and programs for one test binary. */
#include "tests/support/fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"

/* --- waiting ---------------------------------------------------------------------------------- */

bool weir_wait_until(bool (*cond)(void *arg), void *arg, int64_t ms, const char *what)
{
    int64_t limit_ms = ms * weir_test_timeout_x();
    if (wait_until(cond, arg, limit_ms)) {
        return true;
    }
    print_error("gave up after %lld ms waiting for: %s\n", (long long)limit_ms, what);
    return false;
}

void fixture_wait(fixture *f, bool (*cond)(void *arg), void *arg, int64_t ms, const char *what)
{
    if (!weir_wait_until(cond, arg, ms, what)) {
        fixture_tails(f, 30);
        fail();
    }
}

/* --- programs --------------------------------------------------------------------------------- */

static void become(const fixture_proc *p, pid_t parent)
{
    int log = open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || null < 0) {
        _exit(126);
    }
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    for (size_t i = 0; p->env[i]; i++) {
        (void)putenv((char *)(uintptr_t)p->env[i]);
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(126); /* the test ended before the line above */
    }
    execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
    (void)fprintf(stderr, "cannot run %s: %s\n", p->argv[0], strerror(errno));
    _exit(127);
}

bool fixture_restart(fixture_proc *p)
{
    pid_t parent = getpid();
    assert_int_equal(p->pid, 0);
    pid_t pid = fork();
    if (pid == 0) {
        become(p, parent);
    }
    if (pid < 0) {
        print_error("cannot fork for %s: %s\n", p->name, strerror(errno));
        return false;
    }
    p->pid = pid;
    return true;
}

static void copy_words(weir_arena *a, const char **to, const char *const *from, size_t max)
{
    size_t n = 0;
    for (; from && from[n] && n < max; n++) {
        to[n] = weir_arena_strdup(a, from[n]);
    }
    assert_true(!from || !from[n]);
    to[n] = NULL;
}

fixture_proc *fixture_spawn(fixture *f, const char *name, const char *const *argv,
                            const char *const *env)
{
    if (f->nprocs == FIXTURE_PROCS_MAX) {
        print_error("more than %d programs\n", FIXTURE_PROCS_MAX);
        return NULL;
    }
    fixture_proc *p = &f->procs[f->nprocs];
    memset(p, 0, sizeof *p);
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    char log[sizeof p->log];
    (void)snprintf(log, sizeof log, "%s/%.31s.log", f->dir, name);
    memcpy(p->log, log, sizeof log);
    copy_words(f->a, p->argv, argv, FIXTURE_ARGS_MAX);
    copy_words(f->a, p->env, env, FIXTURE_ENV_MAX);
    if (!fixture_restart(p)) {
        return NULL;
    }
    f->nprocs++;
    return p;
}

static int reap(fixture_proc *p, int options, bool *ended)
{
    int status = 0;
    pid_t got;
    do {
        got = waitpid(p->pid, &status, options);
    } while (got < 0 && errno == EINTR);
    *ended = got != 0;
    if (!*ended) {
        return 0;
    }
    p->pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool fixture_running(fixture_proc *p)
{
    bool ended = true;
    if (p->pid > 0) {
        (void)reap(p, WNOHANG, &ended);
    }
    return !ended;
}

void fixture_kill9(fixture_proc *p)
{
    bool ended;
    if (p->pid > 0) {
        (void)kill(p->pid, SIGKILL);
        (void)reap(p, 0, &ended);
    }
}

int fixture_stop(fixture_proc *p, int64_t ms)
{
    int64_t until = weir_mono_ms() + ms * weir_test_timeout_x();
    bool ended = false;
    if (p->pid <= 0) {
        return 0;
    }
    (void)kill(p->pid, SIGTERM);
    for (;;) {
        int code = reap(p, WNOHANG, &ended);
        if (ended) {
            return code;
        }
        if (weir_mono_ms() >= until) {
            fixture_kill9(p);
            return -1;
        }
        struct timespec ts = {0, 2000000};
        (void)nanosleep(&ts, NULL);
    }
}

/* --- logs ------------------------------------------------------------------------------------- */

static void tail_file(const char *path, const char *name, int lines)
{
    char text[16384];
    FILE *file = fopen(path, "re");
    if (!file) {
        return;
    }
    if (fseek(file, -(long)(sizeof text - 1), SEEK_END) != 0) {
        rewind(file);
    }
    size_t n = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    char *from = text + n;
    for (int left = lines + 1; from > text; from--) {
        if (from[-1] == '\n' && --left == 0) {
            break;
        }
    }
    print_error("--- last lines of %s (%s)\n%s", name, path, from);
}

void fixture_tail(const fixture_proc *p, int lines)
{
    tail_file(p->log, p->name, lines);
}

void fixture_tails(fixture *f, int lines)
{
    char log[160];
    if (f->pg.pid > 0) {
        (void)snprintf(log, sizeof log, "%s/log", f->pg.dir);
        tail_file(log, "PostgreSQL", lines);
    }
    for (size_t i = 0; i < f->nprocs; i++) {
        fixture_tail(&f->procs[i], lines);
    }
}

/* --- servers ---------------------------------------------------------------------------------- */

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    char full[512];
    for (const char *p = path ? path : "/usr/bin"; *p;) {
        size_t n = strcspn(p, ":");
        (void)snprintf(full, sizeof full, "%.*s/%s", (int)n, p, program);
        if (access(full, X_OK) == 0) {
            return true;
        }
        p += n + (p[n] == ':');
    }
    return false;
}

static bool redis_answers(void *arg)
{
    fixture *f = arg;
    char pong[8];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%.100s", f->redis_sock);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)(void *)&addr, sizeof addr) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, pong, 7, MSG_WAITALL) == 7 &&
              memcmp(pong, "+PONG\r\n", 7) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static bool start_redis(fixture *f)
{
    char sock[sizeof f->redis_sock], uri[sizeof f->redis_uri];
    (void)snprintf(sock, sizeof sock, "%s/redis.sock", f->dir);
    (void)snprintf(uri, sizeof uri, "unix://%s", sock);
    memcpy(f->redis_sock, sock, sizeof sock);
    memcpy(f->redis_uri, uri, sizeof uri);
    const char *const argv[] = {
        "redis-server", "--port", "0",     "--unixsocket", f->redis_sock, "--save", "",
        "--appendonly", "no",     "--dir", f->dir,         "--daemonize", "no",     NULL};
    f->redis = fixture_spawn(f, "redis", argv, NULL);
    return f->redis && weir_wait_until(redis_answers, f, 10000, "redis-server to answer");
}

int fixture_open(fixture *f, unsigned want)
{
    memset(f, 0, sizeof *f);
    f->a = weir_arena_new(0);
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/weir-test-XXXXXX");
    if (!mkdtemp(f->dir)) {
        print_error("cannot create %s: %s\n", f->dir, strerror(errno));
        return -1;
    }
    if ((want & FIXTURE_PG) && !pgserver_installed()) {
        (void)snprintf(f->missing, sizeof f->missing,
                       "no PostgreSQL server is installed; scripts/setup installs it");
    } else if ((want & FIXTURE_REDIS) && !in_path("redis-server")) {
        (void)snprintf(f->missing, sizeof f->missing,
                       "redis-server is not installed; scripts/setup installs it");
    }
    if (f->missing[0]) {
        return 0;
    }
    bool ok = !(want & FIXTURE_PG) || pgserver_start(&f->pg);
    ok = ok && (!(want & FIXTURE_REDIS) || start_redis(f));
    if (!ok) {
        fixture_tails(f, 30);
        fixture_close(f);
    }
    return ok ? 0 : -1;
}

void fixture_close(fixture *f)
{
    /* Programs before the servers they use, the last started first. */
    for (size_t i = f->nprocs; i-- > 0;) {
        if (fixture_stop(&f->procs[i], 10000) == -1) {
            print_error("%s did not end after SIGTERM\n", f->procs[i].name);
        }
    }
    weir_pg_close(f->sql);
    if (f->pg.dir[0]) {
        pgserver_remove(&f->pg);
    }
    if (strncmp(f->dir, "/tmp/weir-test-", 15) == 0) {
        char cmd[200];
        (void)snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
        /* banned-ok: a fixed command on a folder we made. */
        if (system(cmd) != 0) {
            print_error("cannot remove %s\n", f->dir);
        }
    }
    weir_arena_free(f->a);
    memset(f, 0, sizeof *f);
}

void fixture_need(const fixture *f)
{
    const char *ci = getenv("CI");
    if (!f->missing[0]) {
        return;
    }
    print_message("skipped: %s\n", f->missing);
    if (ci && strcmp(ci, "true") == 0) {
        fail_msg("%s", f->missing);
    }
    skip();
}

/* --- ports ------------------------------------------------------------------------------------ */

enum { PORTS_FROM = 10000, PORTS_TO = 65536, PORTS_ENOUGH = 4000 };

/* What the kernel does not give to connections, and to whoever asks for any port. */
static void ports_apart(int *from, int *to)
{
    int first = 32768, last = 60999;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file) {
        if (fscanf(file, "%d %d", &first, &last) != 2) {
            print_error("cannot read the kernel's range of ports\n");
        }
        (void)fclose(file);
    }
    *from = PORTS_FROM;
    *to = first;
    if (*to - *from < PORTS_ENOUGH) {
        *from = last + 1;
        *to = PORTS_TO;
    }
    if (*to - *from < PORTS_ENOUGH) { /* it takes nearly all: at least tests keep apart */
        *from = PORTS_FROM;
    }
}

/* A name that one socket at a time can have, within the same network as the port; it goes with the
 * process, whichever way that ends. */
static int port_lock(int port)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path + 1, sizeof addr.sun_path - 1, "weir-test-port-%d", port);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)(void *)&addr, len) != 0) {
        assert_int_equal(errno, EADDRINUSE);
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* On every address: a service may listen on any of them. */
static bool port_is_free(int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool ok = bind(fd, (struct sockaddr *)(void *)&addr, sizeof addr) == 0;
    (void)close(fd);
    return ok;
}

bool fixture_take_port(int port)
{
    int lock = port_lock(port);
    if (lock >= 0 && !port_is_free(port)) {
        (void)close(lock);
        return false;
    }
    return lock >= 0; /* and stays open */
}

int fixture_free_port(void)
{
    static int from, to, next;
    if (next == 0) { /* tests that start at once should not try the same ones */
        ports_apart(&from, &to);
        uint64_t seed = (uint64_t)weir_wall_us() ^ (uint64_t)getpid() << 32;
        next = from + (int)(weir_test_random(&seed) % (uint64_t)(to - from));
    }
    for (int tries = to - from; tries > 0; tries--) {
        int port = next;
        next = next + 1 < to ? next + 1 : from;
        if (fixture_take_port(port)) {
            return port;
        }
    }
    fail_msg("no port between %d and %d is free", from, to);
    return 0;
}

/* --- SQL -------------------------------------------------------------------------------------- */

static weir_pg *connection(fixture *f)
{
    weir_error err;
    weir_pg_conf conf = {.uri = f->pg.uri, .application_name = "fixture"};
    if (f->sql && !weir_pg_ok(f->sql)) {
        weir_pg_close(f->sql);
        f->sql = NULL;
    }
    if (!f->sql) {
        assert_rc(WEIR_OK, weir_pg_open(&f->sql, &conf, &err), &err);
    }
    return f->sql;
}

void fixture_sql(fixture *f, const char *sql)
{
    weir_error err;
    assert_rc(WEIR_OK, weir_pg_script(connection(f), sql, &err), &err);
}

const char *fixture_sql_value(fixture *f, const char *sql)
{
    weir_error err;
    weir_pg_rows *rows = NULL;
    assert_rc(WEIR_OK, weir_pg_query(connection(f), sql, 0, NULL, &rows, &err), &err);
    const char *value = "";
    if (rows && weir_pg_nrows(rows) > 0 && weir_pg_ncols(rows) > 0) {
        value = weir_arena_strdup(f->a, weir_pg_valuez(rows, 0, 0));
    }
    weir_pg_rows_free(rows);
    return value;
}
