/* test_key.c - equal values have equal key bytes, integers sort, long keys are cut without losing
 * their identity. */
#include "projector/engine/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static weir_key key1(weir_ty ty, const char *text)
{
    weir_key k;
    weir_error err;
    weir_val v = {WEIR_VAL_TEXT, weir_slice_z(text)};
    assert_int_equal(weir_key_make(&k, 1, &ty, &v, &err), WEIR_OK);
    return k;
}

static int cmp(weir_ty t1, const char *a, weir_ty t2, const char *b)
{
    weir_key x = key1(t1, a);
    weir_key y = key1(t2, b);
    return weir_slice_cmp(weir_key_slice(&x), weir_key_slice(&y));
}

static void integers_sort_and_share_a_form(void **state)
{
    (void)state;
    assert_int_equal(cmp(WEIR_TY_INT2, "7", WEIR_TY_INT8, "7"), 0);
    assert_true(cmp(WEIR_TY_INT4, "-5", WEIR_TY_INT4, "3") < 0);
    assert_true(cmp(WEIR_TY_INT8, "-9223372036854775808", WEIR_TY_INT8, "-9223372036854775807") <
                0);
    assert_true(cmp(WEIR_TY_INT8, "9223372036854775807", WEIR_TY_INT4, "10") > 0);
}

static void equal_values_have_equal_bytes(void **state)
{
    (void)state;
    assert_int_equal(cmp(WEIR_TY_NUMERIC, "1.50", WEIR_TY_NUMERIC, "1.5"), 0);
    assert_int_equal(cmp(WEIR_TY_NUMERIC, "2.00", WEIR_TY_NUMERIC, "2"), 0);
    assert_int_not_equal(cmp(WEIR_TY_NUMERIC, "20", WEIR_TY_NUMERIC, "2"), 0);
    assert_int_equal(cmp(WEIR_TY_BPCHAR, "ab  ", WEIR_TY_BPCHAR, "ab"), 0);
    assert_int_not_equal(cmp(WEIR_TY_TEXT, "ab ", WEIR_TY_TEXT, "ab"), 0);
    assert_int_equal(cmp(WEIR_TY_FLOAT8, "-0", WEIR_TY_FLOAT8, "0"), 0);
}

static void null_and_absent_have_no_key(void **state)
{
    (void)state;
    weir_key k;
    weir_error err = {0};
    weir_ty tys[2] = {WEIR_TY_INT4, WEIR_TY_TEXT};
    weir_val v[2] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("1")}, {WEIR_VAL_NULL, {NULL, 0}}};
    assert_int_equal(weir_key_make(&k, 2, tys, v, &err), WEIR_E_NOTFOUND);
    v[1].kind = WEIR_VAL_UNCHANGED;
    assert_int_equal(weir_key_make(&k, 2, tys, v, &err), WEIR_E_NOTFOUND);
    v[1] = (weir_val){WEIR_VAL_TEXT, {NULL, 0}};
    assert_int_equal(weir_key_make(&k, 2, tys, v, &err), WEIR_OK);
    assert_int_equal(k.n, 9);
    v[0].text = WEIR_SLICE_LIT("one");
    assert_int_equal(weir_key_make(&k, 2, tys, v, &err), WEIR_E_PROTO);
}

static void columns_cannot_run_into_each_other(void **state)
{
    (void)state;
    weir_ty tys[2] = {WEIR_TY_TEXT, WEIR_TY_TEXT};
    weir_val a[2] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("ab")}, {WEIR_VAL_TEXT, WEIR_SLICE_LIT("c")}};
    weir_val b[2] = {{WEIR_VAL_TEXT, WEIR_SLICE_LIT("a")}, {WEIR_VAL_TEXT, WEIR_SLICE_LIT("bc")}};
    weir_key x;
    weir_key y;
    weir_error err;
    assert_int_equal(weir_key_make(&x, 2, tys, a, &err), WEIR_OK);
    assert_int_equal(weir_key_make(&y, 2, tys, b, &err), WEIR_OK);
    assert_false(weir_slice_eq(weir_key_slice(&x), weir_key_slice(&y)));
}

static void long_keys_are_cut(void **state)
{
    (void)state;
    char a[1001];
    char b[1001];
    memset(a, 'x', 1000);
    memset(b, 'x', 1000);
    a[1000] = b[1000] = '\0';
    weir_key x = key1(WEIR_TY_TEXT, a);
    assert_int_equal(x.n, WEIR_KEY_MAX);
    assert_int_equal(cmp(WEIR_TY_TEXT, a, WEIR_TY_TEXT, b), 0);
    b[999] = 'y';
    assert_int_not_equal(cmp(WEIR_TY_TEXT, a, WEIR_TY_TEXT, b), 0);
    a[WEIR_KEY_CUT - 1] = '\0'; /* just fits */
    assert_int_equal(key1(WEIR_TY_TEXT, a).n, WEIR_KEY_CUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_sort_and_share_a_form),
        cmocka_unit_test(equal_values_have_equal_bytes),
        cmocka_unit_test(null_and_absent_have_no_key),
        cmocka_unit_test(columns_cannot_run_into_each_other),
        cmocka_unit_test(long_keys_are_cut),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
