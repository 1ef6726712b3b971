/* position.c - the schema weir_sync and the positions in it. */
#include <inttypes.h>
#include <stdio.h>

#include "migrations/crawler/crawler.h"
#include "migrations/sync/apply.h"

extern const char weir_sql_sync_schema[];

weir_rc sync_schema(weir_pg *target, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    /* Each in its newest form; an older version made the others. */
    weir_rc rc = weir_pg_query(target,
                               "SELECT to_regclass('weir_sync.position') IS NOT NULL AND "
                               "to_regclass('weir_sync.decision') IS NOT NULL AND EXISTS (SELECT "
                               "FROM pg_attribute WHERE attrelid = to_regclass('weir_sync."
                               "position') AND attname = 'recent') AND EXISTS (SELECT FROM pg_proc "
                               "WHERE oid = to_regproc('weir_sync.note_delete') AND 'bytea_output="
                               "hex' = ANY (proconfig))",
                               0, NULL, &rows, err);
    bool there = rc == WEIR_OK && weir_pg_valuez(rows, 0, 0)[0] == 't';
    weir_pg_rows_free(rows);
    if (rc != WEIR_OK || there) {
        return rc;
    }
    return crw_schema_part(target, weir_sql_sync_schema, err);
}

weir_rc sync_position_begin(weir_pg *target, const char *flow, weir_cursor at, uint64_t loose_until,
                            const char *system_id, weir_error *err)
{
    char lsn[WEIR_LSN_TEXT_MAX];
    char loose[WEIR_LSN_TEXT_MAX];
    char sub[24];
    (void)snprintf(sub, sizeof sub, "%u", at.sub);
    const char *params[] = {flow, weir_lsn_print(at.lsn, lsn), sub,
                            weir_lsn_print(loose_until, loose), system_id};
    return weir_pg_query(
        target,
        "INSERT INTO weir_sync.position (flow, lsn, sub, loose_until, system_id, seen_us) VALUES "
        "($1, $2::pg_lsn, $3::bigint, $4::pg_lsn, $5, (extract(epoch FROM clock_timestamp()) * "
        "1000000)::bigint - 946684800000000) ON CONFLICT (flow) DO NOTHING",
        5, params, NULL, err);
}

weir_rc sync_position_get(weir_pg *target, const char *flow, bool *known, weir_cursor *at,
                          weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {flow};
    weir_rc rc = weir_pg_query(target, "SELECT lsn, sub FROM weir_sync.position WHERE flow = $1", 1,
                               params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    *known = weir_pg_nrows(rows) > 0;
    if (*known) {
        (void)weir_lsn_parse(weir_pg_value(rows, 0, 0), &at->lsn);
        at->sub = (uint32_t)weir_pg_i64(rows, 0, 1);
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

/* The triggers that note deletes, on the flow's tables. */
static weir_rc drop_triggers(weir_pg *target, const char *flow, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {flow};
    weir_rc rc = weir_pg_query(
        target,
        "SELECT format('DROP TRIGGER %I ON %s', g.tgname, f.here) FROM weir_sync.flow_table f JOIN "
        "pg_trigger g ON g.tgrelid = to_regclass(f.here) WHERE f.flow = $1 AND g.tgname IN "
        "('weir_sync_delete', 'weir_sync_move', 'weir_sync_truncate')",
        1, params, &rows, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(rows); i++) {
        rc = weir_pg_script(target, weir_pg_valuez(rows, i, 0), err);
    }
    weir_pg_rows_free(rows);
    return rc;
}

static weir_rc forget_rows(weir_pg *target, const char *flow, weir_error *err)
{
    static const char *const tables[] = {"decision", "flow_table", "position"};
    const char *params[] = {flow};
    char sql[100];
    weir_rc rc = drop_triggers(target, flow, err);
    for (size_t i = 0; rc == WEIR_OK && i < sizeof tables / sizeof *tables; i++) {
        (void)snprintf(sql, sizeof sql, "DELETE FROM weir_sync.%s WHERE flow = $1", tables[i]);
        rc = weir_pg_query(target, sql, 1, params, NULL, err);
    }
    return rc;
}

weir_rc sync_flow_forget(const char *uri, const char *flow, weir_error *err)
{
    weir_pg *target = NULL;
    weir_pg_conf conf = {.uri = uri, .application_name = "weir"};
    weir_rc rc = weir_pg_open(&target, &conf, err);
    rc = rc == WEIR_OK ? sync_schema(target, err) : rc;
    rc = rc == WEIR_OK ? forget_rows(target, flow, err) : rc;
    weir_pg_close(target);
    /* Tables that count as copied would not be copied again, and lack what came meanwhile. */
    return rc == WEIR_OK ? crw_forget(uri, flow, err) : rc;
}
