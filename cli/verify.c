/* verify.c - `weir verify`: every model, the table of what was found, and --repair. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/args.h"
#include "cli/command.h"
#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/json.h"
#include "projector/verify/verify.h"

enum { CONNECT_MS = 5000, READY_MS = 600000, POLL_MS = 50, TELL_MS = 2000, SHOW_BYTES = 160 };

struct totals {
    uint64_t documents, differences;
    int models;
    int unknown; /* of them could not be compared */
    bool json;
};

/* Waits until the model's entry in Redis says ready; tells progress meanwhile. */
static weir_rc wait_ready(weir_verify *v, const char *model, bool quiet, weir_error *err)
{
    int64_t t0 = weir_mono_ms(), told = t0;
    for (;;) {
        const weir_redis_reply *r = NULL;
        weir_json *j = NULL;
        weir_error none;
        int64_t generation = 0;
        double progress = 0;
        weir_slice state = WEIR_SLICE_LIT("not built"), reason = {0};
        weir_slice argv[] = {WEIR_SLICE_LIT("HGET"), weir_dockey_models(v->a, v->ns),
                             weir_slice_z(model)};
        weir_rc rc = weir_redisc_call(v->redis, &r, 3, argv, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (weir_redis_reply_type(r) == WEIR_REDIS_STRING &&
            weir_json_parse(&j, weir_redis_reply_str(r), &none) == WEIR_OK) {
            (void)weir_json_str(j, "state", &state);
            (void)weir_json_str(j, "reason", &reason);
            (void)weir_json_i64(j, "generation", &generation);
            (void)weir_json_double(j, "progress", &progress);
        }
        bool rolled_back = false;
        (void)weir_json_bool(j, "rolled_back", &rolled_back);
        bool ready = weir_slice_eqz(state, "ready");
        bool stalled = weir_slice_eqz(state, "stalled");
        int64_t now = weir_mono_ms();
        if (stalled || now > t0 + READY_MS) {
            rc = weir_fail(err, WEIR_E_STATE, 0, "it is " WEIR_SLICE_FMT ": " WEIR_SLICE_FMT,
                           WEIR_SLICE_ARG(state), WEIR_SLICE_ARG(reason));
        } else if (ready && rolled_back) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "it was rolled back to generation %lld, whose SELECT is not the "
                           "deployed one; deploy the older file, or weir rebuild",
                           (long long)generation);
        } else if (!ready && !quiet && now > told + TELL_MS) {
            (void)fprintf(stderr, "  %s: " WEIR_SLICE_FMT " %.0f%%\n", model, WEIR_SLICE_ARG(state),
                          progress * 100);
            told = now;
        }
        weir_json_free(j);
        v->generation = (uint32_t)generation;
        if (ready || rc != WEIR_OK) {
            return rc;
        }
        (void)poll(NULL, 0, POLL_MS);
    }
}

static void show_side(const char *name, weir_slice doc, size_t from)
{
    if (!doc.p) {
        (void)printf("      %-9s (none)\n", name);
        return;
    }
    size_t start = from > SHOW_BYTES / 4 ? from - SHOW_BYTES / 4 : 0;
    size_t n = doc.n - start > SHOW_BYTES ? SHOW_BYTES : doc.n - start;
    (void)printf("      %-9s %s%.*s%s\n", name, start ? "…" : "", (int)n, doc.p + start,
                 start + n < doc.n ? "…" : "");
}

static void show_differences(const weir_verify *v)
{
    static const char *const kinds[] = {"", "missing in Redis", "different", "left over in Redis"};
    for (int i = 0; i < v->nshown; i++) {
        weir_slice x = v->shown[i].pg, y = v->shown[i].redis;
        size_t at = 0;
        while (at < x.n && at < y.n && x.p[at] == y.p[at]) {
            at++;
        }
        at = x.p && y.p ? at : 0;
        (void)printf("    %s%s%s %s\n", cli_red(), kinds[v->shown[i].kind], cli_plain(),
                     v->shown[i].key);
        show_side("postgres", x, at);
        show_side("redis", y, at);
    }
}

