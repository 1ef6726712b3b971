/* test_etag.c - entity tags and If-None-Match. */
#include "tests/support/check.h"

#include "read-service/etag.h"

static void tags_follow_the_bytes(void **state)
{
    char a[RSVC_ETAG_SIZE], b[RSVC_ETAG_SIZE], c[RSVC_ETAG_SIZE];
    (void)state;
    rsvc_etag_of(WEIR_SLICE_LIT("{\"a\": 1}"), a);
    rsvc_etag_of(WEIR_SLICE_LIT("{\"a\": 1}"), b);
    rsvc_etag_of(WEIR_SLICE_LIT("{\"a\": 2}"), c);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    assert_int_equal(strlen(a), 34);
    assert_int_equal(a[0], '"');
    assert_int_equal(a[33], '"');
    assert_int_equal(strspn(a + 1, "0123456789abcdef"), 32);
    rsvc_etag_of((weir_slice){NULL, 0}, a);
    assert_int_equal(strlen(a), 34);
}

static void if_none_match(void **state)
{
    (void)state;
    assert_true(rsvc_etag_matches("\"x\"", "\"x\""));
    assert_true(rsvc_etag_matches("W/\"x\"", "\"x\""));
    assert_true(rsvc_etag_matches(" \"a\" , \"x\"", "\"x\""));
    assert_true(rsvc_etag_matches("*", "\"x\""));
    assert_true(rsvc_etag_matches("\"x\",", "\"x\""));
    assert_false(rsvc_etag_matches("", "\"x\""));
    assert_false(rsvc_etag_matches(",,", "\"x\""));
    assert_false(rsvc_etag_matches("x", "\"x\""));
    assert_false(rsvc_etag_matches("\"xx\"", "\"x\""));
    assert_false(rsvc_etag_matches("\"a\", *", "\"x\""));
    assert_false(rsvc_etag_matches("W/", "\"x\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_follow_the_bytes),
        cmocka_unit_test(if_none_match),
    };
    return cmocka_run_group_tests_name("etag", tests, NULL, NULL);
}
