/* txn.c - one transaction of 1…n commands as a pipeline, and how it ended. */
#include "write-service/txn.h"

#include <stdio.h>

#include "libweir/base/clock.h"
#include "write-service/meta.h"

enum {
    COLUMNS_MAX = 4,
    SLICE_MS = 200,
    META_MAX_BYTES = 4096,
    ARRAY_MAX_BYTES = 64 << 20,
    ROLLBACK_MAX_MS = 5000
};

typedef enum took { TOOK_ROWS, TOOK_ERROR, TOOK_SKIPPED, TOOK_SYNC, TOOK_LOST } took;

static weir_rc send0(wsvc_txn *t, const char *stmt, const char *sql)
{
    return weir_pg_pipe_send(t->conn->pg, stmt, sql, 0, NULL, NULL, &t->err);
}

/* Neighbours share a statement when they are the same command, or both come with options. */
static bool shares(const wsvc_job *a, const wsvc_job *b)
{
    if (a->options || b->options) {
        return a->options && b->options;
    }
    return a->call == b->call && a->call->many_sql;
}

static void plan_units(wsvc_txn *t)
{
    for (size_t i = 0; i < t->n; i++) {
        struct wsvc_unit *u = t->nunits ? &t->units[t->nunits - 1] : NULL;
        if (u && !t->singly && shares(t->jobs[u->first], t->jobs[i])) {
            u->n++;
        } else {
            t->units[t->nunits++] = (struct wsvc_unit){i, 1, NULL};
        }
    }
}

static weir_rc put_meta(wsvc_txn *t, const wsvc_job *j, weir_buf *meta)
{
    weir_buf_reset(meta);
    wsvc_meta_put(meta, j, weir_wall_us());
    weir_buf_u8(meta, 0);
    return meta->failed ? weir_fail(&t->err, WEIR_E_LIMIT, 0, "the meta of a command is too long")
                        : WEIR_OK;
}

/* The parameters of one call, in the order of its statement; returns how many. */
static int columns(const wsvc_job *j, weir_slice meta, weir_slice out[COLUMNS_MAX])
{
    int n = 0;
    if (j->options) {
        out[n++] = weir_slice_z(j->call->name);
        out[n++] = weir_slice_z(j->options);
    } else if (j->call->takes_claims) {
        out[n++] = weir_slice_z(j->claims);
    }
    out[n++] = meta;
    out[n++] = j->body;
    return n;
}

static weir_rc send_arrays(wsvc_txn *t, const wsvc_job *first, int n, const weir_buf *arrays)
{
    const char *params[COLUMNS_MAX];
    int lengths[COLUMNS_MAX];
    for (int c = 0; c < n; c++) {
        if (arrays[c].failed) {
            return weir_fail(&t->err, WEIR_E_LIMIT, 0, "the group is too large");
        }
        params[c] = arrays[c].p;
        lengths[c] = (int)arrays[c].n;
    }
    const char *stmt = first->options ? ":withs" : first->call->many_stmt;
    const char *sql = first->options
                          ? "SELECT weir.run_with(u.c, u.o, u.m, u.b) FROM unnest($1::text[], "
                            "$2::text[], $3::text[], $4::text[]) AS u(c, o, m, b)"
                          : first->call->many_sql;
    return weir_pg_pipe_send_binary(t->conn->pg, stmt, sql, n, params, lengths, &t->err);
}

static weir_rc send_many(wsvc_txn *t, const struct wsvc_unit *u, weir_buf *meta)
{
    weir_buf arrays[COLUMNS_MAX];
    weir_rc rc = WEIR_OK;
    int n = 0;
    for (int c = 0; c < COLUMNS_MAX; c++) {
        weir_buf_init(&arrays[c], ARRAY_MAX_BYTES);
        weir_pg_texts_begin(&arrays[c], u->n);
    }
    for (size_t i = u->first; i < u->first + u->n && rc == WEIR_OK; i++) {
        weir_slice v[COLUMNS_MAX];
        rc = put_meta(t, t->jobs[i], meta);
        n = rc == WEIR_OK ? columns(t->jobs[i], weir_slice_of(meta->p, meta->n - 1), v) : 0;
        for (int c = 0; c < n; c++) {
            weir_pg_texts_put(&arrays[c], v[c]);
        }
    }
    if (rc == WEIR_OK) {
        rc = send_arrays(t, t->jobs[u->first], n, arrays);
    }
    for (int c = 0; c < COLUMNS_MAX; c++) {
        weir_buf_fini(&arrays[c]);
    }
    return rc;
}

