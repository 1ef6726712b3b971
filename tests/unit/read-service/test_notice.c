/* test_notice.c - change notices. */
#include "tests/support/check.h"

#include "read-service/notice.h"

static void notices(void **state)
{
    rsvc_notice n;
    (void)state;
    assert_true(rsvc_notice_parse(WEIR_SLICE_LIT("0/1A"), &n));
    assert_int_equal(n.position, 0x1a);
    assert_false(n.models);
    assert_true(rsvc_notice_parse(WEIR_SLICE_LIT("1/2\norder_view\t7\norder_view\t8/9"), &n));
    assert_int_equal(n.position, (UINT64_C(1) << 32) + 2);
    assert_false(n.models);
    assert_true(rsvc_notice_parse(WEIR_SLICE_LIT("1/2\norder_view\t7\nother\t*"), &n));
    assert_true(n.models);
    assert_true(rsvc_notice_parse(WEIR_SLICE_LIT("1/2\na\t*\nb\t1\n"), &n));
    assert_true(n.models);
    assert_true(rsvc_notice_parse(WEIR_SLICE_LIT("1/2\na\tx*\n"), &n));
    assert_false(n.models);
}

static void malformed(void **state)
{
    rsvc_notice n;
    (void)state;
    assert_false(rsvc_notice_parse((weir_slice){NULL, 0}, &n));
    assert_false(rsvc_notice_parse(WEIR_SLICE_LIT(""), &n));
    assert_false(rsvc_notice_parse(WEIR_SLICE_LIT("\n1/2"), &n));
    assert_false(rsvc_notice_parse(WEIR_SLICE_LIT("hello\na\t*"), &n));
    assert_false(rsvc_notice_parse(WEIR_SLICE_LIT("1/2 \n"), &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notices),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests_name("notice", tests, NULL, NULL);
}
