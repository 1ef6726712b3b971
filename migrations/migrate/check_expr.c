/* check_expr.c - does an expression work over the source's row, and does what it gives fit the
 * target's column, without loss that nobody asked for? */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/str.h"
#include "migrations/migrate/plan.h"

enum { SAMPLE_ROWS = 100000 };

static bool lost(weir_rc rc)
{
    return rc == WEIR_E_CONN || rc == WEIR_E_TIMEOUT;
}

/* The source's own words about an expression, at its place within the mapping. */
static void say_error(mig_checker *c, const mig_text *expr, const char *what, int prefix,
                      const weir_error *err)
{
    int at = weir_pg_error_position(c->source);
    mig_place place = at >= prefix ? mig_place_in(c->m, expr, at - prefix) : expr->at;
    const char *hint = weir_pg_error_field(c->source, 'H');
    mig_problem_add(c->m, place, false, hint[0] ? hint : NULL, "%s: the source says: %s", what,
                    err->msg);
}

/* An expression sees its own row and nothing else: a change elsewhere would not be followed. And it
 * must give the same each time it is read. */
static weir_rc check_stable(mig_checker *c, const mig_ptable *t, const mig_text *expr,
                            const char *what, weir_error *err)
{
    static const char sql[] =
        "SELECT string_agg(DISTINCT p.proname, ', ') FROM regexp_matches(lower(regexp_replace($1, "
        "'''[^'']*''', '', 'g')), '([a-z_][a-z0-9_]*)\\s*\\(', 'g') m JOIN pg_proc p ON p.proname "
        "= m[1] WHERE p.provolatile = 'v' OR p.proname IN ('now', 'statement_timestamp', "
        "'transaction_timestamp', 'age', 'pg_snapshot_xmin', 'txid_current', 'current_setting')";
    static const char words[] =
        "SELECT (regexp_match(lower(regexp_replace($1, '''[^'']*''', '', 'g')), "
        "'\\m(select|current_timestamp|current_date|current_time|localtimestamp|localtime|current_"
        "user|session_user)\\M'))[1]";
    const char *found = "";
    weir_rc rc = mig_value(c->source, c->a, words, expr->z, &found, err);
    if (rc == WEIR_OK && strcmp(found, "select") == 0) {
        mig_problem_add(c->m, expr->at, false, "migrate that table too, and join in the target",
                        "%s reads other rows with SELECT: a change there would not be followed",
                        what);
    } else if (rc == WEIR_OK && found[0]) {
        mig_problem_add(c->m, expr->at, false, NULL, "%s: %s gives another value at each reading",
                        what, found);
    }
    rc = rc == WEIR_OK ? mig_value(c->source, c->a, sql, expr->z, &found, err) : rc;
    if (rc == WEIR_OK && found[0] && mig_attr_find(&t->src, found) < 0) {
        bool age = strcmp(found, "age") == 0 && strchr(expr->z, ','); /* age(a, b) is fine */
        if (!age) {
            mig_problem_add(c->m, expr->at, false, NULL,
                            "%s: %s may give another value at each reading", what, found);
        }
    }
    return rc;
}

/* WEIR_E_INPUT: a problem was added. */
weir_rc mig_check_expr(mig_checker *c, mig_ptable *t, const mig_text *expr, const char *what,
                       uint32_t *type, weir_error *err)
{
    static const char prefix[] = "SELECT (";
    weir_pg_rows *r = NULL;
    const char *sql =
        weir_arena_printf(c->a, "%s%s\n) FROM %s WHERE false", prefix, expr->z, t->src_from);
    weir_rc rc = weir_pg_query(c->source, sql, 0, NULL, &r, err);
    if (rc != WEIR_OK && !lost(rc)) {
        say_error(c, expr, what, (int)sizeof prefix - 1, err);
        return WEIR_E_INPUT;
    }
    int n = rc == WEIR_OK ? weir_pg_ncols(r) : 0;
    *type = n == 1 ? weir_pg_coltype(r, 0) : 0;
    weir_pg_rows_free(r);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (n != 1) {
        mig_problem_add(c->m, expr->at, false, NULL, "%s is not one expression", what);
        return WEIR_E_INPUT;
    }
    return check_stable(c, t, expr, what, err);
}

/* How a value of the source's type gets into the target's: "" it is the same or fits always,
 * "lossy", "none". */
