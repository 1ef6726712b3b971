/* test_expr_oracle.c - random expressions and aggregates: PostgreSQL's answer and ours, compared
 * byte for byte.
 *
 * WEIR_ORACLE_CASES: how many of each (default 24000 expressions, a third as many aggregates);
 * WEIR_TEST_SEED repeats a run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/buf.h"
#include "libweir/io/pg.h"
#include "projector/engine/expr.h"
#include "tests/support/check.h"
#include "tests/support/exprgen.h"
#include "tests/support/pgserver.h"

enum { BATCH = 250, SHOWN_MAX = 20, ROWS_MAX = 9 };

typedef struct tcase {
    const char *sql;
    weir_slice ours;
} tcase;

static pgserver server;
static weir_pg *pg;
static weir_arena *arena;
static uint64_t seed;

/* V<text>\x02<jsonb>, N for NULL, E<sqlstate>. */
static const char try_sql[] =
    "CREATE FUNCTION try_expr(sql text) RETURNS text LANGUAGE plpgsql AS $$\n"
    "DECLARE r text;\n"
    "BEGIN\n"
    "  EXECUTE 'SELECT CASE WHEN v IS NULL THEN ''N'' ELSE ''V'' END || concat(v) || E''\\x02'' "
    "||'\n"
    "    ' coalesce(to_jsonb(v)::text, ''null'') FROM (SELECT ' || sql || ' AS v OFFSET 0) t' INTO "
    "r;\n"
    "  RETURN r;\n"
    "EXCEPTION WHEN OTHERS THEN RETURN 'E' || SQLSTATE;\n"
    "END $$;";

static int up(void **state)
{
    weir_error err;
    weir_rc rc;
    (void)state;
    if (!pgserver_installed()) {
        return 0;
    }
    if (!pgserver_start(&server)) {
        return 1;
    }
    weir_pg_conf conf = {.uri = server.uri, .application_name = "test_expr_oracle"};
    arena = weir_arena_new(0);
    rc = weir_pg_open(&pg, &conf, &err);
    if (!rc) { /* an own database: comparison of text by bytes */
        rc = weir_pg_query(
            pg, "CREATE DATABASE c TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'",
            0, NULL, NULL, &err);
    }
    weir_pg_close(pg);
    pg = NULL;
    if (!rc) {
        conf.uri = weir_arena_printf(arena, "%s", server.uri);
        char *db = strstr(conf.uri, "/postgres?");
        if (db) {
            conf.uri =
                weir_arena_printf(arena, "%.*s/c?%s", (int)(db - conf.uri), conf.uri, db + 10);
        } else {
            conf.uri = weir_arena_printf(arena, "%s dbname=c", server.uri);
        }
        rc = weir_pg_open(&pg, &conf, &err);
    }
    if (!rc) {
        rc = weir_pg_script(pg, exprgen_setup, &err);
    }
    if (!rc) {
        rc = weir_pg_script(pg, try_sql, &err);
    }
    if (rc) {
        print_error("%s\n", err.msg);
    }
    seed = weir_test_seed();
    return rc != WEIR_OK;
}

static int down(void **state)
{
    (void)state;
    weir_pg_close(pg);
    weir_arena_free(arena);
    pgserver_remove(&server);
    return 0;
}

static uint64_t wanted_cases(void)
{
    const char *z = getenv("WEIR_ORACLE_CASES");
    uint64_t n = 0;
    return z && weir_slice_u64(weir_slice_z(z), &n) && n > 0 ? n : 24000;
}

