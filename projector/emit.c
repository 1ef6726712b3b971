/* emit.c - which documents are in Redis: the emit map decides what has to be written, and keeps
 * tombstones of what was deleted.
 *
 *   emit value    hash:16 lsn:u64 flags:u8 [whole key]      flags 1: deleted (hash is zero)
 */
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum { EMIT_HEAD = 25, EMIT_DELETED = 1 };

void proj_out_reset(proj_out *o)
{
    weir_buf_reset(&o->bytes);
    o->n = 0;
    o->has_position = false;
    o->models_changed = false;
    o->full = false;
    o->commit_us = 0;
}

static proj_item *add_item(proj_out *o)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? o->cap * 2 : 256;
        o->items = weir_xrealloc(o->items, o->cap * sizeof *o->items);
    }
    proj_item *it = &o->items[o->n++];
    *it = (proj_item){0};
    return it;
}

void proj_out_delete_key(proj_out *o, weir_slice redis_key)
{
    proj_item *it = add_item(o);
    it->key_off = o->bytes.n;
    it->key_n = redis_key.n;
    it->del = true;
    weir_buf_puts(&o->bytes, redis_key);
}

proj_model *proj_model_of(proj *p, uint32_t id)
{
    for (size_t i = 0; i < p->nmodels; i++) {
        if (p->models[i]->id == id) {
            return p->models[i];
        }
    }
    return NULL;
}

proj_emit_value proj_emit_read(weir_slice v)
{
    weir_rd rd = weir_rd_of(v);
    proj_emit_value e = {0};
    (void)weir_rd_bytes(&rd, sizeof(weir_hash128));
    e.lsn = weir_rd_u64(&rd);
    e.dead = (weir_rd_u8(&rd) & EMIT_DELETED) != 0;
    e.whole = weir_rd_bytes(&rd, weir_rd_left(&rd));
    return e;
}

weir_rc proj_emit_live(proj *p, uint32_t id, weir_slice key, bool *live, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    bool cut = false;
    weir_slice value;
    weir_rc rc =
        weir_state_get(p->st, WEIR_DB_EMIT, weir_dockey_state(buf, id, key, &cut), &value, err);
    *live = rc == WEIR_OK && value.n >= EMIT_HEAD && !(value.p[EMIT_HEAD - 1] & EMIT_DELETED);
    return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
}

static weir_rc put_emit(proj *p, weir_slice skey, weir_slice whole, const weir_hash128 *h,
                        weir_error *err)
{
    char fixed[64];
    weir_buf big;
    char *b = fixed;
    size_t n = EMIT_HEAD + whole.n;
    weir_buf_init(&big, (size_t)1 << 31);
    if (n > sizeof fixed) {
        b = weir_buf_reserve(&big, n);
        if (!b) {
            return weir_fail(err, WEIR_E_LIMIT, 0, "a document's key is too long");
        }
    }
    memset(b, 0, EMIT_HEAD);
    if (h) {
        memcpy(b, h->b, sizeof h->b);
    }
    uint64_t lsn = p->position + p->emit_ahead;
    for (int i = 7; i >= 0; i--) {
        b[16 + i] = (char)lsn;
        lsn >>= 8;
    }
    b[24] = h ? 0 : EMIT_DELETED;
    if (whole.n) {
        memcpy(b + EMIT_HEAD, whole.p, whole.n);
    }
    weir_rc rc = weir_state_put(p->st, WEIR_DB_EMIT, skey, (weir_slice){b, n}, err);
    weir_buf_fini(&big);
    return rc == WEIR_OK ? proj_recent_add(p, skey, p->position + p->emit_ahead, err) : rc;
}

static weir_rc unpark(proj *p, proj_model *m, weir_slice skey, weir_error *err)
{
    weir_slice value;
    if (m->parked == 0) {
        return WEIR_OK;
    }
    weir_rc rc = weir_state_get(p->st, WEIR_DB_PARKED, skey, &value, err);
    if (rc != WEIR_OK) {
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    m->parked--;
    m->record_dirty = true;
    return weir_state_del(p->st, WEIR_DB_PARKED, skey, err);
}

/* The 1st, 2nd, 4th, 8th…: a broken model must not flood the log. */
static void tell_parked(const proj_model *m, const weir_error *why)
{
    if ((m->parked & (m->parked - 1)) == 0) {
        WEIR_WARN("PROJ-DOC-PARKED", "model=%s parked=%llu sqlstate=%s reason=\"%s\"", m->name,
                  (unsigned long long)m->parked, why->sqlstate, why->msg);
    }
}

static weir_rc park(proj *p, proj_model *m, weir_slice key, weir_slice skey, const weir_error *why,
                    weir_error *err)
{
    weir_slice value;
    weir_rc rc = weir_state_get(p->st, WEIR_DB_PARKED, skey, &value, err);
    if (rc != WEIR_OK && rc != WEIR_E_NOTFOUND) {
        return rc;
    }
    if (rc == WEIR_E_NOTFOUND) {
        m->parked++;
        m->record_dirty = true;
        weir_metric_add(p->num.parked, 1);
        tell_parked(m, why);
    }
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 30);
    weir_buf_u64(&b, p->position);
    if (why->sqlstate[0]) {
        weir_buf_printf(&b, "%s: ", why->sqlstate);
    }
    weir_buf_putz(&b, why->msg);
    weir_buf_u8(&b, 0);
    weir_buf_puts(&b, key);
    rc = weir_state_put(p->st, WEIR_DB_PARKED, skey, weir_buf_slice(&b), err);
    weir_buf_fini(&b);
    return rc;
}

