/* test_compile_pg.c - the compiler against a private PostgreSQL: the catalog it reads, the types it
 * gives, the SQL it asks. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"
#include "projector/sql/compile.h"
#include "projector/sql/literal.h"
#include "projector/sql/types.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"

static fixture fx;

static int up(void **state)
{
    (void)state;
    weir_error err = {0};
    weir_slice sql;
    if (fixture_open(&fx, FIXTURE_PG) != 0) {
        return -1;
    }
    if (fx.missing[0]) {
        return 0;
    }
    if (weir_file_read(WEIR_SOURCE_DIR "/tests/integration/compile_schema.sql", 1 << 20, fx.a, &sql,
                       &err) != WEIR_OK) {
        print_error("%s\n", err.msg);
        return -1;
    }
    fixture_sql(&fx, weir_arena_dupz(fx.a, sql));
    return 0;
}

static int down(void **state)
{
    (void)state;
    fixture_close(&fx);
    return 0;
}

typedef struct run {
    weir_arena *a;
    weir_catalog cat;
    weir_model_src src;
    weir_diags ds;
    weir_plan *plan;
    weir_error err;
    weir_rc rc;
} run;

static void start(run *r, const char *publication)
{
    memset(r, 0, sizeof(*r));
    fixture_need(&fx);
    r->a = weir_arena_new((size_t)64 << 20);
    weir_diags_init(&r->ds, r->a);
    weir_catalog_pg_init(&r->cat, fx.sql, publication, r->a);
}

static void finish(run *r)
{
    weir_arena_free(r->a);
}

static void say(const run *r, const char *text)
{
    weir_buf out;
    weir_buf_init(&out, 1 << 16);
    weir_diags_print(&r->ds, "m.sql", weir_slice_z(text), false, &out);
    print_error("%s\n%.*s%s\n", text, (int)out.n, out.p ? out.p : "", r->err.msg);
    weir_buf_fini(&out);
}

/* Compiles and lets PostgreSQL check. */
static weir_rc compile(run *r, const char *text)
{
    r->rc = weir_model_parse(weir_slice_z(text), "m", r->a, &r->src, &r->ds);
    if (r->rc == WEIR_OK) {
        r->rc = weir_plan_compile(&r->src, &r->cat, r->a, &r->plan, &r->ds, &r->err);
    }
    if (r->rc == WEIR_OK) {
        r->rc = weir_plan_crosscheck(fx.sql, &r->src, r->plan, &r->ds, &r->err);
    }
    return r->rc;
}

static const weir_cat_table *find(run *r, const char *schema, const char *name)
{
    return r->cat.find(&r->cat, weir_slice_z(schema), weir_slice_z(name), &r->err);
}

static const weir_cat_col *col(const weir_cat_table *t, const char *name)
{
    for (int i = 0; i < t->ncols; i++) {
        if (weir_slice_eqz(t->cols[i].name, name)) {
            return &t->cols[i];
        }
    }
    fail_msg("no column %s", name);
    return NULL;
}

static void test_columns(void **state)
{
    (void)state;
    run r;
    start(&r, "weir");
    const weir_cat_table *t = find(&r, NULL, "orders");
    assert_non_null(t);
    assert_int_equal(t->ncols, 21); /* the dropped column is not there */
    assert_slice("public", t->schema);
    assert_int_equal('r', t->relkind);
    assert_int_equal('d', t->identity);
    assert_true(t->published);
    assert_int_equal(WEIR_TY_INT8, col(t, "id")->type.ty);
    assert_true(col(t, "id")->not_null);
    assert_int_equal(weir_numeric_typmod(12, 2), col(t, "total")->type.typmod);
    assert_int_equal(-1, col(t, "raw")->type.typmod);
    assert_int_equal(WEIR_TY_ENUM, col(t, "mood")->type.ty);
    assert_int_equal(WEIR_TY_NUMERIC, col(t, "tall")->type.ty); /* a domain over a domain */
    assert_int_equal(weir_numeric_typmod(12, 2), col(t, "tall")->type.typmod);
    assert_int_equal(WEIR_TY_TEXT, col(t, "lab")->type.ty);
    assert_int_equal(44, col(t, "lab")->type.typmod);
    assert_int_equal(1043, col(t, "lab")->type.oid);
    assert_true(col(t, "cents")->generated);
    assert_false(col(t, "num")->generated);
    assert_int_equal(WEIR_TY_OTHER, col(t, "inet")->type.ty);
    assert_int_equal(WEIR_TY_UNKNOWN, col(t, "p")->type.ty);
    assert_int_equal(WEIR_TY_TIMESTAMPTZ, col(t, "placed_at")->type.ty);
    assert_true(t == find(&r, "public", "orders")); /* remembered under both names */
    assert_slice("Odd \"Name", t->cols[18].name);
    t = find(&r, NULL, "customers");
    assert_true(col(t, "code")->type.c_order);
    assert_int_equal(WEIR_TY_BPCHAR, col(t, "country")->type.ty);
    assert_int_equal(WEIR_TY_ARRAY, col(t, "tags")->type.ty);
    assert_int_equal(WEIR_TY_TEXT, col(t, "tags")->type.elem);
    assert_int_equal(WEIR_TY_UNKNOWN, col(t, "payload")->type.ty);
    assert_slice("json", col(t, "payload")->type_name);
    finish(&r);
}

