/* test_options.c - Idempotency-Key, If-Match and Prefer: wait as a client writes them. */
#include "tests/support/check.h"
#include "write-service/options.h"

static weir_arena *arena;
static wsvc_options got;

static weir_rc read3(const char *key, const char *match, const char *prefer)
{
    wsvc_options_text in = {.idempotency_key = key, .if_match = match, .prefer = prefer};
    weir_error err = {0};
    return wsvc_options_read(&got, &in, arena, &err);
}

static void keys(void **state)
{
    (void)state;
    assert_int_equal(read3("\"a \\b\"", NULL, NULL), WEIR_OK);
    assert_string_equal(got.json, "{\"key\":\"a \\\\b\"}");
    wsvc_key first = got.key;
    assert_int_equal(read3(" a \\b ", NULL, NULL), WEIR_OK);
    assert_true(got.has_key && wsvc_key_same(first, got.key));
    assert_int_equal(read3("other", NULL, NULL), WEIR_OK);
    assert_false(wsvc_key_same(first, got.key));
    assert_int_equal(read3("", NULL, NULL), WEIR_E_INPUT);
    assert_int_equal(read3("\"\"", NULL, NULL), WEIR_E_INPUT);
    assert_int_equal(read3("a\x01", NULL, NULL), WEIR_E_INPUT);
    assert_int_equal(read3("\xc3\xa4", NULL, NULL), WEIR_E_INPUT);
}

static void versions(void **state)
{
    (void)state;
    assert_int_equal(read3(NULL, "\"7\"", NULL), WEIR_OK);
    assert_string_equal(got.json, "{\"expected_version\":\"7\"}");
    assert_int_equal(read3("k", "W/\"a,b\"", NULL), WEIR_OK);
    assert_string_equal(got.json, "{\"key\":\"k\",\"expected_version\":\"a,b\"}");
    assert_int_equal(read3(NULL, "*", NULL), WEIR_OK);
    assert_null(got.json);
    static const char *const bad[] = {"7", "\"7\", \"8\"", "\"\"", "W/7", "\""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read3(NULL, bad[i], NULL), WEIR_E_INPUT);
    }
}

static void waits(void **state)
{
    (void)state;
    assert_int_equal(read3(NULL, NULL, "handling=lenient; x=1, WAIT = 10 ;y, return=minimal"),
                     WEIR_OK);
    assert_int_equal(got.wait_ms, 10000);
    assert_int_equal(read3(NULL, NULL, "wait=\"3\""), WEIR_OK);
    assert_int_equal(got.wait_ms, 3000);
    assert_int_equal(read3(NULL, NULL, "respond-async,,await=4"), WEIR_OK);
    assert_int_equal(got.wait_ms, 0);
    wsvc_options_text within = {.prefer = "wait=9", .begin_within = "250"};
    weir_error err = {0};
    assert_int_equal(wsvc_options_read(&got, &within, arena, &err), WEIR_OK);
    assert_int_equal(got.wait_ms, 250);
    within.begin_within = "0";
    assert_int_equal(wsvc_options_read(&got, &within, arena, &err), WEIR_E_INPUT);
    static const char *const bad[] = {"wait=0", "wait=-1", "wait=3601", "wait=x", "wait="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read3(NULL, NULL, bad[i]), WEIR_E_INPUT);
    }
}

static int up(void **state)
{
    (void)state;
    arena = weir_arena_new(1 << 16);
    return 0;
}

static int down(void **state)
{
    (void)state;
    weir_arena_free(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(versions),
        cmocka_unit_test(waits),
    };
    return cmocka_run_group_tests_name("options", tests, up, down);
}
