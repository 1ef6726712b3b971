/* test_compile.c - shapes of read models: blocks, access paths, walk edges, indexes and types of
 * their plans. */
#include "projector/sql/types.h"
#include "sql_check.h"

static const char order_view[] =
    "-- @model order_view\n-- @key id\n"
    "SELECT o.id, o.status, o.placed_at, c.id AS customer_id, c.name AS customer,\n"
    "       (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'qty', l.qty, 'price', l.price)\n"
    "               ORDER BY l.line_no) FROM order_lines l WHERE l.order_id = o.id) AS lines,\n"
    "       (SELECT sum(l.qty * l.price) FROM order_lines l WHERE l.order_id = o.id) AS total\n"
    "  FROM orders o JOIN customers c ON c.id = o.customer_id";

static const weir_plan_table *table_at(const weir_plan *p, int occ)
{
    return &p->tables[p->occs[occ].table];
}

static void check_col(const weir_plan *p, int occ, int col, const char *name)
{
    assert_true(col >= 0 && col < table_at(p, occ)->ncols);
    assert_slice(name, table_at(p, occ)->cols[col].name);
}

/* Occurrence alias hangs from `up`: index columns on up's table (NULL: its row key) = own columns.
 */
static void check_edge(const weir_plan *p, const char *alias, const char *up, const char *up_col,
                       const char *my_col)
{
    const weir_occ *o = &p->occs[occ_of(p, alias)];
    assert_slice(up, p->occs[o->up].alias);
    assert_int_equal(1, o->nup);
    check_col(p, occ_of(p, alias), o->my_cols[0], my_col);
    if (!up_col) {
        assert_int_equal(WEIR_BY_ROWKEY, o->up_index);
        return;
    }
    assert_true(o->up_index >= 0);
    const weir_plan_index *x = &p->indexes[o->up_index];
    assert_int_equal(p->occs[o->up].table, x->table);
    assert_int_equal(1, x->ncols);
    assert_slice(up_col, p->tables[x->table].cols[x->cols[0]].name);
}

static void test_order_view(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(&c, order_view);
    assert_int_equal(0, c.ds.n);
    assert_slice("order_view", p->model);
    assert_true(weir_slice_eq(p->sql, p->oracle_sql));
    assert_int_equal(3, p->ntables);
    assert_int_equal(4, p->nocc);
    assert_int_equal(3, p->nblocks);
    assert_int_equal(2, p->nindexes);
    assert_int_equal(occ_of(p, "o"), p->root);
    assert_int_equal(WEIR_BY_ROWKEY, p->key_index);
    check_edge(p, "c", "o", "customer_id", "id");
    check_edge(p, "l", "o", NULL, "order_id");
    const weir_occ *cust = &p->occs[occ_of(p, "c")];
    assert_int_equal(WEIR_BY_ROWKEY, cust->access);
    assert_true(cust->unique);
    assert_int_equal(WEIR_JOIN_INNER, cust->join);
    check_col(p, cust->from[0].occ, cust->from[0].col, "customer_id");
    assert_null(p->blocks[0].where);
    static const char *const names[] = {"id",       "lines",     "total",      "status",
                                        "customer", "placed_at", "customer_id"};
    for (int i = 0; i < p->noutputs; i++) {
        assert_slice(names[i], p->outputs[i].name);
    }
    const weir_expr *total = output_of(p, "total");
    assert_int_equal(WEIR_OP_SCALAR, total->op);
    assert_int_equal(WEIR_TY_NUMERIC, total->type.ty);
    const weir_block *b = &p->blocks[total->block];
    assert_int_equal(1, b->naggs);
    assert_int_equal(WEIR_OP_AGG, b->value->op);
    assert_int_equal(WEIR_OP_MUL, b->aggs[0].arg->op);
    assert_int_equal(WEIR_OP_CAST, b->aggs[0].arg->args[0]->op);
    const weir_expr *object = p->blocks[1].aggs[0].arg;
    assert_slice("qty", object->keys[0]);
    assert_slice("sku", object->keys[1]);
    assert_slice("price", object->keys[2]);
    compiled_free(&c);
}

