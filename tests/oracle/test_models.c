/* test_models.c - random read models over random schemas, deployed together; random transactions;
 * after each batch every document must equal PostgreSQL's.
 *
 * Environment: WEIR_MODELS_COUNT models per application (45), WEIR_MODELS_SEED,
 * WEIR_MODELS_TX transactions per application (160), WEIR_MODELS_KEEP=1 keeps a failing one,
 * WEIR_MODELS_APPS names (random, org, zoo). What differs is saved as models-<app>-<seed>.sql.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/lsn.h"
#include "tests/support/compare.h"
#include "tests/support/gen.h"
#include "tests/support/genschema.h"
#include "tests/support/modelset.h"

enum { MAX_BATCH = 10, REACH_MS = 60000, ROWS = 40 };

struct run {
    const char *name;
    uint64_t seed;
    weir_arena *a;
    orc_app app;
    orc_gen *gen;
    modelset set;
    ms_work work;
    int diffs;
    int64_t start_ms;
};

static bool write_text(const struct run *r, const char *path, const char *text)
{
    weir_error err = {0};
    const char *full = weir_arena_printf(r->a, "%s/%s", r->app.dir, path);
    if (weir_file_write(full, weir_slice_z(text), 0644, &err) != WEIR_OK) {
        fprintf(stderr, "%s: %s\n", full, err.msg);
        return false;
    }
    return true;
}

static bool deploy(struct run *r)
{
    const char *weir = weir_arena_printf(r->a, "%s/weir", r->app.bin);
    weir_slice out;
    const char *const argv[] = {weir, "deploy", r->app.dir, NULL};
    if (orc_capture(r->a, &out, argv) != 0) {
        fprintf(stderr, "weir deploy failed:\n" WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(out));
        return false;
    }
    return true;
}

/* New models under the names of the old ones, all deployed together. */
static bool make_models(struct run *r, int count)
{
    const char *folder = weir_arena_printf(r->a, "%s/read-models", r->app.dir);
    if (orc_run(true, (const char *const[]){"rm", "-rf", folder, NULL}) != 0 ||
        orc_run(true, (const char *const[]){"mkdir", folder, NULL}) != 0 ||
        !ms_make(&r->set, r->seed + r->work.tx, count)) {
        return false;
    }
    for (int i = 0; i < r->set.n; i++) {
        const ms_model *m = &r->set.m[i];
        if (!write_text(r, weir_arena_printf(r->a, "read-models/%s.sql", m->name), m->file)) {
            return false;
        }
    }
    return deploy(r);
}

/* The tool that users have must come to the same result. */
static bool verified(struct run *r)
{
    const char *weir = weir_arena_printf(r->a, "%s/weir", r->app.bin);
    weir_slice out;
    int rc = orc_capture(r->a, &out, (const char *const[]){weir, "verify", r->app.dir, NULL});
    if (rc != 0) {
        fprintf(stderr, "weir verify says:\n" WEIR_SLICE_FMT "\n", WEIR_SLICE_ARG(out));
    }
    return rc == 0;
}

static bool reached(struct run *r)
{
    weir_error err = {0};
    weir_pg_rows *rows = NULL;
    uint64_t lsn = 0;
    bool ok = weir_pg_query(r->app.pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &rows, &err) ==
                  WEIR_OK &&
              weir_lsn_parse(weir_pg_value(rows, 0, 0), &lsn);
    weir_pg_rows_free(rows);
    return ok && orc_app_reached(&r->app, lsn, REACH_MS);
}

/* Differences of all models; -1: could not compare. */
static int compare(struct run *r)
{
    if (!reached(r)) {
        return -1;
    }
    int sum = 0;
    for (int i = 0; i < r->set.n; i++) {
        ms_model *m = &r->set.m[i];
        int d = orc_compare_plan(&r->app, m->plan, &m->documents, sum > 20);
        if (d != 0) {
            fprintf(stderr, "^ %s, seed %llu:\n%s\n", d < 0 ? "not compared" : "different",
                    (unsigned long long)r->seed, m->file);
            if (sum == 0) {
                ms_save(&r->set, &r->work, "models", r->seed, m);
            }
            sum += d < 0 ? 1 : d;
        }
    }
    return sum;
}

static int batch(struct run *r)
{
    weir_arena *a = weir_arena_new(0);
    ms_fill(&r->set, &r->work, r->gen, (int)orc_gen_random(r->gen, 10));
    for (uint64_t n = 1 + orc_gen_random(r->gen, MAX_BATCH); n > 0; n--) {
        orc_tx tx;
        orc_gen_next(r->gen, a, &tx);
        ms_execute(&r->set, &r->work, &tx);
    }
    weir_arena_free(a);
    return compare(r);
}

/* --- one application */

/* The SELECTs read few rows, but have many joins over tables without statistics. */
static const char settings[] = "SET statement_timeout = '30s'; SET jit = off; "
                               "SET join_collapse_limit = 4; SET from_collapse_limit = 4";

