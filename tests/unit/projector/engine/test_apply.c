/* test_apply.c - events into rows: upserts, moved keys, unchanged values, truncate in pieces,
 * replay; and the net change. */
#include "projector/engine/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "projector/engine/row.h"
#include "tests/support/docplan.h"

typedef struct fix {
    dp_env e;
    weir_bound b;
} fix;

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    dp_env_open(&f->e);
    if (weir_layout_bind(&f->e.layout, dp_order_plan(f->e.a, true), 1, f->e.a, &f->b, &f->e.err) !=
            WEIR_OK ||
        weir_state_begin(f->e.st, &f->e.err) != WEIR_OK) {
        return -1;
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_state_abort(f->e.st);
    dp_env_close(&f->e);
    free(f);
    return 0;
}

#define ROW(...) ((const char *const[]){__VA_ARGS__})
#define EVENT(f, kind, t, old, new)                                                                \
    assert_int_equal(dp_event(&(f)->e, (kind), (t), (old), (new)), WEIR_OK)

static const weir_ltable *table(const fix *f, const char *name)
{
    for (int i = 0; i < f->e.layout.ntables; i++) {
        if (weir_slice_eqz(f->e.layout.tables[i]->name, name)) {
            return f->e.layout.tables[i];
        }
    }
    return NULL;
}

/* "id=1 cust=2 note=": NULL is empty, absent is ~; "" when there is no row. */
static void expect_row(fix *f, const char *name, const char *id, const char *want)
{
    const weir_ltable *t = table(f, name);
    weir_key k;
    weir_ty ty = WEIR_TY_INT4;
    weir_val idv = {WEIR_VAL_TEXT, weir_slice_z(id)};
    weir_val v[8];
    weir_slice row;
    weir_buf b;
    weir_buf_init(&b, 1000);
    assert_int_equal(weir_key_make(&k, 1, &ty, &idv, &f->e.err), WEIR_OK);
    if (weir_state_row_get(f->e.st, t, weir_key_slice(&k), &row, &f->e.err) == WEIR_OK) {
        assert_true(weir_row_decode(row, v, (size_t)t->ncols));
        for (int i = 0; i < t->ncols; i++) {
            weir_buf_printf(
                &b, "%s%.*s=%.*s", i ? " " : "", WEIR_SLICE_ARG(t->cols[i].name),
                WEIR_SLICE_ARG(v[i].kind == WEIR_VAL_UNCHANGED ? WEIR_SLICE_LIT("~") : v[i].text));
        }
    }
    weir_buf_u8(&b, 0);
    assert_string_equal(b.p, want);
    weir_buf_fini(&b);
}

static void insert_update_delete(void **state)
{
    fix *f = *state;
    EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("1", "2", ""));
    expect_row(f, "ord", "1", "id=1 cust=2 note=");
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, NULL, ROW("1", "3", "9"));
    expect_row(f, "ord", "1", "id=1 cust=3 note=9");
    EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("1", "4", "9")); /* upsert */
    expect_row(f, "ord", "1", "id=1 cust=4 note=9");
    assert_int_equal(f->e.ap.n, 1);
    assert_int_equal(f->e.ap.changes[0].old_row.n, 0);
    EVENT(f, WEIR_EV_DELETE, DP_ORD, ROW("1", "~", "~"), NULL);
    expect_row(f, "ord", "1", "");
    assert_int_equal(f->e.ap.changes[0].new_row.n, 0);
    EVENT(f, WEIR_EV_DELETE, DP_ORD, ROW("1", "~", "~"), NULL); /* again: nothing */
    EVENT(f, WEIR_EV_DELETE, DP_ORD, ROW("77", "~", "~"), NULL);
}

