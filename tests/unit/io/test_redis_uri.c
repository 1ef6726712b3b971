/* test_redis_uri.c - Redis addresses taken apart. */
#include "tests/support/check.h"

#include "libweir/io/redis_uri.h"

static weir_redis_uri parse(const char *text)
{
    weir_redis_uri uri;
    weir_error err;
    assert_rc(WEIR_OK, weir_redis_uri_parse(text, &uri, &err), &err);
    return uri;
}

static void host_and_port(void **state)
{
    (void)state;
    weir_redis_uri u = parse("redis://127.0.0.1:6400");
    assert_string_equal(u.host, "127.0.0.1");
    assert_int_equal(u.port, 6400);
    assert_int_equal(u.db, 0);
    assert_string_equal(u.path, "");
    assert_string_equal(u.password, "");
    u = parse("redis://cache.example.org");
    assert_int_equal(u.port, 6379);
    u = parse("redis://[::1]:7000/3");
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 7000);
    assert_int_equal(u.db, 3);
    u = parse("redis://[fe80::1]");
    assert_string_equal(u.host, "fe80::1");
    u = parse("redis://h/");
    assert_string_equal(u.host, "h");
}

static void login(void **state)
{
    (void)state;
    weir_redis_uri u = parse("redis://:secret@h:1/2");
    assert_string_equal(u.user, "");
    assert_string_equal(u.password, "secret");
    assert_string_equal(u.host, "h");
    u = parse("redis://app:p%40ss%2F%3a@h");
    assert_string_equal(u.user, "app");
    assert_string_equal(u.password, "p@ss/:");
    u = parse("redis://:a@b@h:9"); /* the last @ ends the login */
    assert_string_equal(u.password, "a@b");
    assert_string_equal(u.host, "h");
}

static void unix_path(void **state)
{
    (void)state;
    weir_redis_uri u = parse("unix:///run/redis.sock");
    assert_string_equal(u.path, "/run/redis.sock");
    assert_string_equal(u.host, "");
    u = parse("unix:///run/redis.sock?db=5");
    assert_string_equal(u.path, "/run/redis.sock");
    assert_int_equal(u.db, 5);
    u = parse("unix://:pw@/tmp/r@1.sock");
    assert_string_equal(u.password, "pw");
    assert_string_equal(u.path, "/tmp/r@1.sock");
}

static void malformed_is_refused_without_the_secret(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "redis",
        "redis://",
        "redis:///1",
        "http://h",
        "redis://h:",
        "redis://h:0x1",
        "redis://h:65536",
        "redis://h:-1",
        "redis://h/x",
        "redis://h/-1",
        "redis://[::1",
        "redis://[::1]x",
        "redis://secret@h",
        "redis://:sec%ret@h",
        "redis://:secret%00@h",
        "unix://",
        "unix://relative",
        "unix:///p?db=",
        "unix:///p?db=secret",
        "unix:///p?x=1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        weir_redis_uri uri;
        weir_error err;
        assert_rc(WEIR_E_INPUT, weir_redis_uri_parse(bad[i], &uri, &err), &err);
        assert_null(strstr(err.msg, "secret"));
    }
}

static void overlong_parts_are_refused(void **state)
{
    (void)state;
    char text[1024] = "redis://";
    memset(text + 8, 'h', 700);
    weir_redis_uri uri;
    assert_rc(WEIR_E_INPUT, weir_redis_uri_parse(text, &uri, NULL), NULL);
    memcpy(text, "unix:///", 8);
    assert_rc(WEIR_E_INPUT, weir_redis_uri_parse(text, &uri, NULL), NULL);
    memcpy(text, "redis://:", 9);
    memcpy(text + 600, "@h", 3);
    assert_rc(WEIR_E_INPUT, weir_redis_uri_parse(text, &uri, NULL), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port),
        cmocka_unit_test(login),
        cmocka_unit_test(unix_path),
        cmocka_unit_test(malformed_is_refused_without_the_secret),
        cmocka_unit_test(overlong_parts_are_refused),
    };
    return cmocka_run_group_tests_name("redis_uri", tests, NULL, NULL);
}
