/* test_path.c - migrations/lake/path.c: names of folders, days and parts. */
#include "migrations/lake/path.h"

#include <stdlib.h>

#include "tests/support/check.h"

static const char *folder(const char *schema, const char *name)
{
    static weir_buf b;
    weir_buf_fini(&b);
    weir_buf_init(&b, 4096);
    lake_folder_name(&b, weir_slice_z(schema), weir_slice_z(name));
    weir_buf_u8(&b, '\0');
    return b.p;
}

static void folders_are_plain_and_never_meet(void **state)
{
    (void)state;
    assert_string_equal(folder("public", "order_line"), "public.order_line");
    assert_string_equal(folder("a.b", "c"), "a%2Eb.c");
    assert_string_equal(folder("a", "b.c"), "a.b%2Ec");
    assert_string_equal(folder("_x", "_y"), "%5Fx._y"); /* readers skip what begins with _ */
    assert_string_equal(folder("p", "../../etc"), "p.%2E%2E%2F%2E%2E%2Fetc");
    assert_string_equal(folder("p", "50% ~"), "p.50%25%20%7E");
    assert_string_equal(folder("p", "stra\xc3\x9f"
                                    "e"),
                        "p.stra\xc3\x9f"
                        "e");
}

static void long_folders_are_cut_and_differ(void **state)
{
    char a[64], b[64];
    (void)state;
    memset(a, '/', sizeof a);
    memset(b, '/', sizeof b);
    a[63] = b[63] = '\0';
    b[62] = '.';
    char *first = strdup(folder(a, a));
    assert_true(strlen(first) <= LAKE_FOLDER_MAX);
    assert_string_not_equal(first, folder(a, b));
    assert_string_equal(first, folder(a, a));
    free(first);
    (void)folder("", "");
}

static void days_go_both_ways(void **state)
{
    char text[LAKE_DAY_TEXT];
    int64_t day;
    (void)state;
    assert_string_equal(lake_day_print(0, text), "1970-01-01");
    assert_string_equal(lake_day_print(lake_day_of(0), text), "2000-01-01");
    assert_string_equal(lake_day_print(lake_day_of(-1), text), "1999-12-31");
    for (int64_t d = -400000; d < 400000; d += 97) {
        assert_true(lake_day_parse(weir_slice_z(lake_day_print(d, text)), &day));
        assert_int_equal(day, d);
    }
    assert_string_equal(lake_day_print(INT64_MAX, text), "9999-12-31");
    assert_string_equal(lake_day_print(INT64_MIN, text), "0001-01-01");
    static const char *const bad[] = {"2026-02-30", "2026-13-01", "2026-1-01",   "2026-01-0x",
                                      "",           "20260101",   "2026-01-01 ", "2025-02-29"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(lake_day_parse(weir_slice_z(bad[i]), &day));
    }
    assert_true(lake_day_parse(WEIR_SLICE_LIT("2024-02-29"), &day));
}

static void times_and_parts_are_of_fixed_width(void **state)
{
    char t[LAKE_TIME_TEXT], p[LAKE_PART_TEXT];
    (void)state;
    assert_string_equal(lake_time_print(0, t), "2000-01-01T00:00:00.000000Z");
    assert_string_equal(lake_time_print(-1, t), "1999-12-31T23:59:59.999999Z");
    assert_string_equal(lake_time_print(INT64_C(848498706123456), t),
                        "2026-11-20T14:05:06.123456Z");
    assert_string_equal(lake_part_name(0x1A2B3C8D, 7, 1, p),
                        "part-000000001A2B3C8D-0000000007-00001.jsonl");
    assert_string_equal(lake_position_print(UINT64_C(0x1f00000abc), p), "0000001F/00000ABC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders_are_plain_and_never_meet),
        cmocka_unit_test(long_folders_are_cut_and_differ),
        cmocka_unit_test(days_go_both_ways),
        cmocka_unit_test(times_and_parts_are_of_fixed_width),
    };
    return cmocka_run_group_tests_name("lake path", tests, NULL, NULL);
}
