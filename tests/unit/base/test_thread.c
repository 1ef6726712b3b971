/* test_thread.c - threads start and end; the monitor wakes and times out. */
#include "libweir/base/thread.h"

#include <signal.h>

#include "libweir/base/clock.h"
#include "tests/support/check.h"

typedef struct gate {
    weir_monitor *m;
    bool open, passed, blocked;
} gate;

static void pass_gate(void *arg)
{
    gate *g = arg;
    sigset_t now;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &now);
    weir_monitor_lock(g->m);
    g->blocked = sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGINT) == 1;
    while (!g->open) {
        (void)weir_monitor_wait(g->m, -1);
    }
    g->passed = true;
    weir_monitor_unlock(g->m);
}

static void a_monitor_wakes_its_waiters(void **state)
{
    (void)state;
    gate g = {.m = weir_monitor_new()};
    weir_thread *t[3];
    weir_error err;
    for (int i = 0; i < 3; i++) {
        assert_rc(WEIR_OK,
                  weir_thread_start(&t[i], "a-name-that-is-much-too-long", pass_gate, &g, &err),
                  &err);
    }
    weir_monitor_lock(g.m);
    g.open = true;
    weir_monitor_wake(g.m);
    weir_monitor_unlock(g.m);
    for (int i = 0; i < 3; i++) {
        weir_thread_join(t[i]);
    }
    assert_true(g.passed);
    assert_true(g.blocked);
    weir_monitor_free(g.m);
    weir_thread_join(NULL);
}

static void waiting_times_out(void **state)
{
    (void)state;
    weir_monitor *m = weir_monitor_new();
    int64_t start = weir_mono_ms();
    weir_monitor_lock(m);
    while (weir_monitor_wait(m, 20)) {
    }
    weir_monitor_unlock(m);
    assert_true(weir_mono_ms() - start >= 19);
    weir_monitor_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_monitor_wakes_its_waiters),
        cmocka_unit_test(waiting_times_out),
    };
    return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