static void put_item(proj_out *o, const proj_model *m, weir_slice key, size_t doc_off, size_t doc_n,
                     bool del)
{
    proj_item *it = add_item(o);
    *it = (proj_item){.model = m,
                      .key_off = o->bytes.n,
                      .key_n = key.n,
                      .doc_off = doc_off,
                      .doc_n = doc_n,
                      .del = del,
                      .tombstone = del};
    weir_buf_puts(&o->bytes, key);
}

/* What the emit map says of a document before this step. */
typedef struct was {
    bool live, deleted;
    weir_hash128 hash;
} was;

static weir_rc look(proj *p, weir_slice skey, was *w, weir_error *err)
{
    weir_slice value;
    *w = (was){0};
    weir_rc rc = weir_state_get(p->st, WEIR_DB_EMIT, skey, &value, err);
    if (rc == WEIR_OK && value.n >= EMIT_HEAD) {
        w->deleted = (value.p[EMIT_HEAD - 1] & EMIT_DELETED) != 0;
        w->live = !w->deleted;
        memcpy(w->hash.b, value.p, sizeof w->hash.b);
    }
    return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
}

static weir_rc made_document(proj *p, proj_model *m, weir_slice key, size_t start, bool force,
                             weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    bool cut = false;
    was w;
    weir_slice skey = weir_dockey_state(buf, m->id, key, &cut);
    size_t n = p->out.bytes.n - start;
    weir_hash128 h = weir_hash128_of((weir_slice){p->out.bytes.p + start, n});
    weir_rc rc = look(p, skey, &w, err);
    if (rc == WEIR_OK) {
        rc = unpark(p, m, skey, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    bool same = w.live && memcmp(w.hash.b, h.b, sizeof h.b) == 0;
    if (same && !force) {
        p->out.bytes.n = start;
        weir_metric_add(p->num.unchanged, 1);
        return WEIR_OK;
    }
    if (!w.live) {
        m->documents++;
        m->record_dirty = true;
    }
    put_item(&p->out, m, key, start, n, false);
    weir_metric_add(p->num.documents, 1);
    return same ? WEIR_OK : put_emit(p, skey, cut ? key : (weir_slice){NULL, 0}, &h, err);
}

static weir_rc no_document(proj *p, proj_model *m, weir_slice key, bool force, weir_error *err)
{
    char buf[WEIR_IDKEY_MAX];
    bool cut = false;
    was w;
    weir_slice skey = weir_dockey_state(buf, m->id, key, &cut);
    weir_rc rc = look(p, skey, &w, err);
    if (rc == WEIR_OK) {
        rc = unpark(p, m, skey, err);
    }
    if (rc != WEIR_OK || !(w.live || (force && w.deleted))) {
        return rc;
    }
    put_item(&p->out, m, key, 0, 0, true);
    weir_metric_add(p->num.deletes, 1);
    if (!w.live) {
        return WEIR_OK;
    }
    m->documents--;
    m->record_dirty = true;
    return put_emit(p, skey, cut ? key : (weir_slice){NULL, 0}, NULL, err);
}

weir_rc proj_emit(proj *p, proj_model *m, weir_slice key, bool force, weir_error *err)
{
    weir_doc made = WEIR_DOC_NONE;
    weir_error why;
    size_t start = p->out.bytes.n;
    weir_rc rc = weir_render_doc(&p->render, &m->bound, key, &p->out.bytes, &made, &why, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (made == WEIR_DOC_MADE) {
        return made_document(p, m, key, start, force, err);
    }
    if (made == WEIR_DOC_NONE) {
        return no_document(p, m, key, force, err);
    }
    char buf[WEIR_IDKEY_MAX];
    bool cut = false;
    return park(p, m, key, weir_dockey_state(buf, m->id, key, &cut), &why, err);
}
