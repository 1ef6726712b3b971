/* test_refuse.c - what cannot be kept incrementally is refused at its place, with a reason and a
 * rewrite. */
#include <stdlib.h>

#include "sql_check.h"

typedef struct refusal {
    const char *text; /* "^" marks the expected place and is taken out */
    const char *msg;
    const char *hint; /* NULL: none expected */
} refusal;

#define FROM_OC " FROM orders o JOIN customers c ON c.id = o.customer_id"

static const refusal clauses[] = {
    {"SELECT DISTINCT ^o.id FROM orders o", "DISTINCT is not supported", "EXISTS"},
    {"SELECT o.id FROM orders o ORDER BY ^o.id", "ORDER BY is not supported", "order arrays"},
    {"SELECT o.id FROM orders o LIMIT ^10", "LIMIT and OFFSET", "leave them out"},
    {"SELECT o.id FROM orders o OFFSET ^10", "LIMIT and OFFSET", "leave them out"},
    {"SELECT o.id FROM orders o UNION ALL SELECT ^c.id FROM customers c", "UNION",
     "a model of each"},
    {"^WITH x AS (SELECT 1) SELECT o.id FROM orders o", "WITH is not supported", "in place"},
    {"SELECT ^o.id FROM orders o FOR UPDATE", "FOR UPDATE", "leave it out"},
    {"SELECT o.id FROM (SELECT ^id FROM orders) o", "sub-select in FROM", "join its tables"},
    {"SELECT c.id FROM customers c, LATERAL (SELECT ^o.id FROM orders o WHERE o.customer_id = "
     "c.id) x",
     "LATERAL", "as an output"},
    {"SELECT o.id FROM orders o, generate_series(1, 3) g", "a function in FROM", "only tables"},
    {"SELECT ^1 AS id", "has no FROM", "the table its key"},
    {"SELECT o.id, ^row_number() OVER () AS n FROM orders o", "window functions", "column"},
    {"SELECT o.id FROM orders o FULL JOIN ^customers c ON c.id = o.customer_id", "FULL JOIN",
     "LEFT JOIN"},
    {"SELECT o.id FROM orders o NATURAL JOIN ^customers c", "NATURAL JOIN", "USING"},
    {"SELECT o.id FROM orders o LEFT JOIN (order_lines l JOIN ^products p ON p.id = l.product_id)"
     " ON l.order_id = o.id",
     "optional side of an outer join must be one table", "one after another"},
};

static const refusal tables[] = {
    {"SELECT v.id FROM ^a_view v", "view a_view cannot be read", "joins here"},
    {"SELECT v.id FROM ^a_matview v", "materialized view", "its SELECT"},
    {"SELECT v.a FROM ^no_key v", "has no row identity",
     "ALTER TABLE public.no_key ADD PRIMARY KEY"},
    {"SELECT v.id FROM ^nothing v", "has no row identity", "REPLICA IDENTITY DEFAULT"},
    {"SELECT v.a FROM ^full_nokey v", "has no row identity", "PRIMARY KEY"},
    {"SELECT v.id FROM ^hidden v", "not in the publication", "`weir check` says why"},
    {"SELECT v.id FROM ^parted v", "not in the publication", "publish_via_partition_root"},
    {"SELECT v.id FROM ^nowhere v", "there is no table nowhere", "search_path"},
    {"SELECT o.id FROM orders o JOIN ^orders o ON true", "used twice", "own alias"},
    {"SELECT o.id FROM orders o(a) WHERE true", "column aliases", "AS"},
    {"SELECT o.id, ^o.cents FROM orders o", "is generated", "expression"},
    {"SELECT c.id, ^c.payload FROM customers c", "has type json", "jsonb"},
    {"SELECT o.id, ^o.nope FROM orders o", "there is no column nope", NULL},
    {"SELECT o.id, ^x.id AS y FROM orders o", "there is no table x", "alias"},
    {"-- @key id\nSELECT o.id, ^name" FROM_OC " JOIN regions r ON r.id = c.region_id",
     "is ambiguous", "alias"},
    {"SELECT o.id, to_jsonb(^o) AS y FROM orders o", "a whole row", "jsonb_build_object"},
};

