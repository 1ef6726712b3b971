/* test_state.c - rows and indexes against a naive model under random writes; scans, cut keys,
 * wiping. */
#include "projector/engine/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/engine/row.h"
#include "tests/support/docplan.h"

enum { IDS = 40, ROUNDS = 3000 };

typedef struct fix {
    dp_env e;
    weir_bound b;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    dp_env_open(&f->e);
    if (weir_layout_bind(&f->e.layout, dp_order_plan(f->e.a, true), 1, f->e.a, &f->b, &f->e.err) !=
        WEIR_OK) {
        return -1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    dp_env_close(&f->e);
    free(f);
    return 0;
}

static const weir_ltable *lines(const fix *f)
{
    for (int i = 0; i < f->e.layout.ntables; i++) {
        if (weir_slice_eqz(f->e.layout.tables[i]->name, "line")) {
            return f->e.layout.tables[i];
        }
    }
    return NULL;
}

static weir_key int_key(int64_t v)
{
    char text[24];
    weir_key k;
    weir_error err;
    weir_ty ty = WEIR_TY_INT8;
    (void)snprintf(text, sizeof text, "%lld", (long long)v);
    weir_val val = {WEIR_VAL_TEXT, weir_slice_z(text)};
    assert_int_equal(weir_key_make(&k, 1, &ty, &val, &err), WEIR_OK);
    return k;
}

/* Row bytes of line(id, ord, prod, qty) in the layout's column order; ord < 0: NULL. */
static void make_row(const weir_ltable *t, int id, int ord, int prod, weir_buf *out)
{
    char text[4][16];
    weir_val v[8] = {{WEIR_VAL_NULL, {NULL, 0}}};
    int cols[4] = {id, ord, prod, 1};
    const char *names[4] = {"id", "ord", "prod", "qty"};
    for (int i = 0; i < t->ncols; i++) {
        for (int k = 0; k < 4; k++) {
            if (weir_slice_eqz(t->cols[i].name, names[k])) {
                (void)snprintf(text[k], sizeof text[k], "%d", cols[k]);
                v[i] = cols[k] < 0 ? (weir_val){WEIR_VAL_NULL, {NULL, 0}}
                                   : (weir_val){WEIR_VAL_TEXT, weir_slice_z(text[k])};
            }
        }
    }
    weir_buf_reset(out);
    weir_row_encode(out, v, (size_t)t->ncols);
}

static int count_index(fix *f, const weir_lindex *x, int64_t value)
{
    char buf[WEIR_IDKEY_MAX];
    weir_scan s;
    weir_slice rest;
    weir_slice v;
    weir_key k = int_key(value);
    int n = 0;
    weir_slice none = {NULL, 0};
    assert_int_equal(weir_scan_start(f->e.st, &s, WEIR_DB_IDX,
                                     weir_idkey(buf, x->id, weir_key_slice(&k), none), none,
                                     &f->e.err),
                     WEIR_OK);
    while (weir_scan_next(&s, &rest, &v, &f->e.err) == WEIR_OK) {
        assert_int_equal(rest.n, 8);
        n++;
    }
    weir_scan_end(f->e.st, &s);
    return n;
}

static void indexes_follow_rows(void **state)
{
    fix *f = *state;
    const weir_ltable *t = lines(f);
    int model[IDS][2]; /* ord, prod; -2: no row */
    weir_buf was;
    weir_buf is;
    weir_buf_init(&was, 1000);
    weir_buf_init(&is, 1000);
    for (int i = 0; i < IDS; i++) {
        model[i][0] = -2;
    }
    unsigned seed = 7;
    assert_int_equal(weir_state_begin(f->e.st, &f->e.err), WEIR_OK);
    for (int r = 0; r < ROUNDS; r++) {
        int id = rand_r(&seed) % IDS;
        weir_key k = int_key(id);
        bool had = model[id][0] != -2;
        bool has = rand_r(&seed) % 4 != 0;
        make_row(t, id, had ? model[id][0] : 0, had ? model[id][1] : 0, &was);
        model[id][0] = has ? rand_r(&seed) % 6 - 1 : -2;
        model[id][1] = rand_r(&seed) % 6 - 1;
        make_row(t, id, model[id][0], model[id][1], &is);
        weir_slice none = {NULL, 0};
        assert_int_equal(weir_state_row_write(f->e.st, t, weir_key_slice(&k),
                                              had ? weir_buf_slice(&was) : none,
                                              has ? weir_buf_slice(&is) : none, &f->e.err),
                         WEIR_OK);
    }
    for (int x = 0; x < t->nindexes; x++) {
        int col = weir_slice_eqz(t->cols[t->indexes[x]->cols[0]].name, "ord") ? 0 : 1;
        for (int v = 0; v < 5; v++) {
            int want = 0;
            for (int i = 0; i < IDS; i++) {
                want += model[i][0] != -2 && model[i][col] == v;
            }
            assert_int_equal(count_index(f, t->indexes[x], v), want);
        }
    }
    assert_int_equal(weir_state_commit(f->e.st, &f->e.err), WEIR_OK);
    weir_buf_fini(&was);
    weir_buf_fini(&is);
}

static void rows_keep_null_absent_and_text_apart(void **state)
{
    (void)state;
    weir_buf b;
    weir_val v[4] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("abc")},
                     {WEIR_VAL_NULL, {NULL, 0}},
                     {WEIR_VAL_UNCHANGED, {NULL, 0}},
                     {WEIR_VAL_TEXT, {"", 0}}};
    weir_val w[6];
    weir_buf_init(&b, 1000);
    weir_row_encode(&b, v, 4);
    assert_true(weir_row_decode(weir_buf_slice(&b), w, 6));
    assert_true(weir_slice_eqz(w[0].text, "abc"));
    assert_int_equal(w[1].kind, WEIR_VAL_NULL);
    assert_int_equal(w[2].kind, WEIR_VAL_UNCHANGED);
    assert_true(w[3].kind == WEIR_VAL_TEXT && w[3].text.n == 0);
    assert_int_equal(w[5].kind, WEIR_VAL_UNCHANGED); /* a column added later */
    int to[4] = {-1, 0, -1, 1};
    assert_true(weir_row_pick(weir_buf_slice(&b), to, 4, w, 2));
    assert_int_equal(w[0].kind, WEIR_VAL_NULL);
    assert_int_equal(w[1].kind, WEIR_VAL_TEXT);
    for (size_t n = 0; n + 1 < b.n; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, b.p, n);
        assert_false(weir_row_decode((weir_slice){copy, n}, w, 4));
        free(copy);
    }
    weir_buf_fini(&b);
}

