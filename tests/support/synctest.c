/* synctest.c - shared parts of the sync tests. */
#include "tests/support/synctest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/str.h"
#include "libweir/codec/json.h"
#include "tests/support/app.h"

enum { EQUAL_MS = 30000, SAID_MS = 20000 };

fixture synctest_fx;

int synctest_up(void **state)
{
    fixture *f = &synctest_fx;
    (void)state;
    if (fixture_open(f, FIXTURE_PG) != 0) {
        return -1;
    }
    if (f->missing[0]) {
        return 0;
    }
    fixture_sql(f, "ALTER SYSTEM SET track_commit_timestamp = on");
    weir_pg_close(f->sql);
    f->sql = NULL;
    pgserver_stop(&f->pg, false);
    return pgserver_restart(&f->pg) ? 0 : -1;
}

int synctest_down(void **state)
{
    (void)state;
    fixture_close(&synctest_fx);
    return 0;
}

static weir_pg *connect_to(const char *uri)
{
    weir_pg *pg = NULL;
    weir_error err;
    weir_pg_conf conf = {.uri = uri, .application_name = "test"};
    if (weir_pg_open(&pg, &conf, &err) != WEIR_OK) {
        fail_msg("%s", err.msg);
    }
    return pg;
}

void synctest_sql(weir_pg *pg, const char *sql)
{
    weir_error err;
    if (weir_pg_script(pg, sql, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
}

static const char *value(weir_arena *a, weir_pg *pg, const char *sql)
{
    weir_error err;
    weir_pg_rows *r = NULL;
    if (weir_pg_query(pg, sql, 0, NULL, &r, &err) != WEIR_OK) {
        fail_msg("%s: %s", sql, err.msg);
    }
    const char *v = weir_arena_dupz(a, weir_pg_value(r, 0, 0));
    weir_pg_rows_free(r);
    return v;
}

const char *synctest_value(synctest *t, weir_pg *pg, const char *sql)
{
    return value(t->f->a, pg, sql);
}

void synctest_ini(synctest *t, const char *lines)
{
    weir_error err;
    const char *text =
        weir_arena_printf(t->f->a, "[sync]\nname = t\n%s\n[source]\nuri = %s\n[target]\nuri = %s\n",
                          lines, t->uri_a, t->uri_b);
    assert_rc(WEIR_OK, weir_file_write(t->ini, weir_slice_z(text), 0600, &err), &err);
}

static void make(synctest *t, fixture *f, const char *bin, const char *sql, const char *lines)
{
    *t = (synctest){.f = f, .bin = bin};
    fixture_sql(f, "DROP DATABASE IF EXISTS a");
    fixture_sql(f, "DROP DATABASE IF EXISTS b");
    fixture_sql(f, "CREATE DATABASE a");
    fixture_sql(f, "CREATE DATABASE b");
    (void)snprintf(t->uri_a, sizeof t->uri_a, "postgresql://postgres@/a?host=%s/sock", f->pg.dir);
    (void)snprintf(t->uri_b, sizeof t->uri_b, "postgresql://postgres@/b?host=%s/sock", f->pg.dir);
    (void)snprintf(t->ini, sizeof t->ini, "%s/t.ini", f->dir);
    (void)snprintf(t->state, sizeof t->state, "%s/t.weir", f->dir);
    t->a = connect_to(t->uri_a);
    t->b = connect_to(t->uri_b);
    synctest_sql(t->a, sql);
    synctest_sql(t->b, sql);
    synctest_ini(t, lines);
}

synctest *synctest_begin(void **state, const char *bin, const char *sql, const char *lines)
{
    static synctest one;
    fixture_need(&synctest_fx);
    *state = &one;
    make(&one, &synctest_fx, bin, sql, lines);
    return &one;
}

static void finish(synctest *t)
{
    (void)synctest_run(t, "stop", NULL, NULL);
    (void)synctest_run(t, "forget", NULL, NULL);
    weir_pg_close(t->a);
    weir_pg_close(t->b);
    const char *const rm[] = {"rm", "-rf", t->state, NULL};
    (void)orc_run(false, rm);
}

int synctest_end(void **state)
{
    if (*state) {
        finish(*state);
    }
    return 0;
}

int synctest_run(synctest *t, const char *verb, const char *flag, weir_slice *out)
{
    weir_slice ignored;
    const char *argv[] = {
        weir_arena_printf(t->f->a, "%s/weir", t->bin), "sync", t->ini, verb, flag, NULL};
    return orc_capture(t->f->a, out ? out : &ignored, argv);
}

void synctest_start(synctest *t)
{
    weir_slice out = {NULL, 0};
    if (synctest_run(t, "start", "--detach", &out) != 0) {
        fail_msg("weir sync did not start: %.*s", WEIR_SLICE_ARG(out));
    }
}

void synctest_kill_one(synctest *t, uint64_t *rng)
{
    weir_error err;
    weir_slice text;
    weir_json *j = NULL;
    int64_t pid = 0;
    const char *path = weir_arena_printf(t->f->a, "%s/run.json", t->state);
    if (weir_file_read(path, 1 << 20, t->f->a, &text, &err) == WEIR_OK &&
        weir_json_parse(&j, text, &err) == WEIR_OK) {
        const weir_json *all = weir_json_get(j, "processes");
        size_t n = weir_json_len(all);
        if (n > 0 && weir_json_i64(weir_json_at(all, weir_test_random(rng) % n), "pid", &pid) &&
            pid > 1) {
            (void)kill((pid_t)pid, SIGKILL);
        }
        weir_json_free(j);
    }
}

const char *synctest_traffic(synctest *t)
{
    weir_slice out = {NULL, 0};
    weir_error err;
    weir_json *j = NULL;
    int64_t sum[2] = {0, 0};
    (void)synctest_run(t, "status", "--json", &out);
    assert_rc(WEIR_OK, weir_json_parse(&j, out, &err), &err);
    const weir_json *flows = weir_json_get(j, "flows");
    for (size_t i = 0; i < weir_json_len(flows); i++) {
        int64_t n = 0;
        sum[0] += weir_json_i64(weir_json_at(flows, i), "transactions", &n) ? n : 0;
        sum[1] += weir_json_i64(weir_json_at(flows, i), "dropped", &n) ? n : 0;
    }
    weir_json_free(j);
    return weir_arena_printf(t->f->a, "%lld taken, %lld dropped", (long long)sum[0],
                             (long long)sum[1]);
}

typedef struct equal_wait {
    synctest *t;
    const char *tables;
    weir_arena *a;
} equal_wait;

static const char *content(weir_arena *a, weir_pg *pg, weir_slice table)
{
    return value(a, pg,
                 weir_arena_printf(a,
                                   "SELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, ',' "
                                   "ORDER BY x::text)), '') FROM %.*s x",
                                   WEIR_SLICE_ARG(table)));
}

static bool are_equal(void *arg)
{
    equal_wait *w = arg;
    bool same = true;
    weir_arena_reset(w->a);
    for (const char *p = w->tables; *p && same;) {
        size_t n = strcspn(p, " ");
        weir_slice table = weir_slice_of(p, n);
        same = strcmp(content(w->a, w->t->a, table), content(w->a, w->t->b, table)) == 0;
        p += n + (p[n] == ' ');
    }
    return same;
}

static void show(synctest *t)
{
    weir_slice out = {NULL, 0};
    (void)synctest_run(t, "status", NULL, &out);
    print_error("%.*s\n", WEIR_SLICE_ARG(out));
    const char *argv[] = {"tail", "-n", "12", weir_arena_printf(t->f->a, "%s/sync.log", t->state),
                          NULL};
    (void)orc_run(true, argv);
}

void synctest_equal(synctest *t, const char *tables)
{
    equal_wait w = {t, tables, weir_arena_new(0)};
    bool same = weir_wait_until(are_equal, &w, EQUAL_MS, "equal tables");
    if (!same) {
        for (const char *p = tables; *p;) {
            size_t n = strcspn(p, " ");
            weir_slice table = weir_slice_of(p, n);
            print_error("%.*s: %s | %s\n", WEIR_SLICE_ARG(table), content(w.a, t->a, table),
                        content(w.a, t->b, table));
            p += n + (p[n] == ' ');
        }
        show(t);
    }
    weir_arena_free(w.a);
    assert_true(same);
}

static void await(synctest *t, bool (*cond)(void *arg), void *arg, int64_t ms, const char *what)
{
    bool ok = weir_wait_until(cond, arg, ms, what);
    if (!ok) {
        show(t);
    }
    assert_true(ok);
}

typedef struct sql_wait {
    weir_pg *pg;
    const char *sql;
} sql_wait;

static bool says_one(void *arg)
{
    sql_wait *w = arg;
    weir_arena *a = weir_arena_new(0);
    bool one = strcmp(value(a, w->pg, w->sql), "1") == 0;
    weir_arena_free(a);
    return one;
}

void synctest_until(synctest *t, weir_pg *pg, const char *sql, const char *what)
{
    sql_wait w = {pg, sql};
    await(t, says_one, &w, EQUAL_MS, what);
}

typedef struct words_wait {
    synctest *t;
    const char *words;
} words_wait;

static bool says(void *arg)
{
    words_wait *w = arg;
    weir_slice out = {NULL, 0};
    (void)synctest_run(w->t, "status", NULL, &out);
    return strstr(weir_arena_dupz(synctest_fx.a, out), w->words) != NULL;
}

void synctest_said(synctest *t, const char *words)
{
    words_wait w = {t, words};
    await(t, says, &w, SAID_MS, words);
}