/* Elements are what their domain stands for; what cannot be split at commas, has a JSON of its
 * own or prints the present name of something else is refused. */
static void test_arrays_and_casts_to_json(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        weir_ty ty, elem;
    } cases[] = {
        {"plain", WEIR_TY_ARRAY, WEIR_TY_INT4}, {"positives", WEIR_TY_ARRAY, WEIR_TY_NUMERIC},
        {"moods", WEIR_TY_ARRAY, WEIR_TY_ENUM}, {"points", WEIR_TY_ARRAY, WEIR_TY_OTHER},
        {"whole", WEIR_TY_ARRAY, WEIR_TY_INT4}, {"rows", WEIR_TY_UNKNOWN, 0},
        {"boxes", WEIR_TY_UNKNOWN, 0},          {"vec", WEIR_TY_UNKNOWN, 0},
        {"oids", WEIR_TY_UNKNOWN, 0},           {"pairs", WEIR_TY_UNKNOWN, 0},
        {"jsons", WEIR_TY_UNKNOWN, 0},          {"tone", WEIR_TY_UNKNOWN, 0},
        {"tones", WEIR_TY_UNKNOWN, 0},          {"hue", WEIR_TY_UNKNOWN, 0},
        {"hues", WEIR_TY_UNKNOWN, 0},           {"class", WEIR_TY_UNKNOWN, 0},
        {"classes", WEIR_TY_UNKNOWN, 0},        {"role", WEIR_TY_UNKNOWN, 0}};
    run r;
    start(&r, "weir");
    const weir_cat_table *t = find(&r, NULL, "arrays");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const weir_cat_col *c = col(t, cases[i].name);
        if (c->type.ty != cases[i].ty ||
            (c->type.ty == WEIR_TY_ARRAY && c->type.elem != cases[i].elem)) {
            fail_msg("%s: %d of %d", cases[i].name, c->type.ty, c->type.elem);
        }
    }
    finish(&r);
}

static void test_indexes(void **state)
{
    (void)state;
    run r;
    start(&r, "weir");
    const weir_cat_table *t = find(&r, NULL, "order_lines");
    assert_int_equal(1, t->nindexes);
    assert_int_equal(2, t->indexes[0].ncols);
    assert_true(t->indexes[0].primary && t->indexes[0].usable);
    assert_int_equal(0, t->identity_index);
    t = find(&r, NULL, "order_tags");
    assert_int_equal(2, t->indexes[0].ncols); /* INCLUDE columns are no key */
    t = find(&r, NULL, "products");
    int usable = 0;
    for (int i = 0; i < t->nindexes; i++) {
        usable += t->indexes[i].usable;
    }
    assert_int_equal(4, t->nindexes);
    assert_int_equal(2, usable); /* neither the expression's nor the partial one */
    t = find(&r, NULL, "by_index");
    assert_int_equal('i', t->identity);
    assert_slice("by_index_code", t->indexes[t->identity_index].name);
    finish(&r);
}

