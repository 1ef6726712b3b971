/* test_value.c - to_jsonb, casts and order by type; every expectation is PostgreSQL 15's own
 * answer. */
#include "projector/engine/value.h"
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

static weir_value text(const char *z)
{
    return (weir_value){.form = WEIR_FORM_TEXT, .text = weir_slice_z(z)};
}

static void test_jsonb(void **state)
{
    static const struct {
        weir_ty ty, elem;
        const char *in, *want;
    } cases[] = {
        {WEIR_TY_BOOL, 0, "t", "true"},
        {WEIR_TY_BOOL, 0, "f", "false"},
        {WEIR_TY_INT8, 0, "-9223372036854775808", "-9223372036854775808"},
        {WEIR_TY_NUMERIC, 0, "1.50", "1.50"},
        {WEIR_TY_NUMERIC, 0, "NaN", "\"NaN\""},
        {WEIR_TY_NUMERIC, 0, "-Infinity", "\"-Infinity\""},
        {WEIR_TY_FLOAT8, 0, "1e-07", "0.0000001"},
        {WEIR_TY_FLOAT8, 0, "1e+15", "1000000000000000"},
        {WEIR_TY_FLOAT8, 0, "-0", "0"},
        {WEIR_TY_FLOAT8, 0, "0.30000000000000004", "0.30000000000000004"},
        {WEIR_TY_FLOAT4, 0, "NaN", "\"NaN\""},
        {WEIR_TY_TEXT, 0, "a\"b\\c\n\t\b\f\r\x01\x7f/é",
         "\"a\\\"b\\\\c\\n\\t\\b\\f\\r\\u0001\x7f/é\""},
        {WEIR_TY_TEXT, 0, "", "\"\""},
        {WEIR_TY_BPCHAR, 0, "ab   ", "\"ab   \""},
        {WEIR_TY_DATE, 0, "2024-02-29", "\"2024-02-29\""},
        {WEIR_TY_DATE, 0, "0044-03-15 BC", "\"0044-03-15 BC\""},
        {WEIR_TY_TIMESTAMP, 0, "2024-01-01 00:00:00.1", "\"2024-01-01T00:00:00.1\""},
        {WEIR_TY_TIMESTAMP, 0, "0044-03-15 12:00:00 BC", "\"0044-03-15T12:00:00 BC\""},
        {WEIR_TY_TIMESTAMPTZ, 0, "2024-01-01 00:00:00+00", "\"2024-01-01T00:00:00+00:00\""},
        {WEIR_TY_TIMESTAMPTZ, 0, "0044-03-15 12:00:00+00 BC", "\"0044-03-15T12:00:00+00:00 BC\""},
        {WEIR_TY_TIMESTAMPTZ, 0, "infinity", "\"infinity\""},
        {WEIR_TY_TIMETZ, 0, "12:00:00+02", "\"12:00:00+02\""},
        {WEIR_TY_BYTEA, 0, "\\x0aff", "\"\\\\x0aff\""},
        {WEIR_TY_JSONB, 0, "{\"a\": 1.50}", "{\"a\": 1.50}"},
        {WEIR_TY_OTHER, 0, "1 day", "\"1 day\""},
        {WEIR_TY_ARRAY, WEIR_TY_INT4, "{}", "[]"},
        {WEIR_TY_ARRAY, WEIR_TY_INT4, "{1,NULL,-3}", "[1, null, -3]"},
        {WEIR_TY_ARRAY, WEIR_TY_INT4, "[0:1]={1,2}", "[1, 2]"},
        {WEIR_TY_ARRAY, WEIR_TY_INT4, "{{1,2},{3,4}}", "[[1, 2], [3, 4]]"},
        {WEIR_TY_ARRAY, WEIR_TY_TEXT, "{a,\"\",\"NULL\",\"a\\\"b\\\\c,{}\"}",
         "[\"a\", \"\", \"NULL\", \"a\\\"b\\\\c,{}\"]"},
        {WEIR_TY_ARRAY, WEIR_TY_BOOL, "{t,f}", "[true, false]"},
        {WEIR_TY_ARRAY, WEIR_TY_TIMESTAMPTZ, "{\"2024-01-01 00:00:00+00\"}",
         "[\"2024-01-01T00:00:00+00:00\"]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weir_buf b;
        weir_error err;
        weir_value v = text(cases[i].in);
        weir_type type = {.ty = cases[i].ty, .elem = cases[i].elem, .typmod = -1};
        weir_buf_init(&b, 4096);
        assert_rc(WEIR_OK, weir_value_jsonb(&v, type, a, &b, &err), &err);
        assert_slice(cases[i].want, weir_buf_slice(&b));
        weir_buf_fini(&b);
    }
}

static void test_bad_arrays(void **state)
{
    static const char *const bad[] = {"",      "{",    "1,2", "{1",    "{1}}",
                                      "{\"a}", "{a\\", "{,}", "[0:1]", "{{{{{{{1}}}}}}}"};
    weir_type type = {.ty = WEIR_TY_ARRAY, .elem = WEIR_TY_TEXT, .typmod = -1};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weir_buf b;
        weir_value v = text(bad[i]);
        weir_buf_init(&b, 4096);
        assert_rc(WEIR_E_INPUT, weir_value_jsonb(&v, type, a, &b, NULL), NULL);
        weir_buf_fini(&b);
    }
}

