/* test_backoff.c - waiting grows, stays inside its bounds, and starts over after a success. */
#include "libweir/base/backoff.h"

#include "tests/support/check.h"

static void stays_between_base_and_cap(void **state)
{
    (void)state;
    weir_backoff b;
    int64_t prev = 100, highest = 0;
    weir_backoff_init(&b, 100, 5000, weir_test_seed() | 1);
    for (int i = 0; i < 10000; i++) {
        int64_t v = weir_backoff_next_ms(&b);
        assert_true(v >= 100 && v <= 5000);
        assert_true(v <= prev * 3);
        prev = v;
        highest = v > highest ? v : highest;
    }
    assert_true(highest > 4000);
}

static void reset_starts_over(void **state)
{
    (void)state;
    weir_backoff b;
    weir_backoff_init(&b, 10, 100000, 7);
    for (int i = 0; i < 100; i++) {
        (void)weir_backoff_next_ms(&b);
    }
    weir_backoff_reset(&b);
    assert_true(weir_backoff_next_ms(&b) <= 30);
}

static void odd_bounds_do_no_harm(void **state)
{
    (void)state;
    weir_backoff b;
    weir_backoff_init(&b, 0, 0, 0);
    assert_int_equal(weir_backoff_next_ms(&b), 1);
    weir_backoff_init(&b, 50, 10, 3);
    assert_int_equal(weir_backoff_next_ms(&b), 50);
    weir_backoff_init(&b, 1, INT64_MAX, 3);
    for (int i = 0; i < 1000; i++) {
        assert_true(weir_backoff_next_ms(&b) >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stays_between_base_and_cap),
        cmocka_unit_test(reset_starts_over),
        cmocka_unit_test(odd_bounds_do_no_harm),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
