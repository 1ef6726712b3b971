/* sequence.c - read fresh from the source, set in the target. */
#include "migrations/migrate/sequence.h"

#include <stdio.h>

/* The sequence of a column as text, "" when there is none. */
static weir_rc sequence_of(weir_pg *pg, weir_arena *a, const char *table, const char *column,
                           const char **out, weir_error *err)
{
    const char *params[] = {table, column};
    weir_pg_rows *r = NULL;
    *out = "";
    weir_rc rc = weir_pg_query(pg, "SELECT pg_get_serial_sequence($1, $2)", 2, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 1) {
        *out = weir_arena_strdup(a, weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    return rc;
}

/* to: the target's sequence; from: the source's, or ""; filled: an expression over the target for
 * the largest value there is, or NULL. */
static weir_rc set_one(mig_session *s, weir_arena *a, const char *to, const char *from,
                       const char *filled, weir_buf *out, weir_error *err)
{
    const char *last = "", *now = "";
    weir_rc rc = WEIR_OK;
    if (from[0]) {
        rc = mig_value(s->source, a,
                       weir_arena_printf(a, "SELECT last_value FROM %s WHERE is_called", from),
                       NULL, &last, err);
    }
    const char *sql = weir_arena_printf(
        a,
        "SELECT setval(%s::regclass, CASE WHEN q.seqincrement > 0 THEN least(greatest(coalesce(%s, "
        "%s, q.seqstart)::numeric, coalesce(%s, %s, q.seqstart)::numeric) + %lld * q.seqincrement, "
        "q.seqmax) ELSE greatest(least(coalesce(%s, %s, q.seqstart)::numeric, coalesce(%s, %s, "
        "q.seqstart)::numeric) + %lld * q.seqincrement, q.seqmin) END::bigint, true) FROM "
        "pg_sequence q WHERE q.seqrelid = %s::regclass",
        weir_pg_literal(a, weir_slice_z(to)), last[0] ? last : "NULL::bigint",
        filled ? filled : "NULL::bigint", filled ? filled : "NULL::bigint",
        last[0] ? last : "NULL::bigint", (long long)s->m->sequence_margin,
        last[0] ? last : "NULL::bigint", filled ? filled : "NULL::bigint",
        filled ? filled : "NULL::bigint", last[0] ? last : "NULL::bigint",
        (long long)s->m->sequence_margin, weir_pg_literal(a, weir_slice_z(to)));
    rc = rc == WEIR_OK ? mig_value(s->target, a, sql, NULL, &now, err) : rc;
    if (rc == WEIR_OK && out) {
        weir_buf_printf(out, "  sequence %s = %s%s%s%s\n", to, now, from[0] ? " (source " : "",
                        from[0] ? (last[0] ? last : "not used yet") : "", from[0] ? ")" : "");
    }
    return rc;
}

weir_rc mig_sequences_set(mig_session *s, int *n, weir_buf *out, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    weir_arena *a = weir_arena_new(0);
    *n = 0;
    for (int i = 0; i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        for (int k = 0; rc == WEIR_OK && k < t->ncols; k++) {
            const mig_pcol *c = &t->cols[k];
            const char *to = "", *from = "";
            rc = sequence_of(s->target, a, t->dst_sql, c->name, &to, err);
            if (rc != WEIR_OK || !to[0]) {
                continue;
            }
            if (c->plain) {
                rc = sequence_of(s->source, a, t->src_sql, t->src.cols[c->source_col].name, &from,
                                 err);
            }
            bool up = true;
            const char *step = "";
            rc = rc == WEIR_OK ? mig_value(s->target, a,
                                           "SELECT seqincrement FROM pg_sequence WHERE seqrelid = "
                                           "$1::regclass",
                                           to, &step, err)
                               : rc;
            up = step[0] != '-';
            const char *filled = weir_arena_printf(a, "(SELECT %s(%s)::bigint FROM %s)",
                                                   up ? "max" : "min", c->quoted, t->dst_sql);
            rc = rc == WEIR_OK ? set_one(s, a, to, from, filled, out, err) : rc;
            *n += rc == WEIR_OK;
        }
    }
    for (int i = 0; rc == WEIR_OK && i < s->m->nsequences; i++) {
        const mig_sequence *q = &s->m->sequences[i];
        rc = set_one(s, a, q->target.z, q->source.z, NULL, out, err);
        *n += rc == WEIR_OK;
    }
    weir_arena_free(a);
    return rc;
}