static void test_two_levels(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "SELECT c.id, (SELECT jsonb_agg(jsonb_build_object('id', o.id, 'lines',"
            " (SELECT jsonb_agg(p.name ORDER BY l.line_no) FROM order_lines l"
            " LEFT JOIN products p ON p.id = l.product_id WHERE l.order_id = o.id))"
            " ORDER BY o.id) FROM orders o WHERE o.customer_id = c.id) AS orders FROM customers c");
    assert_int_equal(0, c.ds.n);
    assert_int_equal(0, p->blocks[1].parent);
    assert_int_equal(1, p->blocks[2].parent);
    check_edge(p, "o", "c", NULL, "customer_id");
    check_edge(p, "l", "o", NULL, "order_id");
    check_edge(p, "p", "l", "product_id", "id");
    assert_int_equal(WEIR_JOIN_LEFT, p->occs[occ_of(p, "p")].join);
    assert_int_equal(2, p->blocks[2].nocc);
    compiled_free(&c);
}

static void test_many_to_many(void **state)
{
    (void)state;
    compiled c;
    /* written from the far side: the link table must still come first */
    const weir_plan *p = compile_ok(
        &c,
        "SELECT o.id, (SELECT jsonb_agg(t.label ORDER BY ot.pos, t.id) FROM tags t"
        " JOIN order_tags ot ON ot.tag_id = t.id WHERE ot.order_id = o.id) AS tags FROM orders o");
    assert_int_equal(0, c.ds.n);
    check_edge(p, "ot", "o", NULL, "order_id");
    check_edge(p, "t", "ot", "tag_id", "id");
    assert_int_equal(occ_of(p, "ot"), p->blocks[1].occs[0]);
    assert_true(p->occs[occ_of(p, "t")].unique);
    compiled_free(&c);
}

static void test_self_joins(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p =
        compile_ok(&c, "SELECT e.id, m.name AS manager, g.name AS grand FROM employees e"
                       " LEFT JOIN employees m ON m.id = e.manager_id"
                       " LEFT JOIN employees g ON g.id = m.manager_id AND g.name <> 'x'");
    assert_int_equal(1, p->ntables);
    assert_int_equal(1, p->nindexes);
    check_edge(p, "m", "e", "manager_id", "id");
    check_edge(p, "g", "m", "manager_id", "id");
    const weir_occ *g = &p->occs[occ_of(p, "g")];
    assert_non_null(g->on);
    assert_int_equal(WEIR_OP_NE, g->on->op);
    assert_null(p->blocks[0].where);
    compiled_free(&c);
    p = compile_ok(&c, "SELECT o.id, b.city AS bill, s.city AS ship FROM orders o"
                       " LEFT JOIN addresses b ON b.id = o.billing_id"
                       " LEFT JOIN addresses s ON s.id = o.shipping_id");
    assert_int_equal(2, p->ntables);
    assert_int_equal(2, p->nindexes);
    check_edge(p, "b", "o", "billing_id", "id");
    check_edge(p, "s", "o", "shipping_id", "id");
    compiled_free(&c);
}

static void test_composite(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "-- @key id, tenant_id\n"
            "SELECT o.tenant_id, o.id, c.name FROM tenants_orders o"
            " JOIN tenants_customers c ON c.id = o.customer_id AND c.tenant_id = o.tenant_id");
    const weir_occ *o = &p->occs[occ_of(p, "c")];
    assert_int_equal(WEIR_BY_ROWKEY, o->access);
    assert_int_equal(2, o->nfrom);
    check_col(p, o->from[0].occ, o->from[0].col, "tenant_id"); /* in the key's order */
    check_col(p, o->from[1].occ, o->from[1].col, "customer_id");
    assert_int_equal(2, o->nup);
    check_col(p, occ_of(p, "c"), o->my_cols[0], "tenant_id");
    check_col(p, occ_of(p, "c"), o->my_cols[1], "id");
    /* @key in another order than the row key needs an index of its own */
    assert_true(p->key_index >= 0);
    check_col(p, p->root, p->key_cols[0], "id");
    check_col(p, p->root, p->indexes[p->key_index].cols[0], "id");
    compiled_free(&c);
}

