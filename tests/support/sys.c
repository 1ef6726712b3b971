/* sys.c - an application for system tests: made, started, asked, ended. */
#include "tests/support/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "tests/support/check.h"

enum { SAID_MAX_BYTES = 16 << 20, HTTP_MS = 30000, WORDS_MAX = 16 };

static const char *const SERVICES[SYS_SERVICES] = {"bridge", "projector", "write", "read"};

/* --- an application --------------------------------------------------------------------------- */

void sys_filter(void)
{
    const char *only = getenv("WEIR_SYSTEM_ONLY");
    if (only) {
        cmocka_set_test_filter(only);
    }
}

static void load_settings(sys *s)
{
    weir_error err = {0};
    weir_arena *a = s->app.a;
    const char *ini = weir_arena_printf(a, "%s/weir.ini", s->app.dir);
    const char *run = weir_arena_printf(a, "%s/.weir/run.ini", s->app.dir);
    bool overlay = access(run, F_OK) == 0;
    assert_rc(WEIR_OK, weir_settings_load(&s->s, s->app.dir, ini, overlay ? run : NULL, a, &err),
              &err);
}

/* Where the services find each other and their servers. */
static const char *addresses(sys *s, const char *name)
{
    weir_arena *a = s->app.a;
    const char *servers = "";
    if (s->fx) {
        servers = weir_arena_printf(
            a, "[postgres]\nuri = postgresql://postgres@/%s?host=%s/sock\n[redis]\nuri = %s\n",
            name, s->fx->pg.dir, s->fx->redis_uri);
    }
    /* Ports of its own: other applications may start beside it. */
    return weir_arena_printf(a,
                             "%s[write]\nport = %d\nnng = tcp://127.0.0.1:%d\n"
                             "[read]\nport = %d\nnng = tcp://127.0.0.1:%d\n"
                             "[projector]\nport = %d\n"
                             "[bridge]\nport = %d\nfeed = tcp://127.0.0.1:%d\n",
                             servers, fixture_free_port(), fixture_free_port(), fixture_free_port(),
                             fixture_free_port(), fixture_free_port(), fixture_free_port(),
                             fixture_free_port());
}

static void attach(sys *s)
{
    s->app.pg_uri = s->s.postgres_uri;
    s->app.redis_uri = s->s.redis_uri;
    s->app.ns = s->s.redis_namespace;
    s->app.write_url = sys_url(s, "write");
    s->app.read_url = sys_url(s, "read");
    s->app.feed_url = s->s.bridge_feed;
    assert_true(orc_app_connect(&s->app, 10000));
}

void sys_new(sys *s, const char *bin, fixture *fx, const char *ini)
{
    memset(s, 0, sizeof *s);
    (void)signal(SIGPIPE, SIG_IGN); /* servers go away under our connections */
    s->fx = fx;
    s->said = s->body = "";
    assert_true(orc_app_make(&s->app, bin, NULL));
    (void)snprintf(s->top, sizeof s->top, "%.*s", (int)(strlen(s->app.dir) - strlen("/app")),
                   s->app.dir);
    sys_put(s, "weir.ini", ini);
    load_settings(s); /* for the name */
    sys_put(s, "weir.ini", weir_arena_printf(s->app.a, "%s\n%s", ini, addresses(s, s->s.app_name)));
    load_settings(s);
    if (fx) {
        fixture_sql(fx, weir_arena_printf(s->app.a, "CREATE DATABASE \"%s\"", s->s.app_name));
        attach(s);
    }
}

