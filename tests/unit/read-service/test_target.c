/* test_target.c - request paths as model and key. */
#include "tests/support/check.h"

#include "read-service/target.h"

static weir_rc parse(weir_arena *a, const char *path, rsvc_target *t)
{
    weir_error err;
    return rsvc_target_parse(weir_slice_z(path), a, t, &err);
}

static void keys(void **state)
{
    static const struct {
        const char *path, *model, *key;
        size_t parts;
    } cases[] = {
        {"/queries/order_view/7", "order_view", "7", 1},
        {"/queries/m/a/b/c", "m", "a/b/c", 3},
        {"/queries/m/a%2Fb/c", "m", "a%2Fb/c", 2},
        {"/queries/m/a%2fb", "m", "a%2Fb", 1},         /* canonical: upper case */
        {"/queries/m/%41%C3%A9", "m", "A\xC3\xA9", 1}, /* escaped more than needed */
        {"/queries/m/x%20y", "m", "x%20y", 1},
        {"/queries/m/%25", "m", "%25", 1},
        {"/queries/m/%", "m", "%", 1}, /* the empty text */
        {"/queries/m/%/1", "m", "%/1", 2},
        {"/queries/my%5fmodel/1", "my_model", "1", 1},
    };
    weir_arena *a = weir_arena_new(0);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rsvc_target t;
        assert_rc(WEIR_OK, parse(a, cases[i].path, &t), NULL);
        assert_slice(cases[i].model, t.model);
        assert_slice(cases[i].key, t.key);
        assert_int_equal(t.key_parts, cases[i].parts);
    }
    weir_arena_free(a);
}

static void without_key_or_model(void **state)
{
    weir_arena *a = weir_arena_new(0);
    rsvc_target t;
    (void)state;
    assert_rc(WEIR_OK, parse(a, "/queries", &t), NULL);
    assert_null(t.model.p);
    assert_rc(WEIR_OK, parse(a, "/queries/", &t), NULL);
    assert_null(t.model.p);
    assert_rc(WEIR_OK, parse(a, "/queries/m", &t), NULL);
    assert_slice("m", t.model);
    assert_null(t.key.p);
    assert_rc(WEIR_OK, parse(a, "/queries/m/", &t), NULL);
    assert_null(t.key.p);
    assert_int_equal(t.key_parts, 0);
    weir_arena_free(a);
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "/queries//1",    "/queries/m//",  "/queries/m/a//b", "/queries/m/a/",  "/queries/m//a",
        "/queries/m/%zz", "/queries/m/%4", "/queries/m/a%",   "/queries/%zz/1", "/queries/m/a%00b",
    };
    weir_arena *a = weir_arena_new(0);
    rsvc_target t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_rc(WEIR_E_INPUT, parse(a, bad[i], &t), NULL);
    }
    assert_rc(WEIR_E_NOTFOUND, parse(a, "/", &t), NULL);
    assert_rc(WEIR_E_NOTFOUND, parse(a, "/queriesx/1", &t), NULL);
    assert_rc(WEIR_E_NOTFOUND, parse(a, "/commands/x", &t), NULL);
    char many[200] = "/queries/m";
    for (size_t n = strlen(many), i = 0; i <= RSVC_KEY_PARTS_MAX; i++) {
        memcpy(many + n + 2 * i, "/k", 3);
    }
    assert_rc(WEIR_E_INPUT, parse(a, many, &t), NULL);
    many[strlen(many) - 2] = '\0';
    assert_rc(WEIR_OK, parse(a, many, &t), NULL);
    assert_int_equal(t.key_parts, RSVC_KEY_PARTS_MAX);
    weir_arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(without_key_or_model),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
