/* test_sched.c - which waiting jobs a lane may take: order, keys of other lanes, keys strangers
 * hold. */
#include "tests/support/check.h"
#include "write-service/rules.h"
#include "write-service/sched.h"

enum { LANES = 3, PATIENCE_MS = 1000 };

static wsvc_job store[64];
static wsvc_job *got[WSVC_GROUP_MAX];

static wsvc_sched *sched_of(size_t waiting_max)
{
    wsvc_sched_conf conf = {LANES, waiting_max, PATIENCE_MS};
    memset(store, 0, sizeof store);
    for (size_t i = 0; i < 64; i++) {
        store[i].arrived_us = (int64_t)i;
    }
    return wsvc_sched_new(&conf);
}

/* Each letter of a word is a row of table 1; '*' is the whole table, '!' runs alone. */
static void push(wsvc_sched *s, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        for (const char *c = words[i]; *c; c++) {
            if (*c == '!') {
                store[i].alone = true;
            } else {
                wsvc_keys_add(&store[i].keys,
                              (wsvc_key){1, *c == '*' ? WSVC_KEY_WHOLE : (uint64_t)*c});
            }
        }
        assert_true(wsvc_sched_push(s, &store[i]));
    }
}

static void take(wsvc_sched *s, size_t lane, int64_t now_ms, size_t max, const char *want)
{
    char text[64] = "";
    size_t n = wsvc_sched_take(s, lane, now_ms, max, got);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)('0' + (got[i] - store));
    }
    assert_string_equal(text, want);
}

static void without_keys_in_order(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(4);
    push(s, (const char *[]){"", "", "", "", NULL});
    assert_false(wsvc_sched_push(s, &store[4]));
    take(s, 0, 1, 3, "012");
    assert_true(wsvc_sched_left(s));
    take(s, 1, 1, 3, "3");
    assert_false(wsvc_sched_left(s));
    take(s, 0, 1, 3, "");
    assert_int_equal(wsvc_sched_due_ms(s, 1), -1);
    wsvc_sched_free(s);
}

static void same_rows_go_together_or_wait(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    push(s, (const char *[]){"a", "ab", "c", "bd", "d", "e", NULL});
    take(s, 0, 1, 2, "01"); /* holds a, b */
    take(s, 1, 1, 9, "25"); /* 3 wants b; 4 must not overtake it at d */
    assert_true(store[3].deferred && store[4].deferred);
    take(s, 0, 1, 9, "34"); /* gives a, b back */
    wsvc_sched_free(s);
}

static void whole_tables(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    push(s, (const char *[]){"a", "*", "b", NULL});
    take(s, 0, 1, 1, "0");
    take(s, 1, 1, 9, ""); /* the whole table waits for a, b waits behind it */
    take(s, 0, 1, 1, "1");
    take(s, 1, 1, 9, "");
    wsvc_sched_release(s, 0);
    take(s, 1, 1, 9, "2");
    wsvc_sched_free(s);
}

static void alone_is_taken_alone(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    push(s, (const char *[]){"a", "!a", "b", "a", NULL});
    take(s, 0, 1, 9, "02"); /* 3 stays behind 1 */
    assert_true(wsvc_sched_left(s));
    take(s, 1, 1, 9, "");
    take(s, 0, 1, 9, "1");
    take(s, 1, 1, 9, "");
    take(s, 0, 1, 9, "3");
    wsvc_sched_free(s);
}

/* b is held outside: what needs it waits, is overtaken, and one at a time looks again. */
static void strangers(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    push(s, (const char *[]){"b", "ab", "a", "b", NULL});
    take(s, 0, 100, 1, "0");
    wsvc_key b = {1, 'b'};
    wsvc_sched_block(s, b, 100);
    wsvc_sched_again(s, &store[0]);
    take(s, 0, 100, 9, "2");
    assert_int_equal(wsvc_sched_due_ms(s, 100), WSVC_BLOCK_MIN_MS);
    take(s, 0, 100 + WSVC_BLOCK_MIN_MS, 9, "0");
    assert_true(store[0].probe);
    take(s, 1, 100 + WSVC_BLOCK_MIN_MS, 9, ""); /* one at a time */
    wsvc_sched_probed(s, &store[0], true, 110);
    wsvc_sched_again(s, &store[0]);
    take(s, 0, 111, 9, "");
    assert_int_equal(wsvc_sched_due_ms(s, 110), 2 * WSVC_BLOCK_MIN_MS);
    take(s, 0, 110 + 2 * WSVC_BLOCK_MIN_MS, 9, "0");
    wsvc_sched_probed(s, &store[0], false, 120); /* it is free */
    assert_int_equal(wsvc_sched_blocked(s), 0);
    take(s, 0, 120, 9, "13");
    wsvc_sched_free(s);
}

