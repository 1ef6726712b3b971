/* test_split.c - the body of a batch cut into its commands. */
#include <stdio.h>

#include "libweir/base/buf.h"
#include "tests/support/check.h"
#include "write-service/split.h"

static wsvc_part parts[WSVC_BATCH_MAX];
static size_t n;

static weir_rc split(const char *text, weir_error *err)
{
    return wsvc_batch_split(weir_slice_z(text), parts, &n, err);
}

static void arguments_stay_as_they_are(void **state)
{
    (void)state;
    weir_error err = {0};
    assert_rc(WEIR_OK,
              split(" [ {\"name\" : \"a\", \"arguments\": {\"n\": 1.10e3, \"t\": \"]},\\\"{[\", "
                    "\"l\": [[1], {}]} } ,\n{\"arguments\":{},\"name\":\"b\"},{\"name\":\"c\"}]\n",
                    &err),
              &err);
    assert_int_equal(n, 3);
    assert_slice("a", parts[0].name);
    assert_slice("{\"n\": 1.10e3, \"t\": \"]},\\\"{[\", \"l\": [[1], {}]}", parts[0].arguments);
    assert_slice("b", parts[1].name);
    assert_slice("{}", parts[1].arguments);
    assert_slice("c", parts[2].name);
    assert_slice("{}", parts[2].arguments);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } bad[] = {{"", "JSON array"},
               {"{}", "JSON array"},
               {"[]", "empty"},
               {"[", "not acceptable JSON"},
               {"[{\"name\":\"a\"},]", "not acceptable JSON"},
               {"[{\"name\":\"a\"}] x", "not acceptable JSON"},
               {"[{\"name\":\"a\"}],\"b\":[1]", "behind the array"},
               {"[1]", "command 0"},
               {"[{\"name\":\"a\"},[]]", "command 1"},
               {"[{\"name\":\"a\"},{}]", "command 1"},
               {"[{\"name\":7}]", "wrong type"},
               {"[{\"name\":\"\"}]", "wrong type"},
               {"[{\"name\":\"a\",\"arguments\":[]}]", "wrong type"},
               {"[{\"name\":\"a\",\"args\":{}}]", "another member"},
               {"[{\"name\":\"a\",\"name\":\"b\"}]", "not acceptable JSON"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weir_error err = {0};
        if (split(bad[i].text, &err) != WEIR_E_INPUT || !strstr(err.msg, bad[i].said)) {
            fail_msg("%s: %s", bad[i].text, err.msg);
        }
    }
}

static void so_many_and_no_more(void **state)
{
    (void)state;
    weir_buf b;
    weir_error err = {0};
    weir_buf_init(&b, 1 << 20);
    for (int i = 0; i < WSVC_BATCH_MAX; i++) {
        weir_buf_printf(&b, "%s{\"name\":\"c%d\"}", i ? "," : "[", i);
    }
    size_t most = b.n;
    weir_buf_putz(&b, "]");
    assert_rc(WEIR_OK, wsvc_batch_split(weir_buf_slice(&b), parts, &n, &err), &err);
    assert_int_equal(n, WSVC_BATCH_MAX);
    b.n = most;
    weir_buf_putz(&b, ",{\"name\":\"one_more\"}]");
    assert_rc(WEIR_E_INPUT, wsvc_batch_split(weir_buf_slice(&b), parts, &n, &err), NULL);
    weir_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_stay_as_they_are),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(so_many_and_no_more),
    };
    return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
