/* frame.c - encodes and decodes one frame of the change log; the layout is drawn in frame.h. */
#include "libweir/codec/frame.h"

#include "libweir/codec/mp.h"

/* Where the fields lie that finish patches: every header integer has its full width. */
enum {
    HEAD_FIELDS = 8,
    AT_LAST = 3,     /* after the array byte and kind (lead + u8) */
    AT_END_LSN = 24, /* value of it, after its lead byte */
    AT_EVENTS = 42,  /* count of the array32 */
    HEAD_BYTES = 46,
};

const char *weir_ev_op(weir_ev_kind kind)
{
    switch (kind) {
    case WEIR_EV_INSERT: return "insert";
    case WEIR_EV_UPDATE: return "update";
    case WEIR_EV_DELETE: return "delete";
    case WEIR_EV_TRUNCATE: return "truncate";
    case WEIR_EV_READ: return "read";
    case WEIR_EV_RANGE: return "range";
    case WEIR_EV_COPIED: return "copied";
    default: return "other";
    }
}

static void put_be(char *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * (bytes - 1 - i)));
    }
}

void weir_frame_begin(weir_frame_enc *e, weir_buf *out, const weir_frame_head *head)
{
    *e = (weir_frame_enc){.out = out, .start = out->n};
    msgpack_packer pk = weir_mp_packer(out);
    (void)msgpack_pack_array(&pk, HEAD_FIELDS);
    (void)msgpack_pack_fix_uint8(&pk, (uint8_t)head->kind);
    (void)msgpack_pack_false(&pk);
    (void)msgpack_pack_fix_uint32(&pk, head->part);
    (void)msgpack_pack_fix_uint32(&pk, head->xid);
    (void)msgpack_pack_fix_uint64(&pk, head->commit_lsn);
    (void)msgpack_pack_fix_uint64(&pk, 0);
    (void)msgpack_pack_fix_int64(&pk, head->commit_us);
    weir_buf_u8(out, WEIR_MP_ARRAY32);
    weir_buf_u32(out, 0);
}

void weir_frame_finish(weir_frame_enc *e, bool last, uint64_t end_lsn)
{
    if (e->out->failed || e->out->n < e->start + HEAD_BYTES) {
        e->out->failed = true;
        return;
    }
    char *p = e->out->p + e->start;
    p[AT_LAST] = (char)(unsigned char)(last ? WEIR_MP_TRUE : WEIR_MP_FALSE);
    put_be(p + AT_END_LSN, last ? end_lsn : 0, 8);
    put_be(p + AT_EVENTS, e->events, 4);
}

static void put_row(msgpack_packer *pk, const weir_tuple *t)
{
    (void)msgpack_pack_array(pk, t->n);
    for (uint16_t i = 0; i < t->n; i++) {
        switch (t->v[i].kind) {
        case WEIR_VAL_TEXT: weir_mp_put_str(pk, t->v[i].text); break;
        case WEIR_VAL_NULL: (void)msgpack_pack_nil(pk); break;
        case WEIR_VAL_UNCHANGED: (void)msgpack_pack_false(pk); break;
        }
    }
}

/* A row, or nil where there is none. */
static void put_row_or_nil(msgpack_packer *pk, const weir_tuple *t)
{
    if (t->n) {
        put_row(pk, t);
    } else {
        (void)msgpack_pack_nil(pk);
    }
}

static size_t event_fields(weir_ev_kind kind)
{
    static const unsigned char fields[] = {
        [WEIR_EV_INSERT] = 3,  [WEIR_EV_UPDATE] = 5, [WEIR_EV_DELETE] = 4, [WEIR_EV_TRUNCATE] = 3,
        [WEIR_EV_MESSAGE] = 5, [WEIR_EV_ORIGIN] = 3, [WEIR_EV_TYPE] = 4,   [WEIR_EV_READ] = 3,
        [WEIR_EV_RANGE] = 5,   [WEIR_EV_COPIED] = 5,
    };
    return (size_t)kind < sizeof fields ? fields[kind] : 0;
}

static void put_change(msgpack_packer *pk, const weir_ev *ev)
{
    (void)msgpack_pack_uint32(pk, ev->rel);
    if (ev->kind == WEIR_EV_UPDATE || ev->kind == WEIR_EV_DELETE) {
        (void)msgpack_pack_uint8(pk, (uint8_t)ev->old_kind);
        if (ev->old_kind == WEIR_OLD_NONE) {
            (void)msgpack_pack_nil(pk);
        } else {
            put_row(pk, &ev->old_row);
        }
    }
    if (ev->kind != WEIR_EV_DELETE) {
        put_row(pk, &ev->new_row);
    }
}

static void put_truncate(msgpack_packer *pk, const weir_ev *ev)
{
    (void)msgpack_pack_uint8(pk, ev->flags);
    (void)msgpack_pack_array(pk, ev->nrels);
    for (uint32_t i = 0; i < ev->nrels; i++) {
        (void)msgpack_pack_uint32(pk, ev->rels[i]);
    }
}