static weir_rc fit(mig_checker *c, uint32_t from, const mig_attr *to, const char **how,
                   const char **from_name, weir_error *err)
{
    static const char sql[] =
        "SELECT format_type($1::oid, NULL), CASE WHEN b.typ = $2::oid THEN '' "
        "WHEN b.typ IN (25, 1043, 1042, 18, 19) AND $2::oid IN (25, 1043) THEN '' "
        "WHEN b.typ IN (114, 3802) AND $2::oid IN (114, 3802) THEN '' "
        "WHEN b.typ = 20 AND $2::oid IN (700, 701) OR b.typ = 23 AND $2::oid = 700 "
        "  OR b.typ = 1700 AND $2::oid IN (700, 701) THEN 'lossy' "
        "WHEN k.castcontext = 'i' THEN '' WHEN k.castcontext = 'a' THEN 'lossy' ELSE 'none' END "
        "FROM (SELECT coalesce(nullif(typbasetype, 0), oid) AS typ FROM pg_type WHERE oid = "
        "$1::oid) b LEFT JOIN pg_cast k ON k.castsource = b.typ AND k.casttarget = $2::oid";
    const char *params[] = {weir_arena_printf(c->a, "%u", from),
                            weir_arena_printf(c->a, "%u", to->type_oid)};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, sql, 2, params, &r, err);
    *how = "";
    *from_name = "";
    if (rc == WEIR_OK && weir_pg_nrows(r) > 0) {
        *from_name = weir_arena_strdup(c->a, weir_pg_valuez(r, 0, 0));
        *how = weir_arena_strdup(c->a, weir_pg_valuez(r, 0, 1));
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc check_type(mig_checker *c, const mig_ptable *t, const mig_column *mc, uint32_t from,
                          const mig_attr *to, weir_error *err)
{
    const char *how = "", *name = "";
    if (!to->builtin) {
        return WEIR_OK; /* an enum, a composite: its text is what counts, and the target judges it
                         */
    }
    weir_rc rc = fit(c, from, to, &how, &name, err);
    if (rc == WEIR_OK && how[0]) {
        const char *write =
            weir_arena_printf(c->a, "column %s = (%s)::%s", mc->name.z, mc->expr.z, to->type);
        bool lossy = strcmp(how, "lossy") == 0;
        mig_problem_add(c->m, mc->expr.at, false,
                        mc->implied ? weir_arena_printf(c->a, "%s, if that is meant", write)
                                    : weir_arena_printf(c->a, "(%s)::%s, if that is meant",
                                                        mc->expr.z, to->type),
                        lossy ? "column %s: %s does not always fit into %s.%s, which is %s"
                              : "column %s: %s is not of the type of %s.%s, which is %s",
                        mc->name.z, name, t->dst_sql, mc->name.z, to->type);
    }
    return rc;
}

/* Reads rows: values that are NULL where none may be, too long, or an error to evaluate. */
static weir_rc sample(mig_checker *c, const mig_ptable *t, const mig_column *mc,
                      const mig_pcol *col, bool not_null, const char *narrow, bool is_text,
                      weir_error *err)
{
    const char *where = t->map->where.z ? t->map->where.z : "TRUE";
    const char *sql = weir_arena_printf(
        c->a,
        "SELECT count(*), count(*) FILTER (WHERE v IS NULL), %s FROM (SELECT %s AS v FROM %s "
        "WHERE (%s\n) LIMIT %d) s",
        narrow ? weir_arena_printf(c->a, "count(*) FILTER (WHERE v <> (v::%s))", narrow) : "0",
        col->expr, t->src_from, where, SAMPLE_ROWS);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, sql, 0, NULL, &r, err);
    if (rc != WEIR_OK) {
        weir_pg_rows_free(r);
        if (lost(rc) || strncmp(err->sqlstate, "22", 2) != 0) {
            return lost(rc) ? rc : WEIR_OK; /* the condition itself is told elsewhere */
        }
        mig_problem_add(c->m, mc->expr.at, true,
                        "such rows would become rejects; handle them in the expression or in where",
                        "column %s: the source says for a row: %s", mc->name.z, err->msg);
        return WEIR_OK;
    }
    long long rows = weir_pg_i64(r, 0, 0), nulls = weir_pg_i64(r, 0, 1), big = weir_pg_i64(r, 0, 2);
    weir_pg_rows_free(r);
    if (not_null && nulls) {
        mig_problem_add(c->m, mc->expr.at, true,
                        "they would become rejects: coalesce(…), a where that leaves them out, or "
                        "DROP NOT NULL in the target",
                        "column %s is NULL in %lld of %lld rows looked at, and %s.%s is NOT NULL",
                        mc->name.z, nulls, rows, t->dst_sql, mc->name.z);
    }
    if (narrow && big) {
        /* A text that is too long is refused by the target; a number is rounded without a word. */
        mig_problem_add(c->m, mc->expr.at, is_text,
                        is_text
                            ? "they would become rejects: make the column wider, or say in the "
                              "expression how they are cut"
                            : "they would be rounded: make the column wider, or write the cast, "
                              "if that is meant",
                        "column %s does not fit into %s in %lld of %lld rows looked at", mc->name.z,
                        narrow, big, rows);
    }
    return WEIR_OK;
}

