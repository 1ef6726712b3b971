/* pg.c - a PostgreSQL connection: open, query, script, rows, notifications. */
#include "libweir/io/pg.h"

#include <poll.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg_priv.h"

enum { WAIT_DEFAULT_MS = 60000, GIVE_UP_DRAIN_MS = 5000 };

weir_rc weir_pg_open(weir_pg **out, const weir_pg_conf *conf, weir_error *err)
{
    *out = NULL;
    PGconn *conn = NULL;
    weir_rc rc = weir_pgconn_open(&conn, conf, false, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_pg *pg = weir_xcalloc(1, sizeof *pg);
    pg->conn = conn;
    pg->cancel = PQgetCancel(conn);
    pg->wait_max_ms = conf->wait_max_ms ? conf->wait_max_ms : WAIT_DEFAULT_MS;
    pg->error_byte = -1;
    pg->prepared = weir_map_new();
    *out = pg;
    return WEIR_OK;
}

void weir_pg_close(weir_pg *pg)
{
    if (!pg) {
        return;
    }
    PQclear(pg->last_error);
    PQclear(pg->stream_row.res);
    PQfreemem(pg->copy_line);
    PQfreeCancel(pg->cancel);
    PQfinish(pg->conn);
    weir_pg_pipe_fini(pg);
    weir_map_free(pg->prepared);
    free(pg);
}

bool weir_pg_ok(const weir_pg *pg)
{
    return !pg->broken && PQstatus(pg->conn) == CONNECTION_OK;
}

bool weir_pg_alive(weir_pg *pg)
{
    enum { LOOKS_MAX = 16 };
    for (int i = 0; i < LOOKS_MAX && weir_pg_ok(pg); i++) {
        struct pollfd pf = {PQsocket(pg->conn), POLLIN, 0};
        if (poll(&pf, 1, 0) <= 0) {
            return true;
        }
        if (!PQconsumeInput(pg->conn)) {
            pg->broken = true;
        }
    }
    return weir_pg_ok(pg);
}

int weir_pg_pid(const weir_pg *pg)
{
    return PQbackendPID(pg->conn);
}

int weir_pg_server_version(const weir_pg *pg)
{
    return PQserverVersion(pg->conn);
}

int64_t weir_pg_deadline(const weir_pg *pg)
{
    return weir_mono_ms() + pg->wait_max_ms;
}

weir_rc weir_pg_gave_up(weir_pg *pg, weir_rc rc)
{
    if (rc == WEIR_E_TIMEOUT) {
        weir_pg_cancel(pg); /* the server must not go on with what nobody waits for */
        pg->broken = true;
    } else if (rc == WEIR_E_CONN) {
        pg->broken = true;
    }
    return rc;
}

/* A stream or copy that was not read to its end is cancelled here, or its rows would answer the
 * next statement. */
static weir_rc finish_leftover(weir_pg *pg, weir_error *err)
{
    if (pg->mode == PG_COPY_IN) {
        if (PQputCopyEnd(pg->conn, "abandoned") < 0) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        }
    } else {
        weir_pg_cancel(pg);
    }
    int64_t deadline = weir_mono_ms() + GIVE_UP_DRAIN_MS;
    while (pg->mode == PG_COPY_OUT) {
        char *line = NULL;
        int n = PQgetCopyData(pg->conn, &line, 1);
        PQfreemem(line);
        if (n < 0) {
            break;
        }
        weir_rc rc = n == 0 ? weir_pgconn_wait(pg->conn, deadline, err) : WEIR_OK;
        if (rc != WEIR_OK) {
            return weir_pg_gave_up(pg, rc);
        }
    }
    pg->mode = PG_IDLE;
    for (;;) {
        PGresult *res = NULL;
        weir_rc rc = weir_pgconn_result(pg->conn, deadline, &res, err);
        if (rc != WEIR_OK) {
            return weir_pg_gave_up(pg, rc);
        }
        if (!res) {
            return WEIR_OK;
        }
        PQclear(res);
    }
}

weir_rc weir_pg_ready(weir_pg *pg, weir_error *err)
{
    if (!weir_pg_ok(pg)) {
        pg->broken = true;
        return weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "the connection to PostgreSQL is gone");
    }
    if (pg->mode == PG_PIPE) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the connection is in pipeline mode");
    }
    PQclear(pg->stream_row.res);
    pg->stream_row.res = NULL;
    pg->error_byte = -1;
    pg->copy_ended = false;
    PQclear(pg->last_error);
    pg->last_error = NULL;
    return pg->mode == PG_IDLE ? WEIR_OK : finish_leftover(pg, err);
}

/* PostgreSQL counts characters from 1, we count bytes from 0. */
static int byte_offset(const char *sql, const char *position)
{
    if (!sql || !position) {
        return -1;
    }
    long chars = strtol(position, NULL, 10) - 1;
    const char *p = sql;
    while (*p && chars > 0) {
        p++;
        if (((unsigned char)*p & 0xC0) != 0x80) {
            chars--;
        }
    }
    return (int)(p - sql);
}

