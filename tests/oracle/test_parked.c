/* test_parked.c - documents that cannot be computed: after each transaction every document is what
 * PostgreSQL computes for its key alone, or, where PostgreSQL fails, what it was before; the
 * status counts those that failed.
 *
 * Environment: WEIR_MODELS_SEED, WEIR_MODELS_TX transactions (80).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "libweir/base/clock.h"
#include "libweir/codec/json.h"
#include "libweir/codec/lsn.h"
#include "projector/sql/compile.h"
#include "tests/support/compare.h"
#include "tests/support/modelset.h"

enum { MODELS = 16, ROWS = 12, REACH_MS = 60000 };

struct model {
    const char *name;
    weir_plan *plan;
    weir_map *docs; /* key -> weir_slice*: the last that could be computed, malloc'd */
    int64_t parked;
};

struct run {
    weir_arena *a;
    orc_app app;
    orc_gen *gen;
    modelset set; /* only to execute */
    ms_work work;
    int n;
    struct model m[MODELS];
    uint64_t documents, parked;
};

/* The row's document as text, {} when there is none, NULL when computing it fails. */
static const char setup[] =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off;"
    "CREATE FUNCTION pg_temp.document(q text) RETURNS text LANGUAGE plpgsql AS $$ "
    "DECLARE d text; BEGIN EXECUTE q INTO d; RETURN coalesce(d, ''); "
    "EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$";

static void learn_models(struct run *r)
{
    weir_error err = {0};
    weir_pg_rows *rows = NULL;
    weir_catalog cat;
    weir_diags ds;
    weir_diags_init(&ds, r->a);
    weir_catalog_pg_init(&cat, r->app.pg, NULL, r->a);
    assert_int_equal(WEIR_OK,
                     weir_pg_query(r->app.pg, "SELECT name, source FROM weir.read_model ORDER BY 1",
                                   0, NULL, &rows, &err));
    for (int i = 0; i < weir_pg_nrows(rows) && i < MODELS; i++) {
        struct model *m = &r->m[r->n++];
        weir_model_src src;
        m->name = weir_arena_strdup(r->a, weir_pg_valuez(rows, i, 0));
        m->docs = weir_map_new();
        weir_slice text = weir_arena_dup(r->a, weir_pg_value(rows, i, 1));
        assert_int_equal(WEIR_OK, weir_model_parse(text, m->name, r->a, &src, &ds));
        assert_int_equal(WEIR_OK, weir_plan_compile(&src, &cat, r->a, &m->plan, &ds, &err));
    }
    weir_pg_rows_free(rows);
}

static void keep(struct model *m, weir_slice key, weir_slice doc)
{
    weir_slice *s = malloc(sizeof *s + doc.n + 1);
    assert_non_null(s);
    memcpy(s + 1, doc.p, doc.n);
    *s = weir_slice_of((const char *)(s + 1), doc.n);
    void **slot = weir_map_slot(m->docs, key, NULL);
    free(*slot);
    *slot = s;
}

/* What is no row of the driver any more has no document. */
static void forget_gone(struct model *m, const weir_map *seen)
{
    weir_map *left = weir_map_new();
    for (weir_map_iter it = {0}; weir_map_next(m->docs, &it);) {
        if (weir_map_get(seen, it.key)) {
            *weir_map_slot(left, it.key, NULL) = it.value;
        } else {
            free(it.value);
        }
    }
    weir_map_free(m->docs);
    m->docs = left;
}

static void compute(struct run *r, struct model *m, weir_arena *a)
{
    weir_error err = {0};
    weir_pg_rows *rows = NULL;
    const char *q = weir_arena_printf(
        a, "SELECT to_jsonb(q.*)::text FROM (" WEIR_SLICE_FMT "\n) q WHERE q.id = ",
        WEIR_SLICE_ARG(m->plan->oracle_sql));
    const char *sql = weir_arena_printf(
        a,
        "SELECT k, pg_temp.document(%s || k) FROM (SELECT id FROM item UNION SELECT id FROM child "
        "UNION SELECT item_id FROM child) t(k) WHERE k IS NOT NULL",
        weir_pg_literal(a, weir_slice_z(q)));
    weir_map *seen = weir_map_new();
    if (weir_pg_query(r->app.pg, sql, 0, NULL, &rows, &err) != WEIR_OK) {
        fail_msg("%s: %s", m->name, err.msg);
    }
    m->parked = 0;
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        weir_slice key = weir_pg_value(rows, i, 0);
        *weir_map_slot(seen, key, NULL) = m;
        if (weir_pg_isnull(rows, i, 1)) {
            m->parked++;
        } else if (weir_pg_value(rows, i, 1).n) {
            keep(m, key, weir_pg_value(rows, i, 1));
        } else {
            free(weir_map_del(m->docs, key));
        }
    }
    forget_gone(m, seen);
    weir_map_free(seen);
    weir_pg_rows_free(rows);
    r->parked += (uint64_t)m->parked;
}

