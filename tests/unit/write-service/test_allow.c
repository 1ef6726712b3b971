/* test_allow.c - where callbacks may go, and how they are signed. */
#include "libweir/base/buf.h"
#include "tests/support/check.h"
#include "write-service/allow.h"
#include "write-service/callback.h"

static weir_rc check(const char *list, const char *url, bool *public_only)
{
    weir_error err = {0};
    wsvc_allow *a = NULL;
    assert_rc(WEIR_OK, wsvc_allow_new(&a, list, "secret", &err), &err);
    weir_rc rc = wsvc_allow_check(a, url, public_only, &err);
    wsvc_allow_free(a);
    return rc;
}

static void prefixes(void **state)
{
    (void)state;
    static const char list[] = "https://hooks.example/in http://10.0.0.7:8080/";
    static const char *const good[] = {"https://hooks.example/in", "https://HOOKS.example:443/in/a",
                                       "https://hooks.example/in?x=1",
                                       "http://10.0.0.7:8080/anything/at?all",
                                       "https://hooks.example/in/a%2Fb/..c/%2e/x..?y=/../"};
    static const char *const denied[] = {
        "https://hooks.example/inside", "https://hooks.example/", "http://hooks.example/in",
        "https://hooks.example:8443/in", "https://hooks.example.evil/in", "http://10.0.0.7/",
        "https://hooks.example/in/../out", "http://10.0.0.8:8080/",
        /* Libcurl leaves these as they are, who receives them may not. */
        "https://hooks.example/in/%2e%2E/out", "https://hooks.example/in/.%2e?x",
        "https://hooks.example/in/..%2Fout", "https://hooks.example/in/x%5c..%5c..%5cout"};
    static const char *const wrong[] = {"",
                                        "no url",
                                        "https://hooks.example@evil.example/in#",
                                        "https://user@hooks.example/in",
                                        "https://u:p@hooks.example/in",
                                        "https://hooks.example/in#x",
                                        "ftp://hooks.example/in",
                                        "file:///in",
                                        "gopher://hooks.example/in"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        bool only = true;
        assert_rc(WEIR_OK, check(list, good[i], &only), NULL);
        assert_false(only);
    }
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        assert_rc(WEIR_E_DENIED, check(list, denied[i], NULL), NULL);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_rc(WEIR_E_INPUT, check(list, wrong[i], NULL), NULL);
    }
}

static void public_places(void **state)
{
    (void)state;
    bool only = false;
    assert_rc(WEIR_OK, check("public", "https://anything.example/x", &only), NULL);
    assert_true(only); /* the address is looked at when DNS has said it */
    assert_rc(WEIR_E_DENIED, check("public", "http://anything.example/x", NULL), NULL);
    assert_rc(WEIR_E_DENIED, check("", "https://anything.example/x", NULL), NULL);
}

static void a_list_needs_a_secret_and_sense(void **state)
{
    (void)state;
    weir_error err = {0};
    wsvc_allow *a = NULL;
    assert_rc(WEIR_E_INPUT, wsvc_allow_new(&a, "public", "", &err), NULL);
    assert_has(err.msg, "callback_secret");
    assert_rc(WEIR_E_INPUT, wsvc_allow_new(&a, "hooks", "s", &err), NULL);
    assert_rc(WEIR_E_INPUT, wsvc_allow_new(&a, "ldap://x/", "s", &err), NULL);
    assert_rc(WEIR_OK, wsvc_allow_new(&a, "  ", "", &err), &err);
    assert_false(wsvc_allow_any(a));
    wsvc_allow_free(a);
}

static void signature(void **state)
{
    (void)state;
    weir_buf b;
    weir_buf_init(&b, 1000);
    /* printf '1700000000.{}' | openssl dgst -sha256 -hmac key */
    assert_true(wsvc_callback_sign(&b, "key", "1700000000", WEIR_SLICE_LIT("{}")));
    weir_slice one = weir_buf_slice(&b);
    assert_int_equal(one.n, 3 + 64);
    assert_slice("v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae", one);
    weir_buf_reset(&b);
    assert_true(wsvc_callback_sign(&b, "key  other", "1700000000", WEIR_SLICE_LIT("{}")));
    assert_int_equal(b.n, 2 * (3 + 64) + 1);
    assert_int_equal(b.p[67], ',');
    weir_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefixes),
        cmocka_unit_test(public_places),
        cmocka_unit_test(a_list_needs_a_secret_and_sense),
        cmocka_unit_test(signature),
    };
    return cmocka_run_group_tests_name("allow", tests, NULL, NULL);
}
