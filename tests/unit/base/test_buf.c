/* test_buf.c - the growing buffer: big endian, ceiling, stickiness. */
#include "libweir/base/buf.h"

#include <stdlib.h>

#include "tests/support/check.h"

static void writes_big_endian(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 100);
    weir_buf_u8(&b, 0x01);
    weir_buf_u16(&b, 0x0203);
    weir_buf_u32(&b, 0x04050607);
    weir_buf_u64(&b, UINT64_C(0x08090a0b0c0d0e0f));
    assert_int_equal(b.n, 15);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(b.p[i], i + 1);
    }
    weir_buf_fini(&b);
}

static void the_ceiling_is_sticky(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 10);
    weir_buf_putz(&b, "0123456789");
    assert_false(b.failed);
    assert_slice("0123456789", weir_buf_slice(&b));
    weir_buf_u8(&b, 1);
    assert_true(b.failed);
    assert_null(weir_buf_reserve(&b, 0));
    weir_buf_reset(&b);
    assert_false(b.failed);
    weir_buf_putz(&b, "01234");
    weir_buf_putz(&b, "012345");
    weir_buf_putz(&b, "x");
    assert_true(b.failed);
    assert_int_equal(b.n, 5);
    weir_buf_fini(&b);
}

static void printf_meets_the_ceiling_exactly(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 10);
    weir_buf_printf(&b, "%s", "0123456789");
    assert_false(b.failed);
    assert_slice("0123456789", weir_buf_slice(&b));
    weir_buf_printf(&b, "%s", "");
    assert_false(b.failed);
    weir_buf_printf(&b, "%d", 1);
    assert_true(b.failed);
    weir_buf_fini(&b);
}

static void grows_by_every_writer(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    weir_buf b;
    size_t n = 0;
    weir_buf_init(&b, 1 << 20);
    char *copy = malloc(1 << 20);
    assert_non_null(copy);
    while (n < 900000) {
        char text[400];
        size_t len = weir_test_random(&rng) % sizeof text;
        memset(text, 'a' + (int)(n % 26), len);
        memcpy(copy + n, text, len);
        if (weir_test_random(&rng) % 2) {
            weir_buf_put(&b, text, len);
        } else {
            weir_buf_printf(&b, "%.*s", (int)len, text);
        }
        n += len;
    }
    assert_false(b.failed);
    assert_int_equal(b.n, n);
    assert_memory_equal(b.p, copy, n);
    free(copy);
    weir_buf_fini(&b);
}

static void take_hands_the_bytes_over(void **state)
{
    (void)state;
    weir_buf b;
    size_t n;
    weir_buf_init(&b, 100);
    weir_buf_puts(&b, weir_slice_z("abc"));
    char *p = weir_buf_take(&b, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "abc", 3);
    free(p);
    assert_int_equal(b.n, 0);
    p = weir_buf_take(&b, &n);
    assert_int_equal(n, 0);
    free(p);
    weir_buf_putz(&b, "again");
    assert_slice("again", weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void huge_requests_fail_instead_of_wrapping(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, SIZE_MAX);
    weir_buf_putz(&b, "x");
    assert_null(weir_buf_reserve(&b, SIZE_MAX - 1));
    assert_true(b.failed);
    weir_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_big_endian),
        cmocka_unit_test(the_ceiling_is_sticky),
        cmocka_unit_test(printf_meets_the_ceiling_exactly),
        cmocka_unit_test(grows_by_every_writer),
        cmocka_unit_test(take_hands_the_bytes_over),
        cmocka_unit_test(huge_requests_fail_instead_of_wrapping),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