static int compare(struct run *r, struct model *m)
{
    weir_map *copy = weir_map_new();
    for (weir_map_iter it = {0}; weir_map_next(m->docs, &it);) {
        *weir_map_slot(copy, it.key, NULL) = it.value;
    }
    int diffs = orc_compare_docs(&r->app, m->plan, copy, &r->documents);
    weir_map_free(copy);
    return diffs;
}

static int64_t parked_in(const weir_json *status, const char *model)
{
    const weir_json *list = weir_json_get(status, "models");
    for (size_t i = 0; i < weir_json_len(list); i++) {
        const weir_json *m = weir_json_at(list, i);
        weir_slice name = {0};
        int64_t n = -1;
        if (weir_json_str(m, "name", &name) && weir_slice_eqz(name, model) &&
            weir_json_i64(m, "parked", &n)) {
            return n;
        }
    }
    return -1;
}

static int compare_counts(struct run *r)
{
    weir_error err = {0};
    weir_slice out;
    weir_json *j = NULL;
    int diffs = 0;
    const char *weir = weir_arena_printf(r->a, "%s/weir", r->app.bin);
    (void)orc_capture(r->a, &out,
                      (const char *const[]){weir, "status", r->app.dir, "--json", NULL});
    assert_int_equal(WEIR_OK, weir_json_parse(&j, out, &err));
    for (int i = 0; i < r->n; i++) {
        int64_t n = parked_in(weir_json_get(j, "projector"), r->m[i].name);
        if (n != r->m[i].parked) {
            fprintf(stderr, "%s: %lld documents fail in PostgreSQL, the status says %lld\n",
                    r->m[i].name, (long long)r->m[i].parked, (long long)n);
            diffs++;
        }
    }
    weir_json_free(j);
    return diffs;
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

/* One transaction, for each may leave the last good document of a key. */
static int run_one(struct run *r, const orc_tx *tx, weir_arena *a)
{
    int diffs = 0;
    ms_execute(&r->set, &r->work, tx);
    assert_true(reached(r));
    for (int i = 0; i < r->n; i++) {
        compute(r, &r->m[i], a);
        diffs += compare(r, &r->m[i]) != 0;
    }
    return diffs;
}

static int step(struct run *r)
{
    weir_arena *a = weir_arena_new(0);
    orc_tx tx;
    orc_gen_next(r->gen, a, &tx);
    int diffs = run_one(r, &tx, a);
    weir_arena_free(a);
    return diffs;
}

static int refill(struct run *r)
{
    weir_arena *a = weir_arena_new(0);
    orc_tx tx = {.guard = true};
    for (int i = 0; i < ROWS; i++) {
        for (int t = 0; t < orc_gen_tables(r->gen); t++) {
            tx.stmt[tx.n++] = orc_gen_fill(r->gen, a, t);
        }
    }
    int diffs = run_one(r, &tx, a);
    weir_arena_free(a);
    return diffs;
}

static void test_parked(void **state)
{
    (void)state;
    struct run r = {.a = weir_arena_new(0)};
    weir_error err = {0};
    uint64_t seed = ms_seed("WEIR_MODELS_SEED");
    int64_t tx = ms_env_int("WEIR_MODELS_TX", 80);
    int diffs = 0;
    printf("parked seed %llu\n", (unsigned long long)seed);
    weir_buf_init(&r.work.history, (size_t)1 << 30);
    assert_true(orc_app_up(&r.app, WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/oracle/apps/parked"));
    assert_int_equal(WEIR_OK, orc_gen_new(&r.gen, r.app.pg, seed, r.a, &err));
    assert_int_equal(WEIR_OK, weir_pg_script(r.app.pg, setup, &err));
    ms_init(&r.set, "parked", r.app.pg, r.a);
    learn_models(&r);
    while (diffs == 0 && (int64_t)r.work.tx < tx) {
        if (r.work.tx % 8 == 0) {
            diffs += refill(&r);
        }
        diffs += step(&r);
        if (r.work.tx % 10 == 0) {
            diffs += compare_counts(&r);
        }
    }
    diffs += compare_counts(&r);
    printf(
        "parked seed %llu: %llu transactions, %llu documents compared, %llu times one failed, %d "
        "differences\n",
        (unsigned long long)seed, (unsigned long long)r.work.tx, (unsigned long long)r.documents,
        (unsigned long long)r.parked, diffs);
    uint64_t parked = r.parked, documents = r.documents;
    orc_app_down(&r.app, false);
    weir_buf_fini(&r.work.history);
    weir_arena_free(r.a);
    assert_int_equal(0, diffs);
    assert_true(parked > 0 && documents > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parked)};
    return cmocka_run_group_tests_name("parked", tests, NULL, NULL);
}