static void unchanged_values_come_from_old_tuple_or_state(void **state)
{
    fix *f = *state;
    EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("1", "2", "7"));
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, NULL, ROW("1", "5", "~"));
    expect_row(f, "ord", "1", "id=1 cust=5 note=7");
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, ROW("1", "5", "8"),
          ROW("1", "6", "~")); /* FULL identity tells it */
    expect_row(f, "ord", "1", "id=1 cust=6 note=8");
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, NULL, ROW("2", "5", "~")); /* never seen: absent, not NULL */
    expect_row(f, "ord", "2", "id=2 cust=5 note=~");
    EVENT(f, WEIR_EV_READ, DP_ORD, NULL, ROW("2", "5", "4")); /* the copy brings it */
    expect_row(f, "ord", "2", "id=2 cust=5 note=4");
}

static void a_moved_key_moves_the_row(void **state)
{
    fix *f = *state;
    EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("1", "2", "7"));
    EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("2", "3", "8"));
    weir_apply_reset(&f->e.ap);
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, ROW("1", "~", "~"), ROW("9", "2", "~"));
    expect_row(f, "ord", "1", "");
    expect_row(f, "ord", "9", "id=9 cust=2 note=7");
    assert_int_equal(f->e.ap.n, 2); /* a delete and an insert for the walk */
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, ROW("2", "~", "~"),
          ROW("1", "3", "8")); /* into the freed key */
    EVENT(f, WEIR_EV_UPDATE, DP_ORD, ROW("9", "~", "~"), ROW("2", "2", "7"));
    expect_row(f, "ord", "1", "id=1 cust=3 note=8");
    expect_row(f, "ord", "2", "id=2 cust=2 note=7");
    expect_row(f, "ord", "9", "");
}

static void replay_changes_nothing(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 2; i++) {
        EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("1", "2", "7"));
        EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW("3", "2", "7"));
        EVENT(f, WEIR_EV_UPDATE, DP_ORD, ROW("1", "~", "~"), ROW("2", "2", "8"));
        EVENT(f, WEIR_EV_DELETE, DP_ORD, ROW("3", "~", "~"), NULL);
        expect_row(f, "ord", "1", "");
        expect_row(f, "ord", "2", "id=2 cust=2 note=8");
        expect_row(f, "ord", "3", "");
        if (i == 0) {
            weir_apply_reset(&f->e.ap);
        }
    }
    for (size_t i = 0; i < f->e.ap.n; i++) {
        assert_true(weir_slice_eq(f->e.ap.changes[i].old_row, f->e.ap.changes[i].new_row));
    }
}

static void truncate_in_pieces(void **state)
{
    fix *f = *state;
    for (int i = 0; i < 100; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "%d", i);
        EVENT(f, WEIR_EV_INSERT, DP_ORD, NULL, ROW(id, "2", "7"));
    }
    weir_apply_reset(&f->e.ap);
    bool done = false;
    int pieces = 0;
    while (!done) {
        assert_int_equal(weir_apply_truncate(&f->e.ap, DP_ORD + 1, 30, &done, &f->e.err), WEIR_OK);
        pieces++;
    }
    assert_int_equal(pieces, 4);
    assert_int_equal(f->e.ap.n, 100);
    assert_int_equal(weir_state_count(f->e.st, WEIR_DB_ROW), 0);
    assert_int_equal(weir_state_count(f->e.st, WEIR_DB_IDX), 0);
}

