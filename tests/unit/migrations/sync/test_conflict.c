/* test_conflict.c - what counts as a conflict, who wins, and what the other side has seen. */
#include "migrations/sync/conflict.h"
#include "migrations/sync/literal.h"
#include "migrations/sync/seen.h"
#include "tests/support/check.h"

static void test_kinds(void **state)
{
    const sync_local none = {0};
    const sync_local known = {.there = true};
    const sync_local unknown = {.there = true, .unknown = true};
    const sync_local tomb = {.deleted = true, .unknown = true};
    (void)state;
    assert_int_equal(SYNC_NO_CONFLICT, sync_conflict_find(SYNC_CHANGE_INSERT, &none));
    assert_int_equal(SYNC_NO_CONFLICT, sync_conflict_find(SYNC_CHANGE_INSERT, &known));
    assert_int_equal(SYNC_INSERT_EXISTS, sync_conflict_find(SYNC_CHANGE_INSERT, &unknown));
    assert_int_equal(SYNC_UPDATE_DELETED, sync_conflict_find(SYNC_CHANGE_INSERT, &tomb));
    assert_int_equal(SYNC_UPDATE_MISSING, sync_conflict_find(SYNC_CHANGE_UPDATE, &none));
    assert_int_equal(SYNC_UPDATE_ORIGIN_DIFFERS, sync_conflict_find(SYNC_CHANGE_UPDATE, &unknown));
    assert_int_equal(SYNC_DELETE_MISSING, sync_conflict_find(SYNC_CHANGE_DELETE, &none));
    assert_int_equal(SYNC_NO_CONFLICT, sync_conflict_find(SYNC_CHANGE_DELETE, &tomb));
    assert_int_equal(SYNC_DELETE_ORIGIN_DIFFERS, sync_conflict_find(SYNC_CHANGE_DELETE, &unknown));
}

/* Both sides meet the same two changes; they must name the same winner. */
static void test_both_sides_agree(void **state)
{
    static const sync_policy policies[] = {SYNC_LAST_UPDATE_WINS, SYNC_FIRST_UPDATE_WINS,
                                           SYNC_PRIORITY};
    static const int64_t times[][2] = {{5, 9}, {9, 5}, {7, 7}};
    (void)state;
    for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
        for (size_t i = 0; i < 3; i++) {
            sync_rules r = {.policy = policies[p], .source_wins = i == 1};
            sync_local at_target = {
                .there = true, .unknown = true, .has_time = true, .us = times[i][1]};
            sync_local at_source = {
                .there = true, .unknown = true, .has_time = true, .us = times[i][0]};
            bool source_won = sync_conflict_decide(&r, SYNC_UPDATE_ORIGIN_DIFFERS, &at_target,
                                                   times[i][0], true) == SYNC_APPLY;
            bool target_won = sync_conflict_decide(&r, SYNC_UPDATE_ORIGIN_DIFFERS, &at_source,
                                                   times[i][1], false) == SYNC_APPLY;
            assert_true(source_won != target_won);
        }
    }
}

static void test_missing(void **state)
{
    const sync_local none = {0};
    sync_rules r = {.policy = SYNC_LAST_UPDATE_WINS, .missing = SYNC_MISSING_INSERT};
    (void)state;
    assert_int_equal(SYNC_APPLY, sync_conflict_decide(&r, SYNC_UPDATE_MISSING, &none, 1, true));
    assert_int_equal(SYNC_KEEP, sync_conflict_decide(&r, SYNC_DELETE_MISSING, &none, 1, true));
    r.missing = SYNC_MISSING_SKIP;
    assert_int_equal(SYNC_KEEP, sync_conflict_decide(&r, SYNC_UPDATE_MISSING, &none, 1, true));
    r.missing = SYNC_MISSING_ERROR;
    assert_int_equal(SYNC_STOP, sync_conflict_decide(&r, SYNC_DELETE_MISSING, &none, 1, true));
}

