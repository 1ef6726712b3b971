/* copy_table.c - one table, chunk by chunk: open the window, read in one snapshot, hand over, again
 * if it cannot be merged. */
#include "bridge/copy_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"

enum {
    CHUNK_BYTES = 8 * 1024 * 1024,
    KEYLESS_BYTES = 256 * 1024 * 1024,
    ROW_BYTES_MAX = 1024 * 1024 * 1024,
    WAIT_STREAM_MS = 60000,
    ROWS_LEAST = 50,
    TRIES_MAX = 500,
    RETRY_MS = 200,
    BARRIER_STEP_MS = 20,
    BARRIER_REPORT_MS = 5000,
    MOVED_BATCH = 500,
};

typedef struct run {
    brg_table_copy *c;
    weir_arena *ta; /* the table's description */
    brg_table *table;
    weir_arena *la, *lb; /* the last key lives in la; lb takes the next */
    weir_tuple lo;
    int64_t limit;
    int tries;
    bool restart; /* the description changed: what was noted by the old one is of no use */
} run;

static weir_rc connect_pg(brg_table_copy *c, weir_error *err)
{
    if (c->pg && weir_pg_ok(c->pg)) {
        return WEIR_OK;
    }
    c->connected(c->arg, NULL);
    weir_pg_close(c->pg);
    c->pg = NULL;
    weir_pg_conf conf = {.uri = c->s->settings->postgres_uri,
                         .application_name = "weir-bridge-copy",
                         .wait_max_ms = 120000};
    weir_rc rc = weir_pg_open(&c->pg, &conf, err);
    c->connected(c->arg, c->pg);
    return rc;
}

static weir_rc report_barrier(weir_pg *pg, const char *xid, weir_error *err)
{
    const char *params[] = {xid};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(
        pg,
        "SELECT coalesce(string_agg(pid::text, ', '), '?') FROM pg_stat_activity "
        "WHERE backend_xid IS NOT NULL AND age(backend_xid) > 0 AND $1::xid8 IS NOT NULL",
        1, params, &rows, err);
    if (rc == WEIR_OK) {
        WEIR_WARN("BRG-COPY-WAITS", "transactions older than the copy are still open; pids=%.200s",
                  weir_pg_valuez(rows, 0, 0));
        weir_pg_rows_free(rows);
    }
    return rc;
}