static weir_rc send_wrapper(wsvc_txn *t, const wsvc_job *j, weir_buf *meta)
{
    weir_rc rc = put_meta(t, j, meta);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (j->call->takes_claims && !j->options) {
        const char *params[] = {j->claims, meta->p, j->body.p};
        return weir_pg_pipe_send(t->conn->pg, j->call->stmt, j->call->sql, 3, params, NULL,
                                 &t->err);
    }
    if (j->call->takes_role && !j->options) {
        const char *params[] = {meta->p, j->body.p, j->role, j->claims};
        return weir_pg_pipe_send(t->conn->pg, j->call->stmt, j->call->sql, 4, params, NULL,
                                 &t->err);
    }
    if (j->options) {
        const char *params[] = {j->call->name, j->options, meta->p, j->body.p};
        return weir_pg_pipe_send(t->conn->pg, ":with",
                                 "SELECT weir.run_with($1::text, $2::text, $3::text, $4::text)", 4,
                                 params, NULL, &t->err);
    }
    const char *params[] = {meta->p, j->body.p};
    const int lengths[] = {(int)meta->n - 1, (int)j->body.n};
    return weir_pg_pipe_send(t->conn->pg, j->call->stmt, j->call->sql, 2, params, lengths, &t->err);
}

/* The names of our own statements start with a colon, which no command's does. */
static weir_rc send_open(wsvc_txn *t)
{
    weir_rc rc = t->serializable ? send0(t, ":serializable", "BEGIN ISOLATION LEVEL SERIALIZABLE")
                                 : send0(t, ":begin", "BEGIN");
    if (rc == WEIR_OK && t->patient) {
        _Static_assert(WSVC_PATIENT_LOCK_MS == 50, "stands in the text");
        rc = send0(t, ":patient", "SET LOCAL lock_timeout = 50");
    } else if (rc == WEIR_OK && t->watched) {
        _Static_assert(WSVC_WATCHED_LOCK_MS == 1, "stands in the text");
        rc = send0(t, ":watched", "SET LOCAL lock_timeout = 1");
    }
    if (rc == WEIR_OK) {
        rc = send0(t, ":xid", "SELECT pg_current_xact_id()::text");
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_pipe_ask(t->conn->pg, &t->err);
    }
    weir_buf meta;
    weir_buf_init(&meta, META_MAX_BYTES);
    for (size_t i = 0; rc == WEIR_OK && i < t->nunits; i++) {
        const struct wsvc_unit *u = &t->units[i];
        rc = u->n > 1 ? send_many(t, u, &meta) : send_wrapper(t, t->jobs[u->first], &meta);
    }
    weir_buf_fini(&meta);
    return rc == WEIR_OK ? weir_pg_pipe_flush(t->conn->pg, &t->err) : rc;
}

static weir_rc send_commit(wsvc_txn *t)
{
    t->commit_sent = true; /* from here on it may have run */
    t->sync_sent = true;
    bool thorough = t->n == 1 && t->jobs[0]->alone;
    const char *params[] = {t->conn->roles};
    weir_rc rc = send0(t, ":commit", "COMMIT");
    if (rc == WEIR_OK) { /* SET without LOCAL ends with the command, as the client sees it */
        rc = send0(t, ":reset", "RESET ALL");
    }
    if (rc == WEIR_OK) {
        rc = send0(t, ":end", wsvc_conn_end_sql(t->conn));
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_pipe_ask(t->conn->pg, &t->err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_pipe_send(t->conn->pg, thorough ? ":left_alone" : ":left",
                               wsvc_conn_left_sql(thorough), 1, params, NULL, &t->err);
    }
    return rc == WEIR_OK ? weir_pg_pipe_sync(t->conn->pg, &t->err) : rc;
}

/* The backend's last words: it ends after these. */
static bool last_words(const char *sqlstate)
{
    static const char *const states[] = {"57P01", "57P02", "57P03", "57P05", "25P03"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(sqlstate, states[i]) == 0) {
            return true;
        }
    }
    return strncmp(sqlstate, "08", 2) == 0;
}

