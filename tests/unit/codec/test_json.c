/* test_json.c - what is taken, what is refused, and where. */
#include "libweir/codec/json.h"

#include "tests/support/codec_check.h"

static void test_access(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(1 << 16);
    weir_json *j = NULL;
    weir_error err;
    weir_slice s;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    assert_rc(
        WEIR_OK,
        weir_json_parse(
            &j,
            WEIR_SLICE_LIT(
                "{\"s\":\"x\\u00e4\",\"i\":-5,\"d\":1.5,\"b\":true,\"o\":{\"l\":[1,\"two\"]}}"),
            &err));
    assert_true(weir_json_str(j, "s", &s));
    assert_slice(WEIR_SLICE_LIT("x\xc3\xa4"), s);
    assert_true(weir_json_i64(j, "i", &i) && i == -5);
    assert_true(weir_json_double(j, "d", &d) && d > 1.4 && d < 1.6);
    assert_true(weir_json_double(j, "i", &d) && d < 0);
    assert_true(weir_json_bool(j, "b", &b) && b);
    assert_false(weir_json_i64(j, "s", &i));
    assert_false(weir_json_bool(j, "i", &b));
    assert_false(weir_json_str(j, "absent", &s));
    const weir_json *l = weir_json_get(weir_json_get(j, "o"), "l");
    assert_int_equal(weir_json_len(l), 2);
    assert_true(weir_json_text(weir_json_at(l, 1), &s));
    assert_null(weir_json_at(l, 2));
    assert_null(weir_json_get(l, "x"));
    assert_null(weir_json_at(j, 0));
    assert_int_equal(weir_json_len(j), 5);
    assert_int_equal(weir_json_len(NULL), 0);
    assert_slice(WEIR_SLICE_LIT("[1,\"two\"]"), weir_json_dump(l, false, a));
    assert_slice(WEIR_SLICE_LIT("[\n  1,\n  \"two\"\n]"), weir_json_dump(l, true, a));
    void *iter = NULL;
    const char *key;
    const weir_json *value;
    size_t n = 0;
    while (weir_json_next(j, &iter, &key, &value)) {
        n++;
    }
    assert_int_equal(n, 5);
    weir_json_free(j);
    weir_arena_free(a);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     "{",  "{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "[1] x", "\"\xff\"", "{'a':1}",
        "[1,]", "nul"};
    weir_json *j;
    weir_error err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, weir_json_parse(&j, weir_slice_z(bad[i]), &err));
        assert_non_null(strstr(err.msg, "line 1"));
        assert_null(j);
    }
    size_t depth = 100000;
    char *deep = weir_xmalloc(depth);
    memset(deep, '[', depth);
    assert_rc(WEIR_E_INPUT, weir_json_parse(&j, weir_slice_of(deep, depth), &err));
    free(deep);
    assert_rc(WEIR_OK, weir_json_parse(&j, WEIR_SLICE_LIT(" 17 "), &err));
    weir_json_free(j);
    weir_json_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_access),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
