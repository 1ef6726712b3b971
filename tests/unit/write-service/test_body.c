/* test_body.c - bodies and headers: what a command may be given. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/check.h"
#include "write-service/body.h"
#include "write-service/jsonscan.h"

static weir_rc check_n(const char *p, size_t n)
{
    weir_error err;
    char *exact = malloc(n ? n : 1); /* so that a read past the end is seen */
    memcpy(exact, p, n);
    weir_rc rc = wsvc_body_check(weir_slice_of(exact, n), &err);
    free(exact);
    return rc;
}

static void good(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{}",
        " { } ",
        "{\"a\":1}",
        "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}",
        "{\"a\":-0.5e+10,\"b\":\"\\u00e9\\ud83d\\ude00\",\"c\":[null,true,false]}",
        "{\"n\":123456789012345678901234567890}",
        "{\"\":\"\"}",
        "{\"a\\u0062\":1,\"b\":2}",
        "{\"a\":\"\xc3\xa9\"}",
        "{\"a\":\"\\\\\"}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (check_n(cases[i], strlen(cases[i])) != WEIR_OK) {
            fail_msg("refused: %s", cases[i]);
        }
    }
}

static void bad(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        " ",
                                        "[]",
                                        "1",
                                        "null",
                                        "\"a\"",
                                        "{",
                                        "}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{,}",
                                        "{\"a\":1}}",
                                        "{\"a\":1} x",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{\"a\":01}",
                                        "{\"a\":1.}",
                                        "{\"a\":.5}",
                                        "{\"a\":+1}",
                                        "{\"a\":-}",
                                        "{\"a\":NaN}",
                                        "{\"a\":\"\n\"}",
                                        "{\"a\":\"\\x\"}",
                                        "{\"a\":\"\\u0000\"}",
                                        "{\"a\":\"\\ud800\"}",
                                        "{\"a\":\"\xff\"}",
                                        "{\"a\":\"\xc0\x80\"}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"b\":{\"a\":1,\"a\":2}}",
                                        "{\"a\":1,\"\\u0061\":2}",
                                        "{\"a\":[1,2}",
                                        "{\"a\":(1)}",
                                        "{\"a\":tru}",
                                        "{\"a\":\"",
                                        "{\"a\":[1 2]}",
                                        "{\"a\" 1}",
                                        "{\"a\":1 \"b\":2}",
                                        "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (check_n(cases[i], strlen(cases[i])) != WEIR_E_INPUT) {
            fail_msg("accepted: %s", cases[i]);
        }
    }
    assert_int_equal(check_n("{\"a\":\"x\0y\"}", 11), WEIR_E_INPUT);
    assert_int_equal(check_n("{}\0", 3), WEIR_E_INPUT);
}

static void depth(void **state)
{
    (void)state;
    char text[4 * WSVC_DEPTH_MAX + 64];
    for (int levels = WSVC_DEPTH_MAX - 1; levels <= WSVC_DEPTH_MAX + 1; levels++) {
        int n = snprintf(text, sizeof text, "{\"a\":");
        for (int i = 1; i < levels; i++) {
            text[n++] = '[';
        }
        for (int i = 1; i < levels; i++) {
            text[n++] = ']';
        }
        text[n++] = '}';
        assert_int_equal(check_n(text, (size_t)n),
                         levels <= WSVC_DEPTH_MAX ? WEIR_OK : WEIR_E_INPUT);
    }
    /* Brackets in a string are text. */
    memset(text, '[', sizeof text);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + sizeof text - 2, "\"}", 2);
    assert_int_equal(check_n(text, sizeof text), WEIR_OK);
}

static bool parser_says_yes(weir_slice s)
{
    json_t *doc = json_loadb(
        s.p, s.n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY, NULL);
    bool yes = json_is_object(doc);
    json_decref(doc);
    return yes;
}

/* Mutated documents: what the quick look accepts the real parser accepts too. */
static void quick_look_never_says_yes_alone(void **state)
{
    (void)state;
    static const char seed[] = "{\"id\": 12, \"b\": [true, null, -1.5], \"c\": {\"x\": \"y\\n\", "
                               "\"z\": {}}, \"d\": \"\xc3\xa9\"}";
    static const char alphabet[] = "{}[]\",:\\ tfn0123.-eu\xc3\xa9\x01";
    uint64_t rng = weir_test_seed();
    size_t yes = 0;
    for (int i = 0; i < 200000; i++) {
        char text[sizeof seed + 8];
        size_t n = sizeof seed - 1;
        memcpy(text, seed, n);
        for (uint64_t k = weir_test_random(&rng) % 4; k > 0; k--) {
            size_t at = weir_test_random(&rng) % n;
            switch (weir_test_random(&rng) % 3) {
            case 0: text[at] = alphabet[weir_test_random(&rng) % (sizeof alphabet - 1)]; break;
            case 1: memmove(text + at, text + at + 1, n - at - 1), n--; break;
            default: text[at] = text[weir_test_random(&rng) % n]; break;
            }
        }
        weir_slice s = weir_slice_of(text, n);
        if (wsvc_json_surely_object(s, 64)) {
            yes++;
            if (!parser_says_yes(s)) {
                fail_msg("only the quick look accepts: %.*s", (int)n, text);
            }
        }
    }
    assert_true(yes > 1000);
}

static void media_types(void **state)
{
    (void)state;
    assert_true(wsvc_media_type_ok("application/json"));
    assert_true(wsvc_media_type_ok("Application/JSON; charset=UTF-8"));
    assert_true(wsvc_media_type_ok("application/json;charset=\"utf-8\""));
    assert_true(wsvc_media_type_ok("application/vnd.shop+json"));
    assert_false(wsvc_media_type_ok(NULL));
    assert_false(wsvc_media_type_ok(""));
    assert_false(wsvc_media_type_ok("text/json"));
    assert_false(wsvc_media_type_ok("application/jsonx"));
    assert_false(wsvc_media_type_ok("application/+json"));
    assert_false(wsvc_media_type_ok("application/json; charset=latin1"));
    assert_false(wsvc_media_type_ok("application/json; charset=utf-16"));
    assert_false(wsvc_media_type_ok("application/x-www-form-urlencoded"));
}

static void ids(void **state)
{
    (void)state;
    char text[WSVC_CORRELATION_MAX + 2];
    memset(text, 'x', sizeof text);
    text[WSVC_CORRELATION_MAX] = '\0';
    assert_true(wsvc_correlation_ok(text));
    text[WSVC_CORRELATION_MAX] = 'x';
    text[WSVC_CORRELATION_MAX + 1] = '\0';
    assert_false(wsvc_correlation_ok(text));
    assert_false(wsvc_correlation_ok(""));
    assert_false(wsvc_correlation_ok("a\tb"));
    assert_false(wsvc_correlation_ok("\xc3\xa9"));
    assert_true(wsvc_traceparent_ok("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_false(wsvc_traceparent_ok("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"));
    assert_false(wsvc_traceparent_ok("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"));
    assert_false(wsvc_traceparent_ok("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_false(wsvc_traceparent_ok("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    assert_false(wsvc_traceparent_ok("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
    assert_false(wsvc_traceparent_ok(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),        cmocka_unit_test(bad),
        cmocka_unit_test(depth),       cmocka_unit_test(quick_look_never_says_yes_alone),
        cmocka_unit_test(media_types), cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests_name("body", tests, NULL, NULL);
}
