/* schema.c - schema weir_sync in the target: our part of it, and how each part is made. */
#include "migrations/crawler/crawler.h"

extern const char weir_sql_base_schema[];
extern const char weir_sql_crawl_schema[];

/* Two programs may start at once; CREATE … IF NOT EXISTS alone does not survive that. */
weir_rc crw_schema_part(weir_pg *target, const char *sql, weir_error *err)
{
    weir_error ignored;
    weir_rc rc = weir_pg_script(
        target, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('weir_sync', 0))", err);
    rc = rc == WEIR_OK ? weir_pg_script(target, weir_sql_base_schema, err) : rc;
    rc = rc == WEIR_OK ? weir_pg_script(target, sql, err) : rc;
    if (rc == WEIR_OK) {
        return weir_pg_script(target, "COMMIT", err);
    }
    weir_error_wrap(err, "schema weir_sync in the target");
    weir_rc back = weir_pg_script(target, "ROLLBACK", &ignored);
    (void)back; /* the connection's next user sees a lost one */
    return rc;
}

weir_rc crw_schema(weir_pg *target, weir_error *err)
{
    return crw_schema_part(target, weir_sql_crawl_schema, err);
}
