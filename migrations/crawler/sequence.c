/* sequence.c - at cut-over the target's sequences go on where the source's are, with a margin. */
#include <inttypes.h>
#include <stdio.h>

#include "migrations/crawler/job.h"

/* name, owner's schema, table and column ('' without), value, whether it was ever called, step */
static const char sequences_sql[] =
    "SELECT format('%I.%I', q.schemaname, q.sequencename), coalesce(n.nspname, ''),"
    " coalesce(c.relname, ''), coalesce(a.attname, ''), coalesce(q.last_value, q.start_value),"
    " q.increment_by FROM pg_sequences q"
    " JOIN pg_namespace sn ON sn.nspname = q.schemaname"
    " JOIN pg_class s ON s.relnamespace = sn.oid AND s.relname = q.sequencename"
    " LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.deptype "
    "IN"
    " ('a', 'i') AND d.refclassid = 'pg_class'::regclass"
    " LEFT JOIN pg_class c ON c.oid = d.refobjid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid"
    " WHERE q.schemaname NOT IN ('weir', 'weir_sync')";

/* Never backwards: somebody may have used the target already. */
static const char set_sql[] =
    "SELECT setval($1::regclass, CASE WHEN q.increment_by > 0"
    " THEN least(greatest($2::numeric + $3::numeric * q.increment_by, coalesce(q.last_value, "
    "q.min_value)), q.max_value)"
    " ELSE greatest(least($2::numeric + $3::numeric * q.increment_by, coalesce(q.last_value, "
    "q.max_value)), q.min_value) END::bigint)"
    " FROM pg_sequences q WHERE format('%I.%I', q.schemaname, q.sequencename)::regclass = "
    "$1::regclass";

/* The target's column that holds what the source's column held; NULL: none. */
static const char *column_for(const crw_table *f, const char *column)
{
    for (size_t i = 0; i < f->ncolumns; i++) {
        const char *from = f->columns[i].expr ? f->columns[i].expr : f->columns[i].name;
        if (strcmp(from, column) == 0) {
            return f->columns[i].name;
        }
    }
    return f->ncolumns ? NULL : column;
}

static weir_rc text_of(crw *c, const char *sql, int n, const char *const *params, const char **out,
                       weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->target, sql, n, params, &r, err);
    *out = NULL;
    if (rc == WEIR_OK) {
        *out = weir_pg_isnull(r, 0, 0) ? NULL : weir_arena_dupz(c->a, weir_pg_value(r, 0, 0));
        weir_pg_rows_free(r);
    }
    return rc;
}

/* The target's sequence for row i of the source's; NULL: it has none. */
static weir_rc counterpart(crw *c, const weir_pg_rows *r, int i, const char **out, weir_error *err)
{
    *out = NULL;
    for (size_t k = 0; k < c->ntabs; k++) {
        const crw_tab *t = &c->tabs[k];
        if (strcmp(t->conf->source_schema, weir_pg_valuez(r, i, 1)) != 0 ||
            strcmp(t->conf->source_name, weir_pg_valuez(r, i, 2)) != 0) {
            continue;
        }
        const char *column = column_for(t->conf, weir_pg_valuez(r, i, 3));
        if (column) {
            const char *params[] = {t->target, column};
            weir_rc rc =
                text_of(c,
                        "SELECT pg_get_serial_sequence($1, attname) FROM pg_attribute WHERE "
                        "attrelid = $1::regclass AND attname = $2 AND NOT attisdropped",
                        2, params, out, err);
            if (rc != WEIR_OK || *out) {
                return rc;
            }
        }
    }
    const char *params[] = {weir_pg_valuez(r, i, 0)};
    return text_of(c, "SELECT $1 FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'S'", 1,
                   params, out, err);
}

weir_rc crw_sequences(crw *c, int64_t margin, int *n, weir_error *err)
{
    char steps[24];
    int count = 0;
    weir_pg_rows *r = NULL;
    (void)snprintf(steps, sizeof steps, "%" PRId64, margin);
    weir_rc rc = crw_source_open(c, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(c->source, sequences_sql, 0, NULL, &r, err);
    }
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        const char *to = NULL;
        rc = counterpart(c, r, i, &to, err);
        if (rc == WEIR_OK && to) {
            const char *params[] = {to, weir_pg_valuez(r, i, 4), steps};
            rc = weir_pg_query(c->target, set_sql, 3, params, NULL, err);
            count++;
        }
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "sequence %s", weir_pg_valuez(r, i, 0));
        }
    }
    weir_pg_rows_free(r);
    if (n) {
        *n = count;
    }
    return rc;
}
