/* test_dockey.c - key texts there and back, and the whole Redis keys. */
#include "libweir/codec/dockey.h"

#include "tests/support/codec_check.h"

static void test_text(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1000);
    weir_slice parts[] = {WEIR_SLICE_LIT("a/b"), WEIR_SLICE_LIT(""), WEIR_SLICE_LIT("50% \n\x7f"),
                          WEIR_SLICE_LIT("\xc3\xa4")};
    weir_dockey_text(&b, parts, 4);
    assert_slice(WEIR_SLICE_LIT("a%2Fb/%/50%25%20%0A%7F/\xc3\xa4"), weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void test_round_trips(void **state)
{
    (void)state;
    uint64_t s = test_seed();
    for (int i = 0; i < 2000; i++) {
        weir_arena *a = weir_arena_new(0);
        weir_slice in[8], out[8];
        size_t n = 1 + rnd(&s) % 8, m = 8;
        weir_buf b;
        weir_buf_init(&b, 1 << 20);
        for (size_t k = 0; k < n; k++) {
            in[k] = rnd_bytes(&s, a, 12);
        }
        weir_dockey_text(&b, in, n);
        assert_true(weir_dockey_parse(weir_buf_slice(&b), a, out, &m));
        assert_int_equal(n, m);
        for (size_t k = 0; k < n; k++) {
            assert_slice(in[k], out[k]);
        }
        weir_buf_fini(&b);
        weir_arena_free(a);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "a//b", "/a", "a/",  "%2",
                                      "%zz", "%%",   "a%", "a b", "a\n"};
    weir_arena *a = weir_arena_new(1 << 16);
    weir_slice parts[4];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t n = 4;
        if (weir_dockey_parse(weir_slice_z(bad[i]), a, parts, &n)) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
    size_t n = 1;
    assert_false(weir_dockey_parse(WEIR_SLICE_LIT("a/b"), a, parts, &n));
    n = 1;
    assert_true(weir_dockey_parse(WEIR_SLICE_LIT("%2f"), a, parts, &n));
    assert_slice(WEIR_SLICE_LIT("/"), parts[0]);
    weir_arena_free(a);
}

static void test_redis_keys(void **state)
{
    (void)state;
    weir_arena *a = weir_arena_new(1 << 16);
    assert_slice(
        WEIR_SLICE_LIT("shop:order_view:12:7/8"),
        weir_dockey_doc(a, "shop", WEIR_SLICE_LIT("order_view"), 12, WEIR_SLICE_LIT("7/8")));
    assert_slice(WEIR_SLICE_LIT("s:m:4294967295:"),
                 weir_dockey_doc(a, "s", WEIR_SLICE_LIT("m"), UINT32_MAX, WEIR_SLICE_LIT("")));
    assert_slice(WEIR_SLICE_LIT("s:m:0:k"),
                 weir_dockey_doc(a, "s", WEIR_SLICE_LIT("m"), 0, WEIR_SLICE_LIT("k")));
    assert_slice(WEIR_SLICE_LIT("shop:position"), weir_dockey_position(a, "shop"));
    assert_slice(WEIR_SLICE_LIT("shop:epoch"), weir_dockey_epoch(a, "shop"));
    assert_slice(WEIR_SLICE_LIT("shop:models"), weir_dockey_models(a, "shop"));
    assert_slice(WEIR_SLICE_LIT("shop:notice"), weir_dockey_notice(a, "shop"));
    weir_arena_free(a);
    a = weir_arena_new(16);
    assert_null(
        weir_dockey_doc(a, "shop", WEIR_SLICE_LIT("order_view"), 1, WEIR_SLICE_LIT("123456789")).p);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text), cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_redis_keys)};
    return cmocka_run_group_tests_name("dockey", tests, NULL, NULL);
}