static void put_range(msgpack_packer *pk, const weir_ev *ev)
{
    (void)msgpack_pack_uint32(pk, ev->rel);
    weir_mp_put_str(pk, ev->copy_id);
    put_row_or_nil(pk, &ev->old_row);
    put_row_or_nil(pk, &ev->new_row);
}

static void put_other(msgpack_packer *pk, const weir_ev *ev)
{
    switch (ev->kind) {
    case WEIR_EV_MESSAGE:
        weir_mp_put_bool(pk, ev->transactional);
        (void)msgpack_pack_uint64(pk, ev->lsn);
        weir_mp_put_str(pk, ev->a);
        weir_mp_put_bin(pk, ev->b);
        break;
    case WEIR_EV_ORIGIN:
        (void)msgpack_pack_uint64(pk, ev->lsn);
        weir_mp_put_str(pk, ev->a);
        break;
    case WEIR_EV_TYPE:
        (void)msgpack_pack_uint32(pk, ev->oid);
        weir_mp_put_str(pk, ev->a);
        weir_mp_put_str(pk, ev->b);
        break;
    default: /* COPIED */
        (void)msgpack_pack_uint32(pk, ev->rel);
        weir_mp_put_str(pk, ev->copy_id);
        weir_mp_put_str(pk, ev->a);
        weir_mp_put_str(pk, ev->b);
        break;
    }
}

void weir_frame_put(weir_frame_enc *e, const weir_ev *ev)
{
    msgpack_packer pk = weir_mp_packer(e->out);
    (void)msgpack_pack_array(&pk, event_fields(ev->kind));
    (void)msgpack_pack_uint8(&pk, (uint8_t)ev->kind);
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_UPDATE:
    case WEIR_EV_DELETE:
    case WEIR_EV_READ: put_change(&pk, ev); break;
    case WEIR_EV_TRUNCATE: put_truncate(&pk, ev); break;
    case WEIR_EV_RANGE: put_range(&pk, ev); break;
    default: put_other(&pk, ev); break;
    }
    e->events++;
}

static weir_rc bad(weir_error *err, const char *what)
{
    return weir_fail(err, WEIR_E_PROTO, 0, "frame: %s", what);
}

static weir_rc too_large(weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0, "frame: the event does not fit into its memory limit");
}

weir_rc weir_frame_open(weir_frame_dec *d, weir_slice frame, weir_frame_head *head, weir_error *err)
{
    weir_mp mp = weir_mp_of(frame);
    memset(head, 0, sizeof *head);
    *d = (weir_frame_dec){.left = 0};
    if (frame.n > WEIR_FRAME_MAX_BYTES) {
        return bad(err, "larger than a frame may be");
    }
    if (weir_mp_array(&mp) != HEAD_FIELDS) {
        return bad(err, "no frame header");
    }
    uint64_t kind = weir_mp_uint(&mp);
    head->last = weir_mp_bool(&mp);
    head->part = weir_mp_u32(&mp);
    head->xid = weir_mp_u32(&mp);
    head->commit_lsn = weir_mp_uint(&mp);
    head->end_lsn = weir_mp_uint(&mp);
    head->commit_us = weir_mp_int(&mp);
    uint32_t events = weir_mp_array(&mp);
    if (mp.bad) {
        return bad(err, "truncated or malformed header");
    }
    if (kind < WEIR_FRAME_TX || kind > WEIR_FRAME_MESSAGE) {
        return bad(err, "unknown kind of frame");
    }
    if (!head->last && head->end_lsn != 0) {
        return bad(err, "an end position in a part that is not the last");
    }
    head->kind = (weir_frame_kind)kind;
    d->rest = weir_mp_rest(&mp);
    d->left = events;
    return WEIR_OK;
}

/* The hot path: one value of a row. false: malformed. */
static inline bool get_value(weir_mp *mp, weir_val *v)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead >= 0xa0 && lead <= 0xbf) {
        size_t n = lead & 0x1f;
        if (n >= (size_t)(mp->end - mp->p)) {
            return false;
        }
        *v = (weir_val){WEIR_VAL_TEXT, {(const char *)mp->p + 1, n}};
        mp->p += n + 1;
        return true;
    }
    if (lead == WEIR_MP_NIL || lead == WEIR_MP_FALSE) {
        mp->p++;
        *v = (weir_val){lead == WEIR_MP_NIL ? WEIR_VAL_NULL : WEIR_VAL_UNCHANGED, {NULL, 0}};
        return true;
    }
    *v = (weir_val){WEIR_VAL_TEXT, weir_mp_str(mp)};
    return !mp->bad;
}

static weir_rc get_row(weir_mp *mp, weir_arena *a, weir_tuple *out, weir_error *err)
{
    uint32_t n = weir_mp_array(mp);
    if (mp->bad || n > WEIR_COLUMNS_MAX) {
        return bad(err, "row with a column count that cannot be");
    }
    out->v = weir_arena_alloc(a, n * sizeof(weir_val));
    if (!out->v) {
        return too_large(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!get_value(mp, &out->v[i])) {
            return bad(err, "malformed value in a row");
        }
    }
    out->n = (uint16_t)n;
    return WEIR_OK;
}

