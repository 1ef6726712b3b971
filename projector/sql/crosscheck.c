/* crosscheck.c - PostgreSQL's own opinion of a model: a temporary view, rolled back, and EXPLAIN of
 * the oracle's SELECT. */
#include "projector/sql/compile.h"
#include "projector/sql/types.h"

static const char prefix_view[] = "CREATE TEMPORARY VIEW weir_crosscheck AS ";
static const char prefix_explain[] = "EXPLAIN ";

typedef struct check {
    weir_pg *pg;
    const weir_model_src *src;
    const weir_plan *plan;
    weir_diags *ds;
    weir_error *err;
    weir_mem m;
    bool own; /* transaction is ours */
} check;

static weir_rc simple(check *c, const char *sql)
{
    return weir_pg_query(c->pg, sql, 0, NULL, NULL, c->err);
}

/* SAVEPOINT fails harmlessly where no transaction is open. */
static weir_rc begin(check *c)
{
    weir_rc rc = simple(c, "SAVEPOINT weir_crosscheck");
    if (rc != WEIR_OK && c->err && strcmp(c->err->sqlstate, "25P01") == 0) {
        c->own = true;
        rc = simple(c, "BEGIN");
    }
    return rc;
}

static weir_rc undo(check *c)
{
    weir_error later = {0};
    const char *back = c->own ? "ROLLBACK" : "ROLLBACK TO SAVEPOINT weir_crosscheck";
    weir_rc rc = weir_pg_query(c->pg, back, 0, NULL, NULL, &later);
    if (rc == WEIR_OK && !c->own) {
        rc = weir_pg_query(c->pg, "RELEASE SAVEPOINT weir_crosscheck", 0, NULL, NULL, &later);
    }
    if (rc != WEIR_OK && c->err) {
        *c->err = later;
    }
    return rc;
}

/* A statement about the model: the server's refusal is a finding at its place, a lost connection is
 * not. */
static weir_rc ask(check *c, const char *prefix, weir_slice sql, bool placed)
{
    const char *text = weir_mem_printf(&c->m, "%s" WEIR_SLICE_FMT, prefix, WEIR_SLICE_ARG(sql));
    weir_rc rc = weir_pg_query(c->pg, text, 0, NULL, NULL, c->err);
    if (rc == WEIR_OK || !c->err || !c->err->sqlstate[0] || !weir_pg_ok(c->pg)) {
        return rc;
    }
    int at = weir_pg_error_position(c->pg);
    at = at >= 0 && placed ? at - (int)strlen(prefix) + c->src->select_offset : -1;
    const char *hint = weir_pg_error_field(c->pg, 'H');
    weir_diag_add(c->ds, false, at, *hint ? hint : NULL, "PostgreSQL: %s", c->err->msg);
    return WEIR_E_INPUT;
}

static const weir_output *output_named(const weir_plan *p, weir_slice name)
{
    for (int i = 0; i < p->noutputs; i++) {
        if (weir_slice_eq(p->outputs[i].name, name)) {
            return &p->outputs[i];
        }
    }
    return NULL;
}

static const char types_sql[] =
    "WITH RECURSIVE b AS ("
    " SELECT a.attnum, a.attname, a.atttypid AS typid, a.atttypmod AS typmod FROM "
    "pg_catalog.pg_attribute a"
    " WHERE a.attrelid = 'pg_temp.weir_crosscheck'::regclass AND a.attnum > 0 AND NOT "
    "a.attisdropped"
    " UNION ALL SELECT b.attnum, b.attname, y.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod "
    "ELSE y.typtypmod END"
    " FROM b JOIN pg_catalog.pg_type y ON y.oid = b.typid AND y.typtype = 'd') "
    "SELECT b.attname, b.typid, b.typmod, pg_catalog.format_type(b.typid, b.typmod), y.typtype"
    " FROM b JOIN pg_catalog.pg_type y ON y.oid = b.typid AND y.typtype <> 'd' ORDER BY b.attnum";

/* Texts differ in name only (text, varchar, name); enums and pass-through types are compared by
 * oid. */
static bool same_type(weir_type ours, uint32_t oid, int32_t typmod)
{
    if (ours.ty == WEIR_TY_ENUM || ours.ty == WEIR_TY_ARRAY || ours.ty == WEIR_TY_OTHER) {
        return ours.oid == oid;
    }
    bool modifier = ours.ty != WEIR_TY_NUMERIC || ours.typmod < 0 || ours.typmod == typmod;
    return weir_ty_of_oid(oid) == ours.ty && modifier;
}

static void compare(check *c, const weir_pg_rows *r)
{
    int n = weir_pg_nrows(r);
    for (int i = 0; i < n; i++) {
        weir_slice name = weir_pg_value(r, i, 0);
        const weir_output *o = output_named(c->plan, name);
        if (!o) {
            weir_diag_add(c->ds, false, -1, "name it with AS",
                          "PostgreSQL names an output " WEIR_SLICE_FMT ", Weir does not",
                          WEIR_SLICE_ARG(name));
            continue;
        }
        uint32_t oid = (uint32_t)weir_pg_i64(r, i, 1);
        if (!same_type(o->expr->type, oid, (int32_t)weir_pg_i64(r, i, 2))) {
            weir_diag_add(c->ds, false,
                          o->expr->location < 0 ? -1 : o->expr->location + c->src->select_offset,
                          "cast it to the type you mean",
                          "output " WEIR_SLICE_FMT " is %s in PostgreSQL, but %s here",
                          WEIR_SLICE_ARG(name), weir_pg_valuez(r, i, 3),
                          weir_type_show(o->expr->type, &c->m));
        }
    }
    if (n != c->plan->noutputs) {
        weir_diag_add(c->ds, false, -1, "name every output with AS",
                      "PostgreSQL sees %d outputs, Weir %d", n, c->plan->noutputs);
    }
}

static weir_rc inside(check *c)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = ask(c, prefix_view, c->src->select, true);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_pg_query(c->pg, types_sql, 0, NULL, &r, c->err);
    if (rc != WEIR_OK) {
        return rc;
    }
    compare(c, r);
    weir_pg_rows_free(r);
    bool same = weir_slice_eq(c->plan->sql, c->plan->oracle_sql);
    return ask(c, prefix_explain, c->plan->oracle_sql, same);
}

weir_rc weir_plan_crosscheck(weir_pg *pg, const weir_model_src *src, const weir_plan *plan,
                             weir_diags *ds, weir_error *err)
{
    weir_error spare = {0};
    check c = {.pg = pg, .src = src, .plan = plan, .ds = ds, .err = err ? err : &spare};
    int before = ds->errors;
    weir_mem_init(&c.m, ds->a);
    weir_rc rc = begin(&c);
    if (rc == WEIR_OK) {
        rc = inside(&c);
        if (weir_pg_ok(pg) && undo(&c) != WEIR_OK) {
            rc = c.err->code;
        }
    }
    if (rc == WEIR_OK && ds->errors > before) {
        rc = WEIR_E_INPUT;
    }
    if (rc == WEIR_E_INPUT && ds->errors > before) {
        (void)weir_fail(c.err, rc, WEIR_EF_CLIENT,
                        "read model " WEIR_SLICE_FMT ": PostgreSQL does not agree",
                        WEIR_SLICE_ARG(src->name));
    }
    weir_mem_fini(&c.m);
    return rc;
}