static const refusal joins[] = {
    {"-- @key id\nSELECT o.id FROM orders o JOIN ^order_lines l ON l.order_id = o.id",
     "may give several rows per key", "jsonb_agg"},
    {"SELECT o.id FROM orders o, ^customers c", "not joined by an equality", "JOIN … ON"},
    {"SELECT o.id FROM orders o JOIN ^customers c ON c.id > o.customer_id",
     "not joined by an equality", "JOIN"},
    {"SELECT o.id FROM orders o LEFT JOIN ^customers c ON true WHERE c.id = o.customer_id",
     "not joined by an equality", "JOIN"},
    {"SELECT o.id FROM orders o JOIN customers c ON c.nick ^= o.status", "nondeterministic",
     "COLLATE"},
    {"SELECT o.id FROM orders o JOIN customers c ON c.meta ^= c.meta", "= on jsonb", "plain type"},
    {"SELECT o.id FROM orders o JOIN customers c ON c.name = ^o.id", "mixes", "cast"},
    {"SELECT o.id, (SELECT max(x.id) FROM ^customers x) AS m FROM orders o",
     "not tied to the outer query", "WHERE child.parent_id = parent.id"},
    {"SELECT o.id, (SELECT l.qty FROM ^order_lines l WHERE l.order_id = o.id) AS q FROM orders o",
     "may return several rows", "jsonb_agg"},
    {"SELECT c.id, count(*) AS n FROM customers c LEFT JOIN orders o ON o.customer_id = c.id"
     " LEFT JOIN ^tenants_customers t ON t.id = c.region_id GROUP BY c.id",
     "multiply each other's rows", "own sub-select"},
    {"SELECT o.id, (SELECT count(*) FROM order_lines l JOIN ^payments p ON p.order_id = o.id"
     " WHERE l.order_id = o.id) AS n FROM orders o",
     "multiply each other's rows", "own sub-select"},
    {"SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.customer_id ^AND EXISTS"
     " (SELECT 1 FROM regions r WHERE r.id = c.region_id)",
     "in the ON of an outer join", "WHERE"},
};

static const refusal keys[] = {
    {"-- @key ^nope\nSELECT o.id FROM orders o", "there is no output nope", "name an output"},
    {"-- @key x\nSELECT o.id, o.id ^+ 1 AS x FROM orders o", "is an expression", "plain columns"},
    {"-- @key status\nSELECT ^o.status FROM orders o", "no unique key", "primary key"},
    {"-- @key id, status\nSELECT ^o.id, o.status FROM orders o", "no unique key", "exactly"},
    {"-- @key id, name\nSELECT o.id, ^c.name" FROM_OC, "different tables", "one table"},
    {"-- @key cid\nSELECT c.id AS cid FROM orders o LEFT JOIN ^customers c ON c.id = o.customer_id",
     "optional side", "start from it"},
    {"-- @key cid\nSELECT c.id AS cid FROM ^orders o JOIN customers c ON c.id = o.customer_id",
     "may give several rows per key", "jsonb_agg"},
    {"SELECT o.status FROM ^orders o", "has no @key", "-- @key"},
    {"-- @key id\nSELECT n.id FROM ^nullable_key n", "may be NULL", "NOT NULL"},
    {"SELECT o.id, o.status, ^o.note AS status FROM orders o", "two outputs are named status",
     "AS"},
    {"SELECT o.id, ^o.num + 1 FROM orders o", "has no name", "AS name"},
    {"SELECT o.id, ^(SELECT count(*) + 1 FROM order_lines l WHERE l.order_id = o.id) FROM orders o",
     "has no name", "AS name"},
};

static const refusal groups[] = {
    {"SELECT o.id, ^count(*) AS n FROM orders o", "over the whole table", "GROUP BY the key"},
    {"-- @key id\nSELECT o.id, count(*) AS n FROM orders o GROUP BY o.status, o.id ^+ 1",
     "a rollup", "key"},
    {"-- @key id\nSELECT max(o.id) AS n, c.id FROM customers c JOIN orders o ON o.customer_id = "
     "c.id"
     " GROUP BY ^c.region_id",
     "a rollup", "primary key"},
    {"SELECT c.id, ^o.status FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id",
     "outside an aggregate", "max"},
    {"SELECT o.id, (SELECT count(*) + ^l.qty FROM order_lines l WHERE l.order_id = o.id) AS n FROM "
     "orders o",
     "outside an aggregate", "aggregate"},
    {"SELECT o.id, (SELECT ^sum(o.num) FROM order_lines l WHERE l.order_id = o.id) AS n FROM "
     "orders o",
     "only columns of the outer query", "own tables"},
    {"SELECT o.id, (SELECT sum(^count(*)) FROM order_lines l WHERE l.order_id = o.id) AS n FROM "
     "orders o",
     "inside an aggregate", "sub-select"},
    {"SELECT o.id FROM orders o WHERE ^count(*) > 1", "not possible here", "HAVING"},
    {"SELECT o.id, (SELECT count(*) FROM order_lines l WHERE l.order_id = o.id GROUP BY ^l.sku) AS "
     "n FROM orders o",
     "GROUP BY in a sub-select", "without GROUP BY"},
    {"SELECT o.id FROM orders o HAVING o.id ^> 1", "HAVING without GROUP BY", "WHERE"},
    {"SELECT o.id, EXISTS (SELECT ^count(*) FROM order_lines l WHERE l.order_id = o.id) AS x FROM "
     "orders o",
     "always true", "SELECT 1"},
};

