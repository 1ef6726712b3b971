/* test_rate.c - buckets with a given clock. */
#include "libweir/auth/rate.h"

#include <stdio.h>

#include "tests/support/check.h"

enum { S = 1000000 };

static void a_bucket_empties_and_fills(void **state)
{
    (void)state;
    weir_bucket b = {0};
    weir_rate r;
    for (int i = 0; i < 10; i++) {
        assert_true(weir_bucket_take(&b, 10, 1, 5 * S, &r));
        assert_int_equal(r.remaining, 9 - i);
    }
    assert_int_equal(r.limit, 10);
    assert_int_equal(r.reset_s, 1);
    assert_false(weir_bucket_take(&b, 10, 1, 5 * S, &r));
    assert_int_equal(r.remaining, 0);
    assert_int_equal(r.retry_after_s, 1);
    assert_false(weir_bucket_take(&b, 10, 1, 5 * S + S / 10 - 1, &r));
    assert_true(weir_bucket_take(&b, 10, 1, 5 * S + S / 10, &r));
    assert_false(weir_bucket_take(&b, 10, 1, 5 * S + S / 10, &r));
    /* A long silence gives a whole bucket, not more. */
    for (int i = 0; i < 10; i++) {
        assert_true(weir_bucket_take(&b, 10, 1, 500 * (int64_t)S, &r));
    }
    assert_false(weir_bucket_take(&b, 10, 1, 500 * (int64_t)S, &r));
}

static void what_costs_more(void **state)
{
    (void)state;
    weir_bucket b = {0};
    weir_rate r;
    assert_true(weir_bucket_take(&b, 10, 8, S, &r));
    assert_int_equal(r.remaining, 2);
    assert_false(weir_bucket_take(&b, 10, 3, S, &r));
    assert_int_equal(r.remaining, 2);
    assert_true(weir_bucket_take(&b, 10, 2, S, &r));
    /* More than a bucket holds: only from a full one, which then owes. */
    assert_false(weir_bucket_take(&b, 10, 100, S, &r));
    assert_true(weir_bucket_take(&b, 10, 100, 3 * S, &r));
    assert_int_equal(r.reset_s, 10);
    assert_false(weir_bucket_take(&b, 10, 1, 11 * S, &r));
    assert_int_equal(r.retry_after_s, 2);
    assert_true(weir_bucket_take(&b, 10, 1, 12 * S + S / 10, &r));
}

static void the_rate_holds_over_time(void **state)
{
    (void)state;
    weir_bucket b = {0};
    weir_rate r;
    int taken = 0;
    for (int64_t us = S; us < 11 * (int64_t)S; us += 700) {
        taken += weir_bucket_take(&b, 300, 1, us, &r);
    }
    assert_in_range(taken, 3290, 3301); /* 10 s, and what was there at first */
}

static void callers_do_not_share(void **state)
{
    (void)state;
    weir_rates *rs = weir_rates_new();
    weir_rate r;
    assert_true(weir_rates_take(rs, WEIR_SLICE_LIT("a"), 1, 1, S, &r));
    assert_false(weir_rates_take(rs, WEIR_SLICE_LIT("a"), 1, 1, S, &r));
    assert_true(weir_rates_take(rs, WEIR_SLICE_LIT("b"), 1, 1, S, &r));
    /* More callers than are kept: those that are full again make room. */
    char name[24];
    for (int i = 0; i < WEIR_RATES_MAX; i++) {
        int n = snprintf(name, sizeof name, "caller %d", i);
        (void)weir_rates_take(rs, weir_slice_of(name, (size_t)n), 1, 1, S, &r);
    }
    assert_false(weir_rates_take(rs, WEIR_SLICE_LIT("new"), 1, 1, S, &r)); /* shares one */
    assert_true(weir_rates_take(rs, WEIR_SLICE_LIT("new"), 1, 1, 3 * S, &r));
    assert_true(weir_rates_take(rs, WEIR_SLICE_LIT("newer"), 1, 1, 3 * S, &r));
    weir_rates_free(rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(what_costs_more),
        cmocka_unit_test(the_rate_holds_over_time),
        cmocka_unit_test(callers_do_not_share),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
