/* test_queue.c - the bounded queue against a naive copy, and with real threads. */
#include "libweir/base/queue.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/thread.h"
#include "tests/support/check.h"

static void *num(uintptr_t v)
{
    return (void *)v; /* NOLINT(performance-no-int-to-ptr) */
}

static void model_pop(weir_queue *q, uintptr_t *model, size_t *len, size_t max)
{
    void *out[16];
    size_t n = weir_queue_pop(q, out, max, 0);
    assert_int_equal(n, *len < max ? *len : max);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(out[i], num(model[i]));
    }
    memmove(model, model + n, (*len - n) * sizeof *model);
    *len -= n;
}

static void behaves_like_a_plain_array(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    for (int round = 0; round < 200; round++) {
        size_t cap = 1 + weir_test_random(&rng) % 9;
        weir_queue *q = weir_queue_new(cap);
        uintptr_t model[16], next = 1;
        size_t len = 0, refused = 0;
        for (int op = 0; op < 300; op++) {
            if (weir_test_random(&rng) % 5 < 3) {
                bool ok = weir_test_random(&rng) % 2 ? weir_queue_push(q, num(next))
                                                     : weir_queue_push_wait(q, num(next), 0);
                assert_int_equal(ok, len < cap);
                if (ok) {
                    model[len++] = next;
                } else {
                    refused++;
                }
                next++;
            } else {
                model_pop(q, model, &len, 1 + weir_test_random(&rng) % 16);
            }
            assert_int_equal(weir_queue_len(q), len);
            assert_int_equal(weir_queue_refused(q), refused);
        }
        weir_queue_close(q);
        assert_false(weir_queue_push(q, num(1)));
        assert_int_equal(weir_queue_refused(q), refused);
        model_pop(q, model, &len, 16);
        model_pop(q, model, &len, 16);
        weir_queue_free(q);
    }
}

static void waiting_has_a_deadline(void **state)
{
    (void)state;
    weir_queue *q = weir_queue_new(1);
    void *out[1];
    int64_t start = weir_mono_ms();
    assert_int_equal(weir_queue_pop(q, out, 1, 30), 0);
    assert_true(weir_queue_push(q, num(1)));
    assert_false(weir_queue_push_wait(q, num(2), 30));
    assert_true(weir_mono_ms() - start >= 59);
    assert_int_equal(weir_queue_refused(q), 1);
    weir_queue_free(q);
}

enum { PRODUCERS = 4, CONSUMERS = 3, PER_PRODUCER = 20000 };

typedef struct crowd {
    weir_queue *q;
    atomic_uint turn;
    atomic_uchar seen[PRODUCERS * PER_PRODUCER];
    atomic_uint_least64_t got;
    atomic_bool disorder;
} crowd;

static void produce(void *arg)
{
    crowd *c = arg;
    unsigned me = atomic_fetch_add(&c->turn, 1);
    for (unsigned i = 0; i < PER_PRODUCER; i++) {
        /* +1: a NULL item would look like nothing in a debugger. */
        void *item = num((uintptr_t)me * PER_PRODUCER + i + 1);
        while (!(i % 2 ? weir_queue_push(c->q, item) : weir_queue_push_wait(c->q, item, 1000))) {
        }
    }
}

static void consume(void *arg)
{
    crowd *c = arg;
    void *out[7];
    size_t n;
    uintptr_t last[PRODUCERS] = {0};
    while ((n = weir_queue_pop(c->q, out, 7, -1)) > 0) {
        for (size_t i = 0; i < n; i++) {
            uintptr_t v = (uintptr_t)out[i] - 1;
            atomic_fetch_add(&c->seen[v], 1);
            /* One consumer sees each producer's items in the order they were pushed. */
            if (v + 1 <= last[v / PER_PRODUCER]) {
                atomic_store(&c->disorder, true);
            }
            last[v / PER_PRODUCER] = v + 1;
        }
        atomic_fetch_add(&c->got, n);
    }
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    crowd *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->q = weir_queue_new(64);
    weir_thread *p[PRODUCERS], *k[CONSUMERS];
    weir_error err;
    for (int i = 0; i < CONSUMERS; i++) {
        assert_rc(WEIR_OK, weir_thread_start(&k[i], "consumer", consume, c, &err), &err);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        assert_rc(WEIR_OK, weir_thread_start(&p[i], "producer", produce, c, &err), &err);
    }
    for (int i = 0; i < PRODUCERS; i++) {
        weir_thread_join(p[i]);
    }
    weir_queue_close(c->q);
    for (int i = 0; i < CONSUMERS; i++) {
        weir_thread_join(k[i]);
    }
    assert_int_equal(atomic_load(&c->got), PRODUCERS * PER_PRODUCER);
    for (size_t i = 0; i < PRODUCERS * PER_PRODUCER; i++) {
        assert_int_equal(atomic_load(&c->seen[i]), 1);
    }
    assert_false(atomic_load(&c->disorder));
    assert_int_equal(weir_queue_len(c->q), 0);
    weir_queue_free(c->q);
    free(c);
}

static void wait_for_one(void *arg)
{
    void *out[1];
    assert_int_equal(weir_queue_pop(arg, out, 1, -1), 0);
}

static void close_wakes_who_waits(void **state)
{
    (void)state;
    weir_queue *q = weir_queue_new(1);
    weir_thread *t;
    weir_error err;
    assert_rc(WEIR_OK, weir_thread_start(&t, "waiter", wait_for_one, q, &err), &err);
    assert_false(weir_queue_closed(q));
    weir_queue_close(q);
    weir_thread_join(t);
    assert_true(weir_queue_closed(q));
    weir_queue_free(q);
}

static bool same_parity(const void *first, const void *next)
{
    return *(const int *)first % 2 == *(const int *)next % 2;
}

static void pop_while_keeps_the_order(void **state)
{
    (void)state;
    int v[] = {1, 3, 5, 2, 7};
    void *out[8];
    weir_queue *q = weir_queue_new(8);
    for (size_t i = 0; i < 5; i++) {
        assert_true(weir_queue_push(q, &v[i]));
    }
    assert_int_equal(weir_queue_pop_while(q, out, 2, 0, same_parity), 2);
    assert_ptr_equal(out[1], &v[1]);
    assert_int_equal(weir_queue_pop_while(q, out, 8, 0, same_parity), 1);
    assert_ptr_equal(out[0], &v[2]);
    assert_int_equal(weir_queue_pop_while(q, out, 8, 0, same_parity), 1);
    assert_int_equal(weir_queue_pop_while(q, out, 8, 0, same_parity), 1);
    assert_ptr_equal(out[0], &v[4]);
    assert_int_equal(weir_queue_pop_while(q, out, 8, 0, same_parity), 0);
    weir_queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pop_while_keeps_the_order),
        cmocka_unit_test(behaves_like_a_plain_array),
        cmocka_unit_test(waiting_has_a_deadline),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(close_wakes_who_waits),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
