/* feed.c - subscribe, fetch, and the keys of each event. */
#include "migrations/migrate/feed.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"
#include "libweir/io/sp_client.h"

enum {
    ANSWER_MS = 15000,
    FETCH_BYTES = 1 << 20,
    REQUEST_MAX_BYTES = 1 << 20,
    KEY_MAX_BYTES = 1 << 20
};

void mig_feed_init(mig_feed *f, mig_session *s)
{
    memset(f, 0, sizeof *f);
    f->s = s;
    f->name = weir_arena_printf(s->a, "migrate-%s", s->m->name.z);
    f->rels_arena = weir_arena_new(0);
    f->a = weir_arena_new(0);
    f->ntouched = s->plan->ntables;
    f->touched = WEIR_ARENA_ARRAY(s->a, mig_touched, (size_t)f->ntouched + 1);
    f->xids = WEIR_ARENA_ARRAY(s->a, uint32_t, MIG_XIDS_MAX);
    for (int i = 0; i < f->ntouched; i++) {
        f->touched[i].t = &s->plan->tables[i];
        f->touched[i].seen = weir_map_new();
    }
    weir_buf_init(&f->request, REQUEST_MAX_BYTES);
    weir_buf_init(&f->reply, WEIR_FEED_REPLY_MAX_BYTES);
}

void mig_feed_fini(mig_feed *f)
{
    for (int i = 0; i < f->ntouched; i++) {
        weir_map_free(f->touched[i].seen);
        free(f->touched[i].keys);
    }
    weir_arena_free(f->rels_arena);
    weir_arena_free(f->a);
    weir_buf_fini(&f->request);
    weir_buf_fini(&f->reply);
}

void mig_feed_reset(mig_feed *f)
{
    for (int i = 0; i < f->ntouched; i++) {
        mig_touched *t = &f->touched[i];
        weir_map_clear(t->seen);
        t->n = 0;
        t->truncated = false;
    }
    weir_arena_reset(f->a);
    f->nkeys = 0;
    f->nxids = 0;
    f->events = 0;
}

static weir_rc call(mig_feed *f, const weir_feed_req *req, int64_t timeout_ms, weir_arena *a,
                    weir_feed_reply *r, weir_error *err)
{
    weir_buf_reset(&f->request);
    weir_buf_reset(&f->reply);
    weir_feed_req_encode(&f->request, req);
    weir_rc rc = weir_sp_call(f->s->feed, weir_buf_slice(&f->request), timeout_ms, &f->reply, err);
    if (rc != WEIR_OK) {
        err->flags |= WEIR_EF_RETRY; /* however it shows: the bridge is away, and comes back */
    }
    rc = rc == WEIR_OK ? weir_feed_reply_decode(weir_buf_slice(&f->reply), a, r, err) : rc;
    if (rc == WEIR_OK && !r->ok) {
        bool lapsed = weir_slice_eqz(r->code, "lapsed");
        rc = weir_fail(err, lapsed ? WEIR_E_STATE : WEIR_E_AGAIN, lapsed ? 0 : WEIR_EF_RETRY,
                       "the bridge says: " WEIR_SLICE_FMT "%s", WEIR_SLICE_ARG(r->error),
                       lapsed ? "; changes are missing: abort the migration and begin again" : "");
    }
    return rc;
}

weir_rc mig_feed_subscribe(mig_feed *f, weir_cursor *at, const char *system_id,
                           const char **system_id_now, weir_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_SUBSCRIBE,
                         .name = weir_slice_z(f->name),
                         .start = at->lsn ? WEIR_START_AT : WEIR_START_NOW};
    req.after.at = *at;
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {0};
    weir_rc rc = call(f, &req, ANSWER_MS, a, &r, err);
    if (rc == WEIR_OK && system_id[0] && !weir_slice_eqz(r.system_id, system_id)) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "the bridge reads another database cluster than the one this migration "
                       "began with; point [source] back, or abort and begin again");
    }
    if (rc == WEIR_OK) {
        *at = r.position;
        f->after = (weir_feed_pos){r.position, 0};
        f->next = r.position;
        f->head = r.head;
        f->whole = true;
        *system_id_now = weir_arena_dupz(f->s->a, r.system_id);
    }
    weir_arena_free(a);
    return rc;
}