static void report(const weir_verify *v, const char *name, int64_t ms, struct totals *t)
{
    uint64_t diffs = v->missing + v->different + v->left_over;
    if (t->json) {
        (void)printf("%s{\"model\": \"%s\", \"documents\": %llu, \"missing\": %llu, \"different\": "
                     "%llu, \"left_over\": %llu}",
                     t->models ? ", " : "", name, (unsigned long long)v->documents,
                     (unsigned long long)v->missing, (unsigned long long)v->different,
                     (unsigned long long)v->left_over);
    } else {
        (void)printf("  %s%s%s %-24s %10llu documents  %llu differences  %.1f s\n",
                     diffs ? cli_red() : cli_green(), diffs ? "✗" : "✓", cli_plain(), name,
                     (unsigned long long)v->documents, (unsigned long long)diffs,
                     (double)ms / 1000);
        show_differences(v);
    }
    t->models++;
    t->documents += v->documents;
    t->differences += diffs;
}

static void tell_progress(void *arg, uint64_t documents)
{
    (void)printf("\r  %-24s %llu documents read", (const char *)arg, (unsigned long long)documents);
    (void)fflush(stdout);
}

static void clear_line(void)
{
    (void)printf("\r\033[K");
    (void)fflush(stdout);
}

static weir_rc verify_model(weir_verify *v, const char *name, weir_slice source, struct totals *t,
                            weir_error *err)
{
    int64_t t0 = weir_mono_ms();
    v->tell = !t->json && isatty(STDOUT_FILENO) ? tell_progress : NULL;
    v->arg = (void *)name;
    weir_rc rc = weir_verify_begin(v, name, source, err);
    rc = rc == WEIR_OK ? wait_ready(v, name, t->json, err) : rc;
    rc = rc == WEIR_OK ? weir_verify_run(v, err) : rc;
    if (v->tell) {
        clear_line();
    }
    if (rc == WEIR_OK) {
        report(v, name, weir_mono_ms() - t0, t);
    }
    weir_verify_end(v);
    return rc;
}

/* One model that cannot be compared keeps nobody from looking at the others. */
static void report_unknown(const char *name, const weir_error *why, struct totals *t)
{
    weir_buf b;
    weir_buf_init(&b, 4096);
    weir_json_quote(&b, weir_slice_z(why->msg));
    if (t->json) {
        (void)printf("%s{\"model\": \"%s\", \"error\": %.*s}", t->models ? ", " : "", name,
                     WEIR_SLICE_ARG(weir_buf_slice(&b)));
    } else {
        (void)printf("  %s✗%s %-24s cannot be compared: %s\n", cli_red(), cli_plain(), name,
                     why->msg);
    }
    weir_buf_fini(&b);
    t->models++;
    t->unknown++;
}

static weir_rc verify_all(weir_verify *v, const char *only, struct totals *t, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(v->pg,
                               "SELECT name, source FROM weir.read_model WHERE $1::text IS NULL OR "
                               "name = $1 ORDER BY name",
                               1, &only, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = verify_model(v, weir_pg_valuez(r, i, 0), weir_pg_value(r, i, 1), t, err);
        bool answered = rc == WEIR_E_STATE || (rc != WEIR_OK && err->sqlstate[0]);
        if (answered && weir_pg_ok(v->pg)) {
            report_unknown(weir_pg_valuez(r, i, 0), err, t);
            rc = WEIR_OK;
        } else if (rc != WEIR_OK) {
            weir_error_wrap(err, "%s", weir_pg_valuez(r, i, 0));
        }
    }
    if (rc == WEIR_OK && only && weir_pg_nrows(r) == 0) {
        rc = weir_fail(err, WEIR_E_NOTFOUND, 0, "no read model %s is deployed; see weir status",
                       only);
    }
    weir_pg_rows_free(r);
    return rc;
}

/* Takes the position out of Redis: the projector sees at its next write that Redis is not what it
 * left, and writes everything again from its own state, removing what it does not know. A logical
 * message makes that next write happen now. */
