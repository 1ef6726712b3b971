/* verify.c - one comparison from the model's text to the counts. */
#include "projector/verify/verify.h"

#include <stdlib.h>

#include "libweir/codec/lsn.h"
#include "projector/sql/compile.h"

enum { REACH_MS = 60000 };

static weir_rc compile(weir_verify *v, const char *name, weir_slice source, weir_error *err)
{
    weir_diags ds;
    weir_model_src src;
    weir_catalog cat;
    weir_plan *plan = NULL;
    weir_diags_init(&ds, v->a);
    weir_catalog_pg_init(&cat, v->pg, NULL, v->a);
    weir_rc rc = weir_model_parse(source, name, v->a, &src, &ds);
    rc = rc == WEIR_OK ? weir_plan_compile(&src, &cat, v->a, &plan, &ds, err) : rc;
    if (rc != WEIR_OK && ds.n > 0) {
        rc = weir_fail(err, rc, 0, "%s does not compile any more: %s; see weir check", name,
                       ds.d[0].msg);
    }
    if (rc == WEIR_OK && plan->nkey > WEIR_VERIFY_KEY_COLUMNS_MAX) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "%s has more than %d key columns", name,
                       WEIR_VERIFY_KEY_COLUMNS_MAX);
    }
    v->plan = plan;
    return rc;
}

/* A table that was filled a moment ago has no statistics yet, and a nested SELECT planned without
 * them can take minutes for what takes a second. Whether it may be analysed is not our business: a
 * refusal is no failure. */
static void analyze_new_tables(weir_verify *v)
{
    for (int i = 0; i < v->plan->ntables; i++) {
        const weir_plan_table *t = &v->plan->tables[i];
        weir_error ignored;
        weir_pg_rows *r = NULL;
        const char *name = weir_arena_printf(v->a, "%s.%s", weir_pg_ident(v->a, t->schema),
                                             weir_pg_ident(v->a, t->name));
        const char *never = "SELECT 1 FROM pg_class WHERE oid = to_regclass($1) AND reltuples < 0";
        bool needed =
            weir_pg_query(v->pg, never, 1, &name, &r, &ignored) == WEIR_OK && weir_pg_nrows(r) == 1;
        weir_pg_rows_free(r);
        if (needed && weir_pg_query(v->pg, weir_arena_printf(v->a, "ANALYZE %s", name), 0, NULL,
                                    NULL, &ignored) != WEIR_OK) {
            continue;
        }
    }
}

static weir_rc current_position(weir_verify *v, uint64_t *lsn, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(v->pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, &r, err);
    if (rc == WEIR_OK && !weir_lsn_parse(weir_pg_value(r, 0, 0), lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "PostgreSQL gave no position");
    }
    weir_pg_rows_free(r);
    return rc;
}

weir_rc weir_verify_begin(weir_verify *v, const char *model, weir_slice source, weir_error *err)
{
    v->a = weir_arena_new(0);
    v->suspects = weir_map_new();
    v->documents = v->missing = v->different = v->left_over = 0;
    v->hashes = NULL;
    v->nhashes = v->cap = 0;
    v->nshown = 0;
    return compile(v, model, source, err);
}

weir_rc weir_verify_run(weir_verify *v, weir_error *err)
{
    uint64_t lsn = 0;
    analyze_new_tables(v);
    weir_rc rc = current_position(v, &lsn, err);
    rc = rc == WEIR_OK ? weir_verify_reach(v, lsn, REACH_MS, err) : rc;
    rc = rc == WEIR_OK ? weir_verify_first(v, err) : rc;
    return rc == WEIR_OK ? weir_verify_recheck(v, err) : rc;
}

void weir_verify_end(weir_verify *v)
{
    weir_map_free(v->suspects);
    weir_arena_free(v->a);
    free(v->hashes);
    v->suspects = NULL;
    v->a = NULL;
    v->hashes = NULL;
}

weir_rc weir_verify_stopped(const weir_verify *v, weir_error *err)
{
    return v->stop && v->stop(v->arg)
               ? weir_fail(err, WEIR_E_STATE, 0, "the comparison was stopped")
               : WEIR_OK;
}