static void test_relations(void **state)
{
    (void)state;
    run r;
    start(&r, "weir");
    assert_int_equal('v', find(&r, NULL, "open_orders")->relkind);
    assert_false(find(&r, NULL, "hidden")->published);
    assert_false(
        find(&r, NULL, "parted")->published); /* only its partitions are, without via_root */
    assert_int_equal('p', find(&r, NULL, "parted")->relkind);
    assert_true(col(find(&r, NULL, "some_columns"), "unseen")->unpublished);
    assert_false(col(find(&r, NULL, "some_columns"), "seen")->unpublished);
    assert_true(find(&r, NULL, "parent")->has_children);
    assert_false(find(&r, NULL, "orders")->has_children);
    assert_false(find(&r, NULL, "parted")->has_children);
    assert_non_null(find(&r, "Other", "Things"));
    assert_null(find(&r, NULL, "Things"));
    assert_int_equal(WEIR_E_NOTFOUND, r.err.code);
    assert_null(find(&r, NULL, "orders; DROP TABLE orders"));
    finish(&r);
    start(&r, NULL);
    assert_true(find(&r, NULL, "hidden")->published);
    assert_false(col(find(&r, NULL, "some_columns"), "unseen")->unpublished);
    finish(&r);
}

static const char *const models[] = {
    ("SELECT o.id, o.status, o.placed_at, c.id AS customer_id, c.name AS customer,"
     " (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'qty', l.qty, 'price', l.price) ORDER BY "
     "l.line_no)"
     "   FROM order_lines l WHERE l.order_id = o.id) AS lines,"
     " (SELECT sum(l.qty * l.price) FROM order_lines l WHERE l.order_id = o.id) AS total"
     " FROM orders o JOIN customers c ON c.id = o.customer_id"),
    ("SELECT c.id, r.name AS region, count(o.id) AS n, sum(o.total) AS total, avg(o.num) AS mean, "
     "max(o.day) AS last,"
     " jsonb_agg(jsonb_build_object('id', o.id, 's', o.status) ORDER BY o.placed_at DESC) FILTER "
     "(WHERE o.id IS NOT NULL)"
     "   AS list FROM customers c LEFT JOIN orders o ON o.customer_id = c.id LEFT JOIN regions r "
     "ON "
     "r.id = c.region_id"
     " GROUP BY c.id, r.id HAVING count(*) > -5"),
    ("SELECT o.id, (SELECT jsonb_agg(t.label) FROM order_tags ot JOIN tags t ON t.id = ot.tag_id "
     "WHERE ot.order_id = o.id)"
     " AS tags, (SELECT string_agg(l.sku, ', ') FROM order_lines l WHERE l.order_id = o.id) AS "
     "skus "
     "FROM orders o"),
    ("-- @key order_id, line_no\nSELECT o.id AS order_id, l.line_no, l.sku FROM orders o, "
     "order_lines l"
     " WHERE l.order_id = o.id AND EXISTS (SELECT 1 FROM products p WHERE p.id = l.product_id)"),
    "SELECT \"Id\", \"Value\" AS \"The Value\" FROM \"Other\".\"Things\"",
    "SELECT id, v FROM by_index",
    ("-- @key order_id, line_no\nSELECT l.*, o.status FROM order_lines l JOIN orders o ON o.id = "
     "l.order_id"),
};

static void test_models(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        run r;
        start(&r, "weir");
        if (compile(&r, models[i]) != WEIR_OK) {
            say(&r, models[i]);
            fail();
        }
        weir_pg_rows *rows = NULL;
        const char *oracle = weir_arena_dupz(r.a, r.plan->oracle_sql);
        assert_rc(WEIR_OK, weir_pg_query(fx.sql, oracle, 0, NULL, &rows, &r.err), &r.err);
        assert_int_equal(r.plan->noutputs, weir_pg_ncols(rows));
        weir_pg_rows_free(rows);
        finish(&r);
    }
}