/* After a restart: what was not known before is not known then, older or not. */
static void test_seen_is_kept(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    sync_seen s;
    sync_seen again;
    int64_t floor_us = 0;
    int64_t kept_us[SYNC_SEEN_KEPT];
    sync_seen_init(&s, 100);
    sync_seen_add(&s, 205);
    sync_seen_add(&s, 203);
    assert_int_equal(sync_seen_keep(&s, &floor_us, kept_us), 2);
    assert_int_equal(floor_us, 100);
    assert_int_equal(kept_us[0], 203);
    assert_int_equal(kept_us[1], 205);
    for (int64_t i = 0; i < MANY; i++) { /* all but every tenth, in an order of their own */
        int64_t us = 1000 + i * 617 % MANY;
        if (us % 10 != 0) {
            sync_seen_add(&s, us);
        }
    }
    assert_int_equal(sync_seen_keep(&s, &floor_us, kept_us), SYNC_SEEN_KEPT);
    sync_seen_init(&again, floor_us);
    for (size_t i = 0; i < SYNC_SEEN_KEPT; i++) {
        sync_seen_add(&again, kept_us[i]);
    }
    for (int64_t us = 1000; us < 1000 + MANY; us++) {
        assert_true(us <= floor_us || sync_seen_has(&again, us) == sync_seen_has(&s, us));
    }
    assert_in_range(floor_us, 1000 + MANY - SYNC_SEEN_KEPT * 2, 1000 + MANY - SYNC_SEEN_KEPT);
    assert_false(sync_seen_has(&again, 1990));
    sync_seen_fini(&again);
    sync_seen_fini(&s);
}

static void test_seen(void **state)
{
    sync_seen s;
    (void)state;
    sync_seen_init(&s, 100);
    assert_true(sync_seen_has(&s, 100));
    assert_false(sync_seen_has(&s, 101));
    sync_seen_add(&s, 205);
    sync_seen_add(&s, 203);
    assert_true(sync_seen_has(&s, 203));
    assert_false(sync_seen_has(&s, 204)); /* committed between them, not told yet */
    assert_int_equal(205, sync_seen_newest(&s));
    for (int64_t us = 1000; us < 1000 + 3 * SYNC_SEEN_MAX; us++) {
        sync_seen_add(&s, us * 2);
    }
    assert_true(sync_seen_has(&s, 204)); /* older than all that is remembered */
    assert_true(sync_seen_has(&s, (1000 + 3 * SYNC_SEEN_MAX - 1) * 2));
    assert_false(sync_seen_has(&s, (1000 + 3 * SYNC_SEEN_MAX - 1) * 2 - 1));
    sync_seen_fini(&s);
}

static void literal(const char *text, const char *element, const char *copy)
{
    weir_buf b;
    weir_val v = {text ? WEIR_VAL_TEXT : WEIR_VAL_NULL, weir_slice_z(text)};
    weir_buf_init(&b, 1 << 20);
    sync_put_element(&b, &v);
    assert_slice(element, weir_buf_slice(&b));
    weir_buf_reset(&b);
    sync_put_copy(&b, &v);
    assert_slice(copy, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void test_literals(void **state)
{
    (void)state;
    literal("12.5", "12.5", "12.5");
    literal("", "\"\"", "");
    literal(NULL, "NULL", "\\N");
    literal("NULL", "\"NULL\"", "NULL");
    literal("a\"b\\c", "\"a\\\"b\\\\c\"", "a\"b\\\\c");
    literal("{x,\ty\n}\r", "\"{x,\ty\n}\r\"", "{x,\\ty\\n}\\r");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),        cmocka_unit_test(test_both_sides_agree),
        cmocka_unit_test(test_missing),      cmocka_unit_test(test_seen),
        cmocka_unit_test(test_seen_is_kept), cmocka_unit_test(test_literals),
    };
    return cmocka_run_group_tests_name("conflict", tests, NULL, NULL);
}
