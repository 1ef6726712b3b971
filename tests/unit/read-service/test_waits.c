/* test_waits.c - the wait list against a naive copy: random adds, removals, positions and
 * deadlines. */
#include "tests/support/check.h"

#include "read-service/waits.h"

enum { N = 200 };

static void bounds(void **state)
{
    rsvc_wait w[3] = {
        {.position = 5, .deadline_ms = 50}, {.position = 3, .deadline_ms = 70}, {.position = 9}};
    rsvc_waits *ws = rsvc_waits_new(2);
    (void)state;
    assert_null(rsvc_waits_any(ws));
    assert_null(rsvc_waits_reached(ws, UINT64_MAX));
    assert_null(rsvc_waits_expired(ws, INT64_MAX));
    assert_true(rsvc_waits_deadline_ms(ws) == INT64_MAX);
    assert_true(rsvc_waits_add(ws, &w[0]));
    assert_true(rsvc_waits_add(ws, &w[1]));
    assert_false(rsvc_waits_add(ws, &w[2]));
    assert_int_equal(rsvc_waits_deadline_ms(ws), 50);
    assert_null(rsvc_waits_reached(ws, 2));
    assert_ptr_equal(rsvc_waits_reached(ws, 5), &w[1]); /* the smaller position first */
    assert_null(rsvc_waits_expired(ws, 49));
    assert_ptr_equal(rsvc_waits_expired(ws, 50), &w[0]);
    assert_int_equal(rsvc_waits_len(ws), 0);
    assert_true(rsvc_waits_add(ws, &w[2]));
    assert_ptr_equal(rsvc_waits_any(ws), &w[2]);
    rsvc_waits_free(ws);
}

/* The smallest position at most `position` among those in, or the earliest deadline at most `now`;
 * SIZE_MAX: none. */
static size_t naive(const rsvc_wait *w, const bool *in, bool by_deadline, uint64_t limit,
                    uint64_t *value)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < N; i++) {
        uint64_t v = by_deadline ? (uint64_t)w[i].deadline_ms : w[i].position;
        if (in[i] && v <= limit && (best == SIZE_MAX || v < *value)) {
            best = i;
            *value = v;
        }
    }
    return best;
}

static void take(rsvc_waits *ws, rsvc_wait *w, bool *in, bool by_deadline, uint64_t limit)
{
    uint64_t value = 0;
    bool expected = naive(w, in, by_deadline, limit, &value) != SIZE_MAX;
    rsvc_wait *got =
        by_deadline ? rsvc_waits_expired(ws, (int64_t)limit) : rsvc_waits_reached(ws, limit);
    assert_int_equal(got != NULL, expected);
    if (got) {
        assert_true(in[got - w]);
        assert_true((by_deadline ? (uint64_t)got->deadline_ms : got->position) == value);
        in[got - w] = false;
    }
}

static void model(void **state)
{
    static rsvc_wait w[N];
    bool in[N] = {false};
    size_t n = 0;
    uint64_t rng = weir_test_seed();
    rsvc_waits *ws = rsvc_waits_new(N);
    (void)state;
    for (int step = 0; step < 50000; step++) {
        size_t i = (size_t)(weir_test_random(&rng) % N);
        uint64_t limit = weir_test_random(&rng) % 100;
        switch (weir_test_random(&rng) % 5) {
        case 0: take(ws, w, in, false, limit / 4); break;
        case 1: take(ws, w, in, true, limit / 4); break;
        default:
            if (in[i]) {
                rsvc_waits_remove(ws, &w[i]);
            } else {
                w[i] = (rsvc_wait){.position = limit,
                                   .deadline_ms = (int64_t)(weir_test_random(&rng) % 100)};
                assert_true(rsvc_waits_add(ws, &w[i]));
            }
            in[i] = !in[i];
            break;
        }
        n = 0;
        for (size_t k = 0; k < N; k++) {
            n += in[k];
        }
        assert_int_equal(rsvc_waits_len(ws), n);
    }
    rsvc_waits_free(ws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(model),
    };
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
