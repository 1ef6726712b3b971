/* test_terms.c - on what terms a command is accepted, from its headers. */
#include "tests/support/check.h"
#include "write-service/terms.h"

static const int64_t now_us = INT64_C(1795269600) * 1000000; /* 2026-11-21T14:00:00Z */

static void respond_async_is_a_preference(void **state)
{
    (void)state;
    assert_true(wsvc_prefers_async("respond-async"));
    assert_true(wsvc_prefers_async("wait=10, Respond-Async ; x=1"));
    assert_false(wsvc_prefers_async(NULL));
    assert_false(wsvc_prefers_async(""));
    assert_false(wsvc_prefers_async("respond-asynchronously"));
    assert_false(wsvc_prefers_async("wait=respond-async"));
}

static void instants(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {{"2026-11-21T14:00:00Z", 0},
                {"2026-11-21t15:00:00.25+01:00", 250000},
                {"2026-11-21 13:59:59.999999999z", -1},
                {"2026-11-20T14:30:00-23:30", 0}};
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T14:00:00",
                                      "2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-11-21T24:00:00Z",
                                      "2026-11-21T14:00:00.Z",
                                      "2026-11-21T14:00:00Zx",
                                      "2026-11-21T14:00:00+1:00",
                                      "1969-12-31T23:59:59Z"};
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(wsvc_instant_read(good[i].text, &us));
        assert_int_equal(us - now_us, good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (wsvc_instant_read(bad[i], &us)) {
            fail_msg("%s was taken for an instant", bad[i]);
        }
    }
}

static void terms_as_given(void **state)
{
    (void)state;
    weir_error err = {0};
    wsvc_terms t;
    wsvc_terms_text none = {0};
    assert_null(wsvc_terms_given(&none));
    assert_rc(WEIR_OK, wsvc_terms_read(&t, &none, now_us, &err), &err);
    assert_int_equal(t.priority, WSVC_PRIORITY_DEFAULT);
    assert_true(t.delay_us == 0 && t.deadline_us == 0 && !t.ordering_key && !t.callback);
    wsvc_terms_text all = {"9", "+1500", "2026-11-21T14:00:02Z", "k 1", "http://x/"};
    assert_string_equal(wsvc_terms_given(&all), "Weir-Priority");
    assert_rc(WEIR_OK, wsvc_terms_read(&t, &all, now_us, &err), &err);
    assert_int_equal(t.priority, 9);
    assert_int_equal(t.delay_us, 1500000);
    assert_int_equal(t.deadline_us, 2000000);
    wsvc_terms_text past = {.not_before = "2020-01-01T00:00:00Z"};
    assert_rc(WEIR_OK, wsvc_terms_read(&t, &past, now_us, &err), &err);
    assert_int_equal(t.delay_us, 0);
}

static void wrong_terms_are_named(void **state)
{
    (void)state;
    static const struct {
        wsvc_terms_text in;
        const char *name;
    } bad[] = {{{.priority = "10"}, "Weir-Priority"},
               {{.priority = ""}, "Weir-Priority"},
               {{.priority = "-"}, "Weir-Priority"},
               {{.not_before = "+x"}, "Weir-Not-Before"},
               {{.not_before = "+-1"}, "Weir-Not-Before"},
               {{.not_before = "+99999999999999"}, "Weir-Not-Before"},
               {{.deadline = "2025-01-01T00:00:00Z"}, "Weir-Deadline"},
               {{.not_before = "+5", .deadline = "+5"}, "Weir-Deadline"},
               {{.ordering_key = ""}, "Weir-Ordering-Key"},
               {{.ordering_key = "a\x80"}, "Weir-Ordering-Key"},
               {{.callback = "http://x/\n"}, "Weir-Callback"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weir_error err = {0};
        wsvc_terms t;
        assert_rc(WEIR_E_INPUT, wsvc_terms_read(&t, &bad[i].in, now_us, &err), NULL);
        assert_has(err.msg, bad[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(respond_async_is_a_preference),
        cmocka_unit_test(instants),
        cmocka_unit_test(terms_as_given),
        cmocka_unit_test(wrong_terms_are_named),
    };
    return cmocka_run_group_tests_name("terms", tests, NULL, NULL);
}
