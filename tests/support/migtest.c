/* migtest.c - two databases, a mapping, `weir migrate`. */
#include "tests/support/migtest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { WAIT_MS = 60000, WORDS = 12 };

fixture migtest_fx;

int migtest_up(void **state)
{
    (void)state;
    return fixture_open(&migtest_fx, FIXTURE_PG);
}

int migtest_down(void **state)
{
    (void)state;
    fixture_close(&migtest_fx);
    return 0;
}

static weir_pg *open_db(const char *uri)
{
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "test"};
    if (weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    return pg;
}

void migtest_open(migtest *t, fixture *fx, const char *bin, const char *name)
{
    memset(t, 0, sizeof *t);
    t->fx = fx;
    t->bin = bin;
    fixture_sql(fx, weir_arena_printf(fx->a, "CREATE DATABASE %s_old", name));
    fixture_sql(fx, weir_arena_printf(fx->a, "CREATE DATABASE %s_new", name));
    (void)snprintf(t->source_uri, sizeof t->source_uri,
                   "postgresql://postgres@/%s_old?host=%s/sock", name, fx->pg.dir);
    (void)snprintf(t->target_uri, sizeof t->target_uri,
                   "postgresql://postgres@/%s_new?host=%s/sock", name, fx->pg.dir);
    (void)snprintf(t->ini, sizeof t->ini, "%s/%s.ini", fx->dir, name);
    t->source = open_db(t->source_uri);
    t->target = open_db(t->target_uri);
}

void migtest_close(migtest *t)
{
    if (t->run && t->run->pid > 0) {
        (void)fixture_stop(t->run, 20000);
    }
    weir_pg_close(t->source);
    weir_pg_close(t->target);
    t->source = t->target = NULL;
}

void migtest_mapping(migtest *t, const char *head, const char *text)
{
    FILE *f = fopen(t->ini, "w");
    assert_non_null(f);
    (void)fprintf(f, "[source]\nuri = %s\n[target]\nuri = %s\n%s%s", t->source_uri, t->target_uri,
                  head, text);
    assert_int_equal(0, fclose(f));
}

void migtest_sql(weir_pg *pg, const char *sql)
{
    weir_error err;
    if (weir_pg_script(pg, sql, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
}

const char *migtest_value(migtest *t, weir_pg *pg, const char *sql)
{
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(pg, sql, 0, NULL, &r, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
    const char *v = weir_pg_nrows(r) ? weir_arena_dupz(t->fx->a, weir_pg_value(r, 0, 0)) : "";
    weir_pg_rows_free(r);
    return v;
}

int migtest_weir(migtest *t, const char *word, ...)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/weir", t->bin);
    const char *argv[WORDS] = {path, "migrate", t->ini};
    int n = 3, fds[2];
    va_list ap;
    va_start(ap, word);
    for (const char *w = word; w && n < WORDS - 1; w = va_arg(ap, const char *)) {
        argv[n++] = w;
    }
    va_end(ap);
    assert_int_equal(0, pipe(fds));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], 1);
        (void)dup2(fds[1], 2);
        close(fds[0]);
        execv(path, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(fds[1]);
    weir_buf b;
    weir_buf_init(&b, 16 << 20);
    for (;;) {
        char *room = weir_buf_reserve(&b, 4096);
        ssize_t k = room ? read(fds[0], room, 4096) : 0;
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            break;
        }
        b.n += (size_t)k;
    }
    close(fds[0]);
    int status = 0;
    assert_int_equal(pid, waitpid(pid, &status, 0));
    t->said = weir_arena_dupz(t->fx->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void migtest_said(migtest *t, const char *text)
{
    assert_has(t->said, text);
}

void migtest_start(migtest *t)
{
    if (t->run) {
        assert_true(fixture_restart(t->run));
        return;
    }
    char path[300];
    (void)snprintf(path, sizeof path, "%s/weir", t->bin);
    const char *argv[] = {path, "migrate", t->ini, "run", NULL};
    t->run = fixture_spawn(t->fx, "migrate", argv, NULL);
    assert_non_null(t->run);
}

typedef struct asked {
    migtest *t;
    weir_pg *pg;
    const char *sql, *want;
} asked;

static bool gives(void *arg)
{
    asked *q = arg;
    weir_error err;
    weir_pg_rows *r = NULL;
    bool same = weir_pg_query(q->pg, q->sql, 0, NULL, &r, &err) == WEIR_OK &&
                weir_pg_nrows(r) > 0 && strcmp(weir_pg_valuez(r, 0, 0), q->want) == 0;
    weir_pg_rows_free(r);
    return same;
}

void migtest_await(migtest *t, bool source, const char *sql, const char *want)
{
    asked q = {t, source ? t->source : t->target, sql, want};
    char what[400];
    (void)snprintf(what, sizeof what, "%s = %s", sql, want);
    fixture_wait(t->fx, gives, &q, WAIT_MS, what);
}

void migtest_await_phase(migtest *t, const char *phase)
{
    migtest_await(t, false, "SELECT phase FROM weir_sync.migrate", phase);
}

void migtest_caught_up(migtest *t)
{
    const char *sql =
        "SELECT pg_logical_emit_message(true, 'test', ''), pg_current_wal_flush_lsn()";
    (void)migtest_value(t, t->source, sql);
    const char *lsn = migtest_value(t, t->source, "SELECT pg_current_wal_flush_lsn()");
    migtest_await(
        t, false,
        weir_arena_printf(t->fx->a, "SELECT (lsn >= '%s')::text FROM weir_sync.migrate", lsn),
        "true");
}

int migtest_pid(migtest *t, const char *name)
{
    char path[100], comm[64], children[4096];
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", t->run->pid, t->run->pid);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(children, 1, sizeof children - 1, f) : 0;
    children[n] = '\0';
    if (f) {
        (void)fclose(f);
    }
    for (char *save = NULL, *p = strtok_r(children, " \n", &save); p;
         p = strtok_r(NULL, " \n", &save)) {
        (void)snprintf(path, sizeof path, "/proc/%s/comm", p);
        f = fopen(path, "r");
        bool same = f && fgets(comm, sizeof comm, f) && strncmp(comm, name, strlen(name)) == 0 &&
                    comm[strlen(name)] == '\n';
        if (f) {
            (void)fclose(f);
        }
        if (same) {
            return (int)strtol(p, NULL, 10);
        }
    }
    return 0;
}

static bool another(void *arg)
{
    const asked *q = arg;
    int pid = migtest_pid(q->t, q->sql);
    return pid != 0 && pid != (int)strtol(q->want, NULL, 10);
}

void migtest_kill(migtest *t, const char *name)
{
    int pid = migtest_pid(t, name);
    assert_int_not_equal(0, pid);
    assert_int_equal(0, kill(pid, SIGKILL));
    asked q = {t, NULL, name, weir_arena_printf(t->fx->a, "%d", pid)};
    if (!weir_wait_until(another, &q, WAIT_MS, "a killed process is started again")) {
        fixture_tail(t->run, 60);
        fail();
    }
}
