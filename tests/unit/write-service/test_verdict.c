/* test_verdict.c - what the lanes' word on a stored command means for its row. */
#include <stdlib.h>

#include "tests/support/check.h"
#include "write-service/verdict.h"

static wsvc_stored s;

static void forget(void)
{
    free(s.reason);
    free(s.answer);
    s = (wsvc_stored){0};
}

/* The verdict on what a wrapper said. */
static wsvc_verdict on_reply(const char *reply, bool *over)
{
    wsvc_outcome out = {0};
    forget();
    wsvc_outcome_reply(&out, "id", weir_slice_z(reply), "0/1");
    *over = wsvc_verdict_of(&out, 0, &s);
    wsvc_outcome_fini(&out);
    return s.verdict;
}

static void words_of_run_stored(void **state)
{
    (void)state;
    bool over;
    assert_int_equal(on_reply("{\"ok\": \"completed\"}", &over), WSVC_VERDICT_DONE);
    assert_true(over);
    assert_int_equal(on_reply("{\"ok\": \"rejected\"}", &over), WSVC_VERDICT_DONE);
    assert_true(over);
    assert_int_equal(on_reply("{\"ok\": \"blocked\"}", &over), WSVC_VERDICT_DONE);
    assert_false(over);
    /* Another has it; if that one gives up, the row must not stay ours. */
    assert_int_equal(on_reply("{\"ok\": \"skipped\"}", &over), WSVC_VERDICT_LATER);
    assert_false(over);
}

static void errors(void **state)
{
    (void)state;
    bool over;
    assert_int_equal(on_reply("{\"error\": {\"sqlstate\": \"40P01\", \"message\": \"m\"}}", &over),
                     WSVC_VERDICT_RETRY);
    assert_string_equal(s.reason, "m");
    assert_int_equal(on_reply("{\"error\": {\"sqlstate\": \"57014\", \"message\": \"m\"}}", &over),
                     WSVC_VERDICT_RETRY);
    assert_int_equal(on_reply("{\"error\": {\"sqlstate\": \"42P01\", \"message\": \"m\"}}", &over),
                     WSVC_VERDICT_DEAD);
    assert_true(over);
    assert_has(s.answer, "{\"error\":{\"message\":\"m\"");
    assert_int_equal(on_reply("{\"error\": {\"sqlstate\": \"23503\", \"message\": \"m\", "
                              "\"constraint\": \"c\"}}",
                              &over),
                     WSVC_VERDICT_REJECTED);
    assert_has(s.answer, "\"constraint\":\"c\"");
    forget();
}

static void nobodys_fault(void **state)
{
    (void)state;
    wsvc_outcome out = {0};
    forget();
    wsvc_outcome_busy(&out, "id", "PostgreSQL is away");
    assert_false(wsvc_verdict_of(&out, 2, &s));
    assert_int_equal(s.verdict, WSVC_VERDICT_LATER);
    /* One that takes its backend down each time must not go on for ever. */
    assert_false(wsvc_verdict_of(&out, 3, &s));
    assert_int_equal(s.verdict, WSVC_VERDICT_RETRY);
    wsvc_outcome_fini(&out);
    forget();
    wsvc_outcome_problem(&out, "id", 503, WSVC_TYPE_UNKNOWN, "who knows", NULL);
    assert_true(wsvc_verdict_of(&out, 3, &s));
    assert_int_equal(s.verdict, WSVC_VERDICT_LATER);
    wsvc_outcome_fini(&out);
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_run_stored),
        cmocka_unit_test(errors),
        cmocka_unit_test(nobodys_fault),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