weir_rc brg_copy_barrier(brg_table_copy *c, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    char xid[32];
    weir_rc rc = connect_pg(c, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(c->pg, "SELECT pg_current_xact_id()", 0, NULL, &rows, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)snprintf(xid, sizeof xid, "%s", weir_pg_valuez(rows, 0, 0));
    weir_pg_rows_free(rows);
    const char *params[] = {xid};
    int64_t report_at = weir_mono_ms() + BARRIER_REPORT_MS;
    while (!brg_stopping(c->s)) {
        /* Our own xid is newer than every transaction that could have written before now without
         * being in the stream. */
        rc = weir_pg_query(c->pg, "SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8", 1,
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
            rc = report_barrier(c->pg, xid, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
        brg_pause(c->s, BARRIER_STEP_MS);
    }
    return weir_fail(err, WEIR_E_EOF, 0, "stopping");
}

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

/* Rows until the end or, for tables with a key, until the chunk is large enough. *whole: it was the
 * end. */
static weir_rc read_rows(run *r, brg_chunk *ch, const char *sql, int64_t limit, bool *whole,
                         weir_error *err)
{
    weir_val v[WEIR_COLUMNS_MAX];
    weir_tuple row = {0, v};
    const char *params[BRG_KEYS_MAX];
    bool after = limit && r->lo.n;
    weir_arena *a = weir_arena_new(0);
    for (uint16_t i = 0; after && i < r->lo.n; i++) {
        params[i] = weir_arena_dupz(a, r->lo.v[i].text);
    }
    *whole = false;
    weir_rc rc = weir_pg_stream_start(r->c->pg, sql, after ? r->lo.n : 0, params, err);
    while (rc == WEIR_OK) {
        const weir_pg_rows *pr = NULL;
        rc = weir_pg_stream_next(r->c->pg, &pr, err);
        if (rc == WEIR_E_EOF) {
            *whole = limit == 0 || (int64_t)ch->nrows < limit;
            rc = WEIR_OK;
            break;
        }
        if (rc == WEIR_OK) {
            row_of(pr, &row);
            rc = brg_chunk_add(ch, &row, err);
        }
        if (rc == WEIR_OK && limit && weir_arena_used(ch->a) > CHUNK_BYTES) {
            break;
        }
    }
    weir_arena_free(a);
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

static weir_rc read_chunk(run *r, brg_chunk *ch, const char *sql, int64_t limit, bool *whole,
                          weir_error *err)
{
    weir_rc rc = connect_pg(r->c, err);
    if (rc == WEIR_OK) {
        rc = begin_snapshot(r->c->pg, r->table, ch, err);
    }
    if (rc == WEIR_OK) {
        rc = read_rows(r, ch, sql, limit, whole, err);
    }
    if (r->c->pg && weir_pg_ok(r->c->pg)) {
        weir_error ignored;
        weir_rc end = weir_pg_script(r->c->pg, "ROLLBACK", rc == WEIR_OK ? err : &ignored);
        rc = rc == WEIR_OK ? end : rc;
    }
    return rc == WEIR_OK ? flush_to(r->c->pg, ch->passed_lsn, err) : rc;
}

static weir_rc ask(run *r, brg_ask *q, weir_error *err)
{
    q->table = r->table;
    return brg_port_ask(r->c->port, q, WAIT_STREAM_MS, err);
}

static bool same_table(const brg_table *x, const brg_table *y)
{
    weir_buf b;
    weir_buf_init(&b, CHUNK_BYTES);
    weir_relation_encode(&b, &x->rel);
    size_t n = b.n;
    weir_relation_encode(&b, &y->rel);
    bool same = !b.failed && b.n == 2 * n && memcmp(b.p, b.p + n, n) == 0 && x->nkey == y->nkey &&
                memcmp(x->key, y->key, x->nkey * sizeof x->key[0]) == 0;
    weir_buf_fini(&b);
    return same;
}

static weir_rc load_table(run *r, weir_error *err)
{
    brg_table *all = NULL;
    size_t n = 0;
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = connect_pg(r->c, err);
    if (rc == WEIR_OK) {
        rc = brg_catalog_tables(r->c->pg, r->c->s->settings->bridge_publication, r->c->schema,
                                r->c->name, a, &all, &n, err);
    }
    if (rc == WEIR_OK && n == 0) {
        rc = weir_fail(err, WEIR_E_NOTFOUND, 0,
                       "table %s.%s is not in publication %s: run `weir deploy`", r->c->schema,
                       r->c->name, r->c->s->settings->bridge_publication);
    }
    if (rc != WEIR_OK) {
        weir_arena_free(a);
        return rc;
    }
    r->restart = r->table && !same_table(r->table, &all[0]);
    weir_arena_free(r->ta);
    r->ta = a;
    r->table = &all[0];
    return WEIR_OK;
}

/* Something passing was in the way: wait a little, with smaller chunks; the description may have
 * changed too. */
static weir_rc try_again(run *r, const char *why, weir_error *err)
{
    if (brg_stopping(r->c->s)) {
        return weir_fail(err, WEIR_E_EOF, 0, "stopping");
    }
    if (++r->tries > TRIES_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "table %s.%s: gave up after %d tries: %s",
                         r->c->schema, r->c->name, TRIES_MAX, why);
    }
    WEIR_INFO("BRG-CHUNK-AGAIN", "table=%s.%s why=\"%s\"", r->c->schema, r->c->name, why);
    atomic_fetch_add(&r->c->s->redone, 1);
    r->limit = r->limit / 2 > ROWS_LEAST ? r->limit / 2 : ROWS_LEAST;
    brg_pause(r->c->s, RETRY_MS);
    weir_error again;
    weir_rc rc = load_table(r, &again);
    if (rc == WEIR_E_NOTFOUND) {
        *err = again;
        return rc;
    }
    return WEIR_OK;
}

/* One chunk into the stream. *done: nothing is left above it. A chunk that could not be merged
 * leaves lo where it was. */
static weir_rc one_chunk(run *r, bool *done, weir_error *err)
{
    bool whole = false;
    weir_tuple next = {0, NULL};
    int64_t limit = r->table->nkey ? r->limit : 0;
    brg_ask open = {.kind = BRG_ASK_OPEN};
    brg_ask merge = {.kind = BRG_ASK_CHUNK};
    weir_rc rc = ask(r, &open, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_chunk *ch =
        brg_chunk_new(r->table, r->c->copy_id, r->table->nkey ? ROW_BYTES_MAX : KEYLESS_BYTES);
    rc = read_chunk(r, ch, brg_catalog_chunk_sql(r->table, ch->a, r->lo.n > 0, limit), limit,
                    &whole, err);
    if (rc == WEIR_OK) {
        ch->range = true;
        ch->lo = r->lo;
        /* Taken now: merging puts values of the reader's into the rows. */
        weir_arena_reset(r->lb);
        weir_tuple last = brg_chunk_last_key(ch, r->lb);
        ch->hi = whole ? (weir_tuple){0, NULL} : last;
        next = last;
        merge.chunk = ch;
        rc = ask(r, &merge, err);
    }
    if (rc == WEIR_OK && !merge.redo) {
        *done = whole;
        r->tries = 0;
        r->c->progress(r->c->arg, merge.emitted);
        atomic_fetch_add(&r->c->s->chunks, 1);
        r->lo = next;
        weir_arena *swap = r->la;
        r->la = r->lb;
        r->lb = swap;
    }
    brg_chunk_free(ch);
    return rc == WEIR_OK && merge.redo ? try_again(r, merge.redo, err) : rc;
}

/* Keys that moved while their TOAST columns stayed unsent are read once more, by name. */
static weir_rc reread(run *r, const weir_tuple *keys, size_t n, weir_error *err)
{
    bool whole;
    for (size_t at = 0; at < n && !r->restart;) {
        size_t batch = n - at < MOVED_BATCH ? n - at : MOVED_BATCH;
        brg_ask open = {.kind = BRG_ASK_OPEN};
        brg_ask merge = {.kind = BRG_ASK_CHUNK};
        weir_rc rc = ask(r, &open, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        brg_chunk *ch = brg_chunk_new(r->table, r->c->copy_id, ROW_BYTES_MAX);
        rc = read_chunk(r, ch, brg_catalog_keys_sql(r->table, ch->a, keys + at, batch), 0, &whole,
                        err);
        if (rc == WEIR_OK) {
            merge.chunk = ch;
            rc = ask(r, &merge, err);
        }
        brg_chunk_free(ch);
        if (rc == WEIR_OK && merge.redo) {
            rc = try_again(r, merge.redo, err);
        } else if (rc == WEIR_OK) {
            at += batch;
            r->c->progress(r->c->arg, merge.emitted);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

/* *again: too many keys moved, the table must be copied from the start. */
static weir_rc finish(run *r, bool *again, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t n = 1; rc == WEIR_OK && n > 0 && !*again && !r->restart;) {
        weir_arena *a = weir_arena_new(0);
        brg_ask moved = {.kind = BRG_ASK_MOVED, .a = a};
        rc = ask(r, &moved, err);
        n = moved.nmoved;
        *again = moved.overflow;
        if (rc == WEIR_OK && n > 0) {
            rc = reread(r, moved.moved, n, err);
        }
        weir_arena_free(a);
    }
    if (rc == WEIR_OK && !*again && !r->restart) {
        brg_chunk *ch = brg_chunk_new(r->table, r->c->copy_id, CHUNK_BYTES);
        brg_ask merge = {.kind = BRG_ASK_CHUNK, .chunk = ch};
        ch->final = true;
        rc = ask(r, &merge, err);
        *again = rc == WEIR_OK && merge.redo != NULL;
        brg_chunk_free(ch);
    }
    return rc;
}

static weir_rc chunks(run *r, weir_error *err)
{
    bool done = false;
    bool again = true;
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && again) {
        brg_ask watch = {.kind = BRG_ASK_WATCH};
        again = done = r->restart = false;
        r->lo = (weir_tuple){0, NULL};
        rc = ask(r, &watch, err);
        while (rc == WEIR_OK && !done && !r->restart) {
            rc = one_chunk(r, &done, err);
            if (rc != WEIR_OK && rc != WEIR_E_EOF && (err->flags & WEIR_EF_RETRY)) {
                weir_error passing = *err;
                rc = try_again(r, passing.msg, err);
            }
        }
        if (rc == WEIR_OK && !r->restart) {
            rc = finish(r, &again, err);
        }
        again = again || r->restart;
    }
    return rc;
}

weir_rc brg_copy_table(brg_table_copy *c, weir_error *err)
{
    run r = {.c = c,
             .limit = c->s->settings->bridge_copy_chunk_rows,
             .la = weir_arena_new(0),
             .lb = weir_arena_new(0)};
    weir_rc rc = load_table(&r, err);
    if (rc == WEIR_OK) {
        rc = chunks(&r, err);
        brg_ask unwatch = {.kind = BRG_ASK_UNWATCH};
        weir_error ignored;
        weir_rc left = ask(&r, &unwatch, rc == WEIR_OK ? err : &ignored);
        rc = rc == WEIR_OK ? left : rc;
    }
    weir_arena_free(r.ta);
    weir_arena_free(r.la);
    weir_arena_free(r.lb);
    return rc;
}
