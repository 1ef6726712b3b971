/* apply_session.c - the connection to the target: who we are there, and where we stopped. */
#include "libweir/base/log.h"
#include "libweir/codec/lsn.h"
#include "libweir/io/pg_lock.h"
#include "migrations/sync/apply_priv.h"

enum { LOCK_WAIT_MS = 2000 };

static weir_rc lock_flow(sync_apply *s, weir_error *err)
{
    const weir_pg_lock_conf conf = {"weir_sync", s->conf.flow, LOCK_WAIT_MS, NULL, NULL};
    weir_rc rc = weir_pg_lock(s->x.pg, &conf, err);
    return rc == WEIR_E_CONFLICT
               ? weir_fail(err, rc, WEIR_EF_RETRY,
                           "another weir-sync writes flow %s into this target", s->conf.flow)
               : rc;
}

static weir_rc setup_session(sync_apply *s, weir_error *err)
{
    weir_error denied;
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(s->x.pg, "SELECT current_setting('track_commit_timestamp') = 'on'",
                               0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    s->tracked = weir_pg_valuez(rows, 0, 0)[0] == 't';
    weir_pg_rows_free(rows);
    if (weir_pg_query(s->x.pg, "SET session_replication_role = replica", 0, NULL, NULL, &denied) !=
        WEIR_OK) {
        WEIR_WARN(
            "SYNC-TRIGGERS-FIRE",
            "flow=%s the target's triggers and foreign keys act on what is applied: GRANT SET "
            "ON PARAMETER session_replication_role to its user to have them quiet",
            s->conf.flow);
    }
    if (!s->conf.origin) {
        return WEIR_OK;
    }
    if (!s->tracked) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "conflicts are decided by commit times: ALTER SYSTEM SET "
                         "track_commit_timestamp = on and restart the database flow %s writes to",
                         s->conf.flow);
    }
    const char *params[] = {s->conf.origin};
    rc = weir_pg_query(s->x.pg,
                       "SELECT CASE WHEN EXISTS (SELECT FROM pg_replication_origin WHERE roname = "
                       "$1) THEN 0 ELSE pg_replication_origin_create($1) END",
                       1, params, NULL, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(s->x.pg, "SELECT pg_replication_origin_session_setup($1)", 1, params,
                           NULL, err);
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err,
                        "replication origin %s (superuser, or GRANT EXECUTE on the "
                        "pg_replication_origin functions)",
                        s->conf.origin);
        if (strcmp(err->sqlstate, "55006") == 0) {
            err->flags |= WEIR_EF_RETRY; /* the old session is about to end */
        }
        return rc;
    }
    s->have_origin = true;
    rc = weir_pg_query(s->x.pg, "SELECT roident FROM pg_replication_origin WHERE roname = $1", 1,
                       params, &rows, err);
    s->origin_id = rc == WEIR_OK ? weir_pg_i64(rows, 0, 0) : 0;
    if (rc == WEIR_OK) {
        weir_pg_rows_free(rows);
    }
    return rc;
}

static weir_rc read_position(sync_apply *s, bool *known, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    const char *params[] = {s->conf.flow};
    weir_rc rc = weir_pg_query(s->x.pg,
                               "SELECT lsn, sub, system_id, loose_until - '0/0'::pg_lsn, seen_us, "
                               "r FROM weir_sync.position "
                               "LEFT JOIN LATERAL unnest(recent) r ON true WHERE flow = $1",
                               1, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    *known = weir_pg_nrows(rows) > 0;
    int64_t floor_us = 0;
    if (*known) {
        (void)weir_lsn_parse(weir_pg_value(rows, 0, 0), &s->committed.lsn);
        s->committed.sub = (uint32_t)weir_pg_i64(rows, 0, 1);
        s->loose_until = (uint64_t)weir_pg_i64(rows, 0, 3);
        floor_us = weir_pg_i64(rows, 0, 4);
        const char *id = weir_pg_valuez(rows, 0, 2);
        if (s->conf.system_id && id[0] && strcmp(id, s->conf.system_id) != 0) {
            rc = weir_fail(err, WEIR_E_STATE, 0,
                           "flow %s was begun from another database cluster (system id %s, now %s)",
                           s->conf.flow, id, s->conf.system_id);
        }
    }
    s->place = s->committed;
    sync_seen_fini(&s->seen);
    sync_seen_init(&s->seen, floor_us);
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        if (!weir_pg_isnull(rows, i, 5)) {
            sync_seen_add(&s->seen, weir_pg_i64(rows, i, 5));
        }
    }
    weir_pg_rows_free(rows);
    return rc;
}

weir_rc sync_apply_connect(sync_apply *s, bool *known, weir_error *err)
{
    weir_pg_conf pc = {.uri = s->conf.uri,
                       .application_name =
                           weir_arena_printf(s->maps_arena, "weir-sync %s", s->conf.flow),
                       .wait_max_ms = 600000};
    weir_rc rc = weir_pg_open(&s->x.pg, &pc, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "the target");
        return rc;
    }
    rc = sync_schema(s->x.pg, err);
    rc = rc == WEIR_OK ? lock_flow(s, err) : rc;
    rc = rc == WEIR_OK ? setup_session(s, err) : rc;
    return rc == WEIR_OK ? read_position(s, known, err) : rc;
}