/* Each is an output beside o.id; PostgreSQL must give it the same type. */
static const char *const expressions[] = {
    "o.num + 1",
    "o.num + o.id",
    "o.small + o.small",
    "o.small + 1",
    "o.small * o.num",
    "o.total * 2",
    "o.num / 2.0",
    "o.num % 2",
    "o.total % 2",
    "-o.num",
    "-o.total",
    "o.raw + o.num",
    "o.status || '/' || o.num",
    "'n' || 1",
    "1 || 'n'",
    "c.country || 'x'",
    "o.num || o.status",
    "o.note || o.day",
    "c.vip || ''",
    "o.mood || 'x'",
    "o.weight || 'x'",
    "o.day = '2024-02-29'",
    "o.placed_at >= '2024-01-01'",
    "o.at < '2024-01-01T10:20'",
    "o.total > o.num",
    "o.num = o.id",
    "o.num IN (1, 2, 3000000000)",
    "o.num IN (1, 2.5)",
    "o.total IN (1, 2)",
    "o.status = ANY (ARRAY['a','b'])",
    "o.mood = 'happy'",
    "c.vip IS NOT TRUE",
    "c.vip = 'yes'",
    "o.note IS DISTINCT FROM o.status",
    "o.ref = '00000000-0000-0000-0000-00000000000A'",
    "o.num BETWEEN 1 AND 2",
    "NOT c.vip OR NULL",
    "o.num IS NULL",
    "CASE WHEN c.vip THEN 1 ELSE 2.5 END",
    "CASE o.status WHEN 'a' THEN 'x' END",
    "CASE WHEN c.vip THEN o.note END",
    "CASE WHEN c.vip THEN o.small ELSE o.num END",
    "COALESCE(o.num, 0)",
    "COALESCE(o.total, 0)",
    "COALESCE(o.total, 0.00)",
    "COALESCE(o.note, 'x')",
    "COALESCE(NULL, 'x')",
    "COALESCE(o.day, '2024-01-01')",
    "NULLIF(o.status, '')",
    "NULLIF(NULLIF(o.note, 'x'), o.status::char(3))",
    "NULLIF(o.num, 2.5)",
    "NULLIF(o.num, o.id)",
    "GREATEST(o.num, 1, o.id)",
    "LEAST(o.total, 5)",
    "GREATEST(o.day, '2024-01-01')",
    "o.weight::numeric(10,2)",
    "o.num::text",
    "o.num::numeric",
    "o.total::numeric(6,1)",
    "o.total::int",
    "o.total::bigint",
    "o.id::smallint",
    "o.status::int",
    "o.status::varchar(3)",
    "o.status::char(3)",
    "o.placed_at::date",
    "o.at::timestamptz",
    "o.placed_at::timestamp",
    "o.day::timestamp",
    "o.status::uuid",
    "c.vip::int",
    "o.num::boolean",
    "o.raw::numeric(8,3)",
    "o.tall + 1",
    "o.tall::text",
    "o.lab || ''",
    "o.mood::text",
    "'[]'::jsonb",
    "'12'::int",
    "'1.50'::numeric",
    "'1.555'::numeric(5,2)",
    "'t'::bool",
    "'2024-01-01'::date",
    "'x'",
    "NULL",
    "9223372036854775807",
    "1.5e3",
    "-2147483648",
    "to_jsonb(o.num)",
    "jsonb_build_array(o.num, 'x', NULL)",
    "jsonb_build_object('bb', 1, 'a', o.mood)",
    "c.tags",
    "c.meta",
    "o.weight",
    "o.inet",
    "o.mood",
    "o.\"Odd \"\"Name\"",
    "c.code < 'm'",
    "c.name COLLATE \"C\" < 'm'",
    "EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT count(DISTINCT l.sku) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT avg(l.qty) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT sum(l.order_id) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT min(l.price) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT max(l.sku COLLATE \"C\") FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT every(l.deleted) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT sum(l.qty) / NULLIF(count(*), 0) FROM order_lines l WHERE l.order_id = o.id)",
    "(SELECT r.name FROM regions r WHERE r.id = c.region_id)",
    ("COALESCE((SELECT jsonb_agg(l.qty ORDER BY l.line_no) FILTER (WHERE l.qty > 1) FROM "
     "order_lines l WHERE l.order_id = o.id), '[]')"),
};

static void test_expressions(void **state)
{
    (void)state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof(expressions) / sizeof(expressions[0]); i++) {
        run r;
        start(&r, "weir");
        const char *text = weir_arena_printf(r.a,
                                             "-- @key id\nSELECT o.id, %s AS x FROM orders o JOIN "
                                             "customers c ON c.id = o.customer_id",
                                             expressions[i]);
        if (compile(&r, text) != WEIR_OK) {
            say(&r, text);
            wrong++;
        }
        finish(&r);
    }
    assert_int_equal(0, wrong);
}