static void abort_leaves_nothing(void **state)
{
    fix *f = *state;
    weir_slice v;
    assert_int_equal(weir_state_begin(f->e.st, &f->e.err), WEIR_OK);
    assert_int_equal(
        weir_state_put(f->e.st, WEIR_DB_META, WEIR_SLICE_LIT("k"), WEIR_SLICE_LIT("v"), &f->e.err),
        WEIR_OK);
    weir_state_abort(f->e.st);
    assert_int_equal(weir_state_begin(f->e.st, &f->e.err), WEIR_OK);
    assert_int_equal(weir_state_get(f->e.st, WEIR_DB_META, WEIR_SLICE_LIT("k"), &v, &f->e.err),
                     WEIR_E_NOTFOUND);
    assert_int_equal(
        weir_state_put(f->e.st, WEIR_DB_META, WEIR_SLICE_LIT("k"), WEIR_SLICE_LIT("v"), &f->e.err),
        WEIR_OK);
    assert_int_equal(
        weir_state_put(f->e.st, WEIR_DB_EMIT, WEIR_SLICE_LIT("k"), WEIR_SLICE_LIT("v"), &f->e.err),
        WEIR_OK);
    assert_int_equal(weir_state_commit(f->e.st, &f->e.err), WEIR_OK);
    assert_int_equal(weir_state_wipe(f->e.st, &f->e.err), WEIR_OK);
    assert_int_equal(weir_state_begin(f->e.st, &f->e.err), WEIR_OK);
    assert_int_equal(weir_state_get(f->e.st, WEIR_DB_META, WEIR_SLICE_LIT("k"), &v, &f->e.err),
                     WEIR_OK);
    assert_int_equal(weir_state_count(f->e.st, WEIR_DB_EMIT), 0);
    weir_state_abort(f->e.st);
}

static void long_document_keys_stay_apart(void **state)
{
    (void)state;
    char a[WEIR_IDKEY_MAX];
    char b[WEIR_IDKEY_MAX];
    char text[600];
    bool cut = false;
    memset(text, 'k', sizeof text);
    weir_slice x = weir_dockey_state(a, 9, (weir_slice){text, 600}, &cut);
    assert_true(cut && x.n <= WEIR_LMDB_MAX_KEY);
    text[599] = 'l';
    weir_slice y = weir_dockey_state(b, 9, (weir_slice){text, 600}, &cut);
    assert_false(weir_slice_eq(x, y));
    (void)weir_dockey_state(b, 9, (weir_slice){text, 400}, &cut);
    assert_false(cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(indexes_follow_rows, setup, teardown),
        cmocka_unit_test(rows_keep_null_absent_and_text_apart),
        cmocka_unit_test_setup_teardown(abort_leaves_nothing, setup, teardown),
        cmocka_unit_test(long_document_keys_stay_apart),
    };
    return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
