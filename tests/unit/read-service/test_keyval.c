/* test_keyval.c - one spelling for each value of a key. */
#include "tests/support/check.h"

#include "read-service/keyval.h"

static const struct {
    const char *type, *in, *out; /* out NULL: no value of the type */
} cases[] = {
    {"bigint", "7", "7"},
    {"bigint", "04", "4"},
    {"bigint", "+4", "4"},
    {"bigint", "-0", "0"},
    {"bigint", "000", "0"},
    {"bigint", "%204%09", "4"},
    {"bigint", "-9223372036854775808", "-9223372036854775808"},
    {"bigint", "9223372036854775807", "9223372036854775807"},
    {"bigint", "9223372036854775808", NULL},
    {"bigint", "99999999999999999999999", NULL},
    {"bigint", "4.0", NULL},
    {"bigint", "4x", NULL},
    {"bigint", "-", NULL},
    {"bigint", "%", NULL},
    {"bigint", "0x1F", NULL},
    {"integer", "2147483647", "2147483647"},
    {"integer", "2147483648", NULL},
    {"integer", "-2147483648", "-2147483648"},
    {"smallint", "-32768", "-32768"},
    {"smallint", "32768", NULL},
    {"uuid", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11"},
    {"uuid", "8C1F5A3E-0D6B-4F57-9A51-2F3F0C9A7B11", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11"},
    {"uuid", "{8c1f5a3e0d6b4f579a512f3f0c9a7b11}", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11"},
    {"uuid", "8c1f-5a3e-0d6b-4f57-9a51-2f3f-0c9a-7b11", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11"},
    {"uuid", "8c1f5a3e--0d6b-4f57-9a51-2f3f0c9a7b11", NULL},
    {"uuid", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11-", NULL},
    {"uuid", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b1", NULL},
    {"uuid", "8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b1g", NULL},
    {"boolean", "t", "t"},
    {"boolean", "True", "t"},
    {"boolean", "of", "f"},
    {"boolean", "o", NULL},
    {"boolean", "2", NULL},
    {"numeric(12,2)", "1.50", "1.50"},
    {"numeric(12,2)", "1.5", "1.50"},
    {"numeric(12,2)", "+01.500", "1.50"},
    {"numeric(12,2)", ".5", "0.50"},
    {"numeric(12,2)", "5.", "5.00"},
    {"numeric(12,2)", "-0", "0.00"},
    {"numeric(12,2)", "1e2", "100.00"},
    {"numeric(12,2)", "125e-3", "0.125"}, /* equal to none */
    {"numeric(12,2)", "1234567890.5", "1234567890.50"},
    {"numeric(12,2)", "12345678901", NULL},
    {"numeric(12,2)", "0e30000", NULL},
    {"numeric(12,2)", "nan", "NaN"},
    {"numeric(12,2)", "infinity", NULL},
    {"numeric(12,2)", "1,5", NULL},
    {"numeric(2,4)", "0.0012", "0.0012"},
    {"numeric(2,4)", "0.0123", NULL},
    {"numeric(3,-2)", "12300", "12300"},
    {"date", "2024-02-29", "2024-02-29"},
    {"date", "2024-2-9", "2024-02-09"},
    {"date", "2023-02-29", NULL},
    {"date", "0044-03-15%20bc", "0044-03-15%20BC"},
    {"date", "Infinity", "infinity"},
    {"date", "yesterday", NULL},
    {"timestamp", "2024-02-29", "2024-02-29%2000:00:00"},
    {"timestamp", "2024-02-29T12:00:00.50", "2024-02-29%2012:00:00.5"},
    {"timestamp", "2024-02-29%2012:00:00.0000001", NULL},
    {"timestamptz", "2024-02-29T12:00:00.5+00:00", "2024-02-29%2012:00:00.5+00"},
    {"timestamptz", "2024-03-01T01:30:00+0230", "2024-02-29%2023:00:00+00"},
    {"timestamptz", "2023-12-31T23:00-02", "2024-01-01%2001:00:00+00"},
    {"timestamptz", "2024-12-31T24:00:00Z", "2025-01-01%2000:00:00+00"},
    {"timestamptz", "2024-12-31T24:00:01Z", NULL},
    {"timestamptz", "2024-12-31T23:00:00%20Europe%2FParis", NULL},
    {"char(4)", "ab", "ab%20%20"},
    {"char(4)", "\xC3\xA9t%C3%A9", "\xC3\xA9t\xC3\xA9%20"},
    {"char(4)", "abcd%20%20", "abcd"},
    {"char(4)", "abcde", NULL},
    {"text", "04", "04"},
    {"text", "a%2Fb", "a%2Fb"},
    {"text", "%", "%"},
    {"tomorrow's type", "04", "04"},
};

static void each_value_has_one_spelling(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weir_slice out = {NULL, 0};
        size_t bad = 9;
        rsvc_key_type t = rsvc_key_type_of(weir_slice_z(cases[i].type));
        weir_rc rc = rsvc_key_spell(&t, 1, weir_slice_z(cases[i].in), a, &out, &bad);
        if (rc != (cases[i].out ? WEIR_OK : WEIR_E_INPUT) ||
            (cases[i].out && !weir_slice_eqz(out, cases[i].out))) {
            fail_msg("%s %s: %s " WEIR_SLICE_FMT, cases[i].type, cases[i].in, weir_rc_name(rc),
                     WEIR_SLICE_ARG(out));
        }
        assert_true(strlen(rsvc_key_expected(t, a)) > 0);
    }
    weir_arena_free(a);
}

static void parts(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(0);
    const rsvc_key_type types[] = {rsvc_key_type_of(WEIR_SLICE_LIT("bigint")),
                                   rsvc_key_type_of(WEIR_SLICE_LIT("text")),
                                   rsvc_key_type_of(WEIR_SLICE_LIT("uuid"))};
    weir_slice out;
    size_t bad = 9;
    const weir_slice right = WEIR_SLICE_LIT("7/a%2Fb/8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11");
    assert_rc(WEIR_OK, rsvc_key_spell(types, 3, right, a, &out, &bad), NULL);
    assert_ptr_equal(out.p, right.p); /* nothing was copied */
    const weir_slice other = WEIR_SLICE_LIT("07/a%2Fb/8C1F5A3E-0D6B-4F57-9A51-2F3F0C9A7B11");
    assert_rc(WEIR_OK, rsvc_key_spell(types, 3, other, a, &out, &bad), NULL);
    assert_slice("7/a%2Fb/8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11", out);
    assert_rc(WEIR_E_INPUT, rsvc_key_spell(types, 3, WEIR_SLICE_LIT("7/%/x"), a, &out, &bad), NULL);
    assert_int_equal(bad, 2);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_one_spelling),
        cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests_name("keyval", tests, NULL, NULL);
}
