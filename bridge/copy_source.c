/* copy_source.c - connection, barrier, and rows in one snapshot. */
#include "bridge/copy_source.h"

#include <stdio.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/io/pg_writers.h"

enum {
    CHUNK_BYTES = 8 * 1024 * 1024,
    BARRIER_STEP_MS = 20,
    BARRIER_REPORT_MS = 5000,
    SILENCE_MAX_MS = 120000,
};

weir_rc brg_source_connect(brg_source *src, weir_error *err)
{
    if (src->pg && weir_pg_ok(src->pg)) {
        return WEIR_OK;
    }
    brg_source_close(src);
    /* Its few commits must not wait for a standby: the rows they make visible are other people's.
     */
    weir_pg_conf conf = {.uri = src->s->settings->postgres_uri,
                         .application_name = "weir-bridge-copy",
                         .wait_max_ms = SILENCE_MAX_MS,
                         .options = "-c synchronous_commit=local -c jit=off -c row_security=off"};
    weir_rc rc = weir_pg_open(&src->pg, &conf, err);
    src->connected(src->arg, src->pg);
    return rc;
}

void brg_source_close(brg_source *src)
{
    src->connected(src->arg, NULL);
    weir_pg_close(src->pg);
    src->pg = NULL;
}

/* --- barrier
 * -----------------------------------------------------------------------------------------------------
 */

static weir_rc report_barrier(brg_source *src, const char *xid, weir_error *err)
{
    char who[WEIR_PG_WRITERS_BYTES];
    weir_rc rc = weir_pg_writers(src->pg, xid, who, err);
    if (rc == WEIR_OK) {
        WEIR_WARN("BRG-COPY-WAITS", "transactions older than the copy are still open: %s", who);
        if (src->waits) {
            src->waits(src->arg, who);
        }
    }
    return rc;
}

static bool gives_up(const brg_source *src)
{
    return brg_stopping(src->s) || (src->stop && src->stop(src->arg));
}