/* What the target will print for the value: the same cast the target's input makes. */
static const char *canonical(mig_checker *c, const mig_pcol *col, const mig_attr *to)
{
    if (!to || !to->builtin) {
        return weir_arena_printf(c->a, "%s::text", col->expr);
    }
    if (to->type_oid == 16) {
        return weir_arena_printf(c->a, "%s::boolean::text", col->expr);
    }
    const char *modified = to->type;
    if (strcmp(to->base, to->type) != 0 && to->typmod == -1) {
        modified = to->base; /* a domain */
    }
    return weir_arena_printf(c->a, "%s::text::%s::text", col->expr, modified);
}

static void take_plain(mig_checker *c, const mig_ptable *t, const mig_column *mc, mig_pcol *out)
{
    const char *schema = NULL, *name = NULL;
    out->source_col = -1;
    if (mig_name_split(c->a, mc->expr.z, &schema, &name) &&
        (!schema || strcmp(schema, t->src.name) == 0)) {
        out->source_col = mig_attr_find(&t->src, name);
    }
    out->plain = out->source_col >= 0;
}

/* A type or collation by name that the target must have. */
static weir_rc there(mig_checker *c, const char *function, const char *name, bool *is,
                     weir_error *err)
{
    const char *oid = "";
    weir_rc rc = mig_value(c->target, c->a, weir_arena_printf(c->a, "SELECT %s($1)::oid", function),
                           name, &oid, err);
    *is = oid[0] != '\0';
    return rc;
}

/* Types of the source's own must be in the target before a table is made with them. */
static weir_rc made_from_source(mig_checker *c, const mig_ptable *t, const mig_column *mc,
                                mig_pcol *out, uint32_t type, mig_attr *made, weir_error *err)
{
    const char *oid = weir_arena_printf(c->a, "%u", type), *name = "";
    const mig_attr *from = out->plain ? &t->src.cols[out->source_col] : NULL;
    weir_rc rc = mig_value(c->source, c->a, "SELECT format_type($1::oid, NULL)", oid, &name, err);
    made->base = name;
    made->type = from ? from->type : name;
    made->type_oid = from ? from->type_oid : type;
    made->typmod = strcmp(made->type, made->base) == 0 ? -1 : 1;
    const char *declared = from ? from->declared : name;
    bool known = true;
    rc = rc == WEIR_OK ? there(c, "to_regtype", declared, &known, err) : rc;
    if (rc == WEIR_OK && !known) {
        mig_problem_add(c->m, mc->name.at, false,
                        weir_arena_printf(c->a,
                                          "create it there (pg_dump --section=pre-data shows "
                                          "how), or: column %s text = …",
                                          mc->name.z),
                        "the target does not have the type %s of column %s", declared, mc->name.z);
    }
    if (rc == WEIR_OK && from && from->collation[0]) {
        rc = there(c, "to_regcollation", from->collation, &known, err);
        out->collate = weir_arena_printf(c->a, " COLLATE %s", from->collation);
        if (rc == WEIR_OK && !known) {
            mig_problem_add(c->m, mc->name.at, false,
                            weir_arena_printf(c->a,
                                              "CREATE COLLATION %s (…) in the target, or "
                                              "make the table yourself",
                                              from->collation),
                            "the target does not have the collation %s of column %s",
                            from->collation, mc->name.z);
        }
    }
    return rc;
}

