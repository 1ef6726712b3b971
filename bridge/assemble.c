/* assemble.c - messages of the stream into frames. */
#include "bridge/assemble.h"

#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"

struct brg_assembler {
    brg_relcat *relcat;
    brg_windows *windows;
    brg_sink sink;
    size_t target_bytes;
    weir_cursor head;
    bool in_tx;
    bool skipping; /* the log has this transaction */
    bool open;     /* a frame is begun in b */
    weir_frame_head fh;
    weir_buf b;
    weir_frame_enc enc;
    uint64_t rows, transactions;
    uint32_t *rels; /* TRUNCATE's versions */
    size_t rels_cap;
};

brg_assembler *brg_assembler_new(brg_relcat *relcat, brg_windows *windows, const brg_sink *sink,
                                 weir_cursor head, size_t target_bytes)
{
    brg_assembler *s = weir_xcalloc(1, sizeof *s);
    s->relcat = relcat;
    s->windows = windows;
    s->sink = *sink;
    s->head = head;
    s->target_bytes = target_bytes;
    weir_buf_init(&s->b, WEIR_FRAME_MAX_BYTES);
    return s;
}

void brg_assembler_free(brg_assembler *s)
{
    if (s) {
        weir_buf_fini(&s->b);
        free(s->rels);
        free(s);
    }
}

void brg_assembler_reset(brg_assembler *s)
{
    s->in_tx = s->open = false;
    weir_buf_reset(&s->b);
    brg_relcat_unbind_all(s->relcat);
    brg_windows_broken(s->windows);
}

bool brg_assembler_in_tx(const brg_assembler *s)
{
    return s->in_tx;
}

uint32_t brg_assembler_tx_events(const brg_assembler *s)
{
    return s->in_tx && s->open ? s->enc.events : 0;
}

weir_cursor brg_assembler_head(const brg_assembler *s)
{
    return s->head;
}

uint64_t brg_assembler_rows(const brg_assembler *s)
{
    return s->rows;
}

uint64_t brg_assembler_transactions(const brg_assembler *s)
{
    return s->transactions;
}

static void begin_frame(brg_assembler *s)
{
    weir_buf_reset(&s->b);
    weir_frame_begin(&s->enc, &s->b, &s->fh);
    s->open = true;
}

/* Finishes the frame begun in b and gives it to the sink. end is the cursor after it when it is the
 * last part. */
static weir_rc emit(brg_assembler *s, weir_cursor at, bool last, weir_cursor end, weir_error *err)
{
    weir_frame_finish(&s->enc, last, end.lsn);
    s->open = false;
    if (s->b.failed) {
        return weir_fail(err, WEIR_E_LIMIT, WEIR_EF_FATAL, "a row does not fit into a frame");
    }
    s->rows += s->enc.events;
    size_t n = 0;
    char *p = weir_buf_take(&s->b, &n);
    brg_frame *f = brg_frame_new(p, n);
    f->at = at;
    f->part = s->fh.part;
    f->last = last;
    f->needs_sync = s->fh.kind == WEIR_FRAME_CHUNK;
    f->end = end;
    if (last) {
        s->head = end;
    }
    return s->sink.frame(s->sink.arg, f, err);
}

static weir_cursor tx_key(const brg_assembler *s)
{
    return (weir_cursor){s->fh.commit_lsn, WEIR_SUB_TX};
}

/* An event of the running transaction; a part that is large enough is closed. */
static weir_rc put(brg_assembler *s, const weir_ev *ev, weir_error *err)
{
    if (!s->open) {
        begin_frame(s);
    }
    weir_frame_put(&s->enc, ev);
    if (weir_frame_bytes(&s->enc) < s->target_bytes) {
        return WEIR_OK;
    }
    weir_rc rc = emit(s, tx_key(s), false, (weir_cursor){0, 0}, err);
    s->fh.part++;
    return rc;
}

static weir_rc on_begin(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    if (s->in_tx) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY, "BEGIN inside a transaction");
    }
    s->in_tx = true;
    s->skipping = m->u.begin.final_lsn < s->head.lsn;
    s->fh = (weir_frame_head){.kind = WEIR_FRAME_TX,
                              .xid = m->u.begin.xid,
                              .commit_lsn = m->u.begin.final_lsn,
                              .commit_us = m->u.begin.commit_us};
    if (!s->skipping) {
        brg_windows_begin(s->windows, m->u.begin.xid);
    }
    return WEIR_OK;
}

