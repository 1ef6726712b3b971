/* roles.c - what the roles of auth.roles need to execute commands: see control/roles.sql. */
#include "libweir/auth/grant.h"
#include "migrations/deploy/run.h"

static weir_rc report(dep_run *d, const weir_pg_rows *rows, weir_error *err)
{
    int problems = 0;
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        const char *role = weir_pg_valuez(rows, r, 0);
        if (!weir_pg_isnull(rows, r, 1)) {
            dep_add(d->r, DEP_PROBLEM, weir_arena_printf(d->a, "role %s of auth.roles", role), NULL,
                    "%s", weir_pg_valuez(rows, r, 1));
            problems++;
        } else if (weir_pg_i64(rows, r, 2) > 0) {
            dep_add(d->r, DEP_CONTROL, weir_arena_printf(d->a, "role %s", role), NULL,
                    "its commands");
            d->changed = true;
        }
    }
    return problems == 0 ? WEIR_OK
                         : weir_fail(err, WEIR_E_STATE, 0, "%d role%s of auth.roles cannot be used",
                                     problems, problems == 1 ? "" : "s");
}

weir_rc dep_roles_apply(dep_run *d, weir_error *err)
{
    weir_grants roles;
    weir_buf list;
    weir_pg_rows *rows = NULL;
    weir_buf_init(&list, 64 << 10);
    weir_buf_putz(&list, "{");
    weir_rc rc = weir_grants_roles(&roles, d->s->auth_roles, d->a, err);
    for (size_t i = 0; rc == WEIR_OK && i < roles.n; i++) {
        weir_buf_printf(&list, "%s%s", i ? "," : "", roles.g[i].right);
    }
    weir_buf_putz(&list, "}");
    weir_buf_u8(&list, 0);
    if (rc == WEIR_OK) {
        const char *params[] = {list.failed ? "{}" : list.p};
        rc = weir_pg_query(d->pg,
                           "SELECT as_role, problem, coalesce(changed, 0) FROM "
                           "weir.deploy_roles($1::text[])",
                           1, params, &rows, err);
    }
    rc = rc == WEIR_OK ? report(d, rows, err) : rc;
    weir_pg_rows_free(rows);
    weir_buf_fini(&list);
    return rc;
}
