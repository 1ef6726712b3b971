/* test_gather.c - when the reader pauses, and how long. */
#include "bridge/gather.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SECOND_US = 1000000, LATE = 5 * SECOND_US };

static brg_gather g;

static int setup(void **state)
{
    (void)state;
    brg_gather_init(&g);
    return 0;
}

static void single_commands_are_read_at_once(void **state)
{
    (void)state;
    for (int ms = 0; ms < 100; ms++) {
        brg_gather_began(&g, 0); /* however late they are */
        brg_gather_read(&g, 4, 400, ms);
        assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), 0);
    }
}

static void a_flood_or_a_long_transaction_gathers_shortly(void **state)
{
    (void)state;
    brg_gather_began(&g, LATE - 1000);
    brg_gather_read(&g, 150, 1000, 8);
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), 0);
    assert_int_equal(brg_gather_pause_ns(&g, true, true, BRG_GATHER_EVENTS, LATE), BRG_GATHER_NS);
    brg_gather_read(&g, 60, 1000, 13); /* with the slice before it is one */
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), BRG_GATHER_NS);
    brg_gather_read(&g, 1, 100, 24); /* the one before the last does not count */
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), 0);
}

static void what_is_behind_gathers_longer_on_the_loopback(void **state)
{
    (void)state;
    int64_t last = BRG_GATHER_NS;
    for (int i = 0; i < 10; i++) {
        brg_gather_began(&g, LATE - BRG_GATHER_BEHIND_US - 1);
        brg_gather_read(&g, 1000, 100000, 100);
        int64_t ns = brg_gather_pause_ns(&g, true, true, 0, LATE);
        assert_true(ns >= last);
        last = ns;
    }
    assert_int_equal(last, BRG_GATHER_LONG_NS);
    brg_gather_read(&g, 1000, 100000, 100);
    assert_int_equal(brg_gather_pause_ns(&g, false, true, 0, LATE),
                     BRG_GATHER_NS); /* another machine */
    brg_gather_began(&g, LATE - BRG_GATHER_BEHIND_US);
    brg_gather_read(&g, 1000, 100000, 100);
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), BRG_GATHER_NS); /* caught up */
}

static void wide_rows_shorten_the_pause(void **state)
{
    (void)state;
    brg_gather_began(&g, 0);
    for (int i = 0; i < 20; i++) {
        brg_gather_read(&g, 300, 3000000, 100);
        (void)brg_gather_pause_ns(&g, true, true, 0, LATE);
    }
    brg_gather_read(&g, 300, 3000000, 100);
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), BRG_GATHER_NS);
}

static void what_nobody_waits_for_is_read_in_slices_of_time(void **state)
{
    (void)state;
    brg_gather_began(&g, LATE - 1000);
    brg_gather_read(&g, 4, 400, 8);
    assert_int_equal(brg_gather_pause_ns(&g, true, false, 0, LATE), BRG_GATHER_UNHEARD_NS);
    assert_int_equal(brg_gather_pause_ns(&g, true, true, 0, LATE), 0);
    brg_gather_read(&g, BRG_GATHER_FLOOD, 1000, 13); /* much at once must not pile up */
    assert_int_equal(brg_gather_pause_ns(&g, true, false, 0, LATE), BRG_GATHER_NS);
}

/* A transaction with one wide row each: few messages, and the server waits for the window. */
static void wide_rows_do_not_fall_behind_while_nobody_fetches(void **state)
{
    int64_t ns = 0;
    (void)state;
    for (int i = 0; i < 10; i++) {
        brg_gather_began(&g, 0);
        brg_gather_read(&g, 40, 100000, 100L * i);
        ns = brg_gather_pause_ns(&g, true, false, 3, LATE);
    }
    assert_int_equal(ns, BRG_GATHER_NS);
    for (int i = 10; i < 20; i++) {
        brg_gather_read(&g, 4, 400, 100L * i);
        ns = brg_gather_pause_ns(&g, true, false, 0, LATE);
    }
    assert_int_equal(ns, BRG_GATHER_UNHEARD_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(single_commands_are_read_at_once, setup),
        cmocka_unit_test_setup(a_flood_or_a_long_transaction_gathers_shortly, setup),
        cmocka_unit_test_setup(what_is_behind_gathers_longer_on_the_loopback, setup),
        cmocka_unit_test_setup(wide_rows_shorten_the_pause, setup),
        cmocka_unit_test_setup(what_nobody_waits_for_is_read_in_slices_of_time, setup),
        cmocka_unit_test_setup(wide_rows_do_not_fall_behind_while_nobody_fetches, setup),
    };
    return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
