/* test_batch.c - several commands in one request: each its own outcome, or all or none. */
#include <stdio.h>
#include <string.h>

#include "libweir/base/buf.h"
#include "tests/support/writetest.h"

static wt_answer send_batch(const char *query, const char *body)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char path[64];
    (void)snprintf(path, sizeof path, "/commands%s", query);
    return wt_ask(&wt_main, "POST", path, headers, body);
}

static const char *journal(const char *like)
{
    return fixture_sql_value(
        &wt_fx,
        weir_arena_printf(wt_fx.a, "SELECT count(*) FROM journal WHERE id LIKE '%s'", like));
}

static void each_has_its_own_outcome(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = send_batch(
        "", "[{\"name\":\"note\",\"arguments\":{\"id\":\"each1\"}},"
            "{\"name\":\"refuse\",\"arguments\":{\"state\":\"P0001\",\"message\":\"no\"}},"
            "{\"name\":\"nothing\"},"
            "{\"name\":\"exact\"},"
            "{\"name\":\"note\",\"arguments\":{\"id\":\"each2\"}}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "[{\"status\":200,\"command_id\":");
    assert_has(a.body, "\"result\":\"each1\"");
    assert_has(a.body, "{\"status\":422,\"type\":\"about:blank\"");
    assert_has(a.body, "{\"status\":404,");
    assert_has(a.body, "12345678901234567890.1234567890");
    assert_has(a.body, "\"result\":\"each2\"");
    assert_true(a.position[0] != '\0');
    assert_string_equal(journal("each%"), "2");
    a = send_batch("", "[{\"name\":\"nothing\"}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"status\":404");
}

static void all_or_none(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a =
        send_batch("?atomic=true", "[{\"name\":\"note\",\"arguments\":{\"id\":\"all1\"}},"
                                   "{\"name\":\"exact\"},"
                                   "{\"name\":\"note\",\"arguments\":{\"id\":\"all2\"}}]");
    wt_assert_status(200, &a);
    assert_has(a.body, "\"result\":[\"all1\", {");
    assert_has(a.body, "12345678901234567890.1234567890");
    assert_string_equal(journal("all%"), "2");
    a = send_batch("?atomic=true", "[{\"name\":\"note\",\"arguments\":{\"id\":\"none1\"}},"
                                   "{\"name\":\"book\",\"arguments\":{\"id\":\"b\",\"amount\":-1}},"
                                   "{\"name\":\"note\",\"arguments\":{\"id\":\"none2\"}}]");
    wt_assert_status(422, &a);
    assert_has(a.body, "23514");
    assert_has(a.body, "\"pointer\":\"/1\"");
    a = send_batch("?atomic=true", "[{\"name\":\"note\",\"arguments\":{\"id\":\"none3\"}},"
                                   "{\"name\":\"nothing\"}]");
    wt_assert_status(404, &a);
    /* Refused only at COMMIT. */
    a = send_batch("?atomic=true",
                   "[{\"name\":\"note\",\"arguments\":{\"id\":\"none4\"}},"
                   "{\"name\":\"adopt\",\"arguments\":{\"id\":5,\"parent_id\":99}}]");
    wt_assert_status(422, &a);
    assert_string_equal(journal("none%"), "0");
}

static void many_collide_and_all_are_done(void **state)
{
    (void)state;
    weir_buf b;
    fixture_need(&wt_fx);
    weir_buf_init(&b, 1 << 20);
    for (int i = 0; i < 100; i++) {
        weir_buf_printf(&b, "%s{\"name\":\"bump2\",\"arguments\":{\"a\":%d,\"b\":%d}}",
                        i ? "," : "[", 1 + i % 3, 1 + (i + 1) % 3);
    }
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, 0);
    for (int i = 0; i < 4; i++) {
        wt_answer a = send_batch(i % 2 ? "?atomic=true" : "", b.p);
        wt_assert_status(200, &a);
    }
    weir_buf_fini(&b);
    assert_string_equal(fixture_sql_value(&wt_fx, "SELECT sum(n) FROM counter"), "800");
}

static void wrong_batches_are_refused(void **state)
{
    (void)state;
    fixture_need(&wt_fx);
    wt_answer a = send_batch("", "{}");
    wt_assert_status(400, &a);
    a = send_batch("", "[]");
    wt_assert_status(400, &a);
    a = send_batch("?atomic=perhaps", "[{\"name\":\"exact\"}]");
    wt_assert_status(400, &a);
    static const char *const match[] = {"Content-Type: application/json", "If-Match: 7", NULL};
    a = wt_ask(&wt_main, "POST", "/commands", match, "[{\"name\":\"exact\"}]");
    wt_assert_status(400, &a);
    static const char *const form[] = {"Content-Type: text/plain", NULL};
    a = wt_ask(&wt_main, "POST", "/commands", form, "[{\"name\":\"exact\"}]");
    wt_assert_status(415, &a);
    a = wt_get(&wt_main, "/commands");
    wt_assert_status(200, &a);
}

static int up(void **state)
{
    (void)state;
    return wt_up(WEIR_BIN_DIR, WEIR_SOURCE_DIR "/tests/integration/write_fixture.sql");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_own_outcome),
        cmocka_unit_test(all_or_none),
        cmocka_unit_test(many_collide_and_all_are_done),
        cmocka_unit_test(wrong_batches_are_refused),
        cmocka_unit_test(wt_ends_well),
    };
    return cmocka_run_group_tests_name("batch", tests, up, wt_down);
}