void mig_feed_touch(mig_feed *f, int table, const weir_slice *key)
{
    mig_touched *t = &f->touched[table];
    int nkey = t->t->src.nkey;
    weir_buf b;
    weir_buf_init(&b, KEY_MAX_BYTES);
    for (int i = 0; i < nkey; i++) {
        weir_buf_u32(&b, (uint32_t)key[i].n);
        weir_buf_puts(&b, key[i]);
    }
    if (!weir_map_has(t->seen, weir_buf_slice(&b))) {
        (void)weir_map_slot(t->seen, weir_buf_slice(&b), NULL);
        if (t->n == t->cap) {
            t->cap = t->cap ? t->cap * 2 : 64;
            t->keys = weir_xrealloc(t->keys, (size_t)t->cap * sizeof *t->keys);
        }
        weir_slice *v = WEIR_ARENA_ARRAY(f->a, weir_slice, (size_t)nkey);
        for (int i = 0; i < nkey; i++) {
            v[i] = weir_arena_dup(f->a, key[i]);
        }
        t->keys[t->n++] = (mig_key){v};
        f->nkeys++;
    }
    weir_buf_fini(&b);
}

/* The key's texts out of a row; false: the row does not have them. */
static bool key_of(const mig_ptable *t, const weir_relation *rel, const weir_tuple *row,
                   weir_slice *out)
{
    for (int i = 0; i < t->src.nkey; i++) {
        const char *name = t->src.cols[t->src.key[i]].name;
        bool found = false;
        for (uint16_t k = 0; !found && k < rel->n && k < row->n; k++) {
            if (weir_slice_eqz(rel->cols[k].name, name) && row->v[k].kind == WEIR_VAL_TEXT) {
                out[i] = row->v[k].text;
                found = true;
            }
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static weir_rc touch_row(mig_feed *f, const weir_relation *rel, const weir_tuple *row,
                         weir_error *err)
{
    weir_slice key[MIG_KEY_MAX];
    for (int i = 0; i < f->ntouched; i++) {
        const mig_ptable *t = f->touched[i].t;
        if (!weir_slice_eqz(rel->schema, t->src.schema) ||
            !weir_slice_eqz(rel->name, t->src.name)) {
            continue;
        }
        if (!key_of(t, rel, row, key)) {
            return weir_fail(err, WEIR_E_STATE, 0,
                             "a change of %s does not carry its key: the source's key or replica "
                             "identity changed; abort and begin again",
                             t->src.quoted);
        }
        mig_feed_touch(f, i, key);
    }
    return WEIR_OK;
}

static weir_relation *rel_of(const mig_feed *f, uint32_t version)
{
    return version < MIG_RELS_MAX ? f->rels[version] : NULL;
}

static weir_rc take_event(mig_feed *f, const weir_ev *ev, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    if (ev->kind == WEIR_EV_TRUNCATE) {
        for (uint32_t k = 0; k < ev->nrels; k++) {
            const weir_relation *rel = rel_of(f, ev->rels[k]);
            for (int i = 0; rel && i < f->ntouched; i++) {
                mig_touched *t = &f->touched[i];
                t->truncated = t->truncated || (weir_slice_eqz(rel->schema, t->t->src.schema) &&
                                                weir_slice_eqz(rel->name, t->t->src.name));
            }
        }
        return WEIR_OK;
    }
    if (ev->kind != WEIR_EV_INSERT && ev->kind != WEIR_EV_UPDATE && ev->kind != WEIR_EV_DELETE &&
        ev->kind != WEIR_EV_READ) {
        return WEIR_OK;
    }
    const weir_relation *rel = rel_of(f, ev->rel);
    if (!rel) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the feed sent a row of an unknown table");
    }
    f->events++;
    if (ev->old_kind != WEIR_OLD_NONE && ev->kind != WEIR_EV_INSERT && ev->kind != WEIR_EV_READ) {
        rc = touch_row(f, rel, &ev->old_row, err);
    }
    if (rc == WEIR_OK && ev->kind != WEIR_EV_DELETE) {
        rc = touch_row(f, rel, &ev->new_row, err);
        if (rc == WEIR_E_STATE && ev->old_kind == WEIR_OLD_ROW) {
            rc = WEIR_OK; /* an unchanged TOASTed key: the old row has told it */
        }
    }
    return rc;
}

static weir_rc take_frame(mig_feed *f, weir_slice bytes, weir_arena *a, weir_error *err)
{
    weir_frame_dec d;
    weir_frame_head head;
    weir_ev ev;
    weir_rc rc = weir_frame_open(&d, bytes, &head, err);
    if (rc == WEIR_OK && head.kind == WEIR_FRAME_TX && head.xid &&
        (f->nxids == 0 || f->xids[f->nxids - 1] != head.xid)) {
        if (f->nxids == MIG_XIDS_MAX) {
            return weir_fail(err, WEIR_E_LIMIT, 0, "too many transactions in one batch");
        }
        f->xids[f->nxids++] = head.xid;
    }
    while (rc == WEIR_OK) {
        rc = weir_frame_next(&d, a, &ev, err);
        if (rc == WEIR_OK) {
            rc = take_event(f, &ev, err);
        }
    }
    return rc == WEIR_E_EOF ? WEIR_OK : rc;
}

static weir_rc take_relation(mig_feed *f, weir_slice bytes, weir_error *err)
{
    weir_relation *rel = weir_arena_zalloc(f->rels_arena, sizeof *rel);
    weir_rc rc =
        weir_relation_decode(weir_arena_dup(f->rels_arena, bytes), f->rels_arena, rel, err);
    if (rc == WEIR_OK && rel->version >= MIG_RELS_MAX) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "the bridge knows too many table versions");
    }
    if (rc == WEIR_OK) {
        f->rels[rel->version] = rel;
        f->known = rel->version > f->known ? rel->version : f->known;
    }
    return rc;
}