void sys_put(sys *s, const char *path, const char *text)
{
    weir_error err = {0};
    char *full = weir_arena_printf(s->app.a, "%s/%s", s->app.dir, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_rc(WEIR_OK, weir_mkdirs(full, 0755, &err), &err);
    *slash = '/';
    assert_rc(WEIR_OK, weir_file_write(full, weir_slice_z(text), 0644, &err), &err);
}

void sys_remove(sys *s, const char *path)
{
    assert_int_equal(0, unlink(weir_arena_printf(s->app.a, "%s/%s", s->app.dir, path)));
}

void sys_up(sys *s)
{
    int rc = sys_weir(s, "up", s->app.dir, "--detach", NULL);
    if (rc != 0) {
        sys_logs(s, 12);
        fail_msg("weir up ended with %d: %s", rc, s->said);
    }
    assert_true(orc_app_attach(&s->app));
    load_settings(s);
}

static int index_of(const char *service)
{
    for (int i = 0; i < SYS_SERVICES; i++) {
        if (strcmp(SERVICES[i], service) == 0) {
            return i;
        }
    }
    fail_msg("there is no service %s", service);
    return 0;
}

struct ready {
    sys *s;
    const char *service;
};

static bool is_ready(void *arg)
{
    struct ready *r = arg;
    return sys_readyz(r->s, r->service) == 200;
}

void sys_start(sys *s, const char *service, bool wait)
{
    int i = index_of(service);
    weir_arena *a = s->app.a;
    const char *dir = s->app.dir;
    const char *const argv[] = {weir_arena_printf(a, "%s/weir-%s", s->app.bin, service),
                                "--config",
                                weir_arena_printf(a, "%s/weir.ini", dir),
                                "--app",
                                dir,
                                NULL};
    if (s->proc[i]) {
        assert_true(fixture_restart(s->proc[i]));
    } else {
        s->proc[i] =
            fixture_spawn(s->fx, weir_arena_printf(a, "%s-%s", s->s.app_name, service), argv, NULL);
        assert_non_null(s->proc[i]);
    }
    if (wait) {
        struct ready r = {s, service};
        sys_await(s, is_ready, &r, 20000, weir_arena_printf(a, "%s to be ready", service));
    }
}

void sys_start_all(sys *s)
{
    for (int i = 0; i < SYS_SERVICES; i++) {
        if (!s->proc[i] || !fixture_running(s->proc[i])) {
            sys_start(s, SERVICES[i], false);
        }
    }
    for (int i = 0; i < SYS_SERVICES; i++) {
        struct ready r = {s, SERVICES[i]};
        sys_await(s, is_ready, &r, 20000, SERVICES[i]);
    }
}

fixture_proc *sys_proc(sys *s, const char *service)
{
    return s->proc[index_of(service)];
}

void sys_end(sys *s)
{
    if (!s->app.a) {
        return;
    }
    const char *keep = getenv("WEIR_SYSTEM_KEEP");
    orc_app_down(&s->app, keep && strcmp(keep, "1") == 0);
}

/* --- the command line ------------------------------------------------------------------------- */

static void read_all(sys *s, int fd)
{
    weir_buf b;
    weir_buf_init(&b, SAID_MAX_BYTES);
    for (;;) {
        char *room = weir_buf_reserve(&b, 4096);
        ssize_t n = room ? read(fd, room, 4096) : 0;
        if (n <= 0) {
            break;
        }
        b.n += (size_t)n;
    }
    s->said = weir_arena_dupz(s->app.a, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

int sys_weir(sys *s, const char *word, ...)
{
    const char *argv[WORDS_MAX + 2] = {weir_arena_printf(s->app.a, "%s/weir", s->app.bin), word};
    int p[2], status = 0;
    va_list ap;
    va_start(ap, word);
    for (int n = 2; n < WORDS_MAX + 1; n++) {
        argv[n] = va_arg(ap, const char *);
        if (!argv[n]) {
            break;
        }
    }
    va_end(ap);
    assert_int_equal(0, pipe2(p, O_CLOEXEC));
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_DFL);
        (void)dup2(p[1], 1);
        (void)dup2(p[1], 2);
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    (void)close(p[1]);
    assert_true(pid > 0);
    read_all(s, p[0]);
    (void)close(p[0]);
    assert_int_equal(pid, waitpid(pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void sys_deploy(sys *s, int code)
{
    int rc = sys_weir(s, "deploy", s->app.dir, NULL);
    if (rc != code) {
        sys_logs(s, 12);
        fail_msg("weir deploy ended with %d, not %d:\n%s", rc, code, s->said);
    }
}

void sys_said(sys *s, const char *text)
{
    if (!strstr(s->said, text)) {
        fail_msg("\"%s\" was not said, but:\n%s", text, s->said);
    }
}

/* --- SQL -------------------------------------------------------------------------------------- */

static weir_pg *connection(sys *s)
{
    if (s->app.pg && !weir_pg_alive(s->app.pg)) { /* the server was restarted */
        weir_pg_close(s->app.pg);
        s->app.pg = NULL;
    }
    assert_true(orc_app_connect(&s->app, 10000));
    return s->app.pg;
}

void sys_sql(sys *s, const char *script)
{
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_pg_script(connection(s), script, &err), &err);
}

const char *sys_sql_error(sys *s, const char *sql)
{
    weir_error err = {0};
    if (weir_pg_query(connection(s), sql, 0, NULL, NULL, &err) == WEIR_OK) {
        return "";
    }
    return weir_arena_strdup(s->app.a, err.sqlstate[0] ? err.sqlstate : err.msg);
}

const char *sys_value(sys *s, const char *sql)
{
    weir_error err = {0};
    weir_pg_rows *r = NULL;
    assert_rc(WEIR_OK, weir_pg_query(connection(s), sql, 0, NULL, &r, &err), &err);
    const char *v = "";
    if (r && weir_pg_nrows(r) > 0 && weir_pg_ncols(r) > 0) {
        v = weir_arena_strdup(s->app.a, weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    return v;
}

int64_t sys_number(sys *s, const char *sql)
{
    int64_t n = -1;
    const char *v = sys_value(s, sql);
    if (!weir_slice_i64(weir_slice_z(v), &n)) {
        fail_msg("%s: \"%s\" is no number", sql, v);
    }
    return n;
}

weir_pg *sys_connect(sys *s)
{
    weir_error err = {0};
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = s->app.pg_uri, .application_name = "system test"};
    assert_rc(WEIR_OK, weir_pg_open(&pg, &conf, &err), &err);
    return pg;
}

/* --- HTTP ------------------------------------------------------------------------------------- */

int sys_http(sys *s, const char *method, const char *url, const char *const *header_lines,
             const char *body)
{
    weir_error err = {0};
    weir_slice b = body ? weir_slice_z(body) : (weir_slice){NULL, 0};
    memset(&s->answer, 0, sizeof s->answer);
    bool ok =
        weir_curl(method, url, header_lines, b, HTTP_MS, s->app.a, &s->answer, &err) == WEIR_OK;
    s->status = ok ? s->answer.status : 0;
    s->body = ok ? weir_arena_dupz(s->app.a, s->answer.body) : weir_arena_strdup(s->app.a, err.msg);
    return s->status;
}

int sys_command(sys *s, const char *name, const char *body)
{
    const char *const headers[] = {"Content-Type: application/json", NULL};
    return sys_http(s, "POST",
                    weir_arena_printf(s->app.a, "%s/commands/%s", s->app.write_url, name), headers,
                    body);
}

int sys_query(sys *s, const char *path)
{
    return sys_http(s, "GET", weir_arena_printf(s->app.a, "%s/queries/%s", s->app.read_url, path),
                    NULL, NULL);
}

const char *sys_url(sys *s, const char *service)
{
    const int64_t ports[SYS_SERVICES] = {s->s.bridge_port, s->s.projector_port, s->s.write_port,
                                         s->s.read_port};
    return weir_arena_printf(s->app.a, "http://127.0.0.1:%lld",
                             (long long)ports[index_of(service)]);
}

int sys_readyz(sys *s, const char *service)
{
    return sys_http(s, "GET", weir_arena_printf(s->app.a, "%s/readyz", sys_url(s, service)), NULL,
                    NULL);
}

/* --- processes -------------------------------------------------------------------------------- */

int sys_pid(sys *s, const char *name)
{
    if (s->fx) {
        return (int)sys_proc(s, name)->pid;
    }
    weir_error err = {0};
    weir_slice text;
    weir_json *j = NULL;
    int64_t pid = 0;
    const char *path = weir_arena_printf(s->app.a, "%s/.weir/up.json", s->app.dir);
    assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, s->app.a, &text, &err), &err);
    assert_rc(WEIR_OK, weir_json_parse(&j, text, &err), &err);
    const weir_json *list = weir_json_get(j, "processes");
    for (size_t i = 0; i < weir_json_len(list); i++) {
        weir_slice n;
        if (weir_json_str(weir_json_at(list, i), "name", &n) && weir_slice_eqz(n, name)) {
            (void)weir_json_i64(weir_json_at(list, i), "pid", &pid);
        }
    }
    weir_json_free(j);
    return (int)pid;
}

int64_t sys_memory_kb(int pid, const char *field)
{
    char path[64], line[256];
    long long kb = 0;
    size_t n = strlen(field);
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, field, n) == 0 && line[n] == ':') {
            kb = strtoll(line + n + 1, NULL, 10);
        }
    }
    if (f) {
        (void)fclose(f);
    }
    return kb;
}

