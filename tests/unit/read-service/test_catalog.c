/* test_catalog.c - the entries of the models hash. */
#include "tests/support/check.h"

#include "read-service/catalog.h"

static bool set(rsvc_catalog *c, const char *name, const char *entry)
{
    weir_error err;
    return rsvc_catalog_set(c, weir_slice_z(name), weir_slice_z(entry), &err);
}

static rsvc_model *get(rsvc_catalog *c, const char *name)
{
    return rsvc_catalog_get(c, weir_slice_z(name));
}

static void entries(void **state)
{
    rsvc_catalog *c = rsvc_catalog_new();
    (void)state;
    assert_null(get(c, "m"));
    assert_true(
        set(c, "m",
            "{\"generation\":3,\"state\":\"building\",\"key\":[\"id\",\"n\"],\"progress\":0.5}"));
    rsvc_model *m = get(c, "m");
    assert_non_null(m);
    assert_true(m->present);
    assert_int_equal(m->generation, 3);
    assert_int_equal(m->state, RSVC_BUILDING);
    assert_int_equal(m->key_parts, 2);
    assert_string_equal(m->key_json, "[\"id\",\"n\"]");
    assert_true(m->progress > 0.49 && m->progress < 0.51);
    assert_true(set(
        c, "m",
        "{\"generation\":4,\"state\":\"stalled\",\"key\":[\"id\"],\"reason\":\"a \\\"b\\\"\"}"));
    assert_ptr_equal(get(c, "m"), m); /* requests may point at it */
    assert_int_equal(m->generation, 4);
    assert_int_equal(m->state, RSVC_STALLED);
    assert_string_equal(m->reason, "a \"b\"");
    assert_true(set(c, "m", NULL));
    assert_false(m->present);
    assert_true(set(c, "never", NULL));
    assert_null(get(c, "never"));
    rsvc_catalog_free(c);
}

static void what_cannot_be_read_is_absent(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"generation\":1,\"state\":\"ready\"}",
        "{\"generation\":1,\"state\":\"odd\",\"key\":[\"id\"]}",
        "{\"generation\":-1,\"state\":\"ready\",\"key\":[\"id\"]}",
        "{\"generation\":4294967296,\"state\":\"ready\",\"key\":[\"id\"]}",
        "{\"generation\":\"1\",\"state\":\"ready\",\"key\":[\"id\"]}",
        "{\"generation\":1,\"state\":\"ready\",\"key\":[]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rsvc_catalog *c = rsvc_catalog_new();
        assert_true(set(c, "m", "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"]}"));
        assert_false(set(c, "m", bad[i]));
        assert_false(get(c, "m")->present);
        assert_int_equal(rsvc_catalog_len(c), 0);
        assert_true(set(c, "m", "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"]}"));
        assert_true(get(c, "m")->present);
        rsvc_catalog_free(c);
    }
    char name[RSVC_MODELS_MAX];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    rsvc_catalog *c = rsvc_catalog_new();
    assert_false(set(c, name, "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"]}"));
    assert_false(set(c, "", "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"]}"));
    rsvc_catalog_free(c);
}

static void a_whole_reading(void **state)
{
    static const char ready[] =
        "{\"generation\":1,\"state\":\"ready\",\"key\":[\"id\"],\"progress\":1}";
    rsvc_catalog *c = rsvc_catalog_new();
    weir_buf b;
    (void)state;
    weir_buf_init(&b, 10000);
    rsvc_catalog_begin(c);
    assert_true(set(c, "zebra", ready));
    assert_true(set(c, "ant", ready));
    assert_true(set(c, "cow", ready));
    rsvc_catalog_end(c);
    rsvc_catalog_json(c, true, &b);
    assert_slice("[\"ant\",\"cow\",\"zebra\"]", weir_buf_slice(&b));
    rsvc_catalog_begin(c);
    assert_true(set(c, "cow", ready)); /* unchanged, but there */
    rsvc_catalog_end(c);
    assert_int_equal(rsvc_catalog_len(c), 1);
    weir_buf_reset(&b);
    rsvc_catalog_json(c, false, &b);
    assert_slice("[{\"name\":\"cow\",\"state\":\"ready\",\"generation\":1,\"key\":[\"id\"],"
                 "\"progress\":1.000}]",
                 weir_buf_slice(&b));
    assert_true(set(c, "ant", ready));
    assert_int_equal(rsvc_catalog_len(c), 2);
    weir_buf_fini(&b);
    rsvc_catalog_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries),
        cmocka_unit_test(what_cannot_be_read_is_absent),
        cmocka_unit_test(a_whole_reading),
    };
    return cmocka_run_group_tests_name("catalog", tests, NULL, NULL);
}
