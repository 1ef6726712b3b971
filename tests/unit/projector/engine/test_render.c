/* test_render.c - documents from rows: joins and their NULLs, nesting, groups, sub-selects, what
 * parks a document. */
#include "projector/engine/render.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/docplan.h"

typedef struct fix {
    dp_env e;
    weir_bound outer, inner, grouped, scalar;
    weir_render r;
    weir_error why;
} fix;

static void bind(fix *f, weir_plan *p, uint32_t id, weir_bound *b)
{
    assert_int_equal(weir_layout_bind(&f->e.layout, p, id, f->e.a, b, &f->e.err), WEIR_OK);
}

#define ROW(...) ((const char *const[]){__VA_ARGS__})
#define INSERT(f, t, ...)                                                                          \
    assert_int_equal(dp_event(&(f)->e, WEIR_EV_INSERT, (t), NULL, ROW(__VA_ARGS__)), WEIR_OK)

static int setup(void **state)
{
    fix *f = calloc(1, sizeof *f);
    dp_env_open(&f->e);
    bind(f, dp_order_plan(f->e.a, false), 1, &f->outer);
    bind(f, dp_order_plan(f->e.a, true), 2, &f->inner);
    bind(f, dp_grouped_plan(f->e.a), 3, &f->grouped);
    bind(f, dp_scalar_plan(f->e.a), 4, &f->scalar);
    weir_render_init(&f->r, f->e.st, 1 << 20);
    assert_int_equal(weir_state_begin(f->e.st, &f->e.err), WEIR_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fix *f = *state;
    weir_state_abort(f->e.st);
    weir_render_fini(&f->r);
    dp_env_close(&f->e);
    free(f);
    return 0;
}

static void expect(fix *f, const weir_bound *m, const char *key, const char *want)
{
    weir_buf out;
    weir_doc made;
    weir_buf_init(&out, 1 << 22);
    weir_buf_putz(&out, "before|");
    assert_int_equal(weir_render_doc(&f->r, m, weir_slice_z(key), &out, &made, &f->why, &f->e.err),
                     WEIR_OK);
    if (made != WEIR_DOC_MADE) {
        assert_int_equal(out.n, 7);
        weir_buf_putz(&out, made == WEIR_DOC_NONE ? "none" : "parked");
    }
    weir_buf_u8(&out, 0);
    assert_string_equal(out.p + 7, want);
    weir_buf_fini(&out);
}

static void joins_and_nesting(void **state)
{
    fix *f = *state;
    expect(f, &f->outer, "1", "none");
    INSERT(f, DP_ORD, "1", "", "5");
    expect(f, &f->outer, "1",
           "{\"id\": 1, \"reg\": null, \"cust\": null, \"note\": 5, \"lines\": null}");
    expect(f, &f->inner, "1", "none");
    INSERT(f, DP_ORD, "2", "7", "6");
    INSERT(f, DP_CUST, "7", "3", "1");
    INSERT(f, DP_REG, "3", "2");
    INSERT(f, DP_LINE, "11", "2", "4", "10");
    INSERT(f, DP_LINE, "10", "2", "", "1");
    INSERT(f, DP_LINE, "12", "2", "4", "0"); /* filtered by WHERE */
    INSERT(f, DP_PROD, "4", "8", "9");
    INSERT(f, DP_NOTE, "1", "11", "3");
    INSERT(f, DP_NOTE, "2", "11", "2");
    INSERT(f, DP_NOTE, "3", "11", "10");
    const char *doc = "{\"id\": 2, \"reg\": 2, \"cust\": 1, \"note\": 6, \"lines\": ["
                      "{\"id\": 10, \"qty\": 1, \"prod\": null, \"notes\": null}, "
                      "{\"id\": 11, \"qty\": 10, \"prod\": 8, \"notes\": [2, 3, 10]}]}";
    expect(f, &f->outer, "2", doc);
    expect(f, &f->inner, "2", "none"); /* a line without a note */
    INSERT(f, DP_NOTE, "4", "10", "1");
    INSERT(f, DP_NOTE, "5", "12", "1");
    expect(f, &f->inner, "2",
           "{\"id\": 2, \"reg\": 2, \"cust\": 1, \"note\": 6, \"lines\": ["
           "{\"id\": 10, \"qty\": 1, \"prod\": null, \"notes\": [1]}, "
           "{\"id\": 11, \"qty\": 10, \"prod\": 8, \"notes\": [2, 3, 10]}]}");
    INSERT(f, DP_CUST, "7", "3", "3"); /* WHERE c.name <> 3 */
    expect(f, &f->inner, "2", "none");
}

static void groups(void **state)
{
    fix *f = *state;
    expect(f, &f->grouped, "1", "none");
    INSERT(f, DP_ORD, "1", "", "5");
    expect(f, &f->grouped, "1", "{\"n\": 0, \"id\": 1, \"total\": null}");
    INSERT(f, DP_LINE, "1", "1", "", "3");
    INSERT(f, DP_LINE, "2", "1", "", "");
    INSERT(f, DP_LINE, "3", "1", "", "4");
    expect(f, &f->grouped, "1", "{\"n\": 3, \"id\": 1, \"total\": 7}");
}

static void errors_park(void **state)
{
    fix *f = *state;
    INSERT(f, DP_ORD, "1", "", "5");
    expect(f, &f->scalar, "1", "{\"id\": 1, \"qty\": null, \"share\": 2}");
    INSERT(f, DP_LINE, "1", "1", "", "3");
    expect(f, &f->scalar, "1", "{\"id\": 1, \"qty\": 3, \"share\": 2}");
    INSERT(f, DP_LINE, "2", "1", "", "3");
    expect(f, &f->scalar, "1", "parked");
    assert_string_equal(f->why.sqlstate, "21000");
    INSERT(f, DP_ORD, "2", "", "0");
    expect(f, &f->scalar, "2", "parked");
    assert_string_equal(f->why.sqlstate, "22012");
    INSERT(f, DP_ORD, "3", "", "~"); /* a column that never came */
    expect(f, &f->scalar, "3", "parked");
    assert_non_null(strstr(f->why.msg, "never came"));
}

static void a_large_document_parks(void **state)
{
    fix *f = *state;
    weir_render_fini(&f->r);
    weir_render_init(&f->r, f->e.st, 2000);
    INSERT(f, DP_ORD, "1", "", "5");
    for (int i = 0; i < 200; i++) {
        char id[8];
        (void)snprintf(id, sizeof id, "%d", i);
        INSERT(f, DP_LINE, id, "1", "", "3");
    }
    expect(f, &f->outer, "1", "parked");
    assert_int_equal(f->why.code, WEIR_E_LIMIT);
}

static void keys_that_are_none(void **state)
{
    fix *f = *state;
    INSERT(f, DP_ORD, "1", "", "5");
    expect(f, &f->outer, "01", "none"); /* the same number, another name */
    expect(f, &f->outer, "1/2", "none");
    weir_buf out;
    weir_doc made;
    weir_buf_init(&out, 1000);
    weir_rc rc =
        weir_render_doc(&f->r, &f->outer, WEIR_SLICE_LIT("x"), &out, &made, &f->why, &f->e.err);
    assert_int_not_equal(rc, WEIR_OK);
    weir_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(joins_and_nesting, setup, teardown),
        cmocka_unit_test_setup_teardown(groups, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_park, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_document_parks, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_that_are_none, setup, teardown),
    };
    return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
