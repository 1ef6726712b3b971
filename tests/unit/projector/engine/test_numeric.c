/* test_numeric.c - numeric's text, arithmetic, scales, rounding and limits; every expectation is
 * PostgreSQL 15's own answer. */
#include "projector/engine/numeric.h"
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

static const weir_num *num(const char *z)
{
    const weir_num *n = NULL;
    weir_error err;
    assert_rc(WEIR_OK, weir_num_parse(weir_slice_z(z), a, &n, &err), &err);
    return n;
}

static void says(const char *want, const weir_num *n)
{
    weir_slice s;
    weir_error err;
    assert_rc(WEIR_OK, weir_num_text(n, a, &s, &err), &err);
    assert_slice(want, s);
}

static void test_text(void **state)
{
    static const char *const cases[][2] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.00", "0.00"},
        {" 1.50\n", "1.50"},
        {"1.", "1"},
        {".5", "0.5"},
        {"+7", "7"},
        {"1e3", "1000"},
        {"1.5e-3", "0.0015"},
        {"1E+2", "100"},
        {"nan", "NaN"},
        {"-inf", "-Infinity"},
        {"Infinity", "Infinity"},
        {"1e-07", "0.0000001"},
        {"0e5", "0"},
        {"123456789012345678901234567890.0001", "123456789012345678901234567890.0001"},
        {"9223372036854775808", "9223372036854775808"},
        {"18446744073709551616", "18446744073709551616"},
        {"-0.000000000000000000001", "-0.000000000000000000001"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        says(cases[i][1], num(cases[i][0]));
    }
}

static void test_refused_text(void **state)
{
    static const char *const cases[][2] = {
        {"", "22P02"},
        {".", "22P02"},
        {"1e", "22P02"},
        {"1.2.3", "22P02"},
        {"12abc", "22P02"},
        {"-", "22P02"},
        {"1_000", "22P02"},
        {"+nan", "22P02"},
        {"1e131072", "22003"},
        {"1e-16384", "22003"},
        {"1e999999999999", "22003"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const weir_num *n;
        weir_error err = {0};
        assert_rc(WEIR_E_INPUT, weir_num_parse(weir_slice_z(cases[i][0]), a, &n, &err), NULL);
        assert_string_equal(cases[i][1], err.sqlstate);
    }
}

static void test_arith(void **state)
{
    static const struct {
        weir_op op;
        const char *x, *y, *want;
    } cases[] = {
        {WEIR_OP_ADD, "1.10", "2.2", "3.30"},
        {WEIR_OP_SUB, "1", "1.000", "0.000"},
        {WEIR_OP_ADD, "9223372036854775807", "1", "9223372036854775808"},
        {WEIR_OP_ADD, "1e30", "0.000000000000000000001",
         "1000000000000000000000000000000.000000000000000000001"},
        {WEIR_OP_MUL, "3", "2.50", "7.50"},
        {WEIR_OP_MUL, "9223372036854775807", "9223372036854775807",
         "85070591730234615847396907784232501249"},
        {WEIR_OP_MUL, "-0.5", "0", "0.0"},
        {WEIR_OP_DIV, "1", "3", "0.33333333333333333333"},
        {WEIR_OP_DIV, "1", "3.0", "0.33333333333333333333"},
        {WEIR_OP_DIV, "2", "3", "0.66666666666666666667"},
        {WEIR_OP_DIV, "-2", "3", "-0.66666666666666666667"},
        {WEIR_OP_DIV, "10000", "3", "3333.3333333333333333"},
        {WEIR_OP_DIV, "0", "5", "0.00000000000000000000"},
        {WEIR_OP_DIV, "6", "2", "3.0000000000000000"},
        {WEIR_OP_DIV, "5", "Infinity", "0"},
        {WEIR_OP_MOD, "-7", "3", "-1"},
        {WEIR_OP_MOD, "7.5", "-2", "1.5"},
        {WEIR_OP_MOD, "5.25", "Infinity", "5.25"},
        {WEIR_OP_ADD, "Infinity", "-Infinity", "NaN"},
        {WEIR_OP_SUB, "Infinity", "Infinity", "NaN"},
        {WEIR_OP_MUL, "Infinity", "0", "NaN"},
        {WEIR_OP_MUL, "-2", "Infinity", "-Infinity"},
        {WEIR_OP_DIV, "Infinity", "-2", "-Infinity"},
        {WEIR_OP_ADD, "NaN", "1", "NaN"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const weir_num *r = NULL;
        weir_error err;
        assert_rc(WEIR_OK,
                  weir_num_arith(cases[i].op, num(cases[i].x), num(cases[i].y), a, &r, &err), &err);
        says(cases[i].want, r);
    }
}

static void fails(weir_op op, const char *x, const char *y, const char *sqlstate)
{
    const weir_num *r;
    weir_error err = {0};
    assert_rc(WEIR_E_INPUT, weir_num_arith(op, num(x), num(y), a, &r, &err), NULL);
    assert_string_equal(sqlstate, err.sqlstate);
}

static void test_arith_errors(void **state)
{
    (void)state;
    fails(WEIR_OP_DIV, "1", "0.00", "22012");
    fails(WEIR_OP_MOD, "1", "0", "22012");
    fails(WEIR_OP_DIV, "Infinity", "0", "22012");
    fails(WEIR_OP_MUL, "1e100000", "1e100000", "22003");
    fails(WEIR_OP_ADD, "9e131071", "9e131071", "22003");
}

static void test_order(void **state)
{
    static const char *const asc[] = {
        "-Infinity", "-1e30",    "-2", "-1.5", "0", "0.000001", "1.5", "2", "12345678901234567890",
        "1e30",      "Infinity", "NaN"};
    enum { N = sizeof asc / sizeof asc[0] };
    (void)state;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            int c = weir_num_cmp(num(asc[i]), num(asc[j]));
            assert_int_equal((i > j) - (i < j), (c > 0) - (c < 0));
        }
    }
    assert_int_equal(0, weir_num_cmp(num("1.5"), num("1.50000000000000000000000")));
    assert_int_equal(0, weir_num_cmp(num("0"), num("-0.000")));
}

