/* test_oracle.c - random transactions through the whole pipeline; after each batch Redis must equal
 * PostgreSQL, byte for byte.
 *
 * Environment: WEIR_ORACLE_TX transactions in all (2,400), WEIR_ORACLE_HOURS instead,
 * WEIR_ORACLE_SEED, WEIR_ORACLE_APPS names, WEIR_ORACLE_KEEP=1 keeps a failing application. A
 * failing case is saved as SQL for psql (oracle-<app>-<seed>.sql).
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

enum { MAX_BATCH = 40, REACH_MS = 60000 };

struct run {
    const char *name;
    uint64_t seed;
    orc_app app;
    orc_gen *gen;
    weir_arena *gen_mem;
    weir_buf history; /* everything executed, replayable in psql */
    uint64_t tx, documents, statements, failed;
    int diffs;
};

static int64_t env_int(const char *name, int64_t otherwise)
{
    const char *v = getenv(name);
    int64_t n;
    return v && weir_slice_i64(weir_slice_z(v), &n) ? n : otherwise;
}

static uint64_t seed_of_run(void)
{
    int64_t s = env_int("WEIR_ORACLE_SEED", 0);
    return s ? (uint64_t)s : (uint64_t)weir_wall_us() % 1000000007u;
}

static bool sql(struct run *r, const char *stmt)
{
    weir_error err = {0};
    weir_buf_printf(&r->history, "%s;\n", stmt);
    return weir_pg_script(r->app.pg, stmt, &err) == WEIR_OK;
}

static void execute(struct run *r, const orc_tx *tx)
{
    bool alive = true;
    sql(r, "BEGIN");
    for (int i = 0; i < tx->n && alive; i++) {
        r->statements++;
        if (tx->guard) {
            sql(r, "SAVEPOINT guard");
        }
        if (!sql(r, tx->stmt[i])) {
            r->failed++;
            alive = tx->guard && sql(r, "ROLLBACK TO SAVEPOINT guard");
        }
    }
    if (!alive || tx->rollback || !sql(r, "COMMIT")) {
        sql(r, "ROLLBACK");
    }
    r->tx++;
}

static bool flush_lsn(struct run *r, uint64_t *lsn)
{
    weir_error err = {0};
    weir_pg_rows *rows = NULL;
    bool ok = weir_pg_query(r->app.pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &rows, &err) ==
                  WEIR_OK &&
              weir_lsn_parse(weir_pg_value(rows, 0, 0), lsn);
    weir_pg_rows_free(rows);
    return ok;
}

/* The differences after one batch of random size, at its position. -1: could not compare. */
static int batch(struct run *r, bool quiet)
{
    weir_arena *a = weir_arena_new(0);
    uint64_t lsn = 0;
    for (uint64_t n = 1 + orc_gen_random(r->gen, MAX_BATCH); n > 0; n--) {
        orc_tx tx;
        orc_gen_next(r->gen, a, &tx);
        execute(r, &tx);
    }
    weir_arena_free(a);
    if (!flush_lsn(r, &lsn) || !orc_app_reached(&r->app, lsn, REACH_MS)) {
        return -1;
    }
    return orc_compare(&r->app, &r->documents, quiet);
}

static void save(struct run *r)
{
    weir_error err = {0};
    char path[200], cwd[120] = ".";
    (void)!getcwd(cwd, sizeof cwd);
    (void)snprintf(path, sizeof path, "%s/oracle-%s-%llu.sql", cwd, r->name,
                   (unsigned long long)r->seed);
    if (weir_file_write(path, weir_buf_slice(&r->history), 0644, &err) == WEIR_OK) {
        fprintf(stderr, "saved the transactions as %s (psql -v ON_ERROR_ROLLBACK=on -f …)\n", path);
    }
}

static bool begin(struct run *r, const char *bin, const char *name, const char *src, uint64_t seed)
{
    weir_error err = {0};
    weir_arena *a = weir_arena_new(0);
    *r = (struct run){.name = name, .seed = seed, .gen_mem = a};
    weir_buf_init(&r->history, (size_t)1 << 30);
    if (!orc_app_up(&r->app, bin, src)) {
        return false;
    }
    if (orc_gen_new(&r->gen, r->app.pg, seed, a, &err) != WEIR_OK) {
        fprintf(stderr, "generator: %s\n", err.msg);
        return false;
    }
    for (int t = 0; t < orc_gen_tables(r->gen); t++) {
        for (int i = 0; i < 40; i++) {
            sql(r, orc_gen_fill(r->gen, a, t));
        }
    }
    return true;
}

static void end(struct run *r, bool bad)
{
    orc_app_down(&r->app, bad && env_int("WEIR_ORACLE_KEEP", 0) == 1);
    weir_buf_fini(&r->history);
    weir_arena_free(r->gen_mem);
}

static void run_app(const char *name, const char *src, int64_t tx, int64_t until_ms)
{
    struct run r;
    uint64_t seed = seed_of_run();
    printf("oracle %-8s seed %llu\n", name, (unsigned long long)seed);
    fflush(stdout);
    bool ok = begin(&r, WEIR_BIN_DIR, name, src, seed);
    while (ok && r.diffs == 0 && (until_ms ? weir_mono_ms() < until_ms : (int64_t)r.tx < tx)) {
        r.diffs = batch(&r, false);
    }
    printf("oracle %-8s %llu transactions, %llu statements (%llu refused by PostgreSQL), %llu "
           "documents compared, %d differences\n",
           name, (unsigned long long)r.tx, (unsigned long long)r.statements,
           (unsigned long long)r.failed, (unsigned long long)r.documents, r.diffs);
    bool good = ok && r.diffs == 0 && r.documents > 0;
    if (!good) {
        save(&r);
    }
    end(&r, !good);
    assert_true(good);
}

static void app_test(const char *name, const char *src)
{
    const char *only = getenv("WEIR_ORACLE_APPS");
    if (only && !strstr(only, name)) {
        skip();
    }
    int64_t hours = env_int("WEIR_ORACLE_HOURS", 0);
    int64_t tx = env_int("WEIR_ORACLE_TX", 2400) / 3;
    run_app(name, src, tx, hours ? weir_mono_ms() + hours * 3600 * 1000 / 3 : 0);
}

static void test_shop(void **state)
{
    (void)state;
    app_test("shop", WEIR_SOURCE_DIR "/examples/shop");
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

/* The test of the test: a projector that walks from new images only must be caught. */
static void test_broken_walk_is_found(void **state)
{
    (void)state;
    struct run r;
    bool ok = begin(&r, WEIR_BIN_DIR "/../broken-walk", "broken",
                    WEIR_SOURCE_DIR "/tests/oracle/apps/org", 4711);
    while (ok && r.diffs == 0 && r.tx < 1500) {
        r.diffs = batch(&r, true);
    }
    printf("oracle broken walk: %d differences after %llu transactions\n", r.diffs,
           (unsigned long long)r.tx);
    end(&r, false);
    assert_true(ok);
    assert_true(r.diffs > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shop),
        cmocka_unit_test(test_org),
        cmocka_unit_test(test_zoo),
        cmocka_unit_test(test_broken_walk_is_found),
    };
    return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
