/* test_model.c - annotations, the one SELECT, and files nobody should send. */
#include "sql_check.h"

#include <stdlib.h>

static weir_rc parse(compiled *c, weir_slice text)
{
    memset(c, 0, sizeof(*c));
    c->a = weir_arena_new((size_t)256 << 20);
    weir_diags_init(&c->ds, c->a);
    c->rc = weir_model_parse(text, "from_file", c->a, &c->src, &c->ds);
    return c->rc;
}

static weir_rc parse_z(compiled *c, const char *text)
{
    return parse(c, weir_slice_z(text));
}

static void test_header(void **state)
{
    (void)state;
    compiled c;
    const char *text = "-- a comment\n-- @model order_view\n--@key  tenant_id ,\"Id\"\n\n"
                       "SELECT 1 AS tenant_id -- why\n FROM orders ; -- end\n;\n";
    assert_rc(WEIR_OK, parse_z(&c, text), NULL);
    assert_slice("order_view", c.src.name);
    assert_int_equal(2, c.src.nkey);
    assert_slice("tenant_id", c.src.key[0]);
    assert_slice("Id", c.src.key[1]);
    assert_slice("SELECT 1 AS tenant_id -- why\n FROM orders", c.src.select);
    assert_int_equal(strstr(text, "SELECT") - text, c.src.select_offset);
    compiled_free(&c);
}

static void test_name_from_file(void **state)
{
    (void)state;
    compiled c;
    assert_rc(WEIR_OK, parse_z(&c, "select 1"), NULL);
    assert_slice("from_file", c.src.name);
    assert_int_equal(0, c.src.nkey);
    compiled_free(&c);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int at;
        const char *msg;
    } rows[] = {
        {"", -1, "has no SELECT"},
        {"-- only a comment", -1, "has no SELECT"},
        {"SELECT 1; SELECT 2", 10, "more than one statement"},
        {"DELETE FROM orders", 0, "not a SELECT"},
        {"SELECT 1 FROM", 13, "syntax error"},
        {"SELECT 'ä' FRM x y", 16, "syntax error"},
        {"SELECT 'open", 7, "unterminated"},
        {"-- @modle x\nSELECT 1", 3, "unknown annotation @modle"},
        {"-- @index by_customer (customer_id)\nSELECT 1", 3, "@index is reserved"},
        {"-- @as hash\nSELECT 1", 3, "@as is reserved"},
        {"-- @model Bad-Name\nSELECT 1", 10, "@model needs one name"},
        {"-- @model a\n-- @model b\nSELECT 1", 22, "given twice"},
        {"-- @key\nSELECT 1", 7, "@key needs output column names"},
        {"-- @key a,,b\nSELECT 1", 8, "@key needs output column names"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        compiled c;
        assert_rc(WEIR_E_INPUT, parse_z(&c, rows[i].text), NULL);
        assert_has(c.ds.d[0].msg, rows[i].msg);
        if (c.ds.d[0].location != rows[i].at) {
            fail_msg("%s: at %d, expected %d", rows[i].text, c.ds.d[0].location, rows[i].at);
        }
        compiled_free(&c);
    }
}

static void test_suggestion(void **state)
{
    (void)state;
    compiled c;
    assert_rc(WEIR_E_INPUT, parse_z(&c, "-- @modle x\nSELECT 1"), NULL);
    assert_string_equal("did you mean @model?", c.ds.d[0].hint);
    compiled_free(&c);
}

static void refuse_hostile(const char *what, char *p, size_t n)
{
    compiled c;
    if (parse(&c, weir_slice_of(p, n)) != WEIR_E_INPUT) {
        fail_msg("%s: not refused", what);
    }
    assert_true(c.ds.n > 0);
    compiled_free(&c);
    free(p);
}

/* Returns the end, where the NUL is. */
static char *append(char *at, const char *text)
{
    size_t n = strlen(text);
    memcpy(at, text, n + 1);
    return at + n;
}

static char *repeated(const char *head, const char *part, size_t times, const char *tail, size_t *n)
{
    char *p = malloc(strlen(head) + strlen(part) * times + strlen(tail) + 1);
    assert_non_null(p);
    char *at = append(p, head);
    for (size_t i = 0; i < times; i++) {
        at = append(at, part);
    }
    at = append(at, tail);
    *n = (size_t)(at - p);
    return p;
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct {
        const char *what, *head, *part;
        size_t times;
        const char *tail;
    } rows[] = {
        {"sum", "SELECT 1", "+1", 200000, ""},
        {"parentheses", "SELECT ", "(", 100000, "1"},
        {"NOT", "SELECT ", "NOT ", 100000, "true"},
        {"minus", "SELECT ", "- ", 100000, "1"},
        {"casts", "SELECT 1", "::int", 100000, ""},
        {"joins", "SELECT 1 FROM a", " JOIN a ON true", 30000, ""},
        {"unions", "SELECT 1", " UNION SELECT 1", 30000, ""},
        {"sub-selects", "SELECT ", "(SELECT ", 50000, "1"},
        {"cases", "SELECT ", "CASE WHEN true THEN ", 50000, "1"},
        {"distinct", "SELECT 1", " IS DISTINCT FROM NOT 1", 30000, ""},
        {"between", "SELECT 1", " BETWEEN 1 AND NOT 1", 30000, ""},
        {"subscripts", "SELECT a", "[1]", 100000, ""},
        {"indirection", "SELECT a", ".a", 100000, ""},
        {"list", "SELECT 1", ",1", 400000, ""},
        {"large", "SELECT 1 --", "x", 1100000, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = 0;
        char *p = repeated(rows[i].head, rows[i].part, rows[i].times, rows[i].tail, &n);
        if (strcmp(rows[i].what, "indirection") == 0) {
            compiled c; /* flat, so it may pass the parser; it must not crash */
            (void)parse(&c, weir_slice_of(p, n));
            compiled_free(&c);
            free(p);
            continue;
        }
        refuse_hostile(rows[i].what, p, n);
    }
}

static void test_binary(void **state)
{
    (void)state;
    uint64_t seed = weir_test_seed();
    for (int i = 0; i < 200; i++) {
        size_t n = weir_test_random(&seed) % 300;
        char *p = malloc(n + 1);
        assert_non_null(p);
        for (size_t k = 0; k < n; k++) {
            p[k] = (char)weir_test_random(&seed);
        }
        compiled c;
        (void)parse(&c, weir_slice_of(p, n));
        compiled_free(&c);
        free(p);
    }
    compiled c;
    assert_rc(WEIR_E_INPUT, parse(&c, weir_slice_of("SELECT 1\0", 9)), NULL);
    assert_has(c.ds.d[0].msg, "not UTF-8");
    compiled_free(&c);
}

static void test_printed(void **state)
{
    (void)state;
    compiled c;
    compile_text(&c, "-- @key id\nSELECT o.id,\n       now() AS t\n  FROM orders o\n");
    assert_string_equal(
        "m.sql:3:8: error: now() is not supported: it depends on the clock\n"
        "         now() AS t\n"
        "         ^\n"
        "  hint: store the time in a column; a document may change only with its rows\n",
        c.shown);
    compiled_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),  cmocka_unit_test(test_name_from_file),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_suggestion),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_binary),
        cmocka_unit_test(test_printed),
    };
    return cmocka_run_group_tests_name("sql.model", tests, NULL, NULL);
}
