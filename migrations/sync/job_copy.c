/* job_copy.c - subscription, copy, position: in this order, each durable before the next. */
#include "migrations/sync/job_copy.h"

#include <inttypes.h>
#include <stdio.h>

#include "libweir/base/log.h"
#include "migrations/sync/apply.h"
#include "migrations/sync/source.h"

extern const char weir_sql_tombstones[];

static weir_rc open_target(const sync_begin *b, weir_pg **pg, weir_error *err)
{
    weir_pg_conf conf = {
        .uri = b->target_uri, .application_name = "weir-sync begin", .wait_max_ms = 600000};
    weir_rc rc = weir_pg_open(pg, &conf, err);
    rc = rc == WEIR_OK ? sync_schema(*pg, err) : rc;
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the database flow %s writes to", b->flow);
    }
    return rc;
}

/* Two ways: deletes leave a note, so that a later change of the other side finds out. */
static weir_rc note_deletes(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    sync_name *names = NULL;
    size_t n = 0;
    weir_rc rc = b->conf->both ? sync_conf_resolve(b->conf, a, &names, &n, err) : WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < n; i++) {
        const sync_table_conf *t =
            sync_conf_table(b->conf, weir_slice_z(names[i].schema), weir_slice_z(names[i].name));
        bool there = b->target_uri == b->conf->target.uri;
        const char *params[] = {t && there ? t->to_schema : names[i].schema,
                                t && there ? t->to_name : names[i].name};
        weir_pg_rows *rows = NULL;
        rc = weir_pg_query(pg, weir_sql_tombstones, 2, params, &rows, err);
        if (rc == WEIR_OK && weir_pg_nrows(rows) == 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "table %s.%s: two ways need the table on both sides, with a primary key",
                           params[0], params[1]);
        } else if (rc == WEIR_OK && weir_pg_valuez(rows, 0, 1)[0] != 't') {
            rc = weir_pg_script(pg, weir_pg_valuez(rows, 0, 0), err);
        }
        weir_pg_rows_free(rows);
    }
    weir_arena_free(a);
    return rc;
}

/* The first place: durable as a subscription at the bridge, then in the target. */
static weir_rc subscribe(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    sync_source *s = NULL;
    weir_cursor at = {0, 0};
    sync_source_conf conf = {.feed = b->feed, .name = b->subscription};
    weir_rc rc = sync_source_open(&s, &conf, err);
    rc = rc == WEIR_OK ? sync_source_start(s, NULL, 10000, &at, err) : rc;
    if (rc == WEIR_OK) {
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_INFO("SYNC-BEGIN", "flow=%s position=%s", b->flow, weir_lsn_print(at.lsn, lsn));
        rc = sync_position_begin(pg, b->flow, at, 0, sync_source_system_id(s), err);
    }
    sync_source_close(s);
    return rc;
}

static weir_rc begin(const sync_begin *b, weir_pg *pg, weir_error *err)
{
    bool known = false;
    weir_cursor at;
    weir_rc rc = note_deletes(b, pg, err);
    rc = rc == WEIR_OK ? sync_position_get(pg, b->flow, &known, &at, err) : rc;
    if (rc == WEIR_OK && !known) {
        rc = subscribe(b, pg, err);
    }
    return rc;
}

weir_rc sync_begin_flow(const sync_begin *b, weir_error *err)
{
    weir_pg *pg = NULL;
    weir_rc rc = open_target(b, &pg, err);
    if (rc == WEIR_OK) {
        rc = begin(b, pg, err);
    }
    weir_pg_close(pg);
    return rc;
}