/* What PostgreSQL's try_expr would have printed, made from our own result. */
static weir_slice told(weir_arena *a, weir_rc rc, const weir_error *err, const weir_value *v,
                       weir_type type)
{
    weir_buf b;
    weir_slice text = WEIR_SLICE_LIT("");
    weir_error e2 = {0};
    weir_buf_init(&b, 64 << 20);
    weir_buf_u8(&b, rc ? 'E' : v->form == WEIR_FORM_NULL ? 'N' : 'V');
    if (!rc && v->form != WEIR_FORM_NULL) {
        rc = weir_value_text(v, type, a, &text, &e2);
        err = &e2;
    }
    if (!rc) {
        weir_buf_puts(&b, text);
        weir_buf_u8(&b, 2);
        rc = weir_value_jsonb(v, type, a, &b, &e2);
        err = &e2;
    }
    if (rc) {
        weir_buf_reset(&b);
        weir_buf_printf(&b, "E%s", err->sqlstate[0] ? err->sqlstate : err->msg);
    }
    weir_slice s = weir_arena_dup(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return s;
}

/* jsonb_build_object evaluates its members as written, the plan in jsonb's key order: of two errors
 * either may come first. */
static bool agree(const tcase *c, weir_slice theirs)
{
    bool both_fail = theirs.n > 0 && theirs.p[0] == 'E' && c->ours.p[0] == 'E';
    return weir_slice_eq(theirs, c->ours) || (both_fail && strstr(c->sql, "jsonb_build_object"));
}

static int compare(weir_arena *a, const tcase *cases, int n, int *failures)
{
    weir_buf b;
    weir_pg_rows *rows = NULL;
    weir_error err;
    weir_buf_init(&b, 256 << 20);
    weir_buf_putz(&b, "SELECT try_expr(x) FROM unnest(ARRAY[");
    for (int i = 0; i < n; i++) {
        weir_buf_printf(&b, "%s%s", i ? "," : "", weir_pg_literal(a, weir_slice_z(cases[i].sql)));
    }
    weir_buf_putz(&b, "]::text[]) WITH ORDINALITY AS t(x, n) ORDER BY n");
    weir_buf_u8(&b, 0);
    weir_rc rc = weir_pg_query(pg, b.p, 0, NULL, &rows, &err);
    assert_rc(WEIR_OK, rc, &err);
    assert_int_equal(n, weir_pg_nrows(rows));
    int errors = 0;
    for (int i = 0; i < n; i++) {
        weir_slice theirs = weir_pg_value(rows, i, 0);
        errors += theirs.n > 0 && theirs.p[0] == 'E';
        if (!agree(&cases[i], theirs) && (*failures)++ < SHOWN_MAX) {
            print_error("DIFFERENT\n  sql  %s\n  PG   " WEIR_SLICE_FMT "\n  ours " WEIR_SLICE_FMT
                        "\n",
                        cases[i].sql, WEIR_SLICE_ARG(theirs), WEIR_SLICE_ARG(cases[i].ours));
        }
    }
    weir_pg_rows_free(rows);
    weir_buf_fini(&b);
    return errors;
}

static weir_rc no_sub(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err)
{
    (void)ev;
    (void)e;
    (void)out;
    return weir_fail(err, WEIR_E_INPUT, 0, "no sub-select here");
}

static tcase one_expr(exprgen *g)
{
    weir_error err = {0};
    weir_value v = {0};
    exprgen_init(g, arena, g->rng);
    gkind k = (gkind)exprgen_pick(g, G_KINDS);
    if (exprgen_pick(g, 3) == 0) {
        k = exprgen_pick(g, 2) ? G_NUMERIC : G_JSONB;
    }
    gexpr x = exprgen_expr(g, k, (int)exprgen_pick(g, 4));
    const weir_tuple *rows[1] = {&g->row};
    weir_eval ev = {.a = arena, .rows = rows, .sub = no_sub};
    weir_rc rc = weir_expr_eval(&ev, x.e, &v, &err);
    const char *sql = weir_arena_printf(arena, "(SELECT %s FROM (SELECT %s OFFSET 0) AS src)",
                                        x.sql, g->from[0] ? g->from : "1");
    return (tcase){sql, told(arena, rc, &err, &v, x.e->type)};
}

static void test_expressions(void **state)
{
    exprgen *g = calloc(1, sizeof *g);
    tcase cases[BATCH];
    int failures = 0, errors = 0;
    uint64_t todo = wanted_cases(), done = 0;
    (void)state;
    if (!pg) {
        free(g);
        skip();
    }
    g->rng = seed;
    while (done < todo) {
        weir_arena_reset(arena);
        for (int i = 0; i < BATCH; i++) {
            cases[i] = one_expr(g);
        }
        errors += compare(arena, cases, BATCH, &failures);
        done += BATCH;
    }
    free(g);
    print_message("%llu expressions (%d of them errors in PostgreSQL too), %d different\n",
                  (unsigned long long)done, errors, failures);
    assert_int_equal(0, failures);
}

/* --- aggregates: the same VALUES list on both sides
 * ---------------------------------------------------------------- */

typedef struct aggcase {
    weir_agg agg;
    weir_sort sort[3];
    weir_expr cols[4]; /* x, k, f, n: argument, sort key, filter, row number */
    gkind kinds[4];
    int nrows;
    weir_val vals[ROWS_MAX][4];
} aggcase;

static const struct {
    weir_agg_kind kind;
    const char *name;
} agg_names[] = {{WEIR_AGG_COUNT, "count"},       {WEIR_AGG_SUM, "sum"},
                 {WEIR_AGG_AVG, "avg"},           {WEIR_AGG_MIN, "min"},
                 {WEIR_AGG_MAX, "max"},           {WEIR_AGG_BOOL_AND, "bool_and"},
                 {WEIR_AGG_BOOL_OR, "bool_or"},   {WEIR_AGG_JSONB, "jsonb_agg"},
                 {WEIR_AGG_STRING, "string_agg"}, {WEIR_AGG_COUNT_STAR, "count"}};

static gkind argument(exprgen *g, weir_agg_kind kind, bool distinct)
{
    static const gkind numbers[] = {G_INT2, G_INT4, G_INT8, G_NUMERIC, G_NUMERIC};
    static const gkind extremes[] = {G_INT4,      G_INT8,        G_NUMERIC, G_TEXT, G_DATE,
                                     G_TIMESTAMP, G_TIMESTAMPTZ, G_FLOAT8,  G_TIME};
    switch (kind) {
    case WEIR_AGG_SUM:
    case WEIR_AGG_AVG: return numbers[exprgen_pick(g, 5)];
    case WEIR_AGG_MIN:
    case WEIR_AGG_MAX: return extremes[exprgen_pick(g, 9)];
    case WEIR_AGG_BOOL_AND:
    case WEIR_AGG_BOOL_OR: return G_BOOL;
    case WEIR_AGG_STRING: return G_TEXT;
    default: break;
    }
    return distinct ? extremes[exprgen_pick(g, 8)] : (gkind)exprgen_pick(g, G_KINDS);
}

static weir_type result_type(weir_agg_kind kind, gkind arg)
{
    switch (kind) {
    case WEIR_AGG_COUNT:
    case WEIR_AGG_COUNT_STAR: return exprgen_type(G_INT8);
    case WEIR_AGG_SUM: return exprgen_type(arg == G_INT2 || arg == G_INT4 ? G_INT8 : G_NUMERIC);
    case WEIR_AGG_AVG: return exprgen_type(G_NUMERIC);
    case WEIR_AGG_JSONB: return exprgen_type(G_JSONB);
    default: return exprgen_type(arg);
    }
}

static const char *fill_rows(exprgen *g, aggcase *c)
{
    const char *values = "";
    bool fixed = c->agg.distinct || c->agg.kind == WEIR_AGG_MIN || c->agg.kind == WEIR_AGG_MAX;
    c->nrows = 1 + (int)exprgen_pick(g, ROWS_MAX);
    for (int r = 0; r < c->nrows; r++) {
        const char *row = "";
        for (int i = 0; i < 4; i++) {
            weir_slice s = i == 3 ? weir_slice_z(weir_arena_printf(g->a, "%d", r))
                                  : exprgen_value(g, c->kinds[i], i == 0 && fixed ? 2 : -1, true);
            if (i == 0 && r > 0 && exprgen_pick(g, 4) == 0) {
                s = c->vals[r - 1][0].text; /* something for DISTINCT to find */
            }
            c->vals[r][i] = (weir_val){s.p ? WEIR_VAL_TEXT : WEIR_VAL_NULL, s};
            row = weir_arena_printf(g->a, "%s%s%s", row, i ? ", " : "",
                                    exprgen_literal(g, c->kinds[i], s));
        }
        values = weir_arena_printf(g->a, "%s%s(%s)", values, r ? ", " : "", row);
    }
    return values;
}

static void add_sort(exprgen *g, aggcase *c, int col, const char **order)
{
    static const char *const names[] = {"x", "k", "f", "n"};
    weir_sort *s = &c->sort[c->agg.nsort];
    *s = (weir_sort){.expr = &c->cols[col], .desc = exprgen_pick(g, 2) == 0};
    uint64_t nulls = exprgen_pick(g, 3);
    s->nulls_first = nulls == 0 ? s->desc : nulls == 1;
    *order = weir_arena_printf(g->a, "%s%s %s%s%s", *order, c->agg.nsort ? "," : " ORDER BY",
                               names[col], s->desc ? " DESC" : "",
                               nulls == 0   ? ""
                               : nulls == 1 ? " NULLS FIRST"
                                            : " NULLS LAST");
    c->agg.nsort++;
}

static weir_slice our_aggregate(aggcase *c)
{
    weir_error err = {0};
    weir_value v = {0};
    weir_tuple row = {.n = 4};
    const weir_tuple *rows[1] = {&row};
    weir_eval ev = {.a = arena, .rows = rows, .sub = no_sub};
    weir_acc *acc = weir_acc_new(&c->agg, arena);
    weir_rc rc = WEIR_OK;
    for (int r = 0; r < c->nrows && !rc; r++) {
        row.v = c->vals[r];
        rc = weir_acc_step(acc, &ev, &err);
    }
    if (!rc) {
        rc = weir_acc_finish(acc, &ev, &v, &err);
    }
    return told(arena, rc, &err, &v, c->agg.type);
}

static tcase one_aggregate(exprgen *g)
{
    static const gkind keys[] = {G_INT4,   G_NUMERIC,     G_TEXT, G_BPCHAR, G_DATE,
                                 G_TIMETZ, G_TIMESTAMPTZ, G_BOOL, G_UUID,   G_FLOAT8};
    aggcase *c = WEIR_ARENA_ARRAY(arena, aggcase, 1);
    size_t which = exprgen_pick(g, sizeof agg_names / sizeof agg_names[0]);
    const char *order = "", *arg = "x";
    exprgen_init(g, arena, g->rng);
    c->agg = (weir_agg){.kind = agg_names[which].kind, .sort = c->sort};
    bool star = c->agg.kind == WEIR_AGG_COUNT_STAR, str = c->agg.kind == WEIR_AGG_STRING;
    c->agg.distinct = !star && exprgen_pick(g, 3) == 0;
    c->kinds[0] = argument(g, c->agg.kind, c->agg.distinct);
    c->kinds[1] = keys[exprgen_pick(g, sizeof keys / sizeof keys[0])];
    c->kinds[2] = G_BOOL;
    c->kinds[3] = G_INT4;
    for (int i = 0; i < 4; i++) {
        c->cols[i] = (weir_expr){.op = WEIR_OP_COL, .type = exprgen_type(c->kinds[i]), .col = i};
    }
    c->agg.type = result_type(c->agg.kind, c->kinds[0]);
    c->agg.arg = star ? NULL : &c->cols[0];
    c->agg.filter = exprgen_pick(g, 3) == 0 ? &c->cols[2] : NULL;
    const char *values = fill_rows(g, c);
    if (c->agg.distinct && exprgen_pick(g, 2)) {
        add_sort(g, c, 0, &order);
    } else if (!c->agg.distinct && (c->agg.kind == WEIR_AGG_JSONB || str)) {
        add_sort(g, c, 1, &order);
        add_sort(g, c, 3, &order);
    }
    if (str) {
        c->agg.delim = WEIR_SLICE_LIT(" | ");
        arg = "x, ' | '";
    }
    const char *sql = weir_arena_printf(
        arena, "(SELECT %s(%s%s%s)%s FROM (VALUES %s) AS v(x, k, f, n))", agg_names[which].name,
        c->agg.distinct ? "DISTINCT " : "", star ? "*" : arg, order,
        c->agg.filter ? " FILTER (WHERE f)" : "", values);
    return (tcase){sql, our_aggregate(c)};
}

static void test_aggregates(void **state)
{
    exprgen *g = calloc(1, sizeof *g);
    tcase cases[BATCH];
    int failures = 0, errors = 0;
    uint64_t todo = wanted_cases() / 3, done = 0;
    (void)state;
    if (!pg) {
        free(g);
        skip();
    }
    g->rng = seed ^ 0x5eed;
    while (done < todo) {
        weir_arena_reset(arena);
        for (int i = 0; i < BATCH; i++) {
            cases[i] = one_aggregate(g);
        }
        errors += compare(arena, cases, BATCH, &failures);
        done += BATCH;
    }
    free(g);
    print_message("%llu aggregates (%d of them errors in PostgreSQL too), %d different\n",
                  (unsigned long long)done, errors, failures);
    assert_int_equal(0, failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions),
        cmocka_unit_test(test_aggregates),
    };
    return cmocka_run_group_tests_name("expr_oracle", tests, up, down);
}