static weir_rc wait_over(brg_source *src, const char *xid, weir_error *err)
{
    const char *params[] = {xid};
    int64_t report_at = weir_mono_ms() + BARRIER_REPORT_MS;
    while (!gives_up(src)) {
        weir_pg_rows *rows = NULL;
        /* Our own xid is newer than every transaction that could have written before now without
         * being in the stream. */
        weir_rc rc =
            weir_pg_query(src->pg, "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8", 1,
                          params, &rows, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        bool over = strcmp(weir_pg_valuez(rows, 0, 0), "t") == 0;
        weir_pg_rows_free(rows);
        if (over) {
            return WEIR_OK;
        }
        if (weir_mono_ms() > report_at) {
            report_at += BARRIER_REPORT_MS;
            rc = report_barrier(src, xid, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
        brg_pause(src->s, BARRIER_STEP_MS);
    }
    return weir_fail(err, WEIR_E_EOF, 0, "stopping");
}

weir_rc brg_source_barrier(brg_source *src, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    char xid[32];
    brg_ask mark = {.kind = BRG_ASK_MARK, .window = src->window};
    weir_rc rc = brg_source_connect(src, err);
    if (rc == WEIR_OK) {
        rc = brg_port_ask(src->port, &mark, BRG_STREAM_WAIT_MS, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(src->pg, "SELECT pg_current_xact_id()", 0, NULL, &rows, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)snprintf(xid, sizeof xid, "%s", weir_pg_valuez(rows, 0, 0));
    weir_pg_rows_free(rows);
    rc = wait_over(src, xid, err);
    if (src->waits) {
        src->waits(src->arg, NULL);
    }
    if (rc == WEIR_OK) {
        brg_ask settled = {.kind = BRG_ASK_SETTLED, .window = src->window, .mark = mark.mark};
        rc = brg_port_ask(src->port, &settled, BRG_STREAM_WAIT_MS, err);
    }
    return rc;
}

/* --- rows
 * --------------------------------------------------------------------------------------------------------
 */

/* What S and L are: the snapshot every row of the chunk is read in, and a position the stream must
 * pass. The lock comes before the snapshot: TRUNCATE ignores snapshots, so one that commits between
 * S and the rows would make the chunk empty without being in the stream yet. */
static weir_rc begin_snapshot(weir_pg *pg, const brg_table *t, brg_chunk *ch, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_script(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(
            pg, weir_arena_printf(ch->a, "LOCK TABLE %s IN ACCESS SHARE MODE", t->source), 0, NULL,
            NULL, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(pg,
                           "SELECT pg_current_snapshot()::text, pg_current_wal_insert_lsn()::text",
                           0, NULL, &rows, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    uint64_t *xip = WEIR_ARENA_ARRAY(ch->a, uint64_t, BRG_XIP_MAX);
    if (!xip || !weir_snapshot_parse(weir_pg_value(rows, 0, 0), xip, BRG_XIP_MAX, &ch->snapshot) ||
        !weir_lsn_parse(weir_pg_value(rows, 0, 1), &ch->passed_lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "the server gave no snapshot or position");
    }
    weir_pg_rows_free(rows);
    return rc;
}

static void row_of(const weir_pg_rows *r, weir_tuple *row)
{
    row->n = (uint16_t)weir_pg_ncols(r);
    for (int i = 0; i < row->n; i++) {
        bool null = weir_pg_isnull(r, 0, i);
        row->v[i] = (weir_val){null ? WEIR_VAL_NULL : WEIR_VAL_TEXT,
                               null ? (weir_slice){NULL, 0} : weir_pg_value(r, 0, i)};
    }
}

static void keep_key(brg_read *r, const weir_tuple *row)
{
    weir_arena_reset(r->a);
    r->last.n = r->table->nkey;
    r->last.v = WEIR_ARENA_ARRAY(r->a, weir_val, r->last.n);
    for (uint16_t i = 0; i < r->last.n; i++) {
        r->last.v[i] = row->v[r->table->key[i]];
        r->last.v[i].text = weir_arena_dup(r->a, r->last.v[i].text);
    }
}

/* *kept: the chunk's last row is the last one read. */
static weir_rc take_row(brg_read *r, brg_chunk *ch, const weir_pg_rows *pr, weir_tuple *row,
                        bool *kept, weir_error *err)
{
    row_of(pr, row);
    r->seen++;
    *kept = true;
    if (r->marked) {
        row->n--;
        *kept = weir_slice_eqz(row->v[row->n].text, "t");
    }
    if (*kept) {
        return brg_chunk_add(ch, row, err);
    }
    keep_key(r, row);
    return WEIR_OK;
}

static weir_rc start_rows(brg_source *src, const brg_read *r, weir_error *err)
{
    const char *params[BRG_KEYS_MAX];
    weir_arena *a = weir_arena_new(0);
    for (uint16_t i = 0; i < r->lo.n; i++) {
        params[i] = weir_arena_dupz(a, r->lo.v[i].text);
    }
    weir_rc rc = weir_pg_stream_start(src->pg, r->sql, r->lo.n, params, err);
    weir_arena_free(a);
    return rc;
}

/* Rows until the end or, for tables with a key, until the chunk is large enough. */
static weir_rc read_rows(brg_source *src, brg_read *r, brg_chunk *ch, weir_error *err)
{
    weir_val v[WEIR_COLUMNS_MAX + 1];
    weir_tuple row = {0, v};
    bool kept = false;
    r->whole = false;
    weir_rc rc = start_rows(src, r, err);
    while (rc == WEIR_OK) {
        const weir_pg_rows *pr = NULL;
        rc = weir_pg_stream_next(src->pg, &pr, err);
        if (rc == WEIR_E_EOF) {
            r->whole = r->limit == 0 || (int64_t)r->seen < r->limit;
            rc = WEIR_OK;
            break;
        }
        if (rc == WEIR_OK) {
            rc = take_row(r, ch, pr, &row, &kept, err);
        }
        if (rc == WEIR_OK && r->limit && weir_arena_used(ch->a) > CHUNK_BYTES) {
            break;
        }
    }
    /* Taken now: merging puts values of the reader's into the rows. */
    if (rc == WEIR_OK && kept) {
        keep_key(r, &ch->rows[ch->nrows - 1]);
    }
    return rc;
}

/* The stream ends at what is flushed, and reading alone writes WAL (pages are pruned) that nobody
 * commits: an idle server would flush it after seconds. A commit does it now. */
static weir_rc flush_to(weir_pg *pg, uint64_t lsn, weir_error *err)
{
    char text[WEIR_LSN_TEXT_MAX];
    const char *params[] = {weir_lsn_print(lsn, text)};
    return weir_pg_query(pg,
                         "SELECT pg_logical_emit_message(true, 'weir.heartbeat', '') "
                         "WHERE pg_current_wal_flush_lsn() < $1::pg_lsn",
                         1, params, NULL, err);
}

weir_rc brg_source_lsn(brg_source *src, uint64_t *lsn, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = brg_source_connect(src, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(src->pg, "SELECT pg_current_wal_insert_lsn()", 0, NULL, &rows, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    bool ok = weir_lsn_parse(weir_pg_value(rows, 0, 0), lsn);
    weir_pg_rows_free(rows);
    return ok ? flush_to(src->pg, *lsn, err)
              : weir_fail(err, WEIR_E_PROTO, 0, "the server gave no position");
}

weir_rc brg_source_read(brg_source *src, brg_read *r, brg_chunk *ch, weir_error *err)
{
    int64_t begun = weir_mono_ms();
    r->seen = 0;
    r->last = (weir_tuple){0, NULL};
    weir_rc rc = brg_source_connect(src, err);
    if (rc == WEIR_OK) {
        rc = begin_snapshot(src->pg, r->table, ch, err);
    }
    if (rc == WEIR_OK) {
        rc = read_rows(src, r, ch, err);
    }
    if (src->pg && weir_pg_ok(src->pg)) {
        weir_error ignored;
        weir_rc end = weir_pg_script(src->pg, "ROLLBACK", rc == WEIR_OK ? err : &ignored);
        rc = rc == WEIR_OK ? end : rc;
    }
    r->ms = weir_mono_ms() - begun;
    return rc == WEIR_OK ? flush_to(src->pg, ch->passed_lsn, err) : rc;
}
