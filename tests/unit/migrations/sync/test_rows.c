/* test_rows.c - the collapse per key against a naive replay: whatever the sequence, the target ends
 * the same. */
#include <stdio.h>
#include <stdlib.h>

#include "migrations/sync/rows.h"
#include "tests/support/check.h"

enum { COLUMNS = 3, KEYS = 4, STEPS = 12, RUNS = 20000 };

/* A table of KEYS rows; -1 in row[k][0]: not there. */
typedef struct table {
    int row[KEYS][COLUMNS];
} table;

static const weir_val *values(weir_arena *a, int key, const int *v)
{
    weir_val *out = WEIR_ARENA_ARRAY(a, weir_val, COLUMNS);
    for (int i = 0; i < COLUMNS; i++) {
        if (v[i] < 0 && i > 0) {
            out[i].kind = WEIR_VAL_UNCHANGED;
            continue;
        }
        out[i].kind = WEIR_VAL_TEXT;
        out[i].text = weir_slice_z(weir_arena_printf(a, "%d", i == 0 ? key : v[i]));
    }
    return out;
}

static int number(const weir_val *v)
{
    int64_t n = -1;
    return weir_slice_i64(v->text, &n) ? (int)n : -1;
}

/* What one change does to a row that may be there or not. */
static void apply(table *t, int key, sync_op op, const weir_val *v)
{
    int *row = t->row[key];
    bool there = row[0] >= 0;
    if (op == SYNC_OP_DELETE) {
        row[0] = -1;
        return;
    }
    if (op == SYNC_OP_NONE || (op == SYNC_OP_UPDATE && !there)) {
        return;
    }
    row[0] = key;
    for (int i = 1; i < COLUMNS; i++) {
        if (v[i].kind == WEIR_VAL_TEXT) {
            row[i] = number(&v[i]);
        }
    }
}

/* Applies what is collected, as one statement per kind would. */
static void drain(table *t, sync_rows *r)
{
    for (size_t i = 0; i < r->nrows; i++) {
        if (r->row[i]->op != SYNC_OP_NONE) {
            apply(t, number(&r->row[i]->v[0]), r->row[i]->op, r->row[i]->v);
        }
    }
    sync_rows_clear(r);
}

static void same(const table *x, const table *y, uint64_t seed)
{
    for (int k = 0; k < KEYS; k++) {
        for (int i = 0; i < COLUMNS; i++) {
            if (x->row[k][i] != y->row[k][i] && (i == 0 || x->row[k][0] >= 0)) {
                fail_msg("seed %llu key %d column %d: %d, should be %d", (unsigned long long)seed,
                         k, i, y->row[k][i], x->row[k][i]);
            }
        }
    }
}

static sync_op pick(uint64_t *rng, bool there, bool loose)
{
    if (loose) {
        static const sync_op ops[] = {SYNC_OP_UPSERT, SYNC_OP_UPDATE, SYNC_OP_DELETE};
        return ops[weir_test_random(rng) % 3];
    }
    return !there ? SYNC_OP_INSERT : weir_test_random(rng) % 2 ? SYNC_OP_UPDATE : SYNC_OP_DELETE;
}

static void one_run(uint64_t seed, bool loose)
{
    uint64_t rng = seed;
    table one;
    table grouped;
    sync_rows r;
    weir_arena *a = weir_arena_new(0);
    sync_rows_init(&r, COLUMNS, weir_test_random(&rng) % 4 == 0);
    for (int k = 0; k < KEYS; k++) {
        bool there = weir_test_random(&rng) % 2 == 0;
        for (int i = 0; i < COLUMNS; i++) {
            one.row[k][i] = there ? (i == 0 ? k : 100 + i) : -1;
        }
    }
    grouped = one;
    for (int s = 0; s < STEPS; s++) {
        int k = (int)(weir_test_random(&rng) % KEYS);
        sync_op op = pick(&rng, one.row[k][0] >= 0, loose);
        bool whole = op != SYNC_OP_UPDATE;
        int v[COLUMNS] = {k, s * 10, whole || weir_test_random(&rng) % 2 ? s * 10 + 1 : -1};
        const weir_val *w = values(a, k, v);
        apply(&one, k, op, w);
        char key = (char)('a' + k);
        sync_put put = sync_rows_put(&r, weir_slice_of(&key, 1), op, w, a);
        if (put == SYNC_PUT_BARRIER) {
            drain(&grouped, &r);
            put = sync_rows_put(&r, weir_slice_of(&key, 1), op, w, a);
        }
        assert_int_equal(SYNC_PUT_OK, put);
    }
    drain(&grouped, &r);
    same(&one, &grouped, seed);
    sync_rows_fini(&r);
    weir_arena_free(a);
}

static void test_strict(void **state)
{
    uint64_t seed = weir_test_seed();
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        one_run(seed + (uint64_t)i, false);
    }
}

static void test_loose(void **state)
{
    uint64_t seed = weir_test_seed();
    (void)state;
    for (int i = 0; i < RUNS; i++) {
        one_run(seed + (uint64_t)i, true);
    }
}

/* What cannot have happened is told, not guessed. */
static void test_odd(void **state)
{
    sync_rows r;
    int v[COLUMNS] = {0, 1, 2};
    weir_arena *a = weir_arena_new(0);
    weir_slice key = WEIR_SLICE_LIT("k");
    (void)state;
    sync_rows_init(&r, COLUMNS, false);
    assert_int_equal(SYNC_PUT_OK, sync_rows_put(&r, key, SYNC_OP_INSERT, values(a, 0, v), a));
    assert_int_equal(SYNC_PUT_ODD, sync_rows_put(&r, key, SYNC_OP_INSERT, values(a, 0, v), a));
    assert_int_equal(SYNC_PUT_OK, sync_rows_put(&r, key, SYNC_OP_DELETE, values(a, 0, v), a));
    assert_int_equal(SYNC_OP_NONE, r.row[0]->op);
    assert_int_equal(SYNC_PUT_ODD, sync_rows_put(&r, key, SYNC_OP_UPDATE, values(a, 0, v), a));
    sync_rows_fini(&r);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_loose),
        cmocka_unit_test(test_odd),
    };
    return cmocka_run_group_tests_name("rows", tests, NULL, NULL);
}
