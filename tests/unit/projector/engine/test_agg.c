/* test_agg.c - aggregates over nothing, over NULLs, with FILTER, DISTINCT, ORDER BY, and sums past
 * 128 bits. */
#include <stdio.h>

#include "projector/engine/expr.h"
#include "tests/support/check.h"

static weir_arena *a;

static int setup(void **state)
{
    (void)state;
    a = weir_arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weir_arena_free(a);
    return 0;
}

static weir_expr cols[3]; /* x, k, f */

static weir_agg make(weir_agg_kind kind, weir_ty arg, weir_ty result)
{
    cols[0] = (weir_expr){.op = WEIR_OP_COL, .type = {.ty = arg, .typmod = -1}, .col = 0};
    cols[1] = (weir_expr){.op = WEIR_OP_COL, .type = {.ty = WEIR_TY_INT4, .typmod = -1}, .col = 1};
    cols[2] = (weir_expr){.op = WEIR_OP_COL, .type = {.ty = WEIR_TY_BOOL, .typmod = -1}, .col = 2};
    return (weir_agg){.kind = kind, .type = {.ty = result, .typmod = -1}, .arg = &cols[0]};
}

/* rows: x, k, f per row, "-" for NULL. The bound texts are scribbled over afterwards, as a cursor
 * would. */
static void gives(const char *want, const weir_agg *agg, const char *const (*rows)[3], int n)
{
    weir_val v[3];
    char text[3][64];
    weir_tuple row = {3, v};
    const weir_tuple *bound[1] = {&row};
    weir_eval ev = {.a = a, .rows = bound};
    weir_value out;
    weir_slice s;
    weir_error err = {0};
    weir_acc *acc = weir_acc_new(agg, a);
    for (int r = 0; r < n; r++) {
        for (int i = 0; i < 3; i++) {
            (void)snprintf(text[i], sizeof text[i], "%s", rows[r][i]);
            v[i] = (weir_val){text[i][0] == '-' && !text[i][1] ? WEIR_VAL_NULL : WEIR_VAL_TEXT,
                              weir_slice_z(text[i])};
        }
        assert_rc(WEIR_OK, weir_acc_step(acc, &ev, &err), &err);
        memset(text, '#', sizeof text);
    }
    assert_rc(WEIR_OK, weir_acc_finish(acc, &ev, &out, &err), &err);
    if (!want) {
        assert_int_equal(WEIR_FORM_NULL, out.form);
        return;
    }
    assert_rc(WEIR_OK, weir_value_text(&out, agg->type, a, &s, &err), &err);
    assert_slice(want, s);
}

static const char *const four[][3] = {
    {"1.10", "3", "t"}, {"-", "1", "f"}, {"2.2", "2", "-"}, {"3.333", "1", "t"}};

static void test_empty(void **state)
{
    static const weir_agg_kind kinds[] = {WEIR_AGG_SUM,      WEIR_AGG_AVG,    WEIR_AGG_MIN,
                                          WEIR_AGG_MAX,      WEIR_AGG_JSONB,  WEIR_AGG_STRING,
                                          WEIR_AGG_BOOL_AND, WEIR_AGG_BOOL_OR};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        weir_agg agg = make(kinds[i], WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
        gives(NULL, &agg, NULL, 0);
        agg.distinct = true;
        gives(NULL, &agg, NULL, 0);
    }
    weir_agg count = make(WEIR_AGG_COUNT, WEIR_TY_NUMERIC, WEIR_TY_INT8);
    gives("0", &count, NULL, 0);
    count.distinct = true;
    gives("0", &count, NULL, 0);
    count.kind = WEIR_AGG_COUNT_STAR;
    count.distinct = false;
    gives("0", &count, NULL, 0);
}

