/* test_err.c - errors: text, code, wrapping, truncation. */
#include <errno.h>
#include <stdio.h>

#include "libweir/base/str.h"
#include "tests/support/check.h"

static void fills_and_returns_the_code(void **state)
{
    (void)state;
    weir_error err = {.sqlstate = "23505"};
    assert_int_equal(weir_fail(&err, WEIR_E_LIMIT, WEIR_EF_RETRY, "%d of %d", 3, 2), WEIR_E_LIMIT);
    assert_int_equal(err.code, WEIR_E_LIMIT);
    assert_int_equal(err.flags, WEIR_EF_RETRY);
    assert_string_equal(err.sqlstate, "");
    assert_string_equal(err.msg, "3 of 2");
    assert_int_equal(weir_fail(NULL, WEIR_E_CONN, 0, "nobody listens"), WEIR_E_CONN);
}

static void text_is_one_line(void **state)
{
    (void)state;
    weir_error err;
    (void)weir_fail(&err, WEIR_E_PROTO, 0, "ERROR: a\nLINE 1\tb\n");
    assert_string_equal(err.msg, "ERROR: a LINE 1 b");
}

static void errno_is_told_and_kept(void **state)
{
    (void)state;
    weir_error err;
    errno = ENOENT;
    assert_int_equal(weir_fail_errno(&err, "cannot open %s", "x"), WEIR_E_SYS);
    assert_string_equal(err.msg, "cannot open x: No such file or directory");
    assert_int_equal(errno, ENOENT);
}

static void wrap_puts_text_in_front(void **state)
{
    (void)state;
    weir_error err;
    (void)weir_fail(&err, WEIR_E_INPUT, WEIR_EF_CLIENT, "bad");
    weir_error_wrap(&err, "file %d", 7);
    assert_string_equal(err.msg, "file 7: bad");
    assert_int_equal(err.code, WEIR_E_INPUT);
    assert_int_equal(err.flags, WEIR_EF_CLIENT);
}

static void texts_are_cut_never_overrun(void **state)
{
    (void)state;
    weir_error err;
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    (void)weir_fail(&err, WEIR_E_INPUT, 0, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    weir_error_wrap(&err, "%s", "front");
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_memory_equal(err.msg, "front: xxx", 10);
    weir_error_wrap(&err, "%s", big);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void what_is_cut_is_still_utf8(void **state)
{
    (void)state;
    char text[1200];
    for (size_t i = 0; i + 3 < sizeof text; i += 3) {
        memcpy(text + i, "\u20ac", 4);
    }
    for (size_t from = 0; from < 3; from++) { /* wherever the cut falls */
        weir_error err;
        (void)weir_fail(&err, WEIR_E_PROTO, 0, "%.*s%s", (int)from, "xx", text);
        assert_true(weir_utf8_ok(weir_slice_z(err.msg)));
        assert_true(strlen(err.msg) > sizeof err.msg - 5);
        weir_error_wrap(&err, "%.*s", (int)from + 1, "abc");
        assert_true(weir_utf8_ok(weir_slice_z(err.msg)));
        (void)weir_fail_errno(&err, "%.*s%s", (int)from, "xx", text);
        assert_true(weir_utf8_ok(weir_slice_z(err.msg)));
    }
}

static void own_text_may_be_an_argument(void **state)
{
    (void)state;
    weir_error err;
    (void)weir_fail(&err, WEIR_E_INPUT, 0, "inner");
    (void)weir_fail(&err, WEIR_E_SYS, 0, "outer (%s)", err.msg);
    assert_string_equal(err.msg, "outer (inner)");
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < WEIR_RC_COUNT; i++) {
        assert_non_null(weir_rc_name((weir_rc)i));
        assert_string_not_equal(weir_rc_name((weir_rc)i), "unknown");
    }
    assert_string_equal(weir_rc_name(WEIR_E_TIMEOUT), "timeout");
    assert_string_equal(weir_rc_name((weir_rc)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_returns_the_code),  cmocka_unit_test(text_is_one_line),
        cmocka_unit_test(errno_is_told_and_kept),      cmocka_unit_test(wrap_puts_text_in_front),
        cmocka_unit_test(texts_are_cut_never_overrun), cmocka_unit_test(what_is_cut_is_still_utf8),
        cmocka_unit_test(own_text_may_be_an_argument), cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
