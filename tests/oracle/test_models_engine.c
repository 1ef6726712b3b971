/* test_models_engine.c - the same random models as test_models.c, many more of them: the compiler
 * and the engine alone, fed with what changed in PostgreSQL's tables, no services.
 *
 * Environment: WEIR_MODELS_SEED first seed, WEIR_MODELS_SEEDS databases (6), WEIR_MODELS_COUNT
 * models in each (50), WEIR_MODELS_TX transactions in each (120).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "tests/support/genschema.h"
#include "tests/support/mirror.h"
#include "tests/support/modelset.h"
#include "tests/support/pgserver.h"

enum { MAX_BATCH = 6, ROWS = 50 };

struct run {
    uint64_t seed;
    weir_arena *a;
    weir_pg *pg;
    orc_gen *gen;
    modelset set;
    ms_work work;
    mirror *mirror;
    int diffs;
};

static pgserver server;

static bool open_database(struct run *r)
{
    weir_error err = {0};
    weir_pg *admin = NULL;
    const char *name = weir_arena_printf(r->a, "m%llu", (unsigned long long)r->seed);
    const char *make = weir_arena_printf(r->a,
                                         "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' "
                                         "LC_COLLATE 'C' LC_CTYPE 'C'",
                                         name);
    weir_pg_conf conf = {.uri = server.uri, .application_name = "models"};
    weir_rc rc = weir_pg_open(&admin, &conf, &err);
    rc = rc == WEIR_OK ? weir_pg_query(admin, make, 0, NULL, NULL, &err) : rc;
    weir_pg_close(admin);
    conf.uri = weir_arena_printf(r->a, "postgresql://postgres@/%s?host=%s/sock", name, server.dir);
    rc = rc == WEIR_OK ? weir_pg_open(&r->pg, &conf, &err) : rc;
    rc = rc == WEIR_OK ? weir_pg_script(r->pg,
                                        "SET statement_timeout = '30s'; SET jit = off; SET "
                                        "join_collapse_limit = 4; SET from_collapse_limit = 4; SET "
                                        "client_min_messages = error",
                                        &err)
                       : rc;
    if (rc != WEIR_OK) {
        fprintf(stderr, "database: %s\n", err.msg);
    }
    return rc == WEIR_OK;
}

/* One seed in three takes an application with tables made by hand. */
static bool schema(struct run *r)
{
    static const char *const apps[] = {NULL, "org", NULL, "zoo", NULL};
    weir_error err = {0};
    const char *app = apps[r->seed % 5];
    weir_slice text = weir_slice_z(gs_schema(r->seed, r->a));
    weir_rc rc = WEIR_OK;
    if (app) {
        rc = weir_file_read(weir_arena_printf(r->a, "%s/tests/oracle/apps/%s/schema/0001_init.sql",
                                              WEIR_SOURCE_DIR, app),
                            1 << 20, r->a, &text, &err);
    }
    weir_buf_puts(&r->work.history, text);
    rc = rc == WEIR_OK ? weir_pg_script(r->pg, weir_arena_dupz(r->a, text), &err) : rc;
    rc = rc == WEIR_OK ? orc_gen_new(&r->gen, r->pg, r->seed, r->a, &err) : rc;
    if (rc != WEIR_OK) {
        fprintf(stderr, "schema: %s\n" WEIR_SLICE_FMT "\n", err.msg, WEIR_SLICE_ARG(text));
    }
    return rc == WEIR_OK;
}

static void compare(struct run *r)
{
    mirror_step(r->mirror);
    for (int i = 0; i < r->set.n && r->diffs < 5; i++) {
        ms_model *m = &r->set.m[i];
        int d = mirror_compare(r->mirror, i, &m->documents);
        if (d != 0) {
            fprintf(stderr, "^ %s, seed %llu:\n%s\n", d < 0 ? "not compared" : "different",
                    (unsigned long long)r->seed, m->file);
            if (r->diffs == 0) {
                ms_save(&r->set, &r->work, "engine", r->seed, m);
            }
            r->diffs += d < 0 ? 1 : d;
        }
    }
}

static void batch(struct run *r)
{
    weir_arena *a = weir_arena_new(0);
    ms_fill(&r->set, &r->work, r->gen, (int)orc_gen_random(r->gen, 10));
    for (uint64_t n = 1 + orc_gen_random(r->gen, MAX_BATCH); n > 0; n--) {
        orc_tx tx;
        orc_gen_next(r->gen, a, &tx);
        ms_execute(&r->set, &r->work, &tx);
    }
    weir_arena_free(a);
    compare(r);
}

static bool run_seed(uint64_t seed)
{
    struct run r = {.seed = seed, .a = weir_arena_new(0)};
    int64_t tx = ms_env_int("WEIR_MODELS_TX", 120), start = weir_mono_ms();
    weir_buf_init(&r.work.history, (size_t)1 << 30);
    bool ok = open_database(&r);
    ms_init(&r.set, weir_arena_printf(r.a, "%llu", (unsigned long long)seed), r.pg, r.a);
    ok = ok && schema(&r) && ms_make(&r.set, seed, (int)ms_env_int("WEIR_MODELS_COUNT", 50));
    if (ok) {
        r.mirror = mirror_new(r.pg, seed);
        for (int i = 0; i < r.set.n; i++) {
            mirror_add(r.mirror, r.set.m[i].plan);
        }
        ms_fill(&r.set, &r.work, r.gen, ROWS);
        compare(&r);
    }
    while (ok && r.diffs == 0 && (int64_t)r.work.tx < tx) {
        batch(&r);
    }
    ms_count(&r.set);
    ms_report(&r.set);
    printf("models %-8s %llu transactions, %llu statements, %d differences, %lld ms\n", r.set.label,
           (unsigned long long)r.work.tx, (unsigned long long)r.work.statements, r.diffs,
           (long long)(weir_mono_ms() - start));
    fflush(stdout);
    bool good = ok && r.diffs == 0 && r.set.broken == 0;
    if (r.mirror) {
        mirror_free(r.mirror);
    }
    weir_pg_close(r.pg);
    weir_buf_fini(&r.work.history);
    weir_arena_free(r.a);
    return good;
}

static void test_models(void **state)
{
    (void)state;
    if (!pgserver_installed()) {
        skip();
    }
    assert_true(pgserver_start(&server));
    uint64_t seed = ms_seed("WEIR_MODELS_SEED");
    int64_t n = ms_env_int("WEIR_MODELS_SEEDS", 6);
    int bad = 0;
    printf("models from seed %llu\n", (unsigned long long)seed);
    for (int64_t i = 0; i < n; i++) {
        bad += !run_seed(seed + (uint64_t)i);
    }
    pgserver_remove(&server);
    assert_int_equal(0, bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models)};
    return cmocka_run_group_tests_name("models_engine", tests, NULL, NULL);
}