static void impatience(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    push(s, (const char *[]){"b", "b", NULL});
    take(s, 0, 100, 1, "0");
    wsvc_key b = {1, 'b'};
    wsvc_sched_block(s, b, 100);
    wsvc_sched_again(s, &store[0]);
    take(s, 0, 100 + WSVC_BLOCK_MIN_MS, 9, "0"); /* looks, and never comes back */
    take(s, 1, 200, 9, "");
    take(s, 1, 200 + PATIENCE_MS, 9, "1");
    assert_true(store[1].expired);
    wsvc_sched_free(s);
}

static void pauses_and_withdrawal(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(64);
    store[1].not_before_ms = 0;
    push(s, (const char *[]){"", "", "", NULL});
    store[1].not_before_ms = 50;
    assert_true(wsvc_sched_remove(s, &store[0]));
    assert_false(wsvc_sched_remove(s, &store[0]));
    take(s, 0, 40, 9, "2");
    assert_int_equal(wsvc_sched_due_ms(s, 40), 10);
    take(s, 0, 50, 9, "1");
    assert_int_equal(wsvc_sched_waiting(s), 0);
    wsvc_sched_free(s);
}

/* Against a plain model: no key is with two lanes at once, nothing is lost or taken twice, and of
 * two that share a key the older goes first. */
/* Different commands on different rows, as far as anybody knows, that got in each other's way again
 * and again: from then on in one group, or one after the other. */
static void a_quarrel(void **state)
{
    (void)state;
    wsvc_sched *s = sched_of(8);
    push(s, (const char *[]){"a", "b", "c", NULL});
    take(s, 0, 1, 1, "0");
    take(s, 1, 1, 1, "1");
    for (size_t i = 0; i < 2; i++) {
        wsvc_keys_add(&store[i].keys, wsvc_key_of_quarrel());
    }
    wsvc_sched_release(s, 0);
    wsvc_sched_release(s, 1);
    wsvc_sched_again(s, &store[0]);
    wsvc_sched_again(s, &store[1]);
    take(s, 0, 2, 1, "0");
    take(s, 1, 2, 9, "2"); /* the other one waits, who has no part in it does not */
    take(s, 0, 3, 9, "1");
    wsvc_sched_again(s, &store[0]);
    wsvc_sched_again(s, &store[1]);
    take(s, 0, 4, 9, "01");
    wsvc_sched_free(s);
}

static void random_against_model(void **state)
{
    (void)state;
    uint64_t rng = weir_test_seed();
    for (int round = 0; round < 200; round++) {
        wsvc_sched *s = sched_of(64);
        uint32_t rows[64], held[LANES] = {0};
        bool taken[64] = {false};
        size_t left = 64;
        for (size_t i = 0; i < 64; i++) {
            rows[i] = 0;
            for (uint64_t k = weir_test_random(&rng) % 4; k > 0; k--) {
                uint64_t row = weir_test_random(&rng) % 20;
                rows[i] |= 1U << row;
                wsvc_keys_add(&store[i].keys, (wsvc_key){7, row + 1});
            }
            store[i].alone = weir_test_random(&rng) % 10 == 0;
            assert_true(wsvc_sched_push(s, &store[i]));
        }
        for (int turn = 0; left > 0; turn++) {
            assert_in_range(turn, 0, 1000);
            size_t lane = weir_test_random(&rng) % LANES;
            held[lane] = 0;
            size_t n = wsvc_sched_take(s, lane, 1, 1 + weir_test_random(&rng) % 8, got);
            for (size_t i = 0; i < n; i++) {
                size_t j = (size_t)(got[i] - store);
                assert_false(taken[j]);
                taken[j] = true;
                for (size_t o = 0; o < LANES; o++) {
                    assert_true(o == lane || (held[o] & rows[j]) == 0);
                }
                for (size_t o = 0; o < j; o++) {
                    assert_true(taken[o] || (rows[o] & rows[j]) == 0);
                }
                assert_true(!store[j].alone || n == 1);
            }
            for (size_t i = 0; i < n; i++) {
                held[lane] |= rows[got[i] - store];
            }
            left -= n;
        }
        wsvc_sched_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_in_order),
        cmocka_unit_test(same_rows_go_together_or_wait),
        cmocka_unit_test(whole_tables),
        cmocka_unit_test(alone_is_taken_alone),
        cmocka_unit_test(strangers),
        cmocka_unit_test(impatience),
        cmocka_unit_test(pauses_and_withdrawal),
        cmocka_unit_test(a_quarrel),
        cmocka_unit_test(random_against_model),
    };
    return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
