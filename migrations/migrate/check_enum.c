/* check_enum.c - do the source's values have a label in the target's enum? */
#include "migrations/migrate/plan.h"

enum { SAMPLE_ROWS = 100000 };

weir_rc mig_check_labels(mig_checker *c, const mig_ptable *t, const mig_column *mc,
                         const mig_pcol *col, const mig_attr *to, weir_error *err)
{
    const char *labels = "";
    weir_rc rc = mig_value(c->target, c->a,
                           "SELECT string_agg(quote_literal(enumlabel), ', ') FROM pg_enum WHERE "
                           "enumtypid = $1::oid",
                           weir_arena_printf(c->a, "%u", to->type_oid), &labels, err);
    if (rc != WEIR_OK || !labels[0]) {
        return rc;
    }
    const char *sql = weir_arena_printf(
        c->a,
        "SELECT count(*), count(*) FILTER (WHERE v NOT IN (%s)), min(v) FILTER (WHERE v NOT IN "
        "(%s)) FROM (SELECT %s::text COLLATE \"C\" AS v FROM %s WHERE (%s\n) LIMIT %d) s",
        labels, labels, col->expr, t->src_from, t->map->where.z ? t->map->where.z : "TRUE",
        SAMPLE_ROWS);
    weir_pg_rows *r = NULL;
    rc = weir_pg_query(c->source, sql, 0, NULL, &r, err);
    if (rc == WEIR_OK && weir_pg_i64(r, 0, 1) > 0) {
        mig_problem_add(c->m, mc->expr.at, true,
                        "they would become rejects: say with CASE what becomes of them",
                        "column %s has no label of %s in %lld of %lld rows looked at, '%s' for "
                        "example",
                        mc->name.z, to->type, (long long)weir_pg_i64(r, 0, 1),
                        (long long)weir_pg_i64(r, 0, 0), weir_pg_valuez(r, 0, 2));
    }
    weir_pg_rows_free(r);
    /* what cannot be evaluated is told elsewhere */
    return rc != WEIR_OK && weir_pg_ok(c->source) ? WEIR_OK : rc;
}
