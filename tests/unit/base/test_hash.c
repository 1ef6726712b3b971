/* test_hash.c - hashes are xxHash's published values, so that stored ones stay valid. */
#include "libweir/base/hash.h"

#include "tests/support/check.h"

static void known_values(void **state)
{
    (void)state;
    static const unsigned char empty128[16] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
                                               0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    assert_true(weir_hash64((weir_slice){NULL, 0}) == UINT64_C(0x2d06800538d394c2));
    assert_true(weir_hash64((weir_slice){"", 0}) == UINT64_C(0x2d06800538d394c2));
    weir_hash128 h = weir_hash128_of((weir_slice){NULL, 0});
    assert_memory_equal(h.b, empty128, 16);
    assert_true(weir_hash64(weir_slice_z("a")) != weir_hash64(weir_slice_z("b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_values)};
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
