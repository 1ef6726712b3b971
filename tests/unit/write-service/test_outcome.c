/* test_outcome.c - from the wrapper's JSON and from SQLSTATE to what the client is told. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"
#include "tests/support/check.h"
#include "write-service/outcome.h"

static wsvc_outcome of(const char *reply)
{
    wsvc_outcome out = {0};
    wsvc_outcome_reply(&out, "ID", weir_slice_z(reply), "0/10");
    return out;
}

static void stored_ones_are_told_where(void **state)
{
    (void)state;
    wsvc_outcome out = of("stored abc null");
    assert_int_equal(out.status, 202);
    assert_true(out.replayed);
    assert_string_equal(out.stored_id, "abc");
    assert_string_equal(out.text, "{\"command_id\":\"abc\",\"state\":\"accepted\"}");
    wsvc_outcome_fini(&out);
    out = of("stored abc [\"d\", \"e\"]");
    assert_int_equal(out.status, 202);
    assert_string_equal(out.stored_id, "");
    assert_string_equal(out.text, "[{\"command_id\":\"d\",\"state\":\"accepted\"},"
                                  "{\"command_id\":\"e\",\"state\":\"accepted\"}]");
    wsvc_outcome_fini(&out);
    out = of("stored"); /* an older control schema never says so */
    assert_int_equal(out.status, 500);
    wsvc_outcome_fini(&out);
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        int status;
    } cases[] = {{"23505", 409}, {"23P01", 409}, {"23514", 422}, {"23502", 422}, {"23503", 422},
                 {"22P02", 422}, {"22003", 422}, {"P0001", 422}, {"P0002", 422}, {"P0004", 500},
                 {"42501", 403}, {"42P01", 500}, {"42883", 500}, {"40001", 503}, {"40P01", 503},
                 {"55P03", 503}, {"55000", 500}, {"57014", 504}, {"57P01", 503}, {"53300", 503},
                 {"XX000", 500}, {"ZZ001", 422}, {"SHOP1", 422}, {"", 500}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (wsvc_status_of(cases[i].sqlstate) != cases[i].status) {
            fail_msg("%s: %d, not %d", cases[i].sqlstate, wsvc_status_of(cases[i].sqlstate),
                     cases[i].status);
        }
    }
}

/* A megabyte that is no integer comes back in PostgreSQL's message: what is answered stays a
 * problem. */
static void long_texts_are_cut(void **state)
{
    (void)state;
    enum { LONG = 1000000 };
    weir_buf b;
    weir_buf_init(&b, LONG + 200);
    weir_buf_putz(&b,
                  "{\"error\": {\"sqlstate\": \"22P02\", \"pointer\": \"/v\", \"message\": \"x");
    for (int i = 0; i < LONG / 2; i++) { /* two bytes each, cut in the middle of one */
        weir_buf_putz(&b, "é");
    }
    weir_buf_putz(&b, "\"}}");
    weir_buf_u8(&b, 0);
    const char *reply = b.p;
    wsvc_outcome out = of(reply);
    assert_int_equal(out.status, 422);
    assert_true(out.text_bytes < 10000);
    assert_true(weir_utf8_ok(weir_slice_of(out.text, out.text_bytes)));
    assert_string_equal(out.text + out.text_bytes - strlen("é…"), "é…");
    assert_has(out.members, "\"pointer\":\"/v\"");
    wsvc_outcome_fini(&out);
    weir_buf_fini(&b);
}

static void ok_is_passed_on_byte_for_byte(void **state)
{
    (void)state;
    static const struct {
        const char *reply, *result;
    } cases[] = {{"{\"ok\": 1}", "1"},
                 {"{\"ok\": null}", "null"},
                 {"{\"ok\": \"},\\\"{\"}", "\"},\\\"{\""},
                 {"{\"ok\": {\"a\": [1, 2, {}], \"n\": 12345678901234567890.10}}",
                  "{\"a\": [1, 2, {}], \"n\": 12345678901234567890.10}"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wsvc_outcome out = of(cases[i].reply);
        char want[200];
        (void)snprintf(want, sizeof want,
                       "{\"command_id\":\"ID\",\"result\":%s,\"position\":\"0/10\"}",
                       cases[i].result);
        assert_int_equal(out.status, 200);
        assert_string_equal(out.text, want);
        assert_int_equal(out.text_bytes, strlen(want));
        wsvc_outcome_fini(&out);
    }
}

static void errors_carry_their_members(void **state)
{
    (void)state;
    wsvc_outcome out = of("{\"error\": {\"sqlstate\": \"23505\", \"message\": \"taken \\\"x\\\"\", "
                          "\"detail\": \"d\", "
                          "\"hint\": \"h\", \"constraint\": \"c\", \"column\": \"\", \"table\": "
                          "\"t\", \"pointer\": \"/a\"}}");
    assert_int_equal(out.status, 409);
    assert_string_equal(out.sqlstate, "23505");
    assert_string_equal(out.text, "taken \"x\"");
    assert_string_equal(
        out.members,
        "\"command_id\":\"ID\",\"sqlstate\":\"23505\",\"pg_detail\":\"d\",\"hint\":\"h\","
        "\"constraint\":\"c\",\"table\":\"t\",\"pointer\":\"/a\"");
    assert_false(out.retry_after);
    wsvc_outcome_fini(&out);
}

static void nonsense_is_a_500(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "{}",
                                        "null",
                                        "{\"ok\": 1, \"more\": 2}",
                                        "{\"ok\": 1}}",
                                        "{\"ok\": [1}",
                                        "{\"error\": 1}",
                                        "{\"error\": {\"sqlstate\": \"1\"}}",
                                        "{\"ok\": "};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        wsvc_outcome out = of(cases[i]);
        if (out.status != 500) {
            fail_msg("%s: %d", cases[i], out.status);
        }
        wsvc_outcome_fini(&out);
    }
}

static void busy_says_when(void **state)
{
    (void)state;
    wsvc_outcome out = {0};
    wsvc_outcome_busy(&out, "ID", "later");
    assert_int_equal(out.status, 503);
    assert_true(out.retry_after);
    assert_string_equal(out.members, "\"command_id\":\"ID\"");
    wsvc_outcome_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(stored_ones_are_told_where),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(ok_is_passed_on_byte_for_byte),
        cmocka_unit_test(errors_carry_their_members),
        cmocka_unit_test(nonsense_is_a_500),
        cmocka_unit_test(busy_says_when),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
