/* pg_pipe.c - pipeline mode: many statements in few packets, prepared on first use, results in the
 * order of sending.
 *
 * Every send appends to a ring of what the server will answer. A statement's prepare has its own
 * answer, which is hidden; when the prepare fails, its error stands for the statement, and the
 * statement's "aborted" is hidden instead.
 */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/pg_priv.h"

enum { SENT_MAX = 1 << 16 };

void weir_pg_pipe_fini(weir_pg *pg)
{
    free(pg->sent);
    pg->sent = NULL;
    pg->sent_cap = pg->sent_n = pg->sent_at = 0;
}

static bool sent_room(weir_pg *pg)
{
    if (pg->sent_n < pg->sent_cap) {
        return true;
    }
    size_t cap = pg->sent_cap ? pg->sent_cap * 2 : 256;
    if (cap > SENT_MAX) {
        return false;
    }
    weir_pg_sent *ring = weir_xcalloc(cap, sizeof *ring);
    for (size_t i = 0; i < pg->sent_n; i++) {
        ring[i] = pg->sent[(pg->sent_at + i) % pg->sent_cap];
    }
    free(pg->sent);
    pg->sent = ring;
    pg->sent_cap = cap;
    pg->sent_at = 0;
    return true;
}

static void sent_push(weir_pg *pg, int kind, const char *stmt)
{
    weir_pg_sent *s = &pg->sent[(pg->sent_at + pg->sent_n++) % pg->sent_cap];
    memset(s, 0, sizeof *s);
    s->kind = kind;
    memcpy(s->stmt, stmt, strnlen(stmt, sizeof s->stmt - 1));
}

weir_rc weir_pg_pipe_enter(weir_pg *pg, weir_error *err)
{
    weir_rc rc = weir_pg_ready(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!PQenterPipelineMode(pg->conn)) {
        return weir_fail(err, WEIR_E_PROTO, 0, "cannot enter pipeline mode");
    }
    pg->mode = PG_PIPE;
    pg->sent_at = pg->sent_n = 0;
    pg->swallow_aborted = false;
    return WEIR_OK;
}

static weir_rc in_pipe(weir_pg *pg, weir_error *err)
{
    if (!weir_pg_ok(pg)) {
        pg->broken = true;
        return weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "the connection to PostgreSQL is gone");
    }
    if (pg->mode != PG_PIPE) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the connection is not in pipeline mode");
    }
    return WEIR_OK;
}

static weir_rc pipe_send(weir_pg *pg, const char *stmt, const char *sql, int nparams,
                         const char *const *params, const int *lengths, const int *formats,
                         weir_error *err)
{
    weir_rc rc = in_pipe(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (strlen(stmt) >= sizeof pg->sent->stmt) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the statement name is too long");
    }
    bool created = false;
    void **slot = weir_map_slot(pg->prepared, weir_slice_z(stmt), &created);
    if (created) {
        *slot = pg;
        if (!sent_room(pg)) {
            (void)weir_map_del(pg->prepared, weir_slice_z(stmt));
            return weir_fail(err, WEIR_E_LIMIT, 0, "too many statements in one pipeline");
        }
        if (!PQsendPrepare(pg->conn, stmt, sql, 0, NULL)) {
            return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
        }
        sent_push(pg, SENT_PREPARE, stmt);
    }
    if (!sent_room(pg)) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "too many statements in one pipeline");
    }
    if (!PQsendQueryPrepared(pg->conn, stmt, nparams, params, lengths, formats, 0)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    sent_push(pg, SENT_QUERY, stmt);
    return WEIR_OK;
}

weir_rc weir_pg_pipe_send(weir_pg *pg, const char *stmt, const char *sql, int nparams,
                          const char *const *params, const int *lengths, weir_error *err)
{
    return pipe_send(pg, stmt, sql, nparams, params, lengths, NULL, err);
}

weir_rc weir_pg_pipe_send_binary(weir_pg *pg, const char *stmt, const char *sql, int nparams,
                                 const char *const *params, const int *lengths, weir_error *err)
{
    static const int binary[] = {1, 1, 1, 1, 1, 1, 1, 1};
    if (nparams > (int)(sizeof binary / sizeof binary[0])) {
        return weir_fail(err, WEIR_E_INPUT, 0, "too many binary parameters");
    }
    return pipe_send(pg, stmt, sql, nparams, params, lengths, binary, err);
}

void weir_pg_texts_begin(weir_buf *out, size_t n)
{
    weir_buf_u32(out, 1);  /* dimensions */
    weir_buf_u32(out, 0);  /* none is NULL */
    weir_buf_u32(out, 25); /* text */
    weir_buf_u32(out, (uint32_t)n);
    weir_buf_u32(out, 1); /* the first one's index */
}