static void test_grouped(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "SELECT c.id, r.name AS region, count(o.id) AS n, sum(o.total) AS total,"
            " jsonb_agg(o.id ORDER BY o.id) FILTER (WHERE o.id IS NOT NULL) AS ids FROM customers c"
            " LEFT JOIN orders o ON o.customer_id = c.id AND o.status <> 'draft'"
            " LEFT JOIN regions r ON r.id = c.region_id GROUP BY c.id, r.id HAVING count(*) > -5");
    const weir_block *b = &p->blocks[0];
    assert_true(b->grouped);
    assert_int_equal(4, b->naggs);
    assert_non_null(b->having);
    assert_int_equal(occ_of(p, "r"), b->occs[1]); /* N:1 before 1:N */
    assert_int_equal(occ_of(p, "o"), b->occs[2]);
    assert_false(p->occs[occ_of(p, "o")].unique);
    check_edge(p, "o", "c", NULL, "customer_id");
    const weir_expr *five = b->having->args[1];
    assert_slice("-5", five->text);
    assert_int_equal(WEIR_TY_INT8, output_of(p, "n")->type.ty);
    compiled_free(&c);
    /* of two tables that both have the key, the one the output names: GROUP BY names it too */
    p = compile_ok(&c, "-- @key id\nSELECT r.id, count(o.id) AS n FROM customers c"
                       " JOIN regions r ON r.id = c.id LEFT JOIN orders o ON o.customer_id = r.id"
                       " GROUP BY r.id");
    assert_int_equal(occ_of(p, "r"), p->root);
    compiled_free(&c);
}

static void test_key_of_link_table(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p =
        compile_ok(&c, "-- @key order_id, line_no\nSELECT o.id AS order_id, l.line_no, l.sku"
                       " FROM orders o, order_lines l, products p"
                       " WHERE l.order_id = o.id AND p.id = l.product_id AND o.status = 'open'");
    assert_int_equal(occ_of(p, "l"), p->root);
    check_col(p, p->root, p->key_cols[0], "order_id");
    assert_int_equal(WEIR_BY_ROWKEY, p->key_index);
    check_edge(p, "o", "l", "order_id", "id");
    assert_int_equal(WEIR_OP_EQ, p->blocks[0].where->op); /* only the filter is left */
    compiled_free(&c);
}

static void test_exists(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "SELECT o.id, NOT EXISTS (SELECT * FROM payments p WHERE p.order_id = o.id) AS unpaid"
            " FROM orders o WHERE EXISTS (SELECT 1 FROM order_lines l, products q"
            " WHERE q.id = l.product_id AND l.order_id = o.id AND q.category_id = 3)");
    assert_int_equal(3, p->nblocks);
    assert_null(p->blocks[1].value);
    check_edge(p, "q", "l", "product_id", "id");
    check_edge(p, "p", "o", NULL, "order_id");
    assert_int_equal(WEIR_OP_EXISTS, p->blocks[0].where->op);
    assert_int_equal(WEIR_OP_NOT, output_of(p, "unpaid")->op);
    /* EXISTS (SELECT * …) keeps no other columns */
    assert_int_equal(2, p->tables[p->occs[occ_of(p, "p")].table].ncols);
    compiled_free(&c);
}

static void test_several_parents(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "-- @key tenant_id, id\nSELECT o.tenant_id, o.id, c.name FROM tenants_orders o"
            " JOIN orders x ON x.id = o.id"
            " JOIN tenants_customers c ON c.tenant_id = o.tenant_id AND c.id = x.num");
    const weir_occ *o = &p->occs[occ_of(p, "c")];
    assert_int_equal(WEIR_BY_ROWKEY, o->access); /* found with both parents' columns */
    assert_int_equal(2, o->nfrom);
    assert_int_equal(1, o->nup); /* walked through one */
    assert_true(o->unique);
    compiled_free(&c);
}