static weir_rc get_row_or_nil(weir_mp *mp, weir_arena *a, weir_tuple *out, weir_error *err)
{
    return weir_mp_nil(mp) ? WEIR_OK : get_row(mp, a, out, err);
}

static weir_rc get_change(weir_mp *mp, weir_arena *a, weir_ev *ev, weir_error *err)
{
    ev->rel = weir_mp_u32(mp);
    if (ev->kind == WEIR_EV_UPDATE || ev->kind == WEIR_EV_DELETE) {
        uint64_t old_kind = weir_mp_uint(mp);
        if (mp->bad || old_kind > WEIR_OLD_ROW ||
            (old_kind == WEIR_OLD_NONE && (ev->kind == WEIR_EV_DELETE || !weir_mp_nil(mp)))) {
            return bad(err, "a change with a wrong kind of old row");
        }
        ev->old_kind = (weir_old_kind)old_kind;
        if (old_kind != WEIR_OLD_NONE) {
            weir_rc rc = get_row(mp, a, &ev->old_row, err);
            if (rc != WEIR_OK) {
                return rc;
            }
        }
    }
    return ev->kind == WEIR_EV_DELETE ? WEIR_OK : get_row(mp, a, &ev->new_row, err);
}

static weir_rc get_truncate(weir_mp *mp, weir_arena *a, weir_ev *ev, weir_error *err)
{
    uint64_t flags = weir_mp_uint(mp);
    uint32_t n = weir_mp_array(mp);
    if (mp->bad || flags > UINT8_MAX) {
        return bad(err, "malformed TRUNCATE");
    }
    uint32_t *rels = WEIR_ARENA_ARRAY(a, uint32_t, n);
    if (!rels) {
        return too_large(err);
    }
    for (uint32_t i = 0; i < n; i++) {
        rels[i] = weir_mp_u32(mp);
    }
    ev->flags = (uint8_t)flags;
    ev->nrels = n;
    ev->rels = rels;
    return WEIR_OK;
}

static weir_rc get_range(weir_mp *mp, weir_arena *a, weir_ev *ev, weir_error *err)
{
    ev->rel = weir_mp_u32(mp);
    ev->copy_id = weir_mp_str(mp);
    weir_rc rc = get_row_or_nil(mp, a, &ev->old_row, err);
    return rc == WEIR_OK ? get_row_or_nil(mp, a, &ev->new_row, err) : rc;
}

static void get_other(weir_mp *mp, weir_ev *ev)
{
    switch (ev->kind) {
    case WEIR_EV_MESSAGE:
        ev->transactional = weir_mp_bool(mp);
        ev->lsn = weir_mp_uint(mp);
        ev->a = weir_mp_str(mp);
        ev->b = weir_mp_bin(mp);
        break;
    case WEIR_EV_ORIGIN:
        ev->lsn = weir_mp_uint(mp);
        ev->a = weir_mp_str(mp);
        break;
    case WEIR_EV_TYPE:
        ev->oid = weir_mp_u32(mp);
        ev->a = weir_mp_str(mp);
        ev->b = weir_mp_str(mp);
        break;
    default: /* COPIED */
        ev->rel = weir_mp_u32(mp);
        ev->copy_id = weir_mp_str(mp);
        ev->a = weir_mp_str(mp);
        ev->b = weir_mp_str(mp);
        break;
    }
}

static weir_rc get_body(weir_mp *mp, weir_arena *a, weir_ev *ev, weir_error *err)
{
    switch (ev->kind) {
    case WEIR_EV_INSERT:
    case WEIR_EV_UPDATE:
    case WEIR_EV_DELETE:
    case WEIR_EV_READ: return get_change(mp, a, ev, err);
    case WEIR_EV_TRUNCATE: return get_truncate(mp, a, ev, err);
    case WEIR_EV_RANGE: return get_range(mp, a, ev, err);
    default: get_other(mp, ev); return WEIR_OK;
    }
}

weir_rc weir_frame_next(weir_frame_dec *d, weir_arena *a, weir_ev *ev, weir_error *err)
{
    memset(ev, 0, sizeof *ev);
    if (d->left == 0) {
        return d->rest.n ? bad(err, "bytes left over after the last event") : WEIR_E_EOF;
    }
    weir_mp mp = weir_mp_of(d->rest);
    uint32_t fields = weir_mp_array(&mp);
    uint64_t kind = weir_mp_uint(&mp);
    if (mp.bad || kind < WEIR_EV_INSERT || kind > WEIR_EV_COPIED ||
        fields != event_fields((weir_ev_kind)kind)) {
        return bad(err, "unknown or malformed event");
    }
    ev->kind = (weir_ev_kind)kind;
    weir_rc rc = get_body(&mp, a, ev, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (mp.bad) {
        return bad(err, "truncated or malformed event");
    }
    d->rest = weir_mp_rest(&mp);
    d->left--;
    return WEIR_OK;
}