static const refusal aggregates[] = {
    {"^max(l.sku)", "order by bytes", "COLLATE \"C\""},
    {"jsonb_agg(l.sku ORDER BY ^l.sku)", "order by bytes", "COLLATE \"C\""},
    {"^min(l.qty * l.price)", "without a scale", "numeric(12,2)"},
    {"^count(DISTINCT l.qty * l.price)", "without a scale", "numeric"},
    {"^sum(l.sku)", "sum of text", "numbers"},
    {"^jsonb_agg(DISTINCT l.qty)", "DISTINCT in jsonb_agg", "distinct"},
    {"^array_agg(l.qty)", "array_agg() is not supported", "use jsonb_agg"},
    {"^json_agg(l.qty)", "json_agg() is not supported", "use jsonb_agg"},
    {"string_agg(l.sku, ^l.sku)", "delimiter", "string_agg(x"},
    {"^string_agg(l.qty, ',')", "needs text", "::text"},
    {"^max(l.deleted)", "no max of boolean", "bool_and"},
    {"jsonb_agg(l.qty ORDER BY l.qty USING ^>)", "USING", "DESC"},
    {"^bit_and(l.qty)", "function bit_and", NULL},
};

static const refusal expressions[] = {
    {"^now()", "depends on the clock", "column"},
    {"^CURRENT_TIMESTAMP", "session or clock", "column"},
    {"^random()", "depends on chance", "column"},
    {"^lower(o.status)", "function lower is not supported", NULL},
    {"^jsonb_build_objekt('a', 1)", "not supported", "did you mean jsonb_build_object?"},
    {"^concat(o.status, 'x')", "concat()", "||"},
    {"^unnest(c.tags)", "a set of rows", "table"},
    {"o.weight ^+ 1", "+ on double precision", "::numeric"},
    {"o.weight > ^1", "mixes", "::numeric"},
    {"o.status ^< 'm'", "order by bytes", "COLLATE \"C\""},
    {"o.mood ^< 'sad'", "is not supported", "COLLATE"},
    {"o.status ^COLLATE \"en_US\" < 'a'", "only COLLATE", "by bytes"},
    {"c.country ^IN (o.status, 'x')", "IN mixes character and text", "::text"},
    {"o.num ^IN (SELECT l.qty FROM order_lines l WHERE l.order_id = o.id)", "IN (SELECT", "EXISTS"},
    {"o.num ^NOT IN (SELECT l.qty FROM order_lines l)", "IN (SELECT", "NOT EXISTS"},
    {"^ARRAY(SELECT l.qty FROM order_lines l WHERE l.order_id = o.id)", "ARRAY(SELECT",
     "jsonb_agg"},
    {"^ARRAY[1, 2]", "ARRAY[", "jsonb_build_array"},
    {"^$1", "parameters", "value itself"},
    {"o.status ^LIKE 'a%'", "LIKE is not supported", "read-models.md"},
    {"o.num ^|| o.id", "needs text on one side", "::text"},
    {"c.meta ^|| '{}'", "|| on jsonb", "jsonb_build_object"},
    {"c.meta ^-> 'a'", "operator ->", "operators are"},
    {"o.day = ^'tomorrow'", "cannot be read as date", "YYYY-MM-DD"},
    {"o.day = ^'2023-02-29'", "cannot be read as date", "YYYY-MM-DD"},
    {"o.num = ^'x'", "cannot be read as integer", "no integer"},
    {"o.placed_at = ^'2024-01-01 10:00+02'", "cannot be read as timestamp", "UTC"},
    {"^'{]'::jsonb", "cannot be read as jsonb", "no JSON"},
    {"o.num::^json", "byte for byte", "jsonb"},
    {"o.num::^int4range", "a cast to int4range", "casts go to"},
    {"o.num^::date", "a cast from integer to date", "column"},
    {"o.num = ^o.status", "mixes", "cast"},
    {"CASE WHEN o.num = 1 THEN ^o.status ELSE o.num END", "mixes", "cast"},
    {"CASE WHEN ^o.num THEN 1 END", "needs a boolean", "compare"},
    {"^jsonb_build_object('a')", "pairs", "jsonb_build_object('name'"},
    {"jsonb_build_object(^o.status, 1)", "must be constants", "jsonb_build_object('name'"},
    {"^to_jsonb('x')", "a known type", "::text"},
    {"^(o).status", "field selection", NULL},
    {"o.raw::^numeric(1001)", "out of range", "numeric(12,2)"},
    {"^ROW(1, 2)", "a row is not supported", "read-models.md"},
};