static void test_totals(void **state)
{
    (void)state;
    weir_agg agg = make(WEIR_AGG_SUM, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("6.633", &agg, four, 4);
    agg.filter = &cols[2];
    gives("4.433", &agg, four, 4);
    agg = make(WEIR_AGG_AVG, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("2.2110000000000000", &agg, four, 4);
    agg = make(WEIR_AGG_MAX, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("3.333", &agg, four, 4);
    agg = make(WEIR_AGG_MIN, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("1.10", &agg, four, 4);
    agg = make(WEIR_AGG_COUNT, WEIR_TY_NUMERIC, WEIR_TY_INT8);
    gives("3", &agg, four, 4);
    agg.kind = WEIR_AGG_COUNT_STAR;
    gives("4", &agg, four, 4);
}

/* 1.50 and 1.5 are one number and two texts: a sum keeps the larger scale, zero or not, and among
 * equals the later one stays. */
static void test_scales(void **state)
{
    static const char *const equal[][3] = {{"1.50", "1", "t"}, {"1.5", "1", "t"}};
    static const char *const zero[][3] = {{"1.250", "1", "t"}, {"-1.25", "1", "t"}};
    (void)state;
    weir_agg agg = make(WEIR_AGG_MIN, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("1.5", &agg, equal, 2);
    agg.kind = WEIR_AGG_MAX;
    gives("1.5", &agg, equal, 2);
    agg.kind = WEIR_AGG_SUM;
    gives("3.00", &agg, equal, 2);
    gives("0.000", &agg, zero, 2);
}

static void test_sums_grow(void **state)
{
    static const char *const ints[][3] = {{"9223372036854775807", "1", "t"},
                                          {"9223372036854775807", "1", "t"}};
    static const char *const huge[][3] = {
        {"170141183460469231731687303715884105727", "1", "t"},
        {"170141183460469231731687303715884105727", "1", "t"},
        {"0.5", "1", "t"},
        {"0.00000000000000000000000000000000000000000001", "1", "t"}};
    static const char *const specials[][3] = {
        {"Infinity", "1", "t"}, {"1", "1", "t"}, {"-Infinity", "1", "f"}};
    (void)state;
    weir_agg agg = make(WEIR_AGG_SUM, WEIR_TY_INT8, WEIR_TY_NUMERIC);
    gives("18446744073709551614", &agg, ints, 2);
    agg = make(WEIR_AGG_AVG, WEIR_TY_INT8, WEIR_TY_NUMERIC);
    gives("9223372036854775807", &agg, ints, 2);
    agg = make(WEIR_AGG_SUM, WEIR_TY_NUMERIC, WEIR_TY_NUMERIC);
    gives("340282366920938463463374607431768211454.50000000000000000000000000000000000000000001",
          &agg, huge, 4);
    gives("NaN", &agg, specials, 3);
    agg.filter = &cols[2];
    gives("Infinity", &agg, specials, 3);
}

static void test_booleans(void **state)
{
    static const char *const rows[][3] = {{"t", "1", "t"}, {"-", "1", "t"}, {"f", "1", "f"}};
    (void)state;
    weir_agg agg = make(WEIR_AGG_BOOL_AND, WEIR_TY_BOOL, WEIR_TY_BOOL);
    gives("f", &agg, rows, 3);
    gives("t", &agg, rows, 2);
    agg = make(WEIR_AGG_BOOL_OR, WEIR_TY_BOOL, WEIR_TY_BOOL);
    gives("t", &agg, rows, 3);
}

static void test_lists(void **state)
{
    static const char *const rows[][3] = {
        {"b", "2", "t"}, {"-", "-", "t"}, {"a", "1", "f"}, {"c", "2", "t"}, {"a", "1", "t"}};
    weir_sort by_k[] = {{.expr = &cols[1]}};
    (void)state;
    weir_agg agg = make(WEIR_AGG_JSONB, WEIR_TY_TEXT, WEIR_TY_JSONB);
    gives("[\"b\", null, \"a\", \"c\", \"a\"]", &agg, rows, 5);
    agg.nsort = 1;
    agg.sort = by_k;
    gives("[\"a\", \"a\", \"b\", \"c\", null]", &agg, rows, 5); /* stable */
    by_k[0].nulls_first = true;
    gives("[null, \"a\", \"a\", \"b\", \"c\"]", &agg, rows, 5);
    by_k[0].desc = true;
    gives("[null, \"b\", \"c\", \"a\", \"a\"]", &agg, rows, 5);
    agg.filter = &cols[2];
    gives("[null, \"b\", \"c\", \"a\"]", &agg, rows, 5);
    agg = make(WEIR_AGG_JSONB, WEIR_TY_TEXT, WEIR_TY_JSONB);
    agg.distinct = true;
    gives("[\"a\", \"b\", \"c\", null]", &agg, rows, 5);
    agg = make(WEIR_AGG_STRING, WEIR_TY_TEXT, WEIR_TY_TEXT);
    agg.delim = WEIR_SLICE_LIT(", ");
    gives("b, a, c, a", &agg, rows, 5);
    agg.distinct = true;
    gives("a, b, c", &agg, rows, 5);
    agg = make(WEIR_AGG_COUNT, WEIR_TY_TEXT, WEIR_TY_INT8);
    agg.distinct = true;
    gives("3", &agg, rows, 5);
}

static void test_ceiling(void **state)
{
    weir_arena *small = weir_arena_new(2000);
    weir_val v[3] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("a text of some length")}, {0}, {0}};
    weir_tuple row = {3, v};
    const weir_tuple *bound[1] = {&row};
    weir_eval ev = {.a = small, .rows = bound};
    weir_agg agg = make(WEIR_AGG_JSONB, WEIR_TY_TEXT, WEIR_TY_JSONB);
    weir_acc *acc = weir_acc_new(&agg, small);
    weir_rc rc = WEIR_OK;
    (void)state;
    for (int i = 0; i < 1000 && !rc; i++) {
        rc = weir_acc_step(acc, &ev, NULL);
    }
    weir_arena_free(small);
    assert_rc(WEIR_E_LIMIT, rc, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),    cmocka_unit_test(test_totals),
        cmocka_unit_test(test_scales),   cmocka_unit_test(test_sums_grow),
        cmocka_unit_test(test_booleans), cmocka_unit_test(test_lists),
        cmocka_unit_test(test_ceiling),
    };
    return cmocka_run_group_tests_name("agg", tests, setup, teardown);
}