/* PostgreSQL forgets a domain's modifier in NULLIF and where domains and other values meet. */
static void test_domains(void **state)
{
    (void)state;
    static const struct {
        const char *expr;
        bool kept;
    } rows[] = {{"m.cash", true},
                {"COALESCE(m.cash, m.cash)", true},
                {"CASE WHEN m.no = 1 THEN m.cash ELSE m.cash END", true},
                {"(SELECT x.cash FROM moods x WHERE x.mood = m.mood AND x.no = m.no)", true},
                {"NULLIF(m.cash, 1)", false},
                {"NULLIF(LEAST(m.cash, m.cash), 1)", false},
                {"GREATEST(m.cash, o.total)", false},
                {"COALESCE(m.cash, 1.50::numeric(8,2))", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        compiled c;
        char text[400];
        snprintf(text, sizeof text,
                 "SELECT m.mood, m.no, %s AS x FROM moods m JOIN orders o ON o.id = m.order_id",
                 rows[i].expr);
        const weir_plan *p = compile_ok(&c, text);
        int typmod = rows[i].kept ? weir_numeric_typmod(8, 2) : -1;
        assert_int_equal(typmod, output_of(p, "x")->type.typmod);
        compiled_free(&c);
    }
}

static void test_names(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p =
        compile_ok(&c, "SELECT o.id, CASE WHEN o.num = 1 THEN o.num END::numeric(9,1),"
                       " (CASE o.num WHEN 1 THEN 2 ELSE o.num END)::text,"
                       " CASE WHEN o.num = 2 THEN 1 ELSE '5'::int8 END,"
                       " COALESCE(o.total, 1)::numeric(10,1), '7'::int2,"
                       " (SELECT max(l.qty) FROM order_lines l WHERE l.order_id = o.id)::text"
                       "  FROM orders o");
    static const char *const names[] = {"id", "max", "num", "case", "int2", "numeric", "coalesce"};
    assert_int_equal(7, p->noutputs);
    for (int i = 0; i < p->noutputs; i++) {
        assert_slice(names[i], p->outputs[i].name);
    }
    compiled_free(&c);
}

static void test_default_key_and_stars(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c,
        "SELECT t.*, ot.order_id, ot.tag_id FROM order_tags ot JOIN tags t ON t.id = ot.tag_id");
    assert_int_equal(2, p->nkey);
    assert_slice("order_id", p->key_names[0]);
    assert_int_equal(5, p->noutputs);
    compiled_free(&c);
    p = compile_ok(&c, "SELECT * FROM employees");
    assert_int_equal(3, p->noutputs);
    compiled_free(&c);
}

static void test_total_order(void **state)
{
    (void)state;
    static const struct {
        const char *select, *oracle; /* NULL: nothing to add */
    } rows[] = {
        {"(SELECT jsonb_agg(l.sku ORDER BY l.line_no) FROM order_lines l WHERE l.order_id = o.id)",
         NULL},
        {"(SELECT jsonb_agg(l.sku ORDER BY l.qty) FROM order_lines l WHERE l.order_id = o.id)",
         "ORDER BY l.qty, \"l\".\"line_no\")"},
        {"(SELECT jsonb_agg(l.sku) FROM order_lines l WHERE l.order_id = o.id)",
         "jsonb_agg(l.sku ORDER BY \"l\".\"line_no\")"},
        {"(SELECT string_agg(l.sku, ')' ) FROM order_lines l WHERE l.order_id = o.id)",
         "string_agg(l.sku, ')'  ORDER BY \"l\".\"line_no\")"},
        {"(SELECT jsonb_agg(t.label ORDER BY t.slug) FROM tags t JOIN order_tags ot ON ot.tag_id = "
         "t.id"
         " WHERE ot.order_id = o.id)",
         NULL},
        {"(SELECT jsonb_agg(t.label) FROM tags t JOIN order_tags ot ON ot.tag_id = t.id"
         " WHERE ot.order_id = o.id)",
         "ORDER BY \"ot\".\"tag_id\")"},
        {"(SELECT jsonb_agg(p.amount ORDER BY p.id DESC) FROM payments p WHERE p.order_id = o.id)",
         NULL},
        {"(SELECT jsonb_agg(l.sku ORDER BY l.qty) FROM order_lines l WHERE l.order_id = o.id AND "
         "l.line_no = 1)",
         NULL},
        {"(SELECT sum(l.qty) FROM order_lines l WHERE l.order_id = o.id)", NULL},
        {"(SELECT jsonb_agg(m.no) FROM moods m WHERE m.order_id = o.id)",
         "jsonb_agg(m.no ORDER BY \"m\".\"mood\"::text COLLATE \"C\", \"m\".\"no\")"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        compiled c;
        char text[600];
        snprintf(text, sizeof(text), "SELECT o.id, %s AS x FROM orders o", rows[i].select);
        const weir_plan *p = compile_ok(&c, text);
        const char *oracle = weir_arena_dupz(c.a, p->oracle_sql);
        if (rows[i].oracle) {
            assert_has(oracle, rows[i].oracle);
            assert_int_equal(1, c.ds.n);
            assert_true(c.ds.d[0].warning);
        } else {
            assert_string_equal(text, oracle);
            assert_int_equal(0, c.ds.n);
        }
        compiled_free(&c);
    }
}

struct typed {
    const char *expr;
    weir_ty ty;
    const char *shown; /* as explained */
};

static void assert_typed(const struct typed *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        compiled c;
        char text[600];
        snprintf(text, sizeof(text),
                 "-- @key id\nSELECT o.id, %s AS x FROM orders o JOIN customers c ON c.id = "
                 "o.customer_id",
                 rows[i].expr);
        const weir_plan *p = compile_ok(&c, text);
        char want[700];
        snprintf(want, sizeof(want), " = %s\n", rows[i].shown);
        assert_has(explained(&c), want);
        assert_int_equal(rows[i].ty, output_of(p, "x")->type.ty);
        compiled_free(&c);
    }
}

