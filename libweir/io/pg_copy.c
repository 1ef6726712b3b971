/* pg_copy.c - large results: row at a time, COPY out, COPY in. */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/io/pg_priv.h"

weir_rc weir_pg_stream_start(weir_pg *pg, const char *sql, int nparams, const char *const *params,
                             weir_error *err)
{
    weir_rc rc = weir_pg_ready(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!PQsendQueryParams(pg->conn, sql, nparams, NULL, params, NULL, NULL, 0) ||
        !PQsetSingleRowMode(pg->conn)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    rc = weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err);
    if (rc == WEIR_OK) {
        pg->mode = PG_STREAM;
    }
    return weir_pg_gave_up(pg, rc);
}

weir_rc weir_pg_stream_next(weir_pg *pg, const weir_pg_rows **row, weir_error *err)
{
    *row = NULL;
    PQclear(pg->stream_row.res);
    pg->stream_row.res = NULL;
    if (pg->mode != PG_STREAM) {
        return weir_fail(err, WEIR_E_PROTO, 0, "no row stream is open");
    }
    PGresult *res = NULL;
    weir_rc rc = weir_pgconn_result(pg->conn, weir_pg_deadline(pg), &res, err);
    if (rc != WEIR_OK) {
        return weir_pg_gave_up(pg, rc);
    }
    ExecStatusType st = res ? PQresultStatus(res) : PGRES_TUPLES_OK;
    if (st == PGRES_SINGLE_TUPLE) {
        pg->stream_row.res = res;
        *row = &pg->stream_row;
        return WEIR_OK;
    }
    pg->mode = PG_IDLE;
    if (!res) {
        return WEIR_E_EOF;
    }
    weir_rc end = WEIR_E_EOF;
    if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK) {
        PQclear(res);
    } else {
        end = weir_pg_keep_error(pg, res, NULL, err);
    }
    weir_error ignored;
    rc = weir_pg_drain(pg, NULL, NULL, NULL, end == WEIR_E_EOF ? err : &ignored);
    return end == WEIR_E_EOF && rc != WEIR_OK ? rc : end;
}

/* Sends a COPY and takes its first answer, which must be `want`. */
static weir_rc copy_start(weir_pg *pg, const char *sql, ExecStatusType want, weir_pg_mode mode,
                          weir_error *err)
{
    weir_rc rc = weir_pg_ready(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!PQsendQuery(pg->conn, sql)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    rc = weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err);
    PGresult *res = NULL;
    if (rc == WEIR_OK) {
        rc = weir_pgconn_result(pg->conn, weir_pg_deadline(pg), &res, err);
    }
    if (rc != WEIR_OK) {
        return weir_pg_gave_up(pg, rc);
    }
    ExecStatusType st = PQresultStatus(res);
    if (st == want) {
        PQclear(res);
        pg->mode = mode;
        return WEIR_OK;
    }
    bool failed = st == PGRES_FATAL_ERROR;
    if (failed) {
        rc = weir_pg_keep_error(pg, res, sql, err);
    } else {
        PQclear(res);
        rc = weir_fail(err, WEIR_E_INPUT, 0, "the statement is not the COPY that was expected");
    }
    weir_error ignored;
    weir_rc drained = weir_pg_drain(pg, NULL, NULL, NULL, &ignored);
    (void)drained; /* a second failure here shows on the next call */
    return rc;
}

weir_rc weir_pg_copy_out_start(weir_pg *pg, const char *sql, weir_error *err)
{
    return copy_start(pg, sql, PGRES_COPY_OUT, PG_COPY_OUT, err);
}

weir_rc weir_pg_copy_out_next(weir_pg *pg, weir_slice *line, weir_error *err)
{
    *line = (weir_slice){NULL, 0};
    PQfreemem(pg->copy_line);
    pg->copy_line = NULL;
    if (pg->mode != PG_COPY_OUT) {
        return weir_fail(err, WEIR_E_PROTO, 0, "no COPY is open");
    }
    for (;;) {
        int n = PQgetCopyData(pg->conn, &pg->copy_line, 1);
        if (n > 0) {
            size_t len = (size_t)n;
            if (pg->copy_line[len - 1] == '\n') {
                len--;
            }
            *line = (weir_slice){pg->copy_line, len};
            return WEIR_OK;
        }
        if (n == 0) {
            weir_rc rc = weir_pgconn_wait(pg->conn, weir_pg_deadline(pg), err);
            if (rc != WEIR_OK) {
                return weir_pg_gave_up(pg, rc);
            }
            continue;
        }
        if (n == -2) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        }
        pg->mode = PG_IDLE;
        weir_rc rc = weir_pg_drain(pg, NULL, NULL, NULL, err);
        return rc == WEIR_OK ? WEIR_E_EOF : rc;
    }
}

