/* test_str.c - files, JSON quoting, UTF-8, ids, "did you mean". */
#include "libweir/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check.h"

static void quotes(weir_slice in, const char *want)
{
    weir_buf b;
    weir_buf_init(&b, 1000);
    weir_json_quote(&b, in);
    assert_false(b.failed);
    assert_slice(want, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void json_quotes_as_jsonb_prints(void **state)
{
    (void)state;
    quotes((weir_slice){NULL, 0}, "\"\"");
    quotes(weir_slice_z("plain"), "\"plain\"");
    quotes(weir_slice_z("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    quotes(weir_slice_z("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    quotes(weir_slice_z("\x01\x1f\x7f"), "\"\\u0001\\u001f\x7f\"");
    quotes(weir_slice_z("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"),
           "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
    quotes((weir_slice){"\n\n", 2}, "\"\\n\\n\"");
}

static void utf8_is_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "x\xe2\x82\xacy"};
    static const char *const bad[] = {
        "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xc2",
        "\xc2\x41",     "\xe0\x9f\xbf",     "\xed\xa0\x80",     "\xe2\x82",
        "\xff",         "\xf5\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf0\x90\x80", "a\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(weir_utf8_ok(weir_slice_z(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(weir_utf8_ok(weir_slice_z(bad[i])));
    }
    assert_false(weir_utf8_ok((weir_slice){"a\0b", 3}));
    assert_true(weir_utf8_ok((weir_slice){NULL, 0}));
}

static int make_dir(void **state)
{
    char *dir = strdup("/tmp/weir-str-XXXXXX");
    *state = dir && mkdtemp(dir) ? dir : NULL;
    return *state ? 0 : -1;
}

static int remove_dir(void **state)
{
    char path[200];
    static const char *const left[] = {"a/b/file", "a/b", "a", ""};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", (char *)*state, left[i]);
        (void)remove(path);
    }
    free(*state);
    return 0;
}

static void files_are_written_whole(void **state)
{
    char dir[100], path[120], tmp[130];
    weir_arena *a = weir_arena_new(1 << 20);
    weir_error err;
    weir_slice got;
    struct stat st;
    (void)snprintf(dir, sizeof dir, "%s/a//b", (char *)*state);
    (void)snprintf(path, sizeof path, "%s/file", dir);
    (void)snprintf(tmp, sizeof tmp, "%s.tmp", path);
    assert_rc(WEIR_E_SYS, weir_file_write(path, weir_slice_z("x"), 0600, &err), NULL);
    assert_rc(WEIR_OK, weir_mkdirs(dir, 0700, &err), &err);
    assert_rc(WEIR_OK, weir_mkdirs(dir, 0700, &err), &err);
    assert_rc(WEIR_E_NOTFOUND, weir_file_read(path, 100, a, &got, &err), NULL);
    assert_int_equal(err.code, WEIR_E_NOTFOUND);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z("old"), 0600, &err), &err);
    assert_rc(WEIR_OK, weir_file_write(path, weir_slice_z("hello"), 0640, &err), &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(access(tmp, F_OK), -1);
    assert_rc(WEIR_OK, weir_file_read(path, 5, a, &got, &err), &err);
    assert_slice("hello", got);
    assert_int_equal(got.p[5], 0);
    assert_rc(WEIR_E_LIMIT, weir_file_read(path, 4, a, &got, &err), NULL);
    assert_rc(WEIR_E_SYS, weir_mkdirs(path, 0700, &err), NULL);
    assert_rc(WEIR_E_INPUT, weir_mkdirs("", 0700, &err), NULL);
    weir_arena_free(a);
}

static void ids_are_hex_and_differ(void **state)
{
    (void)state;
    char a[33], b[33];
    weir_random_id(a);
    weir_random_id(b);
    assert_int_equal(strlen(a), 32);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_string_not_equal(a, b);
}

static void nearest_guesses_or_does_not(void **state)
{
    (void)state;
    static const char *const words[] = {"port", "listen", "lanes", "group_max", "queue_max"};
    assert_string_equal(weir_nearest("prot", words, 5), "port");
    assert_string_equal(weir_nearest("groupmax", words, 5), "group_max");
    assert_string_equal(weir_nearest("line", words, 5), "lanes");
    assert_string_equal(weir_nearest("listne", words, 5), "listen");
    assert_null(weir_nearest("zebra", words, 5));
    assert_null(weir_nearest("", words, 5));
    assert_null(weir_nearest("port", words, 0));
    assert_null(weir_nearest(
        "0123456789012345678901234567890123456789012345678901234567890123456789", words, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_quotes_as_jsonb_prints),
        cmocka_unit_test(utf8_is_checked),
        cmocka_unit_test_setup_teardown(files_are_written_whole, make_dir, remove_dir),
        cmocka_unit_test(ids_are_hex_and_differ),
        cmocka_unit_test(nearest_guesses_or_does_not),
    };
    return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
