/* writetest.c - what the tests of the write-service share. */
#include "tests/support/writetest.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/io/curl.h"

fixture wt_fx;
wt_service wt_main;
static const char *bin, *commands;

int wt_number(const char *text)
{
    int64_t v = 0;
    return weir_slice_i64(weir_slice_of(text, strspn(text, "0123456789")), &v) ? (int)v : 0;
}

wt_answer wt_ask(const wt_service *s, const char *method, const char *path,
                 const char *const *headers, const char *body)
{
    wt_answer out = {0};
    char url[512];
    (void)snprintf(url, sizeof url, "%s%s", s->url, path);
    weir_arena *a = weir_arena_new(0);
    weir_curl_response r = {0};
    weir_error err = {0};
    if (weir_curl(method, url, headers, weir_slice_z(body), 30000, a, &r, &err) == WEIR_OK) {
        out.status = r.status;
        (void)snprintf(out.body, sizeof out.body, WEIR_SLICE_FMT, WEIR_SLICE_ARG(r.body));
        weir_slice h = weir_curl_header(&r, "Weir-Position");
        (void)snprintf(out.position, sizeof out.position, WEIR_SLICE_FMT, WEIR_SLICE_ARG(h));
        h = weir_curl_header(&r, "Allow");
        (void)snprintf(out.allow, sizeof out.allow, WEIR_SLICE_FMT, WEIR_SLICE_ARG(h));
        h = weir_curl_header(&r, "Location");
        (void)snprintf(out.location, sizeof out.location, WEIR_SLICE_FMT, WEIR_SLICE_ARG(h));
        out.replayed = weir_slice_eqz(weir_curl_header(&r, "Idempotency-Replayed"), "true");
    }
    weir_arena_free(a);
    return out;
}

wt_answer wt_post(const wt_service *s, const char *name, const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char path[256];
    (void)snprintf(path, sizeof path, "/commands/%s", name);
    return wt_ask(s, "POST", path, headers, body);
}

wt_answer wt_get(const wt_service *s, const char *path)
{
    return wt_ask(s, "GET", path, NULL, NULL);
}

void wt_assert_status(int want, const wt_answer *got)
{
    if (got->status != want) {
        fail_msg("status %d, not %d: %s", got->status, want, got->body);
    }
}

/* A value of /metrics; -1 when absent. */
int64_t wt_metric(const wt_service *s, const char *series)
{
    char url[80];
    int64_t v = -1;
    (void)snprintf(url, sizeof url, "%s/metrics", s->url);
    weir_arena *a = weir_arena_new(0);
    weir_curl_response r = {0};
    weir_error err = {0};
    if (weir_curl("GET", url, NULL, (weir_slice){NULL, 0}, 5000, a, &r, &err) == WEIR_OK) {
        char *text = weir_arena_dupz(a, r.body);
        char line[200];
        (void)snprintf(line, sizeof line, "\n%s ", series);
        const char *at = strstr(text, line);
        v = at ? strtoll(at + strlen(line), NULL, 10) : -1;
    }
    weir_arena_free(a);
    return v;
}

static void call_main(void *arg)
{
    wt_caller *c = arg;
    c->got = wt_post(c->s, c->name, c->body);
}

void wt_start_call(wt_caller *c, const wt_service *s, const char *name, const char *body)
{
    weir_error err = {0};
    c->s = s;
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(c->body, sizeof c->body, "%s", body);
    assert_rc(WEIR_OK, weir_thread_start(&c->thread, "caller", call_main, c, &err), &err);
}

void wt_end_call(wt_caller *c)
{
    weir_thread_join(c->thread);
    c->thread = NULL;
}

bool wt_naps(void *n)
{
    return wt_number(fixture_sql_value(
               &wt_fx, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir-write'"
                       " AND wait_event = 'PgSleep'")) >= *(const int *)n;
}

bool wt_waiting(void *n)
{
    return wt_metric(&wt_main, "weir_write_queue_length") >= *(const int *)n;
}