static weir_rc repair(weir_verify *v, weir_error *err)
{
    const weir_redis_reply *r = NULL;
    weir_arena *a = weir_arena_new(0);
    weir_slice argv[] = {WEIR_SLICE_LIT("DEL"), weir_dockey_position(a, v->ns)};
    weir_rc rc = weir_redisc_call(v->redis, &r, 2, argv, err);
    rc = rc == WEIR_OK
             ? weir_pg_query(v->pg, "SELECT pg_logical_emit_message(true, 'weir.verify', '')", 0,
                             NULL, NULL, err)
             : rc;
    weir_arena_free(a);
    return rc;
}

static weir_rc connect_both(cli_app *app, weir_verify *v, weir_error *err)
{
    weir_pg_conf conf = {.uri = app->s.postgres_uri,
                         .application_name = "weir verify",
                         .connect_timeout_ms = CONNECT_MS,
                         .wait_max_ms = (int64_t)3600 * 1000,
                         .options = "-c jit=off -c row_security=off"};
    weir_rc rc = cli_app_need_postgres(app, err);
    rc = rc == WEIR_OK ? cli_app_need_redis(app, err) : rc;
    if (rc == WEIR_OK && (rc = weir_pg_open(&v->pg, &conf, err)) != WEIR_OK) {
        weir_error_wrap(err, "postgres.uri");
    }
    if (rc == WEIR_OK &&
        (rc = weir_redisc_open(&v->redis, app->s.redis_uri, READY_MS, err)) != WEIR_OK) {
        weir_error_wrap(err, "redis.uri");
    }
    v->ns = app->s.redis_namespace;
    return rc;
}

static int conclude(const struct totals *t)
{
    if (t->json) {
        (void)printf("], \"differences\": %llu, \"not_compared\": %d}\n",
                     (unsigned long long)t->differences, t->unknown);
    } else if (t->models == 0) {
        (void)printf("  no read model is deployed\n");
    } else {
        bool bad = t->differences > 0 || t->unknown > 0;
        (void)printf("  %s%s%llu documents, %llu differences", cli_bold(),
                     bad ? cli_red() : cli_green(), (unsigned long long)t->documents,
                     (unsigned long long)t->differences);
        if (t->unknown > 0) {
            (void)printf(", %d of %d read models not compared", t->unknown, t->models);
        }
        (void)printf("%s\n", cli_plain());
    }
    return t->differences || t->unknown ? 1 : 0;
}

/* words: [APP] [MODEL]; one word is a model unless it is a directory. */
static void app_and_model(const char **words, int n, const char **dir, const char **model)
{
    *dir = n > 0 ? words[0] : NULL;
    *model = n > 1 ? words[1] : NULL;
    if (n == 1 && access(words[0], F_OK) != 0) {
        *dir = NULL;
        *model = words[0];
    }
}

static int run_verify(cli_app *app, const char *model, bool fix, bool json)
{
    weir_error err = {0};
    weir_verify v = {0};
    struct totals t = {.json = json};
    weir_rc rc = connect_both(app, &v, &err);
    if (rc == WEIR_OK && json) {
        (void)printf("{\"models\": [");
    }
    rc = rc == WEIR_OK ? verify_all(&v, model, &t, &err) : rc;
    if (rc == WEIR_OK && fix && t.differences > 0) {
        if (!json) {
            (void)printf("  repairing: the projector writes every document again\n");
        }
        struct totals again = {.json = json, .models = json ? t.models : 0};
        rc = repair(&v, &err);
        rc = rc == WEIR_OK ? verify_all(&v, model, &again, &err) : rc;
        t = again;
    }
    weir_pg_close(v.pg);
    weir_redisc_close(v.redis);
    return rc == WEIR_OK ? conclude(&t) : cli_fail("verify", &err);
}

int cli_verify_run(int argc, char **argv)
{
    const char *words[2], *dir = NULL, *model = NULL;
    bool fix = false, json = false;
    int n = 0;
    cli_app app;
    weir_error err = {0};
    const cli_flag flags[] = {{"--repair", NULL, &fix}, {"--json", NULL, &json}};
    if (!cli_args("verify", argc, argv, flags, 2, words, 2, &n)) {
        return 2;
    }
    app_and_model(words, n, &dir, &model);
    if (cli_app_open(&app, dir, &err) != WEIR_OK) {
        return cli_fail("verify", &err);
    }
    int rc = run_verify(&app, model, fix, json);
    cli_app_close(&app);
    return rc;
}
