/* copy_table.c - one table, chunk by chunk: open the window, read in one snapshot, hand over, again
 * if it cannot be merged. */
#include "bridge/copy_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "libweir/base/log.h"

enum {
    KEYLESS_BYTES = 256 * 1024 * 1024,
    ROW_BYTES_MAX = 1024 * 1024 * 1024,
    SHAPE_MAX_BYTES = 8 * 1024 * 1024,
    ROWS_LEAST = 50,
    ROWS_MOST = 1000000,
    TRIES_MAX = 500,
    RETRY_FIRST_MS = 20,
    RETRY_MAX_MS = 200,
    MOVED_BATCH = 500,
};

typedef struct run {
    brg_table_copy *c;
    weir_arena *ta; /* the table's description */
    brg_table *table;
    weir_hash128 shape;
    weir_arena *la, *lb; /* the last key lives in la; lb takes the next */
    weir_tuple lo;
    int64_t limit;
    int tries;
    bool restart; /* the description changed: what was noted by the old one is of no use */
    brg_copy_step step;
} run;

static brg_shared *shared(const run *r)
{
    return r->c->src->s;
}

static void on_note(void *arg, const brg_ask *q, weir_buf *batch)
{
    run *r = arg;
    r->step.rows = q->emitted;
    r->c->note(r->c->arg, &r->step, batch);
}

static weir_rc ask(run *r, brg_ask *q, weir_error *err)
{
    q->table = r->table;
    q->window = r->c->src->window;
    q->crawl_table = r->c->crawl_table;
    return brg_port_ask(r->c->src->port, q, BRG_STREAM_WAIT_MS, err);
}

/* With what to keep of it. */
static weir_rc ask_noted(run *r, brg_ask *q, brg_copy_step step, weir_error *err)
{
    r->step = step;
    r->step.table = r->table;
    r->step.shape = r->shape;
    if (r->c->note) {
        q->note = on_note;
        q->note_arg = r;
    }
    return ask(r, q, err);
}

static bool shape_of(const brg_table *t, weir_hash128 *out)
{
    weir_buf b;
    weir_buf_init(&b, SHAPE_MAX_BYTES);
    weir_relation_encode(&b, &t->rel);
    for (uint16_t i = 0; i < t->nkey; i++) {
        weir_buf_u16(&b, t->key[i]);
    }
    bool ok = !b.failed;
    *out = weir_hash128_of(weir_buf_slice(&b));
    weir_buf_fini(&b);
    return ok;
}

static weir_rc load_table(run *r, weir_error *err)
{
    brg_table *all = NULL;
    size_t n = 0;
    weir_hash128 shape = {{0}};
    const char *publication = shared(r)->settings->bridge_publication;
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = brg_source_connect(r->c->src, err);
    if (rc == WEIR_OK) {
        rc = brg_catalog_tables(r->c->src->pg, publication, r->c->schema, r->c->name, a, &all, &n,
                                err);
    }
    if (rc == WEIR_OK && n == 0) {
        rc = weir_fail(err, WEIR_E_NOTFOUND, 0,
                       "table %s.%s is not in publication %s: run `weir deploy`", r->c->schema,
                       r->c->name, publication);
    }
    if (rc == WEIR_OK && !shape_of(&all[0], &shape)) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "the description of table %s.%s is too large",
                       r->c->schema, r->c->name);
    }
    if (rc != WEIR_OK) {
        weir_arena_free(a);
        return rc;
    }
    r->restart = r->table && memcmp(&shape, &r->shape, sizeof shape) != 0;
    weir_arena_free(r->ta);
    r->ta = a;
    r->table = &all[0];
    r->shape = shape;
    return WEIR_OK;
}

static int64_t retry_ms(const run *r)
{
    int64_t ms = RETRY_FIRST_MS;
    for (int i = 1; i < r->tries && ms < RETRY_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

/* Something passing was in the way: wait a little, with smaller chunks; the description may have
 * changed too. */
static weir_rc try_again(run *r, const char *why, weir_error *err)
{
    if (brg_stopping(shared(r))) {
        return weir_fail(err, WEIR_E_EOF, 0, "stopping");
    }
    if (++r->tries > TRIES_MAX && !r->c->patient) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "table %s.%s: gave up after %d tries: %s",
                         r->c->schema, r->c->name, TRIES_MAX, why);
    }
    WEIR_INFO("BRG-CHUNK-AGAIN", "table=%s.%s tries=%d why=\"%s\"", r->c->schema, r->c->name,
              r->tries, why);
    atomic_fetch_add(&shared(r)->redone, 1);
    if (r->c->read) {
        r->c->read(r->c->arg, 0, 0, why);
    }
    int64_t least = r->limit < ROWS_LEAST ? r->limit : ROWS_LEAST;
    r->limit = r->limit / 2 > least ? r->limit / 2 : least;
    brg_pause(shared(r), retry_ms(r));
    weir_error again;
    weir_rc rc = load_table(r, &again);
    if (rc == WEIR_E_NOTFOUND) {
        *err = again;
        return rc;
    }
    return WEIR_OK;
}