weir_rc mig_feed_fetch(mig_feed *f, int64_t wait_ms, weir_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .name = weir_slice_z(f->name),
                         .has_after = true,
                         .after = f->after,
                         .max_bytes = FETCH_BYTES,
                         .wait_ms = (uint32_t)wait_ms,
                         .known = f->known};
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {0};
    weir_rc rc = call(f, &req, wait_ms + ANSWER_MS, a, &r, err);
    for (size_t i = 0; rc == WEIR_OK && i < r.nrelations; i++) {
        rc = take_relation(f, r.relations[i], err);
    }
    for (size_t i = 0; rc == WEIR_OK && i < r.nframes; i++) {
        rc = take_frame(f, r.frames[i], a, err);
    }
    if (rc == WEIR_OK) {
        f->after = r.next;
        f->next = r.next.at;
        f->whole = r.next.part == 0;
        f->head = r.head;
    }
    weir_arena_free(a);
    return rc;
}

weir_rc mig_feed_ack(mig_feed *f, weir_cursor at, weir_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_ACK, .name = weir_slice_z(f->name)};
    req.after.at = at;
    req.has_after = true;
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {0};
    weir_rc rc = call(f, &req, ANSWER_MS, a, &r, err);
    weir_arena_free(a);
    return rc;
}

weir_rc mig_feed_unsubscribe(mig_feed *f, weir_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_UNSUBSCRIBE, .name = weir_slice_z(f->name)};
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {0};
    weir_rc rc = call(f, &req, ANSWER_MS, a, &r, err);
    weir_arena_free(a);
    return rc;
}

weir_rc mig_feed_status(mig_feed *f, weir_arena *a, weir_slice *out, weir_error *err)
{
    weir_feed_req req = {.op = WEIR_FEED_STATUS};
    weir_feed_reply r = {0};
    weir_rc rc = call(f, &req, ANSWER_MS, a, &r, err);
    *out = rc == WEIR_OK ? weir_arena_dup(a, r.status) : (weir_slice){0};
    return rc;
}