static took take(wsvc_txn *t, int64_t max_ms, weir_pg_rows **rows, weir_error *err)
{
    weir_pg_pipe_kind kind = WEIR_PG_PIPE_SYNC;
    int64_t deadline = weir_mono_ms() + max_ms;
    for (;;) {
        weir_rc rc = weir_pg_pipe_next(t->conn->pg, SLICE_MS, &kind, rows, err);
        if (rc == WEIR_OK) {
            break;
        }
        bool wait = rc == WEIR_E_TIMEOUT && weir_mono_ms() < deadline &&
                    !atomic_load_explicit(t->abandon, memory_order_relaxed);
        if (!wait) {
            return TOOK_LOST;
        }
    }
    switch (kind) {
    case WEIR_PG_PIPE_ROWS: return TOOK_ROWS;
    case WEIR_PG_PIPE_ABORTED: return TOOK_SKIPPED;
    case WEIR_PG_PIPE_SYNC: return TOOK_SYNC;
    case WEIR_PG_PIPE_ERROR: break;
    }
    return TOOK_ERROR;
}

static bool copy_value(char *dst, size_t size, const weir_pg_rows *rows, int column)
{
    weir_slice v = weir_pg_value(rows, 0, column);
    if (v.n >= size) {
        return false;
    }
    memcpy(dst, v.p, v.n);
    dst[v.n] = '\0';
    return true;
}

/* Steps: BEGIN, [SET], xid, units, COMMIT, RESET, end, left. */
static size_t xid_step(const wsvc_txn *t)
{
    return t->patient || t->watched ? 2 : 1;
}

/* One answer in its place. false: the connection must be given up. Takes rows. */
static bool on_rows(wsvc_txn *t, weir_pg_rows *rows)
{
    size_t xid = xid_step(t), at = t->step++;
    bool ok = true;
    if (at == xid) {
        ok = copy_value(t->xid, sizeof t->xid, rows, 0) && t->xid[0] && send_commit(t) == WEIR_OK;
    } else if (at > xid && at <= xid + t->nunits) {
        struct wsvc_unit *u = &t->units[t->got_units];
        ok = weir_pg_nrows(rows) == (int)u->n;
        if (ok) {
            u->rows = rows;
            t->got_units++;
            t->got += u->n;
            t->wrappers_us = t->got == t->n ? weir_mono_us() - t->start_us : 0;
            return true;
        }
    } else if (at == xid + t->nunits + 1) {
        t->committed = true;
    } else if (at == xid + t->nunits + 3) {
        ok = copy_value(t->position, sizeof t->position, rows, 0) && t->position[0];
    } else if (at == xid + t->nunits + 4) {
        ok = copy_value(t->left, sizeof t->left, rows, 0);
    }
    weir_pg_rows_free(rows);
    return ok;
}

static const char *keep(wsvc_txn *t, char field)
{
    return weir_arena_strdup(t->arena, weir_pg_error_field(t->conn->pg, field));
}

/* Our own statements are gone: a command said DEALLOCATE ALL. */
static bool forgotten(const char *sqlstate)
{
    return strcmp(sqlstate, "26000") == 0;
}

/* false: the connection must be given up. */
static bool on_error(wsvc_txn *t, const weir_error *err)
{
    size_t xid = xid_step(t);
    bool before = t->step <= xid;
    t->err = *err;
    t->failed = true;
    t->own = t->n == 1 && t->step > xid;
    /* Answers come in order: what failed before COMMIT kept COMMIT from running, and a backend that
     * said its last words there had not reached it. */
    t->sure_not_run = t->step <= xid + t->nunits;
    const char *message = keep(t, 'M'); /* as long and of as many lines as a wrapper tells it */
    t->texts = (wsvc_failure){.sqlstate = t->err.sqlstate,
                              .message = message && *message ? message : t->err.msg,
                              .detail = keep(t, 'D'),
                              .hint = keep(t, 'H'),
                              .constraint = keep(t, 'n'),
                              .column = keep(t, 'c'),
                              .table = keep(t, 't')};
    t->step++;
    if (forgotten(err->sqlstate)) {
        (void)snprintf(t->left, sizeof t->left, "no prepared statements");
    }
    if (last_words(err->sqlstate) || (before && t->left[0])) {
        return false;
    }
    if (!t->sync_sent) {
        t->sync_sent = true;
        return weir_pg_pipe_sync(t->conn->pg, &t->err) == WEIR_OK;
    }
    return true;
}

