/* test_collision.c - what the wrapper tells of a row, and texts that are none of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "write-service/collision.h"

static void row_is_read(void **state)
{
    (void)state;
    wsvc_collision *c =
        wsvc_collision_new("{\"table\":\"public.t\",\"row\":[[\"id\",\"7\"],[\"n\",null]]}");
    assert_non_null(c);
    assert_string_equal(c->table, "public.t");
    assert_int_equal(c->ncolumns, 2);
    assert_true(weir_slice_eq(wsvc_collision_column(c, 0), weir_slice_z("id")));
    assert_true(weir_slice_eq(wsvc_collision_value(c, 0), weir_slice_z("7")));
    assert_int_equal(wsvc_collision_value(c, 1).n, 0);
    wsvc_collision_free(c);
}

static void table_alone(void **state)
{
    (void)state;
    wsvc_collision *c = wsvc_collision_new("{\"table\":\"t\",\"row\":5}");
    assert_non_null(c);
    assert_int_equal(c->ncolumns, 0);
    wsvc_collision_free(c);
}

static void anything_else_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{", "[]", "{\"table\":1}", "{\"row\":[]}", NULL};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_null(wsvc_collision_new(texts[i]));
    }
    wsvc_collision_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_is_read),
        cmocka_unit_test(table_alone),
        cmocka_unit_test(anything_else_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