void wt_hold_lanes(wt_caller naps[2])
{
    for (int i = 0; i < 2; i++) { /* two groups of one, not one of two */
        int n = i + 1;
        wt_start_call(&naps[i], &wt_main, "nap", "{\"seconds\": 0.8}");
        fixture_wait(&wt_fx, wt_naps, &n, 5000, "a lane to sleep");
    }
}

bool wt_is_ready(void *service)
{
    wt_answer a = wt_get(service, "/readyz");
    return a.status == 200;
}

bool wt_is_up(void *service)
{
    wt_answer a = wt_get(service, "/healthz");
    return a.status == 200;
}

static void start(wt_service *s, const char *scheme, const char *name, const char *uri,
                  const char *more)
{
    char path[256], text[1024], program[512];
    weir_error err = {0};
    s->port = fixture_free_port();
    (void)snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%d", scheme, s->port);
    (void)snprintf(path, sizeof path, "%s/%s.ini", wt_fx.dir, name);
    s->nng_port = fixture_free_port();
    (void)snprintf(s->nng, sizeof s->nng, "%stcp://127.0.0.1:%d",
                   strcmp(scheme, "https") == 0 ? "tls+" : "", s->nng_port);
    (void)snprintf(text, sizeof text,
                   "[app]\nname=shop\n[postgres]\nuri=%s\n[write]\nport=%d\nnng=%s\n%s", uri,
                   s->port, s->nng, more);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z(text), 0600, &err), &err);
    (void)snprintf(program, sizeof program, "%s/weir-write", bin);
    const char *argv[] = {program, "--config", path, NULL};
    s->proc = fixture_spawn(&wt_fx, name, argv, NULL);
    assert_non_null(s->proc);
    fixture_wait(&wt_fx, wt_is_up, s, 5000, "weir-write to listen");
}

void wt_start(wt_service *s, const char *name, const char *uri, const char *more)
{
    start(s, "http", name, uri, more);
}

void wt_start_tls(wt_service *s, const char *name, const char *uri, const char *more)
{
    start(s, "https", name, uri, more);
}

const char *wt_fixture_sql(void)
{
    weir_slice sql;
    weir_error err = {0};
    assert_rc(WEIR_OK, weir_file_read(commands, 1 << 20, wt_fx.a, &sql, &err), &err);
    static const char *const more[] = {
        "control_0003", "control_0004", "control_0005", "control_0006", "collision",
        "keys",         "options",      "async",        "batch",        "roles"};
    const char *text = sql.p;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        const char *path =
            weir_arena_printf(wt_fx.a, "%.*s../../migrations/control/%s.sql",
                              (int)(strrchr(commands, '/') + 1 - commands), commands, more[i]);
        assert_rc(WEIR_OK, weir_file_read(path, 1 << 20, wt_fx.a, &sql, &err), &err);
        text = weir_arena_printf(wt_fx.a, "%s\n%s", text, sql.p);
    }
    return weir_arena_printf(wt_fx.a,
                             "%s\nUPDATE weir.command_catalog SET serialize_by = 'slot' WHERE "
                             "name = 'only_one';",
                             text);
}

int wt_up(const char *bin_dir, const char *sql_file)
{
    bin = bin_dir;
    commands = sql_file;
    if (fixture_open(&wt_fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (wt_fx.missing[0]) {
        return 0;
    }
    fixture_sql(&wt_fx, wt_fixture_sql());
    wt_start(&wt_main, "write", wt_fx.pg.uri, "statement_timeout_ms=1500\nbody_max_bytes=65536\n");
    fixture_wait(&wt_fx, wt_is_ready, &wt_main, 5000, "weir-write to be ready");
    return 0;
}

int wt_down(void **state)
{
    (void)state;
    fixture_close(&wt_fx);
    return 0;
}

void wt_ends_well(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    assert_int_equal(fixture_stop(wt_main.proc, 10000), 0);
}

void wt_kill_backends(const char *condition, double share, int64_t ms)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql,
                   "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                   "%s AND random() < %g",
                   condition, share);
    for (int64_t until = weir_mono_ms() + ms; weir_mono_ms() < until;) {
        fixture_sql(&wt_fx, sql);
        fixture_sql(&wt_fx, "SELECT pg_sleep(0.05)");
    }
}