/* After an error: WEIR_OK when it was a passing one, or the description had changed. */
static weir_rc after_error(run *r, weir_rc rc, weir_error *err)
{
    weir_error was = *err;
    if (rc == WEIR_E_EOF) {
        return rc;
    }
    if (was.flags & WEIR_EF_RETRY) {
        return try_again(r, was.msg, err);
    }
    bool renamed = strcmp(was.sqlstate, "42703") == 0 || strcmp(was.sqlstate, "42P01") == 0;
    weir_error again;
    if (renamed && load_table(r, &again) == WEIR_OK && r->restart) {
        return WEIR_OK;
    }
    *err = was;
    return rc;
}

static weir_rc not_merged(run *r, const brg_ask *merge, weir_error *err)
{
    weir_rc rc = merge->barrier ? brg_source_barrier(r->c->src, err) : WEIR_OK;
    if (rc != WEIR_OK && rc != WEIR_E_EOF && (err->flags & WEIR_EF_RETRY)) {
        rc = WEIR_OK;
    }
    return rc == WEIR_OK ? try_again(r, merge->redo, err) : rc;
}

/* The next chunk should take target_ms. */
static void adapt(run *r, const brg_read *rd)
{
    int64_t most = shared(r)->settings->bridge_copy_chunk_rows;
    if (r->c->target_ms > 0) {
        int64_t ms = rd->ms > 0 ? rd->ms : 1;
        int64_t fit = r->limit * r->c->target_ms / ms;
        fit = fit > 2 * r->limit ? 2 * r->limit : fit;
        fit = fit < r->limit / 4 ? r->limit / 4 : fit;
        r->limit = fit;
    }
    most = most < ROWS_MOST ? most : ROWS_MOST;
    int64_t least = most < ROWS_LEAST ? most : ROWS_LEAST;
    r->limit = r->limit > most ? most : r->limit < least ? least : r->limit;
}

static void chunk_done(run *r, const brg_read *rd, const brg_ask *merge)
{
    r->tries = 0;
    r->c->progress(r->c->arg, merge->emitted);
    atomic_fetch_add(&shared(r)->chunks, 1);
    r->lo = rd->last;
    weir_arena *swap = r->la;
    r->la = r->lb;
    r->lb = swap;
    adapt(r, rd);
}

/* One chunk into the stream. *done: nothing is left above it. A chunk that could not be merged
 * leaves lo where it was. */
