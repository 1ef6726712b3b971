/* test_lsn.c - LSN text, cursor order, and snapshot visibility modulo 2^32. */
#include "libweir/codec/lsn.h"

#include "tests/support/codec_check.h"

static void test_text(void **state)
{
    (void)state;
    char text[WEIR_LSN_TEXT_MAX];
    uint64_t v = 0;
    assert_string_equal(weir_lsn_print(0x1600ABCDEFULL, text), "16/ABCDEF");
    assert_string_equal(weir_lsn_print(UINT64_MAX, text), "FFFFFFFF/FFFFFFFF");
    assert_string_equal(weir_lsn_print(0, text), "0/0");
    assert_true(weir_lsn_parse(WEIR_SLICE_LIT("16/abCDEF"), &v));
    assert_true(v == 0x1600ABCDEFULL);
    assert_true(weir_lsn_parse(WEIR_SLICE_LIT("FFFFFFFF/FFFFFFFF"), &v) && v == UINT64_MAX);
    static const char *const bad[] = {"",    "/",           "1/",   "/1",   "1",    "1/2/3",
                                      "g/1", "1/123456789", " 1/2", "1/2 ", "-1/2", "0x1/2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (weir_lsn_parse(weir_slice_z(bad[i]), &v)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
    uint64_t s = test_seed();
    for (int i = 0; i < 1000; i++) {
        uint64_t want = rnd(&s) >> rnd(&s) % 64;
        assert_true(weir_lsn_parse(weir_slice_z(weir_lsn_print(want, text)), &v) && v == want);
    }
}

static void test_cursor(void **state)
{
    (void)state;
    weir_cursor tx = {10, WEIR_SUB_TX}, chunk = {10, 5}, end = {11, 0};
    assert_true(weir_cursor_cmp(chunk, tx) < 0);
    assert_true(weir_cursor_cmp(tx, end) < 0);
    assert_true(weir_cursor_cmp(end, chunk) > 0);
    assert_int_equal(weir_cursor_cmp(tx, tx), 0);
}

static bool parse(const char *z, weir_snapshot *s)
{
    static uint64_t xip[8];
    return weir_snapshot_parse(weir_slice_z(z), xip, 8, s);
}

static void test_snapshot_text(void **state)
{
    (void)state;
    weir_snapshot s;
    assert_true(parse("731:733:731", &s));
    assert_true(s.xmin == 731 && s.xmax == 733 && s.nxip == 1 && s.xip[0] == 731);
    assert_true(parse("10:10:", &s));
    assert_int_equal(s.nxip, 0);
    assert_true(parse("10:20:10,14,15", &s));
    assert_int_equal(s.nxip, 3);
    static const char *const bad[] = {"",
                                      "1",
                                      "1:2",
                                      "1:2:x",
                                      "1:5:4,3",
                                      "1:5:3,3",
                                      "1:5:5",
                                      "5:1:",
                                      "2:5:1",
                                      "1:5:3,",
                                      ":5:3",
                                      "-1:5:",
                                      "1:99:2,3,4,5,6,7,8,9,10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i], &s)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
}

static void test_visibility(void **state)
{
    (void)state;
    weir_snapshot s;
    assert_true(parse("731:735:731,733", &s));
    assert_true(weir_snapshot_sees(&s, 730));
    assert_false(weir_snapshot_sees(&s, 731));
    assert_true(weir_snapshot_sees(&s, 732));
    assert_false(weir_snapshot_sees(&s, 733));
    assert_true(weir_snapshot_sees(&s, 734));
    assert_false(weir_snapshot_sees(&s, 735));
    assert_false(weir_snapshot_sees(&s, 900));
    /* An id that cannot exist yet in the first epoch is not seen. */
    assert_false(weir_snapshot_sees(&s, 4000000000U));
}

/* Three epochs on, and across the wrap: the 64-bit xmax is 3 * 2^32 + 5. */
static void test_visibility_wraps(void **state)
{
    (void)state;
    weir_snapshot s;
    assert_true(
        parse("12884901880:12884901893:12884901880,12884901890", &s)); /* 3*2^32 - 8 … 3*2^32 + 5 */
    assert_true(weir_snapshot_sees(&s, 0xfffffff7U));                  /* -9 */
    assert_false(weir_snapshot_sees(&s, 0xfffffff8U));                 /* -8, running */
    assert_true(weir_snapshot_sees(&s, 0xfffffff9U));
    assert_true(weir_snapshot_sees(&s, 1));
    assert_false(weir_snapshot_sees(&s, 2)); /* running */
    assert_true(weir_snapshot_sees(&s, 4));
    assert_false(weir_snapshot_sees(&s, 5));
    assert_false(weir_snapshot_sees(&s, 1000000));
    assert_true(weir_snapshot_sees(&s, 0xc0000000U));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_cursor),
                                       cmocka_unit_test(test_snapshot_text),
                                       cmocka_unit_test(test_visibility),
                                       cmocka_unit_test(test_visibility_wraps)};
    return cmocka_run_group_tests_name("lsn", tests, NULL, NULL);
}