void weir_pg_texts_put(weir_buf *out, weir_slice element)
{
    weir_buf_u32(out, (uint32_t)element.n);
    weir_buf_puts(out, element);
}

weir_rc weir_pg_pipe_ask(weir_pg *pg, weir_error *err)
{
    weir_rc rc = in_pipe(pg, err);
    if (rc == WEIR_OK && !PQsendFlushRequest(pg->conn)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    return rc;
}

weir_rc weir_pg_pipe_flush(weir_pg *pg, weir_error *err)
{
    weir_rc rc = weir_pg_pipe_ask(pg, err);
    return rc == WEIR_OK
               ? weir_pg_gave_up(pg, weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err))
               : rc;
}

weir_rc weir_pg_pipe_sync(weir_pg *pg, weir_error *err)
{
    weir_rc rc = in_pipe(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!sent_room(pg)) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "too many statements in one pipeline");
    }
    if (!PQpipelineSync(pg->conn)) {
        return weir_pg_gave_up(pg, weir_pgconn_lost(pg->conn, err));
    }
    sent_push(pg, SENT_SYNC, "");
    return weir_pg_gave_up(pg, weir_pgconn_flush(pg->conn, weir_pg_deadline(pg), err));
}

static weir_rc give_rows(PGresult *res, weir_pg_rows **rows)
{
    *rows = weir_xcalloc(1, sizeof **rows);
    (*rows)->res = res;
    return WEIR_OK;
}

/* What one answer means for the front entry. true: the caller gets it; false: it was hidden, take
 * the next. */
static bool classify(weir_pg *pg, PGresult *res, weir_pg_pipe_kind *kind, weir_pg_rows **rows,
                     weir_error *err)
{
    weir_pg_sent front = pg->sent[pg->sent_at];
    pg->sent_at = (pg->sent_at + 1) % pg->sent_cap;
    pg->sent_n--;
    ExecStatusType st = PQresultStatus(res);
    if (st == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        *kind = WEIR_PG_PIPE_SYNC;
        return true;
    }
    bool good = st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK || st == PGRES_EMPTY_QUERY;
    if (front.kind == SENT_PREPARE) {
        if (!good) {
            (void)weir_map_del(pg->prepared, weir_slice_z(front.stmt));
        }
        if (good || st == PGRES_PIPELINE_ABORTED) {
            PQclear(res);
            return false;
        }
        (void)weir_pg_keep_error(pg, res, NULL, err);
        *kind = WEIR_PG_PIPE_ERROR;
        pg->swallow_aborted = true;
        return true;
    }
    if (good) {
        *kind = WEIR_PG_PIPE_ROWS;
        return give_rows(res, rows) == WEIR_OK;
    }
    if (st == PGRES_PIPELINE_ABORTED) {
        PQclear(res);
        bool hide = pg->swallow_aborted;
        pg->swallow_aborted = false;
        *kind = WEIR_PG_PIPE_ABORTED;
        return !hide;
    }
    (void)weir_pg_keep_error(pg, res, NULL, err);
    const char *state = PQresultErrorField(pg->last_error, PG_DIAG_SQLSTATE);
    if (state && strcmp(state, "26000") == 0) {
        (void)weir_map_del(pg->prepared, weir_slice_z(front.stmt)); /* prepare it again next time */
    }
    *kind = WEIR_PG_PIPE_ERROR;
    return true;
}

weir_rc weir_pg_pipe_next(weir_pg *pg, int64_t wait_ms, weir_pg_pipe_kind *kind,
                          weir_pg_rows **rows, weir_error *err)
{
    *rows = NULL;
    weir_rc rc = in_pipe(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int64_t deadline = weir_mono_ms() + wait_ms;
    while (pg->sent_n > 0) {
        PGresult *res = NULL;
        rc = weir_pgconn_result(pg->conn, deadline, &res, err);
        if (rc != WEIR_OK) {
            return rc == WEIR_E_CONN ? weir_pg_gave_up(pg, rc) : rc;
        }
        if (!res) {
            continue; /* the end of one statement's results */
        }
        if (classify(pg, res, kind, rows, err)) {
            return WEIR_OK;
        }
    }
    return weir_fail(err, WEIR_E_TIMEOUT, 0, "nothing was sent that is not answered");
}

weir_rc weir_pg_pipe_leave(weir_pg *pg, weir_error *err)
{
    weir_rc rc = in_pipe(pg, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (pg->sent_n == 0 && !PQisBusy(pg->conn)) {
        PQclear(PQgetResult(pg->conn)); /* the NULL that ends the last statement */
    }
    if (pg->sent_n > 0 || !PQexitPipelineMode(pg->conn)) {
        return weir_fail(err, WEIR_E_PROTO, 0, "results are left in the pipeline");
    }
    pg->mode = PG_IDLE;
    return WEIR_OK;
}
