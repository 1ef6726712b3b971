/* conn.c - a lane's connection: opened, known, asked about the past. */
#include "write-service/conn.h"

#include <inttypes.h>
#include <stdio.h>

enum { CONNECT_MAX_MS = 2000, ANSWER_SLACK_MS = 5000 };

static void copy_z(char *dst, size_t size, weir_slice s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    memcpy(dst, s.p, n);
    dst[n] = '\0';
}

#define FLUSHED  "SELECT pg_current_wal_flush_lsn()::text"
#define INSERTED "SELECT pg_current_wal_insert_lsn()::text"
#define UNLOCK   ", pg_advisory_unlock_all()"
/* Each of these costs about a microsecond where there is nothing. */
#define LEFT(more)                                                                                 \
    "SELECT concat_ws(', ', CASE WHEN current_user || ' ' || session_user <> $1 THEN 'another "    \
    "role' "                                                                                       \
    "END, CASE WHEN pg_my_temp_schema() <> 0 AND EXISTS (SELECT FROM pg_depend WHERE refclassid "  \
    "= 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema()) THEN 'temporary tables' "      \
    "END, CASE WHEN EXISTS (SELECT FROM pg_listening_channels()) THEN 'LISTEN' END, CASE WHEN "    \
    "EXISTS (SELECT FROM pg_cursors WHERE is_holdable) THEN 'a cursor' END" more ")"
#define PREPARED                                                                                   \
    ", CASE WHEN EXISTS (SELECT FROM pg_prepared_statements WHERE from_sql) THEN 'a prepared "     \
    "statement' END"

static const char *position_sql(const wsvc_conn *c)
{
    return c->async_commit ? INSERTED : FLUSHED;
}

const char *wsvc_conn_end_sql(const wsvc_conn *c)
{
    return c->async_commit ? INSERTED UNLOCK : FLUSHED UNLOCK;
}

const char *wsvc_conn_left_sql(bool thorough)
{
    return thorough ? LEFT(PREPARED) : LEFT("");
}