/* What the compiler cannot know and PostgreSQL does. */
static void test_disagreement(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
        int at; /* -1: any */
    } rows[] = {
        {"-- @key email\nSELECT c.email, c.name, count(*) AS n FROM customers c"
         " JOIN orders o ON o.customer_id = c.id GROUP BY c.email",
         "must appear in the GROUP BY", 30},
        {"SELECT o.id, o.mood = 'angry' AS ä, 1 AS b FROM orders o", "invalid input value for enum",
         22},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run r;
        start(&r, "weir");
        assert_rc(WEIR_E_INPUT, compile(&r, rows[i].text), NULL);
        assert_has(r.ds.d[0].msg, rows[i].msg);
        assert_int_equal(rows[i].at, r.ds.d[0].location);
        assert_string_equal("1",
                            fixture_sql_value(&fx, "SELECT 1")); /* no transaction left behind */
        assert_string_equal(
            "0", fixture_sql_value(
                     &fx, "SELECT count(*) FROM pg_class WHERE relname = 'weir_crosscheck'"));
        finish(&r);
    }
}

static void test_inside_transaction(void **state)
{
    (void)state;
    run r;
    start(&r, "weir");
    fixture_sql(&fx, "BEGIN; CREATE TABLE marker (x int)");
    assert_rc(WEIR_E_INPUT, compile(&r, "SELECT o.id, o.mood = 'angry' AS a FROM orders o"), NULL);
    finish(&r);
    start(&r, "weir");
    assert_rc(WEIR_OK, compile(&r, models[0]), &r.err);
    assert_string_equal(
        "1", fixture_sql_value(&fx, "SELECT count(*) FROM pg_class WHERE relname = 'marker'"));
    fixture_sql(&fx, "ROLLBACK");
    assert_string_equal(
        "0", fixture_sql_value(&fx, "SELECT count(*) FROM pg_class WHERE relname = 'marker'"));
    finish(&r);
}

/* Constants come out as PostgreSQL prints them. */
static void test_literals(void **state)
{
    (void)state;
    static const struct {
        weir_ty ty;
        const char *type, *in;
    } rows[] = {
        {WEIR_TY_INT4, "int4", " 0012 "},
        {WEIR_TY_INT8, "int8", "-9223372036854775808"},
        {WEIR_TY_INT2, "int2", "-00"},
        {WEIR_TY_NUMERIC, "numeric", "00.5000"},
        {WEIR_TY_NUMERIC, "numeric", ".5"},
        {WEIR_TY_NUMERIC, "numeric", "-0.0"},
        {WEIR_TY_NUMERIC, "numeric", "1e3"},
        {WEIR_TY_NUMERIC, "numeric", "1.25e-4"},
        {WEIR_TY_NUMERIC, "numeric", "12.5e1"},
        {WEIR_TY_NUMERIC, "numeric", "12.5E+3"},
        {WEIR_TY_NUMERIC, "numeric", "nan"},
        {WEIR_TY_NUMERIC, "numeric", "100."},
        {WEIR_TY_NUMERIC, "numeric", "0e5"},
        {WEIR_TY_NUMERIC, "numeric", "0.000e2"},
        {WEIR_TY_BOOL, "bool", "YES"},
        {WEIR_TY_BOOL, "bool", " off "},
        {WEIR_TY_DATE, "date", "2024-02-29"},
        {WEIR_TY_DATE, "date", "infinity"},
        {WEIR_TY_TIME, "time", "10:20"},
        {WEIR_TY_TIME, "time", "10:20:30.1200"},
        {WEIR_TY_TIMESTAMP, "timestamp", "2024-01-01"},
        {WEIR_TY_TIMESTAMP, "timestamp", "2024-01-01T10:20:30.5"},
        {WEIR_TY_TIMESTAMPTZ, "timestamptz", "2024-01-01 10:20:30.000001Z"},
        {WEIR_TY_TIMESTAMPTZ, "timestamptz", "2024-01-01 10:20+00:00"},
        {WEIR_TY_UUID, "uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11"},
        {WEIR_TY_UUID, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {WEIR_TY_JSONB, "jsonb", " { \"b\" : 1.50 , \"aa\":[ ],\"a\":{\"x\":null}, \"b\":1e2 } "},
        {WEIR_TY_JSONB, "jsonb", "\"\\u00e9\\ud83d\\ude00\\n\\u0001/\\/ \""},
        {WEIR_TY_JSONB, "jsonb", "[-0, -0.0, 1E-3, 1.0e+2, true]"},
        {WEIR_TY_JSONB, "jsonb", "\"ä\""},
        {WEIR_TY_JSONB, "jsonb", "0"},
    };
    fixture_need(&fx);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weir_mem m;
        weir_slice out = {NULL, 0};
        const char *why = "";
        weir_mem_init(&m, fx.a);
        if (!weir_literal(weir_slice_z(rows[i].in), weir_type_of(rows[i].ty), &m, &out, &why)) {
            fail_msg("%s: %s", rows[i].in, why);
        }
        const char *sql = weir_arena_printf(
            fx.a, "SELECT %s::%s", weir_pg_literal(fx.a, weir_slice_z(rows[i].in)), rows[i].type);
        assert_slice(fixture_sql_value(&fx, sql), out);
    }
}

