/* test_loop.c - timers, descriptors, messages from threads, hooks, removal while running. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "libweir/io/loop.h"

enum { POSTERS = 4, POSTS_EACH = 20000 };

static int loop_up(void **state)
{
    weir_loop *l = NULL;
    weir_error err;
    if (weir_loop_new(&l, &err) != WEIR_OK) {
        return -1;
    }
    *state = l;
    return 0;
}

static int loop_down(void **state)
{
    weir_loop_free(*state);
    return 0;
}

typedef struct tick {
    weir_loop *l;
    weir_loop_timer *t;
    int n, stop_at;
    char *trace;
    char name;
} tick;

static void on_tick(void *arg)
{
    tick *k = arg;
    k->n++;
    if (k->trace) {
        size_t at = strlen(k->trace);
        k->trace[at] = k->name;
    }
    if (k->n == k->stop_at) {
        weir_loop_stop(k->l);
    }
}

static void timers_fire_in_order(void **state)
{
    char trace[8] = "";
    tick k[3];
    const int64_t after[3] = {30, 1, 12};
    int64_t start = weir_mono_ms(); /* before they are armed, or the wait may look a tick short */
    for (int i = 0; i < 3; i++) {
        k[i] =
            (tick){.l = *state, .trace = trace, .name = (char)('a' + i), .stop_at = i == 0 ? 1 : 0};
        k[i].t = weir_loop_timer_new(*state, on_tick, &k[i]);
        weir_loop_timer_arm(k[i].t, after[i], false);
    }
    weir_loop_run(*state);
    assert_string_equal(trace, "bca");
    assert_true(weir_mono_ms() - start >= 30);
}

static void timer_repeats_until_disarmed(void **state)
{
    tick k = {.l = *state, .stop_at = 5};
    k.t = weir_loop_timer_new(*state, on_tick, &k);
    weir_loop_timer_arm(k.t, 1, true);
    weir_loop_run(*state);
    assert_int_equal(k.n, 5);
    weir_loop_timer_disarm(k.t);
    weir_loop_turn(*state, 5);
    assert_int_equal(k.n, 5);
    weir_loop_timer_free(k.t);
}

static void free_self(void *arg)
{
    tick *k = arg;
    k->n++;
    weir_loop_timer_free(k->t);
}

static void timer_may_free_itself(void **state)
{
    tick k = {.l = *state};
    k.t = weir_loop_timer_new(*state, free_self, &k);
    weir_loop_timer_arm(k.t, 0, true);
    weir_loop_turn(*state, 10);
    weir_loop_turn(*state, 3);
    assert_int_equal(k.n, 1);
}

static void heap_model(void **state)
{
    /* Random arm, disarm and free; whatever fires must never be early, and all armed must fire
     * once. */
    enum { N = 300 };
    static tick k[N];
    memset(k, 0, sizeof k);
    unsigned seed = 7;
    for (int i = 0; i < N; i++) {
        k[i].l = *state;
        k[i].t = weir_loop_timer_new(*state, on_tick, &k[i]);
    }
    bool armed[N] = {false};
    for (int i = 0; i < 5000; i++) {
        int j = (int)((unsigned)rand_r(&seed) % N);
        armed[j] = rand_r(&seed) % 3 != 0;
        if (armed[j]) {
            weir_loop_timer_arm(k[j].t, rand_r(&seed) % 20, false);
        } else {
            weir_loop_timer_disarm(k[j].t);
        }
    }
    int64_t end = weir_mono_ms() + 200;
    while (weir_mono_ms() < end) {
        weir_loop_turn(*state, 5);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(k[i].n, armed[i] ? 1 : 0);
        weir_loop_timer_free(k[i].t);
    }
}

typedef struct pair {
    weir_loop *l;
    int fds[2];
    weir_loop_fd *a, *b;
    int calls;
    unsigned last;
} pair;

static void on_readable(void *arg, unsigned events)
{
    pair *p = arg;
    p->calls++;
    p->last = events;
    weir_loop_del(p->a); /* both are ready in this turn: only one may be called */
    weir_loop_del(p->b);
    p->a = p->b = NULL;
}