static void test_types(void **state)
{
    (void)state;
    static const struct typed rows[] = {
        {"o.num + 1", WEIR_TY_INT4, "(o.num + 1)"},
        {"o.num + o.id", WEIR_TY_INT8, "(o.num::int8 + o.id)"},
        {"o.total * 2", WEIR_TY_NUMERIC, "(o.total * 2)"},
        {"o.num * 1.50", WEIR_TY_NUMERIC, "(o.num::numeric * 1.50)"},
        {"o.num / 0.10e1", WEIR_TY_NUMERIC, "(o.num::numeric / 1.0)"},
        {"9223372036854775807", WEIR_TY_INT8, "9223372036854775807"},
        {"-o.num", WEIR_TY_INT4, "-(o.num)"},
        {"o.status || '/' || o.num", WEIR_TY_TEXT, "((o.status || '/') || o.num::text)"},
        {"'n' || 1", WEIR_TY_TEXT, "('n' || 1::text)"},
        {"o.num::text || o.status", WEIR_TY_TEXT, "(o.num::text || o.status)"},
        {"c.country || 'x'", WEIR_TY_TEXT, "(c.country::text || 'x')"},
        {"o.day = '2024-02-29'", WEIR_TY_BOOL, "(o.day = '2024-02-29')"},
        {"o.placed_at >= '2024-01-01'", WEIR_TY_BOOL, "(o.placed_at >= '2024-01-01 00:00:00+00')"},
        {"o.placed_at > '2024-01-01T10:20Z'", WEIR_TY_BOOL,
         "(o.placed_at > '2024-01-01 10:20:00+00')"},
        {"o.total > o.num", WEIR_TY_BOOL, "(o.total > o.num::numeric)"},
        {"o.num = o.id", WEIR_TY_BOOL, "(o.num = o.id)"},
        {"o.num IN (1, 2, 3000000000)", WEIR_TY_BOOL, "in(o.num, 1, 2, 3000000000)"},
        {"o.status = ANY (ARRAY['a','b'])", WEIR_TY_BOOL, "in(o.status, 'a', 'b')"},
        {"o.status NOT IN ('a')", WEIR_TY_BOOL, "not(in(o.status, 'a'))"},
        {"o.mood = 'happy'", WEIR_TY_BOOL, "(o.mood = 'happy')"},
        {"c.vip IS NOT TRUE", WEIR_TY_BOOL, "is_not_true(c.vip)"},
        {"o.note IS DISTINCT FROM o.status", WEIR_TY_BOOL, "(o.note IS DISTINCT FROM o.status)"},
        {"o.num BETWEEN 1 AND 2", WEIR_TY_BOOL, "((o.num >= 1) AND (o.num <= 2))"},
        {"CASE WHEN c.vip THEN 1 ELSE 2.5 END", WEIR_TY_NUMERIC, "case(c.vip, 1, 2.5)"},
        {"CASE o.status WHEN 'a' THEN 'x' END", WEIR_TY_TEXT, "case((o.status = 'a'), 'x', NULL)"},
        {"COALESCE(o.num, 0)", WEIR_TY_INT4, "coalesce(o.num, 0)"},
        {"COALESCE(o.total, 0)", WEIR_TY_NUMERIC, "coalesce(o.total, 0)"},
        {"NULLIF(o.status, '')", WEIR_TY_TEXT, "nullif(o.status, '')"},
        {"GREATEST(o.num, 1, o.id)", WEIR_TY_INT8, "greatest(o.num::int8, 1, o.id)"},
        {"o.weight::numeric(10,2)", WEIR_TY_NUMERIC, "o.weight::numeric"},
        {"'[]'::jsonb", WEIR_TY_JSONB, "'[]'"},
        {"'{\"b\": 1e2, \"aa\": [true, null], \"b\": -0.0}'::jsonb", WEIR_TY_JSONB,
         "'{\"b\": 0.0, \"aa\": [true, null]}'"},
        {"c.code COLLATE \"C\" < 'm'", WEIR_TY_BOOL, "(c.code < 'm')"},
        {"c.name COLLATE \"C\" < 'm'", WEIR_TY_BOOL, "(c.name < 'm')"},
        {"c.code < 'm'", WEIR_TY_BOOL, "(c.code < 'm')"},
        {"to_jsonb(o.num)", WEIR_TY_JSONB, "to_jsonb(o.num)"},
        {"jsonb_build_array(o.num, 'x', NULL)", WEIR_TY_JSONB,
         "jsonb_build_array(o.num, 'x', NULL)"},
        {"jsonb_build_object('bb', 1, 'a', 2, 'bb', 3)", WEIR_TY_JSONB, "{a: 2, bb: 3}"},
        {"c.tags", WEIR_TY_ARRAY, "c.tags"},
        {"o.weight", WEIR_TY_FLOAT8, "o.weight"},
        {"c.meta", WEIR_TY_JSONB, "c.meta"},
        {"true AND (NULL OR c.vip)", WEIR_TY_BOOL, "(true AND (NULL OR c.vip))"},
        {"o.num > -5", WEIR_TY_BOOL, "(o.num > -5)"},
    };
    assert_typed(rows, sizeof(rows) / sizeof(rows[0]));
}

