/* test_rd.c - the sticky reader: values, past the end, leftovers. */
#include "libweir/base/rd.h"

#include <stdlib.h>

#include "tests/support/check.h"

static void reads_big_endian(void **state)
{
    (void)state;
    static const char wire[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff";
    weir_rd rd = weir_rd_of((weir_slice){wire, 15});
    assert_int_equal(weir_rd_u8(&rd), 1);
    assert_int_equal(weir_rd_u16(&rd), 0x0203);
    assert_int_equal(weir_rd_u32(&rd), 0x04050607);
    assert_true(weir_rd_u64(&rd) == UINT64_C(0x08090a0b0c0d0eff));
    assert_true(weir_rd_finish(&rd));
}

static void past_the_end_is_sticky(void **state)
{
    (void)state;
    weir_rd rd = weir_rd_of(weir_slice_z("abc"));
    assert_int_equal(weir_rd_u32(&rd), 0);
    assert_false(weir_rd_ok(&rd));
    assert_int_equal(weir_rd_left(&rd), 0);
    /* The three bytes are still there, but nothing may be read any more. */
    assert_int_equal(weir_rd_u8(&rd), 0);
    assert_null(weir_rd_bytes(&rd, 1).p);
    assert_null(weir_rd_bytes(&rd, 0).p);
    assert_null(weir_rd_cstr(&rd).p);
    assert_false(weir_rd_finish(&rd));
}

static void leftovers_are_refused(void **state)
{
    (void)state;
    weir_rd rd = weir_rd_of(weir_slice_z("ab"));
    (void)weir_rd_u8(&rd);
    assert_true(weir_rd_ok(&rd));
    assert_false(weir_rd_finish(&rd));
}

static void strings_need_their_nul(void **state)
{
    (void)state;
    weir_rd rd = weir_rd_of((weir_slice){"ab\0\0cd", 6});
    assert_slice("ab", weir_rd_cstr(&rd));
    assert_slice("", weir_rd_cstr(&rd));
    assert_true(weir_rd_ok(&rd));
    assert_null(weir_rd_cstr(&rd).p);
    assert_false(weir_rd_ok(&rd));
}

static void bytes_are_borrowed_and_bounded(void **state)
{
    (void)state;
    static const char wire[] = "abcdef";
    weir_rd rd = weir_rd_of((weir_slice){wire, 6});
    assert_slice("ab", weir_rd_bytes(&rd, 2));
    assert_ptr_equal(weir_rd_bytes(&rd, 1).p, wire + 2);
    assert_null(weir_rd_bytes(&rd, SIZE_MAX).p);
    assert_false(weir_rd_ok(&rd));
}

static void nothing_at_all_is_fine(void **state)
{
    (void)state;
    weir_rd rd = weir_rd_of((weir_slice){NULL, 0});
    assert_true(weir_rd_finish(&rd));
    assert_int_equal(weir_rd_bytes(&rd, 0).n, 0);
    assert_true(weir_rd_ok(&rd));
    assert_int_equal(weir_rd_u8(&rd), 0);
    assert_false(weir_rd_ok(&rd));
}

/* Any sequence of reads over any bytes stays inside: the sanitizer watches the exact allocation. */
static void never_reads_outside(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    for (int round = 0; round < 2000; round++) {
        size_t n = weir_test_random(&rng) % 40;
        char *p = malloc(n ? n : 1);
        assert_non_null(p);
        for (size_t i = 0; i < n; i++) {
            p[i] = (char)(weir_test_random(&rng) % 3);
        }
        weir_rd rd = weir_rd_of((weir_slice){p, n});
        size_t left = n;
        while (weir_rd_ok(&rd)) {
            switch (weir_test_random(&rng) % 6) {
            case 0: (void)weir_rd_u8(&rd); break;
            case 1: (void)weir_rd_u16(&rd); break;
            case 2: (void)weir_rd_u32(&rd); break;
            case 3: (void)weir_rd_u64(&rd); break;
            case 4: (void)weir_rd_cstr(&rd); break;
            default: (void)weir_rd_bytes(&rd, 1 + weir_test_random(&rng) % 5); break;
            }
            assert_true(weir_rd_left(&rd) < left || !weir_rd_ok(&rd));
            left = weir_rd_left(&rd);
        }
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_big_endian),
        cmocka_unit_test(past_the_end_is_sticky),
        cmocka_unit_test(leftovers_are_refused),
        cmocka_unit_test(strings_need_their_nul),
        cmocka_unit_test(bytes_are_borrowed_and_bounded),
        cmocka_unit_test(nothing_at_all_is_fine),
        cmocka_unit_test(never_reads_outside),
    };
    return cmocka_run_group_tests_name("rd", tests, NULL, NULL);
}
