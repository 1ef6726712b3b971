/* step.c - what is built in the target after the rows: noted when tables are created, done once. */
#include <stdio.h>

#include "libweir/base/log.h"
#include "migrations/crawler/job.h"

/* The step and the note that it is done are one transaction: a killed job finds it undone or done.
 */
static weir_rc one_step(crw *c, weir_pg *target, const char *no, const char *what,
                        const char *command, weir_error *err)
{
    const char *params[] = {c->own.job, no};
    weir_rc rc = weir_pg_script(target, "BEGIN", err);
    if (rc == WEIR_OK) {
        rc = weir_pg_script(target, command, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(target,
                           "UPDATE weir_sync.crawl_step SET done_at = clock_timestamp() WHERE job "
                           "= $1 AND no = $2::int",
                           2, params, NULL, err);
    }
    if (rc == WEIR_OK) {
        return weir_pg_script(target, "COMMIT", err);
    }
    weir_error ignored;
    weir_rc back = weir_pg_script(target, "ROLLBACK", &ignored);
    (void)back; /* a connection lost here is seen by its next user */
    weir_error_wrap(err, "%s", what);
    return rc;
}

weir_rc crw_steps_key(crw *c, weir_pg *target, crw_tab *t, weir_error *err)
{
    const char *params[] = {c->own.job, t->id};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(target,
                               "SELECT no, what, command FROM weir_sync.crawl_step WHERE job = $1 "
                               "AND tab = $2 AND kind = 'key' AND done_at IS NULL ORDER BY no",
                               2, params, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = one_step(c, target, weir_pg_valuez(r, i, 0), weir_pg_valuez(r, i, 1),
                      weir_pg_valuez(r, i, 2), err);
    }
    weir_pg_rows_free(r);
    return rc;
}