static void test_typmod(void **state)
{
    static const struct {
        int p, s;
        const char *x, *want; /* want NULL: 22003 */
    } cases[] = {
        {5, 2, "1.005", "1.01"},      {5, 2, "-1.005", "-1.01"}, {5, 2, "1", "1.00"},
        {5, 2, "999.99", "999.99"},   {5, 2, "999.995", NULL},   {5, 2, "1000", NULL},
        {3, 5, "0.00123", "0.00123"}, {3, 5, "0.01", NULL},      {4, -2, "123456", "123500"},
        {4, -2, "49", "0"},           {5, 2, "NaN", "NaN"},      {5, 2, "Infinity", NULL},
        {2, 0, "99.4", "99"},         {2, 0, "99.5", NULL},      {5, 2, "0.000", "0.00"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const weir_num *r = NULL;
        weir_error err = {0};
        int32_t typmod = ((cases[i].p << 16) | (cases[i].s & 0x7ff)) + 4;
        weir_rc rc = weir_num_typmod(num(cases[i].x), typmod, a, &r, &err);
        assert_rc(cases[i].want ? WEIR_OK : WEIR_E_INPUT, rc, &err);
        if (cases[i].want) {
            says(cases[i].want, r);
        } else {
            assert_string_equal("22003", err.sqlstate);
        }
    }
}

static void test_to_int(void **state)
{
    static const struct {
        const char *x;
        int64_t want;
    } cases[] = {{"2.5", 3},
                 {"-2.5", -3},
                 {"2.4999", 2},
                 {"-0.5", -1},
                 {"0.49", 0},
                 {"9223372036854775807.4", INT64_MAX},
                 {"-9223372036854775808.4", INT64_MIN}};
    int64_t i;
    weir_error err = {0};
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        assert_rc(WEIR_OK, weir_num_to_int(num(cases[k].x), &i, &err), &err);
        assert_true(i == cases[k].want);
    }
    assert_rc(WEIR_E_INPUT, weir_num_to_int(num("9223372036854775807.5"), &i, &err), NULL);
    assert_string_equal("22003", err.sqlstate);
    assert_rc(WEIR_E_INPUT, weir_num_to_int(num("NaN"), &i, &err), NULL);
    assert_string_equal("0A000", err.sqlstate);
}

static void test_wide_and_full(void **state)
{
    weir_int128 c;
    const weir_num *n;
    weir_error err;
    (void)state;
    assert_true(weir_num_wide(num("-170141183460469231731687303715884105727"), &c));
    assert_false(weir_num_wide(num("170141183460469231731687303715884105728"), &c));
    assert_rc(WEIR_OK, weir_num_of_wide(c, 2, a, &n, &err), &err);
    says("-1701411834604692317316873037158841057.27", n);
    weir_arena *small = weir_arena_new(64);
    weir_rc rc = WEIR_OK;
    for (int i = 0; i < 10 && !rc; i++) {
        rc = weir_num_arith(WEIR_OP_MUL, num("1e100"), num("1e100"), small, &n, &err);
    }
    weir_arena_free(small);
    assert_rc(WEIR_E_LIMIT, rc, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_refused_text),
        cmocka_unit_test(test_arith),  cmocka_unit_test(test_arith_errors),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_typmod),
        cmocka_unit_test(test_to_int), cmocka_unit_test(test_wide_and_full),
    };
    return cmocka_run_group_tests_name("numeric", tests, setup, teardown);
}