/* The type of a column of a table the tool makes. */
static weir_rc made_type(mig_checker *c, const mig_ptable *t, const mig_column *mc, mig_pcol *out,
                         uint32_t type, mig_attr *made, weir_error *err)
{
    const char *name = "";
    weir_rc rc = WEIR_OK;
    if (mc->type.z) {
        const char *sql = "SELECT to_regtype($1)::oid";
        const char *base = weir_arena_dupz(
            c->a, weir_slice_trim(weir_slice_of(mc->type.z, strcspn(mc->type.z, "("))));
        rc = mig_value(c->target, c->a, sql, base, &name, err);
        if (rc == WEIR_OK && !name[0]) {
            mig_problem_add(c->m, mc->type.at, false, NULL, "the target has no type %s",
                            mc->type.z);
            return WEIR_E_INPUT;
        }
        made->type = mc->type.z;
        made->base = base;
        made->type_oid = (uint32_t)strtoul(name, NULL, 10);
        made->typmod = strchr(mc->type.z, '(') ? 1 : -1;
    } else {
        rc = made_from_source(c, t, mc, out, type, made, err);
    }
    made->builtin = made->type_oid < 10000;
    made->not_null = out->plain && t->src.cols[out->source_col].not_null;
    return rc;
}

static weir_rc target_attr(mig_checker *c, const mig_ptable *t, const mig_column *mc, mig_attr *to)
{
    int d = mig_attr_find(&t->dst, mc->name.z);
    if (d < 0) {
        const char *near = mig_attr_near(&t->dst, mc->name.z);
        const char *hint = near ? weir_arena_printf(c->a, "did you mean %s?", near) : NULL;
        mig_problem_add(c->m, mc->name.at, false,
                        !mc->implied        ? hint
                        : !c->opts->running ? weir_arena_printf(c->a, "skip = %s", mc->name.z)
                                            : "it came while the migration ran, whose mapping must "
                                              "not change: add it there too, with the same DEFAULT",
                        "%s has no column %s", t->dst_sql, mc->name.z);
        return WEIR_E_INPUT;
    }
    *to = t->dst.cols[d];
    if (to->generated) {
        mig_problem_add(c->m, mc->name.at, false, "leave the line out",
                        "%s.%s is generated: the target computes it itself", t->dst_sql,
                        mc->name.z);
        return WEIR_E_INPUT;
    }
    if (mc->type.z && !t->map->create) {
        mig_problem_add(c->m, mc->type.at, true, NULL,
                        "the table is there, so the type given here does nothing");
    }
    return WEIR_OK;
}

/* WEIR_E_INPUT: a problem was added, the column is left out of what follows. */
weir_rc mig_check_column(mig_checker *c, mig_ptable *t, mig_column *mc, mig_pcol *out,
                         weir_error *err)
{
    mig_attr to = {0};
    uint32_t type = 0;
    const char *what = weir_arena_printf(c->a, "column %s", mc->name.z);
    weir_rc rc = t->dst.found ? target_attr(c, t, mc, &to) : WEIR_OK;
    weir_rc bad = rc;
    rc = mig_check_expr(c, t, &mc->expr, what, &type, err);
    if (rc != WEIR_OK || bad != WEIR_OK) {
        return rc != WEIR_OK ? rc : bad;
    }
    out->name = mc->name.z;
    out->quoted = mig_ident(c->a, mc->name.z);
    out->expr = weir_arena_printf(c->a, "(%s\n)", mc->expr.z);
    out->collate = "";
    take_plain(c, t, mc, out);
    int errors = c->m->nerrors;
    rc = t->dst.found ? check_type(c, t, mc, type, &to, err)
                      : made_type(c, t, mc, out, type, &to, err);
    if (rc == WEIR_OK && !t->dst.found) {
        rc = check_type(c, t, mc, type, &to, err);
    }
    out->type = to.type;
    out->not_null = to.not_null;
    out->canon = canonical(c, out, &to);
    const mig_attr *from = out->plain ? &t->src.cols[out->source_col] : NULL;
    bool same = from && strcmp(from->type, to.type) == 0;
    bool not_null = to.not_null && !(from && from->not_null);
    const char *narrow =
        to.builtin && to.typmod != -1 && !same && to.type_oid != 1042 ? to.type : NULL;
    if (rc == WEIR_OK && c->opts->sample && errors == c->m->nerrors &&
        (not_null || narrow || !out->plain)) {
        rc = sample(c, t, mc, out, not_null, narrow, to.type_oid == 1043, err);
    }
    if (rc == WEIR_OK && c->opts->sample && errors == c->m->nerrors && !to.builtin) {
        rc = mig_check_labels(c, t, mc, out, &to, err);
    }
    return rc;
}
