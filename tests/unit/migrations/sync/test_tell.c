/* test_tell.c - what two flows tell each other: round trips, and what is malformed. */
#include "migrations/sync/tell.h"
#include "tests/support/check.h"

static void assert_seen(const int64_t *us, size_t n)
{
    weir_error err;
    weir_arena *a = weir_arena_new(1 << 20);
    weir_buf b;
    sync_told t;
    weir_buf_init(&b, 1 << 20);
    sync_tell_seen(&b, us, n);
    assert_rc(WEIR_OK, sync_told_read(weir_buf_slice(&b), a, &t, &err), &err);
    assert_int_equal(n, t.nseen);
    for (size_t i = 0; i < n; i++) {
        assert_true(us[i] == t.seen_us[i]);
    }
    assert_false(t.ack);
    assert_null(t.decision);
    weir_buf_fini(&b);
    weir_arena_free(a);
}

static void test_seen(void **state)
{
    static const int64_t us[] = {800000000000001, 800000000000001, 800000000000000, 5,
                                 800000000000123};
    (void)state;
    for (size_t n = 1; n <= sizeof us / sizeof *us; n++) {
        assert_seen(us, n);
    }
}

static void test_decision(void **state)
{
    static const char text[] = "{\"id\":\"77\",\"schema\":\"s\",\"name\":\"t\",\"cols\":[\"a\","
                               "\"b\",\"c\"],\"key\":[\"b\"]"
                               ",\"k\":[\"x\"],\"row\":[\"1\",\"x\",null]}";
    weir_error err;
    weir_arena *a = weir_arena_new(1 << 20);
    sync_told t;
    (void)state;
    assert_rc(WEIR_OK, sync_told_read(weir_slice_z(text), a, &t, &err), &err);
    const sync_decision *d = t.decision;
    assert_non_null(d);
    assert_true(d->id == 77 && !d->gone && d->rel.n == 3);
    assert_true(weir_slice_eqz(d->rel.schema, "s") && weir_slice_eqz(d->rel.name, "t"));
    assert_true(!d->rel.cols[0].key && d->rel.cols[1].key && !d->rel.cols[2].key);
    assert_true(weir_slice_eqz(d->v[0].text, "1") && weir_slice_eqz(d->v[1].text, "x"));
    assert_int_equal(WEIR_VAL_NULL, d->v[2].kind);
    weir_arena_free(a);
}

static void test_gone(void **state)
{
    static const char text[] =
        "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":[\"a\",\"b\"],"
        "\"key\":[\"a\"],\"k\":[\"x\"],\"row\":null}";
    weir_error err;
    weir_arena *a = weir_arena_new(1 << 20);
    sync_told t;
    (void)state;
    assert_rc(WEIR_OK, sync_told_read(weir_slice_z(text), a, &t, &err), &err);
    assert_true(t.decision->gone);
    assert_true(weir_slice_eqz(t.decision->v[0].text, "x"));
    assert_rc(WEIR_OK, sync_told_read(WEIR_SLICE_LIT("A 12"), a, &t, &err), &err);
    assert_true(t.ack && t.ack_id == 12);
    weir_arena_free(a);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {"",
                                      "S",
                                      "S 1 x",
                                      "S  1",
                                      "S 9223372036854775807 1",
                                      "A",
                                      "A -1",
                                      "A x",
                                      "{}",
                                      "[1]",
                                      "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":[],"
                                      "\"key\":[],\"k\":[],\"row\":null}",
                                      "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":["
                                      "\"a\"],\"key\":[\"b\"],\"k\":[\"1\"],"
                                      "\"row\":null}",
                                      "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":["
                                      "\"a\"],\"key\":[\"a\"],\"k\":[null],"
                                      "\"row\":null}",
                                      "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":["
                                      "\"a\"],\"key\":[\"a\"],\"k\":[\"1\","
                                      "\"2\"],\"row\":null}",
                                      "{\"id\":\"1\",\"schema\":\"s\",\"name\":\"t\",\"cols\":["
                                      "\"a\"],\"key\":[\"a\"],\"k\":[\"1\"],"
                                      "\"row\":[\"1\",\"2\"]}"};
    weir_error err;
    weir_arena *a = weir_arena_new(1 << 20);
    sync_told t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_rc(WEIR_E_PROTO, sync_told_read(weir_slice_z(bad[i]), a, &t, &err), &err);
    }
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_decision),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests_name("tell", tests, NULL, NULL);
}