static const char *log_path(sys *s, const char *service)
{
    return s->fx ? weir_arena_printf(s->app.a, "%s/%s-%s.log", s->fx->dir, s->s.app_name, service)
                 : weir_arena_printf(s->app.a, "%s/.weir/log/%s.log", s->app.dir, service);
}

void sys_logs(sys *s, int lines)
{
    const char *n = weir_arena_printf(s->app.a, "%d", lines);
    for (int i = 0; i < SYS_SERVICES; i++) {
        const char *path = log_path(s, SERVICES[i]);
        (void)fprintf(stderr, "--- last lines of %s\n", path);
        (void)orc_run(true, (const char *const[]){"tail", "-n", n, path, NULL});
    }
}

struct grep {
    const char *path, *text;
};

static bool log_has(void *arg)
{
    struct grep *g = arg;
    weir_error err = {0};
    weir_arena *a = weir_arena_new(0);
    weir_slice text = {0};
    bool found = weir_file_read(g->path, SAID_MAX_BYTES, a, &text, &err) == WEIR_OK && text.n > 0 &&
                 memmem(text.p, text.n, g->text, strlen(g->text)) != NULL;
    weir_arena_free(a);
    return found;
}

void sys_log_has(sys *s, const char *service, const char *text, int64_t ms)
{
    struct grep g = {log_path(s, service), text};
    sys_await(s, log_has, &g, ms,
              weir_arena_printf(s->app.a, "\"%s\" in the log of %s", text, service));
}

void sys_await(sys *s, bool (*cond)(void *arg), void *arg, int64_t ms, const char *what)
{
    if (!weir_wait_until(cond, arg, ms, what)) {
        sys_logs(s, 12);
        print_error("the last answer: %d %s\n", s->status, s->body);
        fail_msg("waited in vain for %s", what);
    }
}
