/* test_slice.c - borrowed bytes: compare, trim, numbers. */
#include "libweir/base/slice.h"

#include "tests/support/check.h"

static weir_slice z(const char *s)
{
    return weir_slice_z(s);
}

static void compares_bytes_then_length(void **state)
{
    (void)state;
    assert_true(weir_slice_cmp(z("a"), z("b")) < 0);
    assert_true(weir_slice_cmp(z("b"), z("a")) > 0);
    assert_true(weir_slice_cmp(z("a"), z("ab")) < 0);
    assert_true(weir_slice_cmp(z("\x80"), z("\x7f")) > 0);
    assert_int_equal(weir_slice_cmp(z("ab"), z("ab")), 0);
    assert_int_equal(weir_slice_cmp((weir_slice){NULL, 0}, z("")), 0);
    assert_true(weir_slice_eq((weir_slice){NULL, 0}, z("")));
    assert_false(weir_slice_eqz(z("a"), "ab"));
}

static void starts_and_trims(void **state)
{
    (void)state;
    assert_true(weir_slice_starts(z("abc"), z("ab")));
    assert_true(weir_slice_starts(z("abc"), (weir_slice){NULL, 0}));
    assert_false(weir_slice_starts(z("a"), z("ab")));
    assert_slice("a b", weir_slice_trim(z(" \t\na b\r\n")));
    assert_slice("", weir_slice_trim(z(" \t ")));
    assert_slice("", weir_slice_trim((weir_slice){NULL, 0}));
}

static void reads_signed_numbers(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(weir_slice_i64(z("-9223372036854775808"), &v));
    assert_true(v == INT64_MIN);
    assert_true(weir_slice_i64(z("9223372036854775807"), &v));
    assert_true(v == INT64_MAX);
    assert_true(weir_slice_i64(z("+7"), &v));
    assert_int_equal(v, 7);
    assert_true(weir_slice_i64(z("-0"), &v));
    assert_int_equal(v, 0);
    static const char *const bad[] = {"",
                                      "-",
                                      "+",
                                      "--1",
                                      "1 ",
                                      " 1",
                                      "1a",
                                      "0x1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "1.0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(weir_slice_i64(z(bad[i]), &v));
    }
    assert_false(weir_slice_i64((weir_slice){"1\0", 2}, &v));
}

static void reads_unsigned_numbers(void **state)
{
    (void)state;
    uint64_t v = 0;
    assert_true(weir_slice_u64(z("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    assert_false(weir_slice_u64(z("18446744073709551616"), &v));
    assert_false(weir_slice_u64(z("-1"), &v));
    assert_false(weir_slice_u64(z(""), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_bytes_then_length),
        cmocka_unit_test(starts_and_trims),
        cmocka_unit_test(reads_signed_numbers),
        cmocka_unit_test(reads_unsigned_numbers),
    };
    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