typedef struct cast_case {
    weir_ty from, to;
    int typmod;
    const char *in, *want; /* want of five characters beginning with '!' is an SQLSTATE */
} cast_case;

static const cast_case casts[] = {
    {WEIR_TY_NUMERIC, WEIR_TY_INT4, -1, "2.5", "3"},
    {WEIR_TY_FLOAT8, WEIR_TY_INT4, -1, "2.5", "2"},
    {WEIR_TY_FLOAT8, WEIR_TY_INT4, -1, "NaN", "!22003"},
    {WEIR_TY_FLOAT8, WEIR_TY_INT8, -1, "9.3e+18", "!22003"},
    {WEIR_TY_INT8, WEIR_TY_INT4, -1, "2147483648", "!22003"},
    {WEIR_TY_INT4, WEIR_TY_INT2, -1, "-32768", "-32768"},
    {WEIR_TY_TEXT, WEIR_TY_INT4, -1, " +12 ", "12"},
    {WEIR_TY_TEXT, WEIR_TY_INT4, -1, "12x", "!22P02"},
    {WEIR_TY_TEXT, WEIR_TY_INT4, -1, "99999999999x", "!22003"},
    {WEIR_TY_TEXT, WEIR_TY_INT8, -1, "-9223372036854775808", "-9223372036854775808"},
    {WEIR_TY_TEXT, WEIR_TY_INT8, -1, "9223372036854775808", "!22003"},
    {WEIR_TY_FLOAT4, WEIR_TY_NUMERIC, -1, "0.1", "0.1"},
    {WEIR_TY_FLOAT4, WEIR_TY_NUMERIC, -1, "1234567.9", "1234570"},
    {WEIR_TY_FLOAT8, WEIR_TY_NUMERIC, -1, "0.30000000000000004", "0.3"},
    {WEIR_TY_FLOAT8, WEIR_TY_NUMERIC, -1, "Infinity", "Infinity"},
    {WEIR_TY_NUMERIC, WEIR_TY_NUMERIC, ((5 << 16) | 2) + 4, "999.995", "!22003"},
    {WEIR_TY_INT4, WEIR_TY_NUMERIC, ((5 << 16) | 2) + 4, "7", "7.00"},
    {WEIR_TY_BOOL, WEIR_TY_TEXT, -1, "t", "true"},
    {WEIR_TY_BOOL, WEIR_TY_INT4, -1, "t", "1"},
    {WEIR_TY_INT4, WEIR_TY_BOOL, -1, "-3", "t"},
    {WEIR_TY_TEXT, WEIR_TY_BOOL, -1, " OFF ", "f"},
    {WEIR_TY_TEXT, WEIR_TY_BOOL, -1, "o", "!22P02"},
    {WEIR_TY_BPCHAR, WEIR_TY_TEXT, -1, "ab   ", "ab"},
    {WEIR_TY_TEXT, WEIR_TY_BPCHAR, 8, "é", "é   "},
    {WEIR_TY_TEXT, WEIR_TY_TEXT, 7, "ééééé", "ééé"},
    {WEIR_TY_INT4, WEIR_TY_TEXT, 6, "12345", "12"},
    {WEIR_TY_TIMESTAMP, WEIR_TY_DATE, -1, "1999-12-31 23:59:59.9", "1999-12-31"},
    {WEIR_TY_TIMESTAMP, WEIR_TY_DATE, -1, "-infinity", "-infinity"},
    {WEIR_TY_DATE, WEIR_TY_TIMESTAMPTZ, -1, "2024-02-29", "2024-02-29 00:00:00+00"},
    {WEIR_TY_DATE, WEIR_TY_TIMESTAMP, -1, "300000-01-01", "!22008"},
    {WEIR_TY_TIMESTAMP, WEIR_TY_TIMESTAMP, 0, "2000-01-01 00:00:00.5", "2000-01-01 00:00:01"},
    {WEIR_TY_TIMESTAMP, WEIR_TY_TIMESTAMP, 0, "1999-12-31 23:59:59.5", "1999-12-31 23:59:59"},
    {WEIR_TY_TIMESTAMPTZ, WEIR_TY_TIMESTAMP, -1, "0044-03-15 12:00:00.25+00 BC",
     "0044-03-15 12:00:00.25 BC"},
    {WEIR_TY_TIMESTAMP, WEIR_TY_TIME, -1, "2024-01-01 10:20:30.5", "10:20:30.5"},
    {WEIR_TY_TEXT, WEIR_TY_DATE, -1, "2024-02-30", "!22008"},
    {WEIR_TY_TEXT, WEIR_TY_DATE, -1, "gestern", "!22007"},
    {WEIR_TY_TEXT, WEIR_TY_TIMESTAMPTZ, -1, "2024-01-01T12:00:00+02", "2024-01-01 10:00:00+00"},
    {WEIR_TY_TEXT, WEIR_TY_TIMESTAMP, -1, "2024-01-01 12:00:00.1234567",
     "2024-01-01 12:00:00.123457"},
    {WEIR_TY_TEXT, WEIR_TY_UUID, -1, "{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}",
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
    {WEIR_TY_TEXT, WEIR_TY_UUID, -1, "a0eebc99", "!22P02"},
    {WEIR_TY_JSONB, WEIR_TY_INT4, -1, "1.5", "2"},
    {WEIR_TY_JSONB, WEIR_TY_INT4, -1, "\"1\"", "!22023"},
    {WEIR_TY_TEXT, WEIR_TY_JSONB, -1, "{}", "!0A000"},
    {WEIR_TY_TEXT, WEIR_TY_FLOAT8, -1, "1", "!0A000"},
};

static void test_casts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof casts / sizeof casts[0]; i++) {
        const cast_case *c = &casts[i];
        weir_error err = {0};
        weir_slice s;
        weir_value v = text(c->in), out;
        weir_type from = {.ty = c->from, .typmod = -1}, to = {.ty = c->to, .typmod = c->typmod};
        weir_rc rc = weir_value_cast(&v, from, to, a, &out, &err);
        if (c->want[0] == '!') {
            assert_rc(WEIR_E_INPUT, rc, &err);
            assert_string_equal(c->want + 1, err.sqlstate);
            continue;
        }
        assert_rc(WEIR_OK, rc, &err);
        assert_rc(WEIR_OK, weir_value_text(&out, to, a, &s, &err), &err);
        assert_slice(c->want, s);
    }
}