weir_rc weir_pg_copy_out_fill(weir_pg *pg, weir_buf *into, size_t enough, int64_t *messages,
                              weir_error *err)
{
    if (pg->copy_ended) {
        pg->copy_ended = false;
        return WEIR_E_EOF;
    }
    if (pg->mode != PG_COPY_OUT) {
        return weir_fail(err, WEIR_E_PROTO, 0, "no COPY is open");
    }
    size_t before = into->n;
    while (into->n < enough) {
        char *row = NULL;
        int n = PQgetCopyData(pg->conn, &row, 1);
        if (n > 0) {
            weir_buf_put(into, row, (size_t)n);
            PQfreemem(row);
            ++*messages;
            if (into->failed) {
                return weir_fail(err, WEIR_E_LIMIT, 0, "a row of %d bytes is too large", n);
            }
        } else if (n == 0) {
            weir_rc rc = weir_pgconn_wait(pg->conn, weir_pg_deadline(pg), err);
            if (rc != WEIR_OK) {
                return weir_pg_gave_up(pg, rc);
            }
        } else if (n == -2) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        } else {
            pg->mode = PG_IDLE;
            weir_rc rc = weir_pg_drain(pg, NULL, NULL, NULL, err);
            pg->copy_ended = rc == WEIR_OK && into->n > before; /* said on the next call */
            return rc == WEIR_OK && into->n == before ? WEIR_E_EOF : rc;
        }
    }
    return WEIR_OK;
}

weir_rc weir_pg_copy_in_start(weir_pg *pg, const char *sql, weir_error *err)
{
    return copy_start(pg, sql, PGRES_COPY_IN, PG_COPY_IN, err);
}

weir_rc weir_pg_copy_in_put(weir_pg *pg, weir_slice lines, weir_error *err)
{
    if (pg->mode != PG_COPY_IN) {
        return weir_fail(err, WEIR_E_PROTO, 0, "no COPY is open");
    }
    while (lines.n > 0) {
        int n = (int)(lines.n < (1u << 20) ? lines.n : (1u << 20)); /* libpq counts in int */
        int k = PQputCopyData(pg->conn, lines.p, n);
        if (k < 0) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        }
        if (k > 0) {
            lines.p += n;
            lines.n -= (size_t)n;
        }
        /* In non-blocking mode libpq would buffer without bound: write out before taking more. */
        weir_rc rc = weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err);
        if (rc != WEIR_OK) {
            return weir_pg_gave_up(pg, rc);
        }
    }
    return WEIR_OK;
}

weir_rc weir_pg_copy_in_end(weir_pg *pg, const char *abort_text, weir_error *err)
{
    if (pg->mode != PG_COPY_IN) {
        return weir_fail(err, WEIR_E_PROTO, 0, "no COPY is open");
    }
    int64_t deadline = weir_pg_deadline(pg);
    for (;;) {
        int k = PQputCopyEnd(pg->conn, abort_text);
        if (k < 0) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        }
        if (k > 0) {
            break;
        }
        weir_rc rc = weir_pgconn_wait(pg->conn, deadline, err);
        if (rc != WEIR_OK) {
            return weir_pg_gave_up(pg, rc);
        }
    }
    pg->mode = PG_IDLE;
    weir_rc rc = weir_pgconn_flush(pg->conn, deadline, err);
    if (rc != WEIR_OK) {
        return weir_pg_gave_up(pg, rc);
    }
    rc = weir_pg_drain(pg, NULL, NULL, NULL, err);
    return abort_text && weir_pg_ok(pg) ? WEIR_OK : rc; /* the abort itself is the expected error */
}