/* The text without its mark; *at is where it was. */
static void unmark(const char *text, char *out, int *at)
{
    const char *mark = strchr(text, '^');
    *at = mark ? (int)(mark - text) : -1;
    if (mark) {
        memcpy(out, text, (size_t)*at);
        memcpy(out + *at, mark + 1, strlen(mark + 1) + 1);
    } else {
        memcpy(out, text, strlen(text) + 1);
    }
}

static bool said(const compiled *c, const refusal *r, int at)
{
    for (int i = 0; i < c->ds.n; i++) {
        const weir_diag *d = &c->ds.d[i];
        bool hit =
            !d->warning && (!r->msg || strstr(d->msg, r->msg)) && (at < 0 || d->location == at);
        if (hit && (!r->hint || (d->hint && strstr(d->hint, r->hint)))) {
            return true;
        }
    }
    return false;
}

static int check(const refusal *r, const char *text)
{
    compiled c;
    char plain[1000];
    int at = -1;
    unmark(text, plain, &at);
    compile_text(&c, plain);
    bool ok = c.rc == WEIR_E_INPUT && !c.plan && said(&c, r, at);
    if (!ok) {
        print_error("%s\nexpected at %d: %s / %s\ngot:\n%s\n", plain, at, r->msg ? r->msg : "any",
                    r->hint ? r->hint : "any", c.shown);
    }
    compiled_free(&c);
    return ok ? 0 : 1;
}

static void check_all(const refusal *rows, size_t n, const char *fmt)
{
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        char text[1000];
        snprintf(text, sizeof(text), fmt, rows[i].text);
        wrong += check(&rows[i], text);
    }
    assert_int_equal(0, wrong);
}

#define CHECK(rows, fmt) check_all(rows, sizeof(rows) / sizeof((rows)[0]), fmt)

static void test_clauses(void **state)
{
    (void)state;
    CHECK(clauses, "%s");
}

static void test_tables(void **state)
{
    (void)state;
    CHECK(tables, "%s");
}

static void test_joins(void **state)
{
    (void)state;
    CHECK(joins, "%s");
}

static void test_keys(void **state)
{
    (void)state;
    CHECK(keys, "%s");
}

static void test_groups(void **state)
{
    (void)state;
    CHECK(groups, "%s");
}

static void test_aggregates(void **state)
{
    (void)state;
    CHECK(aggregates,
          "SELECT o.id, (SELECT %s FROM order_lines l WHERE l.order_id = o.id) AS x FROM orders o");
}

static void test_expressions(void **state)
{
    (void)state;
    CHECK(expressions, "-- @key id\nSELECT o.id, %s AS x" FROM_OC);
}

/* BETWEEN and CASE share their operand: the tree grows by doubling, the refusal must not. */
static void test_exploding(void **state)
{
    (void)state;
    compiled c;
    char text[6000] = "o.num";
    char next[6000];
    for (int i = 0; i < 60; i++) {
        snprintf(next, sizeof(next), "CASE %.5900s WHEN 1 THEN 2 WHEN 2 THEN 3 END", text);
        memcpy(text, next, sizeof(text));
    }
    char *sql = NULL;
    assert_true(
        asprintf(&sql, "SELECT o.id FROM orders o LEFT JOIN customers c ON c.id = o.id AND 1 = %s",
                 text) > 0);
    compile_text(&c, sql);
    assert_int_equal(WEIR_E_INPUT, c.rc);
    assert_has(c.shown, "too large");
    compiled_free(&c);
    free(sql);
}

static void test_several_at_once(void **state)
{
    (void)state;
    compiled c;
    compile_text(
        &c, "SELECT o.id, now() AS a, o.weight + 1 AS b, o.nope FROM orders o WHERE random() > 1");
    assert_int_equal(4, c.ds.errors);
    compiled_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clauses),     cmocka_unit_test(test_tables),
        cmocka_unit_test(test_joins),       cmocka_unit_test(test_keys),
        cmocka_unit_test(test_groups),      cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_expressions), cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_exploding),
    };
    return cmocka_run_group_tests_name("sql.refuse", tests, NULL, NULL);
}
