/* test_watch.c - the thread that looks at the catalog, while PostgreSQL is away. */
#include "libweir/base/clock.h"
#include "tests/support/check.h"
#include "write-service/watch.h"

static int looks;

static void on_seen(void *arg, const wsvc_seen *s)
{
    (void)arg;
    assert_int_not_equal(s->rc, WEIR_OK);
    looks++;
}

static void turn_until(weir_loop *l, int64_t until_ms)
{
    for (int64_t left = 1; left > 0; left = until_ms - weir_mono_ms()) {
        weir_loop_turn(l, left < 20 ? left : 20);
    }
}

static void nothing_is_tidied_while_postgresql_is_away(void **state)
{
    (void)state;
    weir_error err = {0};
    weir_loop *l = NULL;
    wsvc_watch *w = NULL;
    assert_rc(WEIR_OK, weir_loop_new(&l, &err), &err);
    wsvc_watch_conf conf = {.uri = "postgresql:///none?host=/nowhere/at/all",
                            .application_name = "test",
                            .loop = l,
                            .seen = on_seen};
    int64_t from = weir_mono_ms();
    assert_rc(WEIR_OK, wsvc_watch_start(&w, &conf, &err), &err);
    wsvc_watch_tidy(w, "counter"); /* due in 150 ms, and cannot be done */
    turn_until(l, from + 1500);
    wsvc_watch_stop(w);
    wsvc_watch_free(w);
    assert_in_range(looks, 1, 3); /* one each second, as ever */
    weir_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_tidied_while_postgresql_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