static void test_lost_connection(void **state)
{
    (void)state;
    run r;
    weir_pg *pg = NULL;
    weir_pg_conf conf = {.uri = fx.pg.uri, .application_name = "test_compile_pg"};
    start(&r, "weir");
    assert_rc(WEIR_OK, weir_pg_open(&pg, &conf, &r.err), &r.err);
    weir_catalog_pg_init(&r.cat, pg, "weir", r.a);
    fixture_sql_value(&fx,
                      weir_arena_printf(r.a, "SELECT pg_terminate_backend(%d)", weir_pg_pid(pg)));
    assert_rc(WEIR_OK, weir_model_parse(weir_slice_z(models[0]), "m", r.a, &r.src, &r.ds), NULL);
    weir_rc rc = weir_plan_compile(&r.src, &r.cat, r.a, &r.plan, &r.ds, &r.err);
    assert_true(rc != WEIR_OK && rc != WEIR_E_INPUT);
    assert_null(r.plan);
    weir_pg_close(pg);
    finish(&r);
}

/* The table of casts in docs/read-models.md. */
static void test_casts_to_text(void **state)
{
    (void)state;
    static const char *const taken[] = {
        "boolean",   "smallint",    "integer",  "bigint", "numeric", "real", "double precision",
        "text",      "varchar(9)",  "char(3)",  "uuid",   "jsonb",   "date", "time",
        "timestamp", "timestamptz", "cast_mood"};
    static const char *const refused[] = {"integer[]", "text[]", "bytea", "interval", "timetz",
                                          "int4range", "money",  "inet",  "xml",      "point"};
    fixture_need(&fx);
    fixture_sql(&fx, "CREATE TYPE cast_mood AS ENUM ('ok')");
    for (size_t i = 0; i < sizeof taken / sizeof *taken + sizeof refused / sizeof *refused; i++) {
        bool takes = i < sizeof taken / sizeof *taken;
        const char *type = takes ? taken[i] : refused[i - sizeof taken / sizeof *taken];
        run r;
        start(&r, "weir");
        fixture_sql(&fx, weir_arena_printf(r.a,
                                           "DROP TABLE IF EXISTS casts; CREATE TABLE casts (id int "
                                           "PRIMARY KEY, x %s); ALTER PUBLICATION weir ADD TABLE "
                                           "casts",
                                           type));
        const char *text = "-- @key id\nSELECT c.id, c.x, c.x::text AS t FROM casts c";
        if ((compile(&r, text) == WEIR_OK) != takes) {
            say(&r, text);
            fail_msg("%s", type);
        }
        finish(&r);
    }
    fixture_sql(&fx, "DROP TABLE casts; DROP TYPE cast_mood");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),         cmocka_unit_test(test_arrays_and_casts_to_json),
        cmocka_unit_test(test_indexes),         cmocka_unit_test(test_relations),
        cmocka_unit_test(test_models),          cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_disagreement),    cmocka_unit_test(test_inside_transaction),
        cmocka_unit_test(test_literals),        cmocka_unit_test(test_casts_to_text),
        cmocka_unit_test(test_lost_connection),
    };
    return cmocka_run_group_tests_name("compile_pg", tests, up, down);
}