static void a_lost_column_is_a_misfit_once_it_counted(void **state)
{
    fix *f = *state;
    weir_column cols[2] = {{WEIR_SLICE_LIT("id"), 23, -1, true},
                           {WEIR_SLICE_LIT("cust"), 23, -1, false}};
    weir_relation rel = {.version = 50,
                         .oid = 1000 + DP_ORD,
                         .schema = WEIR_SLICE_LIT("public"),
                         .name = WEIR_SLICE_LIT("ord"),
                         .identity = 'd',
                         .n = 2,
                         .cols = cols};
    weir_misfit m;
    assert_true(weir_apply_relation(&f->e.ap, &rel));
    assert_false(weir_apply_relation(&f->e.ap, &rel));
    assert_false(weir_apply_misfit(&f->e.ap, 50, &m)); /* its copy is still to come */
    weir_ltable *ord = f->b.tables[f->b.plan->occs[0].table];
    ord->ncomplete = ord->ncols;
    weir_apply_relayout(&f->e.ap);
    assert_true(weir_apply_misfit(&f->e.ap, 50, &m));
    assert_ptr_equal(m.t, ord);
    assert_true(m.col >= 0 && weir_bound_uses(&f->b, ord, m.col));
    assert_non_null(strstr(m.what, "is no longer there"));
    /* Lost once, it is no misfit any more. */
    for (int i = 0; i < ord->ncols && weir_apply_misfit(&f->e.ap, 50, &m); i++) {
        weir_layout_lose(m.t, m.col);
        weir_apply_relayout(&f->e.ap);
    }
    assert_false(weir_apply_misfit(&f->e.ap, 50, &m));
    assert_true(weir_apply_learned(&f->e.ap));
    assert_false(weir_apply_learned(&f->e.ap));
    /* Another type is another column. */
    rel.version = 51;
    cols[1].type_oid = 20;
    assert_true(weir_apply_relation(&f->e.ap, &rel));
    assert_true(weir_apply_misfit(&f->e.ap, 51, &m));
    assert_non_null(strstr(m.what, "another type"));
    weir_ev ev = {.kind = WEIR_EV_INSERT, .rel = 52};
    assert_int_equal(weir_apply_event(&f->e.ap, &ev, &f->e.err),
                     WEIR_E_PROTO); /* never described */
}

/* --- ranges
 * ---------------------------------------------------------------------------------------------- */

static weir_ltable *kept(fix *f, const char *name, weir_ty key_type)
{
    for (int i = 0; i < f->e.layout.ntables; i++) {
        weir_ltable *t = f->e.layout.tables[i];
        if (weir_slice_eqz(t->name, name)) {
            t->copy_id[0] = '\0';
            t->ncomplete = t->ncols;
            t->cols[t->key[0]].ty = key_type;
            return t;
        }
    }
    return NULL;
}

static void put_rows(fix *f, bool chunk, const char *const *ids)
{
    f->e.ap.chunk = chunk;
    for (; *ids; ids++) {
        EVENT(f, chunk ? WEIR_EV_READ : WEIR_EV_INSERT, DP_ORD, NULL, ROW(*ids, "2", "3"));
    }
    f->e.ap.chunk = false;
}

static void range(fix *f, const char *copy, const char *lo, const char *hi, size_t max)
{
    weir_val l = {WEIR_VAL_TEXT, lo ? weir_slice_z(lo) : (weir_slice){NULL, 0}};
    weir_val h = {WEIR_VAL_TEXT, hi ? weir_slice_z(hi) : (weir_slice){NULL, 0}};
    weir_ev ev = {.kind = WEIR_EV_RANGE,
                  .rel = DP_ORD + 1,
                  .copy_id = weir_slice_z(copy),
                  .old_row = {lo ? 1 : 0, &l},
                  .new_row = {hi ? 1 : 0, &h}};
    for (bool done = false; !done;) {
        assert_int_equal(weir_apply_range(&f->e.ap, &ev, max, &done, &f->e.err), WEIR_OK);
    }
}

static void chunk_ends(fix *f)
{
    assert_int_equal(weir_apply_chunk_end(&f->e.ap, &f->e.err), WEIR_OK);
}

/* The rows of a table as "1 2 5": the ids that are there of those asked for. */
static void expect_ids(fix *f, const weir_ltable *t, const char *const *ids, const char *want)
{
    weir_buf b;
    weir_buf_init(&b, 1000);
    for (; *ids; ids++) {
        weir_key k;
        weir_slice row;
        weir_val v = {WEIR_VAL_TEXT, weir_slice_z(*ids)};
        assert_int_equal(weir_key_make(&k, 1, &t->cols[t->key[0]].ty, &v, &f->e.err), WEIR_OK);
        if (weir_state_row_get(f->e.st, t, weir_key_slice(&k), &row, &f->e.err) == WEIR_OK) {
            weir_buf_printf(&b, "%s%s", b.n ? " " : "", *ids);
        }
    }
    weir_buf_u8(&b, 0);
    assert_string_equal(b.p, want);
    weir_buf_fini(&b);
}

