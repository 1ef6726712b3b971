/* test_expr.c - truth tables, lazy conditionals, integer edges, jsonb builders, rows that are not
 * there. */
#include "projector/engine/expr.h"
#include "tests/support/check.h"

static weir_arena *a;
static weir_val vals[8];
static weir_tuple row = {8, vals};
static const weir_tuple *rows[2];

static int setup(void **state)
{
    (void)state;
    a = weir_arena_new(0);
    rows[0] = &row;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weir_arena_free(a);
    return 0;
}

static weir_expr *constant(weir_ty ty, const char *z)
{
    weir_expr *e = WEIR_ARENA_ARRAY(a, weir_expr, 1);
    *e = (weir_expr){
        .op = WEIR_OP_CONST, .type = {.ty = ty, .typmod = -1}, .null = !z, .text = weir_slice_z(z)};
    return e;
}

static weir_expr *call(weir_op op, weir_ty ty, int n, weir_expr **args)
{
    weir_expr *e = WEIR_ARENA_ARRAY(a, weir_expr, 1);
    *e = (weir_expr){.op = op, .type = {.ty = ty, .typmod = -1}, .nargs = n};
    e->args = WEIR_ARENA_ARRAY(a, weir_expr *, (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        e->args[i] = args[i];
    }
    return e;
}
#define CALL(op, ty, ...)                                                                          \
    call(op, ty, (int)(sizeof((weir_expr *[]){__VA_ARGS__}) / sizeof(weir_expr *)),                \
         (weir_expr *[]){__VA_ARGS__})

/* want NULL: the result is NULL; "!22003": that error. */
static void gives(const char *want, const weir_expr *e)
{
    weir_eval ev = {.a = a, .rows = rows};
    weir_value v = {0};
    weir_slice s;
    weir_error err = {0};
    weir_rc rc = weir_expr_eval(&ev, e, &v, &err);
    if (want && want[0] == '!') {
        assert_rc(WEIR_E_INPUT, rc, &err);
        assert_string_equal(want + 1, err.sqlstate);
        return;
    }
    assert_rc(WEIR_OK, rc, &err);
    if (!want) {
        assert_int_equal(WEIR_FORM_NULL, v.form);
        return;
    }
    assert_int_not_equal(WEIR_FORM_NULL, v.form);
    assert_rc(WEIR_OK, weir_value_text(&v, e->type, a, &s, &err), &err);
    assert_slice(want, s);
}

static weir_expr *by_zero(weir_ty ty)
{
    weir_expr *e =
        CALL(WEIR_OP_DIV, WEIR_TY_INT4, constant(WEIR_TY_INT4, "1"), constant(WEIR_TY_INT4, "0"));
    return ty == WEIR_TY_BOOL ? CALL(WEIR_OP_EQ, WEIR_TY_BOOL, e, e) : e;
}

static void test_truth_tables(void **state)
{
    static const char *const in[] = {"t", "f", NULL};
    static const char *const and[3][3] = {{"t", "f", NULL}, {"f", "f", "f"}, {NULL, "f", NULL}};
    static const char *const or [3][3] = {{"t", "t", "t"}, {"t", "f", NULL}, {"t", NULL, NULL}};
    static const char *const not [3] = {"f", "t", NULL};
    static const char *const tests[4][3] = {
        {"t", "f", "f"}, {"f", "t", "t"}, {"f", "t", "f"}, {"t", "f", "t"}};
    static const weir_op ops[] = {WEIR_OP_IS_TRUE, WEIR_OP_IS_NOT_TRUE, WEIR_OP_IS_FALSE,
                                  WEIR_OP_IS_NOT_FALSE};
    (void)state;
    for (int i = 0; i < 3; i++) {
        weir_expr *x = constant(WEIR_TY_BOOL, in[i]);
        gives(not [i], CALL(WEIR_OP_NOT, WEIR_TY_BOOL, x));
        for (int j = 0; j < 3; j++) {
            weir_expr *y = constant(WEIR_TY_BOOL, in[j]);
            gives(and[i][j], CALL(WEIR_OP_AND, WEIR_TY_BOOL, x, y));
            gives(or [i][j], CALL(WEIR_OP_OR, WEIR_TY_BOOL, x, y));
        }
        for (int t = 0; t < 4; t++) {
            gives(tests[t][i], CALL(ops[t], WEIR_TY_BOOL, x));
        }
    }
    gives("f", CALL(WEIR_OP_AND, WEIR_TY_BOOL, constant(WEIR_TY_BOOL, "f"), by_zero(WEIR_TY_BOOL)));
    gives("!22012",
          CALL(WEIR_OP_AND, WEIR_TY_BOOL, constant(WEIR_TY_BOOL, "t"), by_zero(WEIR_TY_BOOL)));
}

static void test_lazy(void **state)
{
    weir_expr *one = constant(WEIR_TY_INT4, "1"), *bad = by_zero(WEIR_TY_INT4);
    weir_expr *yes = constant(WEIR_TY_BOOL, "t"), *no = constant(WEIR_TY_BOOL, "f");
    weir_expr *null = constant(WEIR_TY_INT4, NULL);
    (void)state;
    gives("1", CALL(WEIR_OP_CASE, WEIR_TY_INT4, yes, one, no, bad, bad));
    gives("1", CALL(WEIR_OP_CASE, WEIR_TY_INT4, no, bad, one));
    gives(NULL, CALL(WEIR_OP_CASE, WEIR_TY_INT4, constant(WEIR_TY_BOOL, NULL), bad));
    gives("1", CALL(WEIR_OP_COALESCE, WEIR_TY_INT4, null, one, bad));
    gives("!22012", CALL(WEIR_OP_COALESCE, WEIR_TY_INT4, null, bad, one));
    gives(NULL, CALL(WEIR_OP_COALESCE, WEIR_TY_INT4, null, null));
    gives("!22012", CALL(WEIR_OP_CASE, WEIR_TY_INT4, no, one, bad));
}

static void test_int_edges(void **state)
{
    static const struct {
        weir_op op;
        weir_ty ty;
        const char *x, *y, *want;
    } cases[] = {
        {WEIR_OP_ADD, WEIR_TY_INT2, "32767", "1", "!22003"},
        {WEIR_OP_ADD, WEIR_TY_INT4, "2147483647", "1", "!22003"},
        {WEIR_OP_ADD, WEIR_TY_INT8, "2147483647", "1", "2147483648"},
        {WEIR_OP_ADD, WEIR_TY_INT8, "9223372036854775807", "1", "!22003"},
        {WEIR_OP_SUB, WEIR_TY_INT8, "-9223372036854775808", "1", "!22003"},
        {WEIR_OP_MUL, WEIR_TY_INT4, "65536", "65536", "!22003"},
        {WEIR_OP_DIV, WEIR_TY_INT4, "-7", "2", "-3"},
        {WEIR_OP_MOD, WEIR_TY_INT4, "-7", "3", "-1"},
        {WEIR_OP_DIV, WEIR_TY_INT4, "-2147483648", "-1", "!22003"},
        {WEIR_OP_DIV, WEIR_TY_INT8, "-9223372036854775808", "-1", "!22003"},
        {WEIR_OP_MOD, WEIR_TY_INT8, "-9223372036854775808", "-1", "0"},
        {WEIR_OP_DIV, WEIR_TY_INT4, "1", "0", "!22012"},
        {WEIR_OP_MOD, WEIR_TY_INT4, "1", "0", "!22012"},
        {WEIR_OP_ADD, WEIR_TY_INT4, "1", NULL, NULL},
        {WEIR_OP_DIV, WEIR_TY_INT4, NULL, "0", NULL},
        {WEIR_OP_MUL, WEIR_TY_NUMERIC, "3", "2.50", "7.50"},
        {WEIR_OP_DIV, WEIR_TY_NUMERIC, "1", "0", "!22012"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gives(cases[i].want, CALL(cases[i].op, cases[i].ty, constant(cases[i].ty, cases[i].x),
                                  constant(cases[i].ty, cases[i].y)));
    }
    gives("!22003", CALL(WEIR_OP_NEG, WEIR_TY_INT4, constant(WEIR_TY_INT4, "-2147483648")));
    gives("-1.50", CALL(WEIR_OP_NEG, WEIR_TY_NUMERIC, constant(WEIR_TY_NUMERIC, "1.50")));
    gives("!0A000", CALL(WEIR_OP_NEG, WEIR_TY_FLOAT8, constant(WEIR_TY_FLOAT8, "1")));
}

static void test_comparisons(void **state)
{
    weir_expr *one = constant(WEIR_TY_INT4, "1"), *two = constant(WEIR_TY_INT4, "2");
    weir_expr *null = constant(WEIR_TY_INT4, NULL), *untyped = constant(WEIR_TY_UNKNOWN, NULL);
    (void)state;
    gives("t", CALL(WEIR_OP_LT, WEIR_TY_BOOL, one, two));
    gives(NULL, CALL(WEIR_OP_EQ, WEIR_TY_BOOL, one, untyped));
    gives("t", CALL(WEIR_OP_IS_DISTINCT, WEIR_TY_BOOL, one, null));
    gives("f", CALL(WEIR_OP_IS_DISTINCT, WEIR_TY_BOOL, null, null));
    gives("t", CALL(WEIR_OP_IS_NOT_DISTINCT, WEIR_TY_BOOL, null, null));
    gives("t", CALL(WEIR_OP_IN, WEIR_TY_BOOL, one, null, one));
    gives(NULL, CALL(WEIR_OP_IN, WEIR_TY_BOOL, one, null, two));
    gives("f", CALL(WEIR_OP_IN, WEIR_TY_BOOL, one, two));
    gives(NULL, CALL(WEIR_OP_IN, WEIR_TY_BOOL, null, one));
    gives(NULL, CALL(WEIR_OP_NULLIF, WEIR_TY_INT4, one, one));
    gives("1", CALL(WEIR_OP_NULLIF, WEIR_TY_INT4, one, null));
    gives("2", CALL(WEIR_OP_GREATEST, WEIR_TY_INT4, one, null, two));
    gives("1", CALL(WEIR_OP_LEAST, WEIR_TY_INT4, null, two, one));
    gives(NULL, CALL(WEIR_OP_LEAST, WEIR_TY_INT4, null, null));
}

static void test_jsonb(void **state)
{
    weir_slice keys[] = {WEIR_SLICE_LIT("a"), WEIR_SLICE_LIT("q\"k")};
    weir_expr *o = CALL(WEIR_OP_JSONB_OBJECT, WEIR_TY_JSONB, constant(WEIR_TY_TEXT, NULL),
                        constant(WEIR_TY_NUMERIC, "1.50"));
    o->keys = keys;
    (void)state;
    gives("{\"a\": null, \"q\\\"k\": 1.50}", o);
    gives("[{\"a\": null, \"q\\\"k\": 1.50}, \"x\"]",
          CALL(WEIR_OP_JSONB_ARRAY, WEIR_TY_JSONB, o, constant(WEIR_TY_TEXT, "x")));
    gives("[]", call(WEIR_OP_JSONB_ARRAY, WEIR_TY_JSONB, 0, NULL));
    gives("{}", call(WEIR_OP_JSONB_OBJECT, WEIR_TY_JSONB, 0, NULL));
    gives("true", CALL(WEIR_OP_TO_JSONB, WEIR_TY_JSONB, constant(WEIR_TY_BOOL, "t")));
    gives(NULL, CALL(WEIR_OP_TO_JSONB, WEIR_TY_JSONB, constant(WEIR_TY_BOOL, NULL)));
}

static void test_rows(void **state)
{
    weir_expr c = {
        .op = WEIR_OP_COL, .type = {.ty = WEIR_TY_TEXT, .typmod = -1}, .occ = 0, .col = 1};
    weir_eval ev = {.a = a, .rows = rows};
    weir_value v;
    bool b;
    (void)state;
    vals[1] = (weir_val){WEIR_VAL_TEXT, WEIR_SLICE_LIT("hi")};
    gives("hi", &c);
    vals[1].kind = WEIR_VAL_NULL;
    gives(NULL, &c);
    vals[1].kind = WEIR_VAL_UNCHANGED;
    assert_rc(WEIR_E_PROTO, weir_expr_eval(&ev, &c, &v, NULL), NULL);
    c.occ = 1; /* null-extended */
    gives(NULL, &c);
    assert_rc(WEIR_OK, weir_expr_true(&ev, NULL, &b, NULL), NULL);
    assert_true(b);
    assert_rc(WEIR_OK, weir_expr_true(&ev, constant(WEIR_TY_BOOL, NULL), &b, NULL), NULL);
    assert_false(b);
}

static void test_ceiling(void **state)
{
    weir_arena *small = weir_arena_new(256);
    weir_eval ev = {.a = small, .rows = rows};
    weir_expr *e = constant(WEIR_TY_TEXT, "0123456789012345678901234567890123456789");
    weir_value v;
    (void)state;
    for (int i = 0; i < 4; i++) {
        e = CALL(WEIR_OP_CONCAT, WEIR_TY_TEXT, e, e);
    }
    weir_rc rc = weir_expr_eval(&ev, e, &v, NULL);
    weir_arena_free(small);
    assert_rc(WEIR_E_LIMIT, rc, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truth_tables), cmocka_unit_test(test_lazy),
        cmocka_unit_test(test_int_edges),    cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_jsonb),        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_ceiling),
    };
    return cmocka_run_group_tests_name("expr", tests, setup, teardown);
}
