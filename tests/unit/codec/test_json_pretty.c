/* test_json_pretty.c - indenting never changes a token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libweir/codec/json_pretty.h"

static void gives(const char *in, const char *want)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 20);
    weir_json_pretty(&b, weir_slice_z(in));
    weir_buf_u8(&b, 0);
    assert_string_equal(b.p, want);
    weir_buf_fini(&b);
}

static void test_numbers_stay(void **state)
{
    (void)state;
    gives("{\"a\": 9.80, \"b\": [1.0, 12345678901234567890, -0]}",
          "{\n  \"a\": 9.80,\n  \"b\": [\n    1.0,\n    12345678901234567890,\n    -0\n  ]\n}");
}

static void test_strings_stay(void **state)
{
    (void)state;
    gives("[\"a,b:{}\\\"\\\\\"]", "[\n  \"a,b:{}\\\"\\\\\"\n]");
    gives("{\"x\":{},\"y\":[ ]}", "{\n  \"x\": {},\n  \"y\": []\n}");
}

static void test_broken_text_stays_in_bounds(void **state)
{
    (void)state;
    gives("\"open", "\"open");
    gives("\"back\\", "\"back\\");
    gives("]]}", "\n]\n]\n}");
    gives("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_stay),
        cmocka_unit_test(test_strings_stay),
        cmocka_unit_test(test_broken_text_stays_in_bounds),
    };
    return cmocka_run_group_tests_name("json_pretty", tests, NULL, NULL);
}