/* Up to the position, or else the sync point. false: the connection is lost. */
static bool read_on(wsvc_txn *t)
{
    bool had_position = t->position[0];
    while (had_position || !t->position[0]) {
        weir_pg_rows *rows = NULL;
        weir_error err = {0};
        switch (take(t, t->answer_max_ms, &rows, &err)) {
        case TOOK_ROWS:
            if (!on_rows(t, rows)) {
                return false;
            }
            break;
        case TOOK_ERROR:
            if (!on_error(t, &err)) {
                return false;
            }
            break;
        case TOOK_SKIPPED: t->step++; break;
        case TOOK_SYNC: return true;
        case TOOK_LOST:
            if (!t->failed) {
                t->err = err;
            }
            return false;
        }
    }
    return true;
}

/* Rolls back, and what outlives that. */
static bool roll_back_once(wsvc_txn *t, bool *forgot)
{
    weir_error err = {0};
    weir_pg *pg = t->conn->pg;
    bool done = true;
    if (weir_pg_pipe_send(pg, ":rollback", "ROLLBACK", 0, NULL, NULL, &err) != WEIR_OK ||
        weir_pg_pipe_send(pg, ":unlock", "SELECT pg_advisory_unlock_all()", 0, NULL, NULL, &err) !=
            WEIR_OK ||
        weir_pg_pipe_sync(pg, &err) != WEIR_OK) {
        return false;
    }
    for (;;) {
        weir_pg_rows *rows = NULL;
        took k = take(t, ROLLBACK_MAX_MS, &rows, &err);
        weir_pg_rows_free(rows);
        if (k == TOOK_SYNC || k == TOOK_LOST) {
            return done && k == TOOK_SYNC;
        }
        if (k == TOOK_ERROR) {
            done = false;
            *forgot = *forgot || forgotten(err.sqlstate);
        }
    }
}

static bool roll_back(wsvc_txn *t)
{
    for (int i = 0; i < 3; i++) { /* each forgotten statement is prepared again the next time */
        bool forgot = false;
        if (roll_back_once(t, &forgot)) {
            return true;
        }
        if (!forgot) {
            return false;
        }
    }
    return false;
}

wsvc_txn_end wsvc_txn_run(wsvc_txn *t)
{
    for (size_t i = 0; i < t->n; i++) {
        t->jobs[i]->tries++;
    }
    plan_units(t);
    t->start_us = weir_mono_us();
    bool there = send_open(t) == WEIR_OK && read_on(t);
    if (!t->commit_sent) {
        t->sure_not_run = true;
    }
    if (!there) {
        return WSVC_TXN_LOST;
    }
    if (!t->failed) {
        return t->committed && t->position[0] ? WSVC_TXN_COMMITTED : WSVC_TXN_LOST;
    }
    if (t->committed) {
        return WSVC_TXN_LOST; /* only the position failed: it is asked for on a new connection */
    }
    t->sure_not_run = true;
    return roll_back(t) ? WSVC_TXN_ROLLED_BACK : WSVC_TXN_LOST;
}

bool wsvc_txn_rest(wsvc_txn *t)
{
    return read_on(t) && !t->failed;
}

weir_slice wsvc_txn_word(const wsvc_txn *t, size_t i)
{
    size_t k = 0;
    while (i >= t->units[k].first + t->units[k].n) {
        k++;
    }
    return weir_pg_value(t->units[k].rows, (int)(i - t->units[k].first), 0);
}

void wsvc_txn_fini(wsvc_txn *t)
{
    for (size_t i = 0; i < t->got_units; i++) {
        weir_pg_rows_free(t->units[i].rows);
    }
    t->got = t->got_units = 0;
}