static const char *const some[] = {"-5", "1", "2", "3", "10", "11", "100", "200", NULL};

static void a_range_removes_what_its_chunk_did_not_name(void **state)
{
    fix *f = *state;
    const weir_ltable *t = kept(f, "ord", WEIR_TY_INT4);
    for (size_t max = 1; max < 20; max += 6) {
        put_rows(f, false, some);
        put_rows(f, true, ROW("1", "3", "11", NULL)); /* 11: beyond, named all the same */
        range(f, "c", NULL, "3", max);
        chunk_ends(f);
        expect_ids(f, t, some, "1 3 10 11 100 200");
        put_rows(f, true, ROW("10", NULL));
        range(f, "c", "3", "10", max);
        range(f, "c", "3", "10", max); /* again, as after a restart */
        chunk_ends(f);
        expect_ids(f, t, some, "1 3 10 11 100 200");
        put_rows(f, true, ROW("200", NULL)); /* what an earlier chunk named counts no more */
        range(f, "c", "10", NULL, max);
        chunk_ends(f);
        expect_ids(f, t, some, "1 3 10 200");
        assert_int_equal(weir_state_count(f->e.st, WEIR_DB_NAMED), 0);
    }
}

static void keys_without_an_order_are_swept_at_the_end(void **state)
{
    fix *f = *state;
    const weir_ltable *t = kept(f, "ord", WEIR_TY_TEXT);
    for (size_t max = 1; max < 20; max += 6) {
        put_rows(f, false, some);
        put_rows(f, true, ROW("1", "3", NULL));
        range(f, "c", NULL, "3", max);
        chunk_ends(f);
        expect_ids(f, t, some, "-5 1 2 3 10 11 100 200");
        put_rows(f, false, ROW("2", NULL)); /* live, behind the crawl */
        put_rows(f, true, ROW("10", NULL));
        range(f, "c", "3", "10", max);
        range(f, "c", "3", "10", max);
        chunk_ends(f);
        range(f, "c", "10", NULL, max);
        range(f, "c", "10", NULL, max);
        chunk_ends(f);
        expect_ids(f, t, some, "1 2 3 10");
        assert_int_equal(weir_state_count(f->e.st, WEIR_DB_NAMED), 0);
    }
}

static void a_crawl_with_a_gap_removes_nothing(void **state)
{
    fix *f = *state;
    const weir_ltable *t = kept(f, "ord", WEIR_TY_TEXT);
    put_rows(f, false, some);
    put_rows(f, true, ROW("1", NULL));
    range(f, "c", "0", "3", 100); /* where it began was never told */
    chunk_ends(f);
    range(f, "c", "3", NULL, 100);
    chunk_ends(f);
    range(f, "d", NULL, "3", 100);
    chunk_ends(f);
    range(f, "d", "4", NULL, 100);
    chunk_ends(f);
    expect_ids(f, t, some, "-5 1 2 3 10 11 100 200");
    assert_int_equal(weir_state_count(f->e.st, WEIR_DB_NAMED), 0);
}

static void a_table_that_is_being_copied_ignores_ranges(void **state)
{
    fix *f = *state;
    weir_ltable *t = kept(f, "ord", WEIR_TY_INT4);
    (void)snprintf(t->copy_id, sizeof t->copy_id, "x");
    put_rows(f, false, some);
    put_rows(f, true, ROW("1", NULL));
    range(f, "c", NULL, NULL, 100);
    chunk_ends(f);
    expect_ids(f, t, some, "-5 1 2 3 10 11 100 200");
    assert_int_equal(weir_state_count(f->e.st, WEIR_DB_NAMED), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(insert_update_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(unchanged_values_come_from_old_tuple_or_state, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_moved_key_moves_the_row, setup, teardown),
        cmocka_unit_test_setup_teardown(replay_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(truncate_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_column_is_a_misfit_once_it_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_removes_what_its_chunk_did_not_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_without_an_order_are_swept_at_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_crawl_with_a_gap_removes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_table_that_is_being_copied_ignores_ranges, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