/* char(n) and text meet as text, char(n) and varchar as char(n); a common type keeps the first. */
static void test_text_types(void **state)
{
    (void)state;
    static const struct typed rows[] = {
        {"COALESCE(c.country, o.status)", WEIR_TY_BPCHAR, "coalesce(c.country, o.status::bpchar)"},
        {"COALESCE(o.status, c.country)", WEIR_TY_TEXT, "coalesce(o.status, c.country::text)"},
        {"CASE WHEN c.vip THEN o.status ELSE c.country END", WEIR_TY_BPCHAR,
         "case(c.vip, o.status::bpchar, c.country)"},
        {"o.status = c.country", WEIR_TY_BOOL, "(o.status = c.country::text)"},
        {"c.country = o.status", WEIR_TY_BOOL, "(c.country::text = o.status)"},
        {"o.status::varchar(3) = c.country", WEIR_TY_BOOL, "(o.status::text::bpchar = c.country)"},
        {"COALESCE(o.status::varchar, c.country) = c.country", WEIR_TY_BOOL,
         "(coalesce(o.status, c.country::text)::bpchar = c.country)"},
        {"c.country::varchar = c.country", WEIR_TY_BOOL, "(c.country::text::bpchar = c.country)"},
        {"o.status::varchar(3)::text = c.country", WEIR_TY_BOOL,
         "(o.status::text = c.country::text)"},
        {"NULLIF(NULLIF(o.status::varchar(3), 'x'), c.country)", WEIR_TY_TEXT,
         "nullif(nullif(o.status::text, 'x'), c.country::text)"},
        {"NULLIF(c.country, o.status::varchar(3))", WEIR_TY_BPCHAR,
         "nullif(c.country, o.status::text::bpchar)"},
        {"NULLIF(c.country, o.status)", WEIR_TY_TEXT, "nullif(c.country::text, o.status)"},
    };
    assert_typed(rows, sizeof(rows) / sizeof(rows[0]));
}