static void removed_source_is_not_called(void **state)
{
    pair p = {.l = *state};
    assert_int_equal(pipe(p.fds), 0);
    int second = dup(p.fds[0]);
    weir_error err;
    p.a = weir_loop_add(*state, p.fds[0], WEIR_LOOP_IN, on_readable, &p, &err);
    p.b = weir_loop_add(*state, second, WEIR_LOOP_IN, on_readable, &p, &err);
    assert_non_null(p.a);
    assert_non_null(p.b);
    assert_int_equal(write(p.fds[1], "x", 1), 1);
    weir_loop_turn(*state, 1000);
    weir_loop_turn(*state, 0);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.last, WEIR_LOOP_IN);
    (void)close(p.fds[0]);
    (void)close(p.fds[1]);
    (void)close(second);
}

static void hang_up_is_told(void **state)
{
    pair p = {.l = *state};
    assert_int_equal(pipe(p.fds), 0);
    weir_error err;
    p.a = weir_loop_add(*state, p.fds[0], WEIR_LOOP_IN, on_readable, &p, &err);
    (void)close(p.fds[1]);
    weir_loop_turn(*state, 1000);
    assert_int_equal(p.calls, 1);
    assert_true(p.last & WEIR_LOOP_HUP);
    (void)close(p.fds[0]);
}

static void bad_descriptor_is_an_error(void **state)
{
    weir_error err;
    assert_null(weir_loop_add(*state, 9999, WEIR_LOOP_IN, on_readable, NULL, &err));
    assert_int_equal(err.code, WEIR_E_SYS);
}

typedef struct poster {
    weir_loop *l;
    int next;      /* loop thread: the next number expected from this poster */
    int *finished; /* loop thread */
    bool bad;
} poster;

typedef struct note {
    poster *from;
    int number;
} note;

static void on_note(void *arg)
{
    note *n = arg;
    poster *p = n->from;
    p->bad = p->bad || n->number != p->next;
    p->next++;
    if (p->next == POSTS_EACH && ++*p->finished == POSTERS) {
        weir_loop_stop(p->l);
    }
    free(n);
}

static void post_many(void *arg)
{
    poster *p = arg;
    for (int i = 0; i < POSTS_EACH; i++) {
        note *n = malloc(sizeof *n);
        *n = (note){p, i};
        if (!weir_loop_post(p->l, on_note, n)) {
            free(n);
            return;
        }
    }
}

static void threads_post_in_order(void **state)
{
    poster p[POSTERS];
    weir_thread *t[POSTERS];
    int finished = 0;
    for (int i = 0; i < POSTERS; i++) {
        p[i] = (poster){.l = *state, .finished = &finished};
        assert_int_equal(weir_thread_start(&t[i], "poster", post_many, &p[i], NULL), WEIR_OK);
    }
    weir_loop_run(*state);
    for (int i = 0; i < POSTERS; i++) {
        weir_thread_join(t[i]);
        assert_int_equal(p[i].next, POSTS_EACH);
        assert_false(p[i].bad);
    }
    assert_false(weir_loop_post(*state, on_note, NULL)); /* the loop has ended */
}

static void wake_later(void *arg)
{
    weir_loop_wake(arg);
}

static void wake_ends_a_wait(void **state)
{
    weir_thread *t = NULL;
    int64_t start = weir_mono_ms();
    assert_int_equal(weir_thread_start(&t, "waker", wake_later, *state, NULL), WEIR_OK);
    weir_loop_turn(*state, 20000);
    weir_thread_join(t);
    assert_true(weir_mono_ms() - start < 10000);
}

static void hook_again(void *arg)
{
    tick *k = arg;
    if (++k->n < 3) {
        weir_loop_again(k->l);
    }
}

static void hooks_run_again_when_asked(void **state)
{
    tick k = {.l = *state};
    weir_loop_on_turn(*state, hook_again, &k);
    weir_loop_turn(*state, 0);
    assert_int_equal(k.n, 3);
    weir_loop_off_turn(*state, hook_again, &k);
    weir_loop_turn(*state, 0);
    assert_int_equal(k.n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(timer_repeats_until_disarmed, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(timer_may_free_itself, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(heap_model, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(removed_source_is_not_called, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(hang_up_is_told, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(bad_descriptor_is_an_error, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(threads_post_in_order, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(wake_ends_a_wait, loop_up, loop_down),
        cmocka_unit_test_setup_teardown(hooks_run_again_when_asked, loop_up, loop_down),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