static void test_null_stays_null(void **state)
{
    weir_value v = {.form = WEIR_FORM_NULL}, out;
    weir_type from = {.ty = WEIR_TY_TEXT, .typmod = -1}, to = {.ty = WEIR_TY_INT4, .typmod = -1};
    weir_error err;
    (void)state;
    assert_rc(WEIR_OK, weir_value_cast(&v, from, to, a, &out, &err), &err);
    assert_int_equal(WEIR_FORM_NULL, out.form);
}

static void test_order(void **state)
{
    static const struct {
        weir_ty ty;
        const char *x, *y;
        int want;
    } cases[] = {
        {WEIR_TY_INT4, "9", "10", -1},
        {WEIR_TY_NUMERIC, "1.5", "1.50", 0},
        {WEIR_TY_NUMERIC, "NaN", "Infinity", 1},
        {WEIR_TY_FLOAT8, "NaN", "NaN", 0},
        {WEIR_TY_FLOAT8, "-0", "0", 0},
        {WEIR_TY_FLOAT8, "NaN", "Infinity", 1},
        {WEIR_TY_TEXT, "a", "B", 1},
        {WEIR_TY_TEXT, "a", "a ", -1},
        {WEIR_TY_BPCHAR, "a  ", "a", 0},
        {WEIR_TY_BOOL, "f", "t", -1},
        {WEIR_TY_DATE, "0001-01-01 BC", "0001-01-01", -1},
        {WEIR_TY_DATE, "infinity", "5874897-12-31", 1},
        {WEIR_TY_DATE, "10000-01-01", "9999-12-31", 1},
        {WEIR_TY_TIMESTAMPTZ, "2024-01-01 00:00:00+00", "2024-01-01 00:00:00.000001+00", -1},
        {WEIR_TY_TIMETZ, "12:00:00+02", "10:00:00+00", -1},
        {WEIR_TY_TIMETZ, "12:00:00+02", "10:00:01+00", -1},
        {WEIR_TY_UUID, "00000000-0000-0000-0000-000000000001",
         "00000000-0000-0000-0000-00000000000a", -1},
        {WEIR_TY_BYTEA, "\\x0a", "\\x0a00", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int cmp;
        weir_error err;
        weir_value x = text(cases[i].x), y = text(cases[i].y);
        weir_type type = {.ty = cases[i].ty, .typmod = -1};
        assert_rc(WEIR_OK, weir_value_cmp(&x, &y, type, a, &cmp, &err), &err);
        assert_int_equal(cases[i].want, (cmp > 0) - (cmp < 0));
    }
}

static void test_incomparable(void **state)
{
    int cmp;
    weir_error err = {0};
    weir_value x = text("1.0"), y = text("1.00");
    weir_type type = {.ty = WEIR_TY_JSONB, .typmod = -1};
    (void)state;
    assert_rc(WEIR_OK, weir_value_cmp(&x, &x, type, a, &cmp, &err), &err);
    assert_int_equal(0, cmp);
    assert_rc(WEIR_E_INPUT, weir_value_cmp(&x, &y, type, a, &cmp, &err), NULL);
    assert_string_equal("0A000", err.sqlstate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonb), cmocka_unit_test(test_bad_arrays),
        cmocka_unit_test(test_casts), cmocka_unit_test(test_null_stays_null),
        cmocka_unit_test(test_order), cmocka_unit_test(test_incomparable),
    };
    return cmocka_run_group_tests_name("value", tests, setup, teardown);
}