static weir_rc on_commit(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    if (!s->in_tx || m->u.commit.commit_lsn != s->fh.commit_lsn ||
        m->u.commit.end_lsn <= m->u.commit.commit_lsn) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                         "COMMIT does not belong to the BEGIN before it");
    }
    s->in_tx = false;
    if (s->skipping) {
        return WEIR_OK;
    }
    /* The end of the commit record, not its start: a slot told the start would send this
     * transaction again. */
    weir_cursor end = {m->u.commit.end_lsn, 0};
    if (!s->open && s->fh.part == 0) {
        s->head = end; /* an empty transaction (before PostgreSQL 15) is only a position */
        s->sink.moved(s->sink.arg, end);
        return WEIR_OK;
    }
    if (!s->open) {
        begin_frame(
            s); /* the last part was just closed by size: an empty one says that it was the last */
    }
    s->transactions++;
    return emit(s, tx_key(s), true, end, err);
}

weir_rc brg_assembler_version(brg_assembler *s, const weir_relation *rel, uint32_t *version,
                              weir_error *err)
{
    bool created = false;
    weir_hash128 hash;
    *version = brg_relcat_version(s->relcat, rel, &created, &hash);
    if (!created) {
        return WEIR_OK;
    }
    weir_relation numbered = *rel;
    numbered.version = *version;
    return s->sink.relation(s->sink.arg, &numbered, hash, err);
}

static weir_rc on_relation(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    uint32_t version = 0;
    weir_rc rc = brg_assembler_version(s, &m->u.relation, &version, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_relcat_bind(s->relcat, &m->u.relation, version);
    brg_windows_relation(s->windows, &m->u.relation);
    return WEIR_OK;
}

static weir_rc bound(brg_assembler *s, uint32_t oid, const weir_relation **rel, weir_error *err)
{
    *rel = brg_relcat_get(s->relcat, oid);
    return *rel ? WEIR_OK
                : weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                            "a change of relation %u, which was never described", oid);
}

/* Under REPLICA IDENTITY FULL an unchanged TOAST column is 'u' in the new row and present in the
 * old one. */
static void fill_unchanged(weir_tuple *new_row, const weir_tuple *old_row)
{
    for (uint16_t i = 0; i < new_row->n && i < old_row->n; i++) {
        if (new_row->v[i].kind == WEIR_VAL_UNCHANGED) {
            new_row->v[i] = old_row->v[i];
        }
    }
}

static weir_rc on_row(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    const weir_relation *rel = NULL;
    weir_rc rc = bound(s, m->u.row.oid, &rel, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_ev ev = {.rel = rel->version, .old_row = m->u.row.old_row, .new_row = m->u.row.new_row};
    ev.kind = m->kind == WEIR_PGO_INSERT   ? WEIR_EV_INSERT
              : m->kind == WEIR_PGO_UPDATE ? WEIR_EV_UPDATE
                                           : WEIR_EV_DELETE;
    ev.old_kind = m->u.row.old_kind == 'K'   ? WEIR_OLD_KEY
                  : m->u.row.old_kind == 'O' ? WEIR_OLD_ROW
                                             : WEIR_OLD_NONE;
    if ((ev.new_row.n && ev.new_row.n != rel->n) || (ev.old_row.n && ev.old_row.n != rel->n)) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                         "a row has not as many columns as its relation");
    }
    if (ev.old_kind == WEIR_OLD_ROW) {
        fill_unchanged(&ev.new_row, &ev.old_row);
    }
    brg_windows_note(s->windows, m->u.row.oid, &ev);
    return put(s, &ev, err);
}