weir_rc weir_pg_keep_error(weir_pg *pg, PGresult *res, const char *sql, weir_error *err)
{
    PQclear(pg->last_error);
    pg->last_error = res;
    pg->error_byte = byte_offset(sql, PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION));
    return weir_pgres_fail(res, err);
}

/* A COPY where a plain statement was expected: the protocol state is ours to clean up. */
static weir_rc unexpected_copy(weir_pg *pg, ExecStatusType st, weir_error *err)
{
    pg->mode = st == PGRES_COPY_IN ? PG_COPY_IN : PG_COPY_OUT;
    weir_rc rc = finish_leftover(pg, err);
    return rc != WEIR_OK
               ? rc
               : weir_fail(err, WEIR_E_INPUT, 0, "COPY needs the copy calls, not a query");
}

weir_rc weir_pg_drain(weir_pg *pg, const char *sql, PGresult **last, int *done, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    PGresult *keep = NULL;
    for (;;) {
        PGresult *res = NULL;
        weir_rc got = weir_pgconn_result(pg->conn, weir_pg_deadline(pg), &res, err);
        if (got != WEIR_OK) {
            PQclear(keep);
            return weir_pg_gave_up(pg, got);
        }
        if (!res) {
            break;
        }
        ExecStatusType st = PQresultStatus(res);
        if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_EMPTY_QUERY) {
            PQclear(keep);
            keep = res;
            if (done) {
                (*done)++;
            }
        } else if (st == PGRES_COPY_IN || st == PGRES_COPY_OUT) {
            PQclear(res);
            PQclear(keep);
            return unexpected_copy(pg, st, err);
        } else if (rc == WEIR_OK) {
            rc = weir_pg_keep_error(pg, res, sql, err);
        } else {
            PQclear(res);
        }
    }
    if (last && rc == WEIR_OK) {
        *last = keep;
    } else {
        PQclear(keep);
    }
    return rc;
}

weir_rc weir_pg_query(weir_pg *pg, const char *sql, int nparams, const char *const *params,
                      weir_pg_rows **rows, weir_error *err)
{
    if (rows) {
        *rows = NULL;
    }
    weir_rc rc = weir_pg_ready(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!PQsendQueryParams(pg->conn, sql, nparams, NULL, params, NULL, NULL, 0)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    rc = weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err);
    if (rc != WEIR_OK) {
        return weir_pg_gave_up(pg, rc);
    }
    PGresult *res = NULL;
    rc = weir_pg_drain(pg, sql, &res, NULL, err);
    if (rc != WEIR_OK || !rows) {
        PQclear(res);
        return rc;
    }
    if (!res) {
        return weir_fail(err, WEIR_E_PROTO, 0, "PostgreSQL sent no result");
    }
    *rows = weir_xcalloc(1, sizeof **rows);
    (*rows)->res = res;
    return WEIR_OK;
}

static int line_of(const char *sql, int byte)
{
    int line = 1;
    for (int i = 0; i < byte && sql[i]; i++) {
        line += sql[i] == '\n';
    }
    return line;
}

weir_rc weir_pg_script(weir_pg *pg, const char *sql, weir_error *err)
{
    weir_error own;
    err = err ? err : &own;
    weir_rc rc = weir_pg_ready(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!PQsendQuery(pg->conn, sql)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    rc = weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err);
    if (rc != WEIR_OK) {
        return weir_pg_gave_up(pg, rc);
    }
    int done = 0;
    rc = weir_pg_drain(pg, sql, NULL, &done, err);
    if (rc != WEIR_OK && pg->last_error) {
        if (pg->error_byte >= 0) {
            weir_error_wrap(err, "line %d", line_of(sql, pg->error_byte));
        } else {
            weir_error_wrap(err, "statement %d", done + 1);
        }
    }
    return rc;
}

int weir_pg_error_position(const weir_pg *pg)
{
    return pg->error_byte;
}

const char *weir_pg_error_field(const weir_pg *pg, char field)
{
    const char *text = pg->last_error ? PQresultErrorField(pg->last_error, field) : NULL;
    return text ? text : "";
}

weir_rc weir_pg_wait_notify(weir_pg *pg, int64_t wait_ms, char *payload, size_t payload_size,
                            weir_error *err)
{
    weir_rc rc = weir_pg_ready(pg, err);
    int64_t deadline = weir_mono_ms() + wait_ms;
    while (rc == WEIR_OK) {
        PGnotify *n = PQnotifies(pg->conn);
        if (n) {
            size_t len = strnlen(n->extra, payload_size ? payload_size - 1 : 0);
            if (payload_size) {
                memcpy(payload, n->extra, len);
                payload[len] = '\0';
            }
            PQfreemem(n);
            return WEIR_OK;
        }
        rc = weir_pgconn_wait(pg->conn, deadline, err);
    }
    if (rc == WEIR_E_TIMEOUT) {
        return WEIR_E_AGAIN;
    }
    return weir_pg_gave_up(pg, rc);
}

void weir_pg_cancel(weir_pg *pg)
{
    char why[256];
    if (pg->cancel) {
        (void)PQcancel(pg->cancel, why, sizeof why);
    }
}
