/* create.c - target tables that are not there, made from the source's catalog; what belongs behind
 * the rows is noted as steps in the same transaction. */
#include "libweir/base/log.h"
#include "migrations/crawler/job.h"

extern const char weir_sql_create_table[];
extern const char weir_sql_create_steps[];

/* Whether the target has the type already. */
static weir_rc type_there(crw *c, const char *name, bool *there, weir_error *err)
{
    const char *params[] = {name};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target, "SELECT to_regtype($1) IS NOT NULL", 1, params, &r, err);
    if (rc == WEIR_OK) {
        *there = weir_pg_valuez(r, 0, 0)[0] == 't';
        weir_pg_rows_free(r);
    }
    return rc;
}

static weir_rc make_table(crw *c, const crw_tab *t, weir_error *err)
{
    const char *ts = t->conf->target_schema ? t->conf->target_schema : t->conf->source_schema;
    const char *params[] = {t->source, t->target};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, weir_sql_create_table, 2, params, &r, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_script(c->target,
                            weir_arena_printf(c->a, "CREATE SCHEMA IF NOT EXISTS %s",
                                              weir_pg_ident(c->a, weir_slice_z(ts))),
                            err);
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        bool there = false;
        if (!weir_pg_isnull(r, i, 1)) {
            rc = type_there(c, weir_pg_valuez(r, i, 1), &there, err);
        }
        if (rc == WEIR_OK && !there) {
            rc = weir_pg_script(c->target, weir_pg_valuez(r, i, 2), err);
        }
        if (rc != WEIR_OK) {
            weir_error_wrap(err,
                            "%s cannot be made in the target (create it there, for instance "
                            "with pg_dump --section=pre-data)",
                            t->target);
        }
    }
    weir_pg_rows_free(r);
    return rc;
}

/* Where a foreign key points to in the target; NULL: to a table that is not there. */
static weir_rc referred(crw *c, const char *ref, const char **out, weir_error *err)
{
    *out = NULL;
    for (size_t i = 0; i < c->ntabs; i++) {
        const char *params[] = {c->tabs[i].source, ref};
        weir_pg_rows *r = NULL;
        weir_rc rc =
            weir_pg_query(c->source, "SELECT $1::regclass = $2::regclass", 2, params, &r, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (weir_pg_valuez(r, 0, 0)[0] == 't') {
            *out = c->tabs[i].target;
        }
        weir_pg_rows_free(r);
    }
    if (*out) {
        return WEIR_OK;
    }
    const char *params[] = {ref};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target, "SELECT to_regclass($1) IS NOT NULL", 1, params, &r, err);
    if (rc == WEIR_OK) {
        *out = weir_pg_valuez(r, 0, 0)[0] == 't' ? weir_arena_strdup(c->a, ref) : NULL;
        weir_pg_rows_free(r);
    }
    return rc;
}

static weir_rc note(crw *c, const crw_tab *t, const char *kind, const char *what,
                    const char *command, weir_error *err)
{
    const char *params[] = {c->own.job, t->id, kind, what, command};
    return weir_pg_query(c->target,
                         "INSERT INTO weir_sync.crawl_step (job, no, tab, kind, what, command) "
                         "SELECT $1, coalesce(max(no), 0) + 1, $2, $3, $4, $5 FROM "
                         "weir_sync.crawl_step WHERE job = $1",
                         5, params, NULL, err);
}

static weir_rc note_steps(crw *c, const crw_tab *t, weir_error *err)
{
    const char *params[] = {t->source, t->target};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, weir_sql_create_steps, 2, params, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        const char *kind = weir_pg_valuez(r, i, 0);
        const char *command = weir_pg_valuez(r, i, 2);
        const char *to = NULL;
        if (!weir_pg_isnull(r, i, 3)) {
            rc = referred(c, weir_pg_valuez(r, i, 3), &to, err);
            if (rc == WEIR_OK && !to) {
                WEIR_WARN("CRW-FOREIGN",
                          "table=\"%s\" constraint=%s left out: %s is not in the target", t->id,
                          weir_pg_valuez(r, i, 1), weir_pg_valuez(r, i, 3));
                continue;
            }
            if (strcmp(kind, "foreign") == 0) {
                command = weir_arena_printf(c->a, "%s%s%s", command, to ? to : "",
                                            weir_pg_valuez(r, i, 4));
            }
        }
        if (rc == WEIR_OK) {
            rc = note(
                c, t, kind,
                weir_arena_printf(c->a, "%s %s of %s", kind, weir_pg_valuez(r, i, 1), t->target),
                command, err);
        }
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc create_one(crw *c, crw_tab *t, weir_error *err)
{
    if (t->conf->ncolumns) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0,
                         "the target has no table %s: create it with the columns of the mapping",
                         t->target);
    }
    if (t->inherits) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0,
                         "the target has no table %s, which inherits or is inherited from: create "
                         "the whole family there first, for instance with pg_dump "
                         "--section=pre-data",
                         t->target);
    }
    if (t->foreign_part) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0,
                         "the target has no table %s, and %s is a partition on another server: "
                         "create it and its partitions there first",
                         t->target, t->foreign_part);
    }
    const char *params[] = {c->own.job, t->id};
    weir_rc rc = weir_pg_script(c->target, "BEGIN", err);
    if (rc == WEIR_OK) {
        rc = make_table(c, t, err);
    }
    if (rc == WEIR_OK) {
        rc = note_steps(c, t, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(c->target,
                           "UPDATE weir_sync.crawl_table SET created = true WHERE job = $1 AND tab "
                           "= $2",
                           2, params, NULL, err);
    }
    weir_error ignored;
    weir_rc end = weir_pg_script(c->target, rc == WEIR_OK ? "COMMIT" : "ROLLBACK",
                                 rc == WEIR_OK ? err : &ignored);
    return rc == WEIR_OK ? end : rc;
}

weir_rc crw_create(crw *c, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < c->ntabs; i++) {
        crw_tab *t = &c->tabs[i];
        if (t->there) {
            continue;
        }
        rc = create_one(c, t, err);
        if (rc == WEIR_OK) {
            t->created = true;
            rc = crw_plan_target(c, t, err);
        }
    }
    return rc;
}