static weir_rc one_chunk(run *r, bool *done, weir_error *err)
{
    int64_t limit = r->table->nkey ? r->limit : 0;
    brg_ask open = {.kind = BRG_ASK_OPEN};
    brg_ask merge = {.kind = BRG_ASK_CHUNK};
    weir_rc rc = r->c->gate ? r->c->gate(r->c->arg, err) : WEIR_OK;
    if (rc == WEIR_OK) {
        rc = ask(r, &open, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_chunk *ch =
        brg_chunk_new(r->table, r->c->copy_id, r->table->nkey ? ROW_BYTES_MAX : KEYLESS_BYTES);
    brg_read rd = {.table = r->table,
                   .lo = limit ? r->lo : (weir_tuple){0, NULL},
                   .limit = limit,
                   .marked = r->c->where != NULL,
                   .a = r->lb};
    rd.sql = brg_catalog_chunk_sql(r->table, ch->a, rd.lo.n > 0, limit, r->c->where);
    rc = brg_source_read(r->c->src, &rd, ch, err);
    if (rc == WEIR_OK && r->c->read) {
        r->c->read(r->c->arg, rd.seen, rd.ms, NULL);
    }
    if (rc == WEIR_OK) {
        ch->range = !r->c->where;
        ch->lo = r->lo;
        ch->hi = rd.whole ? (weir_tuple){0, NULL} : rd.last;
        merge.chunk = ch;
        rc = ask_noted(r, &merge,
                       (brg_copy_step){.at = rd.whole ? BRG_COPY_READ : BRG_COPY_CHUNK,
                                       .lo = rd.last,
                                       .seen = rd.seen},
                       err);
    }
    if (rc == WEIR_OK && !merge.redo) {
        *done = rd.whole;
        chunk_done(r, &rd, &merge);
    }
    brg_chunk_free(ch);
    return rc == WEIR_OK && merge.redo ? not_merged(r, &merge, err) : rc;
}

/* Keys that moved while their TOAST columns stayed unsent are read once more, by name. */
static weir_rc reread(run *r, const weir_tuple *keys, size_t n, weir_error *err)
{
    for (size_t at = 0; at < n && !r->restart;) {
        size_t batch = n - at < MOVED_BATCH ? n - at : MOVED_BATCH;
        brg_ask open = {.kind = BRG_ASK_OPEN};
        brg_ask merge = {.kind = BRG_ASK_CHUNK};
        weir_rc rc = ask(r, &open, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        brg_chunk *ch = brg_chunk_new(r->table, r->c->copy_id, ROW_BYTES_MAX);
        brg_read rd = {.table = r->table, .a = r->lb};
        rd.sql = brg_catalog_keys_sql(r->table, ch->a, keys + at, batch);
        rc = brg_source_read(r->c->src, &rd, ch, err);
        if (rc == WEIR_OK) {
            merge.chunk = ch;
            rc = ask(r, &merge, err);
        }
        brg_chunk_free(ch);
        if (rc == WEIR_OK && merge.redo) {
            rc = not_merged(r, &merge, err);
        } else if (rc == WEIR_OK) {
            at += batch;
            r->tries = 0;
            r->c->progress(r->c->arg, merge.emitted);
        } else {
            rc = after_error(r, rc, err);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

static weir_rc reread_moved(run *r, brg_ask *moved, weir_error *err)
{
    weir_rc rc = reread(r, moved->moved, moved->nmoved, err);
    if (rc == WEIR_OK && !r->restart) {
        brg_ask kept = {.kind = BRG_ASK_NOTE};
        rc = ask_noted(r, &kept,
                       (brg_copy_step){.at = BRG_COPY_MOVED, .moved_below = moved->moved_below},
                       err);
    }
    return rc;
}

/* The last: that the table is complete, where that may be said; behind what subscribers were told
 * before a crash, which the log may still have to catch up with. */
static weir_rc complete(run *r, bool *again, weir_error *err)
{
    uint64_t lsn = 0;
    weir_rc rc = brg_source_lsn(r->c->src, &lsn, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_chunk *ch = brg_chunk_new(r->table, r->c->copy_id, SHAPE_MAX_BYTES);
    brg_ask end = {.kind = r->c->where ? BRG_ASK_NOTE : BRG_ASK_CHUNK, .chunk = ch};
    ch->final = true;
    ch->passed_lsn = lsn;
    rc = ask_noted(r, &end, (brg_copy_step){.at = BRG_COPY_ENDS}, err);
    *again = rc == WEIR_OK && end.redo != NULL;
    brg_chunk_free(ch);
    return rc;
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
        if (rc == WEIR_OK && n > 0 && !*again) {
            rc = reread_moved(r, &moved, err);
        }
        weir_arena_free(a);
    }
    return rc == WEIR_OK && !*again && !r->restart ? complete(r, again, err) : rc;
}

static weir_rc all_chunks(run *r, bool done, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    while (rc == WEIR_OK && !done && !r->restart) {
        rc = one_chunk(r, &done, err);
        if (rc != WEIR_OK) {
            rc = after_error(r, rc, err);
        }
    }
    return rc;
}

/* From the start, or from where it stood. */
static weir_rc copy_once(run *r, bool resume, bool *again, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    r->restart = false;
    if (!resume) {
        brg_ask watch = {.kind = BRG_ASK_WATCH};
        r->lo = (weir_tuple){0, NULL};
        rc = ask_noted(r, &watch, (brg_copy_step){.at = BRG_COPY_BEGINS}, err);
    }
    if (rc == WEIR_OK) {
        rc = all_chunks(r, resume && r->c->read_all, err);
    }
    if (rc == WEIR_OK && !r->restart) {
        rc = finish(r, again, err);
    }
    *again = rc == WEIR_OK && (*again || r->restart);
    return rc;
}

weir_rc brg_copy_table(brg_table_copy *c, weir_error *err)
{
    run r = {.c = c,
             .limit = c->rows_first ? c->rows_first
                                    : shared(&(run){.c = c})->settings->bridge_copy_chunk_rows,
             .la = weir_arena_new(0),
             .lb = weir_arena_new(0)};
    weir_rc rc = load_table(&r, err);
    bool resume = rc == WEIR_OK && c->resume && memcmp(&c->shape, &r.shape, sizeof r.shape) == 0;
    bool again = rc == WEIR_OK;
    if (resume) {
        r.lo = c->lo;
    }
    while (rc == WEIR_OK && again) {
        again = false;
        rc = copy_once(&r, resume, &again, err);
        resume = false;
    }
    weir_arena_free(r.ta);
    weir_arena_free(r.la);
    weir_arena_free(r.lb);
    return rc;
}