/* src NULL: a random schema. */
static bool begin(struct run *r, const char *name, const char *src, uint64_t seed)
{
    weir_error err = {0};
    *r = (struct run){
        .name = name, .seed = seed, .a = weir_arena_new(0), .start_ms = weir_mono_ms()};
    weir_buf_init(&r->work.history, (size_t)1 << 30);
    if (!orc_app_make(&r->app, WEIR_BIN_DIR, src)) {
        return false;
    }
    const char *models = weir_arena_printf(r->a, "%s/read-models", r->app.dir);
    const char *schema = weir_arena_printf(r->a, "%s/schema", r->app.dir);
    const char *text = gs_schema(seed, r->a);
    weir_slice used = weir_slice_z(text);
    bool ok = orc_run(true, (const char *const[]){"rm", "-rf", models, NULL}) == 0;
    if (!src) {
        ok = ok && orc_run(true, (const char *const[]){"mkdir", schema, NULL}) == 0 &&
             write_text(r, "weir.ini", "[app]\nname = models\n") &&
             write_text(r, "schema/0001_init.sql", text);
    } else {
        const char *path = weir_arena_printf(r->a, "%s/0001_init.sql", schema);
        ok = ok && weir_file_read(path, 1 << 20, r->a, &used, &err) == WEIR_OK;
    }
    weir_buf_puts(&r->work.history, used);
    const char *weir = weir_arena_printf(r->a, "%s/weir", r->app.bin);
    const char *const up[] = {weir, "up", r->app.dir, "--detach", NULL};
    if (!ok || orc_run(false, up) != 0 || !orc_app_attach(&r->app) ||
        orc_gen_new(&r->gen, r->app.pg, seed, r->a, &err) != WEIR_OK ||
        weir_pg_script(r->app.pg, settings, &err) != WEIR_OK) {
        fprintf(stderr, "the application does not start: %s\n%s\n", err.msg, text);
        return false;
    }
    ms_init(&r->set, name, r->app.pg, r->a);
    return true;
}

static void end(struct run *r, bool bad)
{
    orc_app_down(&r->app, bad && ms_env_int("WEIR_MODELS_KEEP", 0) == 1);
    weir_buf_fini(&r->work.history);
    weir_arena_free(r->a);
}

static void report(const struct run *r)
{
    ms_report(&r->set);
    printf("models %-8s seed %llu: %llu transactions, %llu statements (%llu refused by "
           "PostgreSQL), %d differences, %lld ms\n",
           r->name, (unsigned long long)r->seed, (unsigned long long)r->work.tx,
           (unsigned long long)r->work.statements, (unsigned long long)r->work.failed, r->diffs,
           (long long)(weir_mono_ms() - r->start_ms));
    fflush(stdout);
}

static void say(const struct run *r, const char *what)
{
    if (getenv("WEIR_MODELS_VERBOSE")) {
        printf("models %-8s %8lld ms %s\n", r->name, (long long)(weir_mono_ms() - r->start_ms),
               what);
        fflush(stdout);
    }
}

/* Two generations of models; the first before the rows or after them. */
static void run_app(const char *name, const char *src)
{
    struct run r;
    uint64_t seed = ms_seed("WEIR_MODELS_SEED");
    int64_t tx = ms_env_int("WEIR_MODELS_TX", 160);
    int count = (int)ms_env_int("WEIR_MODELS_COUNT", 45);
    printf("models %-8s seed %llu\n", name, (unsigned long long)seed);
    fflush(stdout);
    bool ok = begin(&r, name, src, seed);
    say(&r, "up");
    if (ok && seed % 2) {
        ms_fill(&r.set, &r.work, r.gen, ROWS);
    }
    for (int64_t part = 1; ok && part <= 2 && r.diffs == 0; part++) {
        ok = make_models(&r, count);
        if (ok && part == 1 && seed % 2 == 0) {
            ms_fill(&r.set, &r.work, r.gen, ROWS);
        }
        say(&r, "models deployed");
        r.diffs = ok ? compare(&r) : 0;
        say(&r, "compared");
        while (ok && r.diffs == 0 && (int64_t)r.work.tx < tx * part / 2) {
            r.diffs = batch(&r);
            say(&r, "batch");
        }
        ok = ok && (r.diffs != 0 || verified(&r));
        ms_count(&r.set);
    }
    report(&r);
    bool good = ok && r.diffs == 0 && r.set.broken == 0 && r.set.documents > 0;
    end(&r, !good);
    assert_true(good);
}

static void app_test(const char *name, const char *src)
{
    const char *only = getenv("WEIR_MODELS_APPS");
    if (only && !strstr(only, name)) {
        skip();
    }
    run_app(name, src);
}

static void test_random(void **state)
{
    (void)state;
    app_test("random", NULL);
}

static void test_org(void **state)
{
    (void)state;
    app_test("org", WEIR_SOURCE_DIR "/tests/oracle/apps/org");
}

static void test_zoo(void **state)
{
    (void)state;
    app_test("zoo", WEIR_SOURCE_DIR "/tests/oracle/apps/zoo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_org),
        cmocka_unit_test(test_zoo),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