static weir_rc on_truncate(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    uint32_t n = m->u.truncate.n;
    if (n > s->rels_cap) {
        s->rels = weir_xrealloc(s->rels, n * sizeof *s->rels);
        s->rels_cap = n;
    }
    for (uint32_t i = 0; i < n; i++) {
        const weir_relation *rel = NULL;
        weir_rc rc = bound(s, m->u.truncate.oids[i], &rel, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        s->rels[i] = rel->version;
        brg_windows_truncated(s->windows, rel->oid);
    }
    weir_ev ev = {
        .kind = WEIR_EV_TRUNCATE, .flags = m->u.truncate.flags, .nrels = n, .rels = s->rels};
    return put(s, &ev, err);
}

static weir_rc on_message(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    weir_ev ev = {.kind = WEIR_EV_MESSAGE,
                  .transactional = m->u.message.transactional,
                  .lsn = m->u.message.lsn,
                  .a = m->u.message.prefix,
                  .b = m->u.message.content};
    if (s->in_tx) {
        return put(s, &ev, err);
    }
    /* It stands alone in the WAL, and lsn is its end: the commit record of an open transaction may
     * begin right there. So it is kept below that, inside its own record, where no other key can
     * be. */
    if (ev.lsn <= s->head.lsn) {
        return WEIR_OK;
    }
    weir_cursor end = {ev.lsn, 0};
    if (weir_slice_eqz(ev.a, "weir.heartbeat")) {
        s->head = end;
        s->sink.moved(s->sink.arg, end);
        return WEIR_OK;
    }
    s->fh = (weir_frame_head){.kind = WEIR_FRAME_MESSAGE,
                              .commit_lsn = ev.lsn - 1,
                              .commit_us = weir_wall_us() - WEIR_PG_EPOCH_US};
    begin_frame(s);
    weir_frame_put(&s->enc, &ev);
    return emit(s, tx_key(s), true, end, err);
}

static weir_rc on_other(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    weir_ev ev = {.kind = WEIR_EV_ORIGIN};
    if (m->kind == WEIR_PGO_ORIGIN) {
        ev.lsn = m->u.origin.lsn;
        ev.a = m->u.origin.name;
    } else {
        ev.kind = WEIR_EV_TYPE;
        ev.oid = m->u.type.oid;
        ev.a = m->u.type.schema;
        ev.b = m->u.type.name;
    }
    return put(s, &ev, err);
}

weir_rc brg_assembler_feed(brg_assembler *s, const weir_pgo *m, weir_error *err)
{
    switch (m->kind) {
    case WEIR_PGO_BEGIN: return on_begin(s, m, err);
    case WEIR_PGO_COMMIT: return on_commit(s, m, err);
    case WEIR_PGO_RELATION: return on_relation(s, m, err);
    case WEIR_PGO_MESSAGE:
        if (!s->in_tx) {
            return on_message(s, m, err);
        }
        break;
    default: break;
    }
    if (!s->in_tx) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY, "message '%c' outside a transaction",
                         (char)m->kind);
    }
    if (s->skipping) {
        return WEIR_OK;
    }
    switch (m->kind) {
    case WEIR_PGO_INSERT:
    case WEIR_PGO_UPDATE:
    case WEIR_PGO_DELETE: return on_row(s, m, err);
    case WEIR_PGO_TRUNCATE: return on_truncate(s, m, err);
    case WEIR_PGO_MESSAGE: return on_message(s, m, err);
    default: return on_other(s, m, err);
    }
}

bool brg_assembler_idle(brg_assembler *s, uint64_t wal_end)
{
    if (s->in_tx || wal_end <= s->head.lsn) {
        return false;
    }
    s->head = (weir_cursor){wal_end, 0};
    return true;
}

weir_rc brg_assembler_chunk_put(brg_assembler *s, const weir_ev *ev, weir_error *err)
{
    if (s->in_tx) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_FATAL, "copied rows inside a transaction");
    }
    if (!s->open) {
        s->fh = (weir_frame_head){.kind = WEIR_FRAME_CHUNK,
                                  .xid = s->head.sub, /* with commit_lsn its whole place */
                                  .commit_lsn = s->head.lsn,
                                  .commit_us = weir_wall_us() - WEIR_PG_EPOCH_US};
        begin_frame(s);
    }
    weir_frame_put(&s->enc, ev);
    return weir_frame_bytes(&s->enc) < s->target_bytes ? WEIR_OK : brg_assembler_chunk_end(s, err);
}

weir_rc brg_assembler_chunk_end(brg_assembler *s, weir_error *err)
{
    if (!s->open) {
        return WEIR_OK;
    }
    return emit(s, s->head, true, (weir_cursor){s->head.lsn, s->head.sub + 1}, err);
}

weir_rc brg_assembler_crawl(brg_assembler *s, weir_buf *batch, weir_error *err)
{
    return s->sink.crawl(s->sink.arg, batch, err);
}