static weir_rc learn(wsvc_conn *c, weir_error *err)
{
    static const char sql[] =
        "SELECT current_setting('synchronous_commit') = 'off', pg_current_wal_flush_lsn()::text,"
        " (pg_control_system()).system_identifier::text, "
        "(pg_control_checkpoint()).timeline_id::text, current_user || ' ' || session_user";
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(c->pg, sql, 0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (weir_pg_nrows(rows) == 1 && weir_pg_ncols(rows) == 5) {
        c->async_commit = weir_slice_eqz(weir_pg_value(rows, 0, 0), "t");
        copy_z(c->history.floor_lsn, sizeof c->history.floor_lsn, weir_pg_value(rows, 0, 1));
        copy_z(c->history.system_id, sizeof c->history.system_id, weir_pg_value(rows, 0, 2));
        copy_z(c->history.timeline, sizeof c->history.timeline, weir_pg_value(rows, 0, 3));
        copy_z(c->roles, sizeof c->roles, weir_pg_value(rows, 0, 4));
    } else {
        rc = weir_fail(err, WEIR_E_PROTO, 0,
                       "PostgreSQL answered a question about itself with something else");
    }
    weir_pg_rows_free(rows);
    return rc;
}

weir_rc wsvc_conn_open(wsvc_conn *c, const wsvc_conn_conf *conf, weir_error *err)
{
    char options[256];
    /* The last one ends what a lane that was stopped in the middle of a transaction would leave
     * behind. */
    (void)snprintf(options, sizeof options,
                   "-c statement_timeout=%" PRId64 " -c lock_timeout=%" PRId64
                   " -c idle_in_transaction_session_timeout=%" PRId64,
                   conf->statement_timeout_ms, conf->lock_timeout_ms,
                   conf->statement_timeout_ms + ANSWER_SLACK_MS);
    weir_pg_conf pc = {.uri = conf->uri,
                       .application_name = conf->application_name,
                       .connect_timeout_ms = CONNECT_MAX_MS,
                       .wait_max_ms = conf->statement_timeout_ms + ANSWER_SLACK_MS,
                       .options = options};
    memset(c, 0, sizeof *c);
    weir_rc rc = weir_pg_open(&c->pg, &pc, err);
    if (rc == WEIR_OK) {
        rc = learn(c, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_pipe_enter(c->pg, err);
    }
    if (rc != WEIR_OK) {
        wsvc_conn_close(c);
    }
    return rc;
}

void wsvc_conn_close(wsvc_conn *c)
{
    weir_pg_close(c->pg);
    c->pg = NULL;
}

/* A crash recovery ends with a checkpoint. If there was none at or behind the floor there was no
 * crash since; if the last one already counted past our id, the id was seen in the WAL that was
 * recovered and is still ours. If it did not, and was such a checkpoint (nothing lies between its
 * redo point and itself), our id was forgotten with all we did. */
static const char ask_sql[] =
    "SELECT pg_xact_status($1::text::xid8), s.system_identifier::text = $2,"
    " c.timeline_id::text = $3 AND (c.checkpoint_lsn < $4::text::pg_lsn OR x.next > "
    "$1::text::numeric),"
    " c.timeline_id::text = $3 AND c.checkpoint_lsn >= $4::text::pg_lsn AND x.next <= "
    "$1::text::numeric"
    "  AND c.redo_lsn = c.checkpoint_lsn"
    " FROM pg_control_system() s, pg_control_checkpoint() c,"
    " LATERAL (SELECT split_part(c.next_xid, ':', 1)::numeric * 4294967296 + "
    "split_part(c.next_xid, ':', 2)::numeric) x(next)";

static weir_rc ask(wsvc_conn *c, const char *xid, const wsvc_history *before, wsvc_fate *fate,
                   weir_error *err)
{
    const char *params[] = {xid, before->system_id, before->timeline, before->floor_lsn};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(c->pg, ask_sql, 4, params, &rows, err);
    if (rc != WEIR_OK && strcmp(err->sqlstate, "22023") == 0) {
        /* "transaction ID … is in the future" */
        *fate = wsvc_fate_judge("future", strcmp(before->system_id, c->history.system_id) == 0,
                                true, false);
        return WEIR_OK;
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (weir_pg_nrows(rows) == 1 && weir_pg_ncols(rows) == 4) {
        const char *status = weir_pg_isnull(rows, 0, 0) ? NULL : weir_pg_valuez(rows, 0, 0);
        *fate = wsvc_fate_judge(status, weir_slice_eqz(weir_pg_value(rows, 0, 1), "t"),
                                weir_slice_eqz(weir_pg_value(rows, 0, 2), "t"),
                                weir_slice_eqz(weir_pg_value(rows, 0, 3), "t"));
    } else {
        *fate = WSVC_FATE_UNKNOWN;
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

weir_rc wsvc_conn_ask(wsvc_conn *c, const char *xid, const wsvc_history *before, wsvc_fate *fate,
                      char position[WSVC_POSITION_BYTES], weir_error *err)
{
    *fate = WSVC_FATE_WAIT;
    position[0] = '\0';
    weir_rc rc = weir_pg_pipe_leave(c->pg, err);
    if (rc == WEIR_OK) {
        rc = ask(c, xid, before, fate, err);
    }
    weir_pg_rows *rows = NULL;
    if (rc == WEIR_OK && *fate == WSVC_FATE_COMMITTED) {
        rc = weir_pg_query(c->pg, position_sql(c), 0, NULL, &rows, err);
    }
    if (rc == WEIR_OK && rows && weir_pg_nrows(rows) == 1) {
        copy_z(position, WSVC_POSITION_BYTES, weir_pg_value(rows, 0, 0));
    }
    weir_pg_rows_free(rows);
    return rc == WEIR_OK ? weir_pg_pipe_enter(c->pg, err) : rc;
}