static void test_aggregates(void **state)
{
    (void)state;
    static const struct {
        const char *expr;
        weir_ty ty;
    } rows[] = {
        {"count(*)", WEIR_TY_INT8},
        {"count(DISTINCT l.sku)", WEIR_TY_INT8},
        {"sum(l.qty)", WEIR_TY_INT8},
        {"sum(l.order_id)", WEIR_TY_NUMERIC},
        {"avg(l.qty)", WEIR_TY_NUMERIC},
        {"min(l.price)", WEIR_TY_NUMERIC},
        {"max(l.qty)", WEIR_TY_INT4},
        {"every(l.deleted)", WEIR_TY_BOOL},
        {"bool_or(l.qty > 3)", WEIR_TY_BOOL},
        {"max(l.sku COLLATE \"C\")", WEIR_TY_TEXT},
        {"string_agg(l.sku, ', ' ORDER BY l.line_no DESC NULLS LAST)", WEIR_TY_TEXT},
        {"COALESCE(jsonb_agg(l.qty ORDER BY l.line_no) FILTER (WHERE l.qty > 1), '[]')",
         WEIR_TY_JSONB},
        {"sum(l.qty) / NULLIF(count(*), 0)", WEIR_TY_INT8},
        {"max((l.qty * l.price)::numeric(12,2))", WEIR_TY_NUMERIC},
        {"CASE WHEN count(*) > 2 THEN 'many' ELSE o.status END", WEIR_TY_TEXT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        compiled c;
        char text[600];
        snprintf(text, sizeof(text),
                 "SELECT o.id, (SELECT %s FROM order_lines l WHERE l.order_id = o.id) AS x FROM "
                 "orders o",
                 rows[i].expr);
        const weir_plan *p = compile_ok(&c, text);
        assert_int_equal(0, c.ds.n);
        assert_int_equal(rows[i].ty, output_of(p, "x")->type.ty);
        compiled_free(&c);
    }
}

static void test_right_join_and_using(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(
        &c, "SELECT o.id, c.name FROM customers c RIGHT JOIN orders o ON o.customer_id = c.id");
    (void)p;
    compiled_free(&c);
    p = compile_ok(&c, "-- @key id\nSELECT id, t.id AS t FROM tags t JOIN products p USING (id)");
    assert_int_equal(occ_of(p, "t"), p->root);
    check_edge(p, "p", "t", NULL, "id");
    compiled_free(&c);
}

static void test_identity(void **state)
{
    (void)state;
    compiled c;
    const weir_plan *p = compile_ok(&c, "SELECT id, v FROM by_index");
    check_col(p, 0, p->tables[0].key[0], "code"); /* the replica identity, not the primary key */
    assert_true(p->key_index >= 0);
    compiled_free(&c);
    p = compile_ok(&c, "SELECT id, v FROM full_pk");
    check_col(p, 0, p->tables[0].key[0], "id");
    compiled_free(&c);
}

static uint64_t fingerprint(const char *text)
{
    compiled c;
    uint64_t h = weir_plan_fingerprint(compile_ok(&c, text));
    compiled_free(&c);
    return h;
}

static void test_fingerprint(void **state)
{
    (void)state;
    uint64_t h = fingerprint(order_view);
    assert_true(h == fingerprint(order_view));
    assert_true(fingerprint("SELECT o.id, o.status FROM orders o") ==
                fingerprint("select  x.id, x.status\n  from orders as x"));
    assert_true(fingerprint("SELECT id, status FROM orders") !=
                fingerprint("SELECT id, note FROM orders"));
    assert_true(fingerprint("SELECT id FROM orders WHERE num > 1") !=
                fingerprint("SELECT id FROM orders WHERE num > 2"));
    /* A table made anew under the same name is another one. */
    compiled c;
    const weir_plan *p = compile_ok(&c, "SELECT id FROM orders");
    h = weir_plan_fingerprint(p);
    p->tables[0].oid++;
    assert_true(h != weir_plan_fingerprint(p));
    compiled_free(&c);
}

static void test_small_arena(void **state)
{
    (void)state;
    for (size_t ceiling = 4096; ceiling < 65536; ceiling += 4096) {
        weir_arena *a = weir_arena_new(ceiling);
        weir_arena *b = weir_arena_new(0);
        weir_diags ds;
        weir_catalog cat;
        weir_model_src src;
        weir_plan *p = NULL;
        weir_error err = {0};
        weir_diags_init(&ds, b);
        weir_sqlcat_init(&cat, weir_sqlcat_shop, b);
        assert_rc(WEIR_OK, weir_model_parse(weir_slice_z(order_view), "m", b, &src, &ds), NULL);
        weir_rc rc = weir_plan_compile(&src, &cat, a, &p, &ds, &err);
        assert_true(rc == WEIR_E_LIMIT ? p == NULL : rc == WEIR_OK && p);
        weir_arena_free(a);
        weir_arena_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_view),
        cmocka_unit_test(test_two_levels),
        cmocka_unit_test(test_many_to_many),
        cmocka_unit_test(test_self_joins),
        cmocka_unit_test(test_composite),
        cmocka_unit_test(test_grouped),
        cmocka_unit_test(test_key_of_link_table),
        cmocka_unit_test(test_exists),
        cmocka_unit_test(test_several_parents),
        cmocka_unit_test(test_default_key_and_stars),
        cmocka_unit_test(test_total_order),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_text_types),
        cmocka_unit_test(test_aggregates),
        cmocka_unit_test(test_right_join_and_using),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_small_arena),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("sql.compile", tests, NULL, NULL);
}
