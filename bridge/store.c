/* store.c - the log's LMDB environment. */
#include "bridge/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/codec/frame.h"

enum { DATABASES = 8 };

weir_rc brg_store_open(brg_store *s, const char *dir, size_t map_bytes, weir_error *err)
{
    memset(s, 0, sizeof *s);
    weir_rc rc = weir_lmdb_open(&s->env, dir, map_bytes, DATABASES, true, err);
    struct {
        const char *name;
        weir_lmdb_db *db;
    } all[] = {{"log", &s->log}, {"rel", &s->rel},   {"relhash", &s->relhash},
               {"sub", &s->sub}, {"meta", &s->meta}, {"crawl", &s->crawl}};
    for (size_t i = 0; rc == WEIR_OK && i < sizeof all / sizeof all[0]; i++) {
        rc = weir_lmdb_db_open(s->env, all[i].name, all[i].db, err);
    }
    if (rc != WEIR_OK) {
        brg_store_close(s);
    }
    return rc;
}

void brg_store_close(brg_store *s)
{
    weir_lmdb_close(s->env);
    s->env = NULL;
}

weir_rc brg_store_put_meta(brg_store *s, weir_lmdb_txn *t, const char *name, const char *text,
                           weir_error *err)
{
    return weir_lmdb_put(t, s->meta, weir_slice_z(name), weir_slice_z(text), err);
}

weir_rc brg_store_put_cursor(brg_store *s, weir_lmdb_txn *t, const char *name, weir_cursor c,
                             weir_error *err)
{
    char text[64];
    char lsn[WEIR_LSN_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s %u", weir_lsn_print(c.lsn, lsn), c.sub);
    return brg_store_put_meta(s, t, name, text, err);
}

static bool parse_cursor(weir_slice v, weir_cursor *out)
{
    const char *space = v.n ? memchr(v.p, ' ', v.n) : NULL;
    size_t n = space ? (size_t)(space - v.p) : v.n;
    uint64_t sub = 0;
    if (!weir_lsn_parse((weir_slice){v.p, n}, &out->lsn) ||
        (space &&
         (!weir_slice_u64((weir_slice){space + 1, v.n - n - 1}, &sub) || sub > UINT32_MAX))) {
        return false;
    }
    out->sub = (uint32_t)sub;
    return true;
}

/* Absent is fine (the default stays); what is there must parse. */
static weir_rc get_cursor(brg_store *s, weir_lmdb_txn *t, const char *name, weir_cursor *out,
                          weir_error *err)
{
    weir_slice v;
    weir_rc rc = weir_lmdb_get(t, s->meta, weir_slice_z(name), &v, err);
    if (rc == WEIR_E_NOTFOUND) {
        return WEIR_OK;
    }
    if (rc == WEIR_OK && !parse_cursor(v, out)) {
        return weir_fail(err, WEIR_E_STATE, WEIR_EF_FATAL,
                         "the log is damaged: its %s makes no sense", name);
    }
    return rc;
}

static weir_rc get_text(brg_store *s, weir_lmdb_txn *t, const char *name, char *out, size_t size,
                        weir_error *err)
{
    weir_slice v;
    weir_rc rc = weir_lmdb_get(t, s->meta, weir_slice_z(name), &v, err);
    if (rc == WEIR_E_NOTFOUND) {
        return WEIR_OK;
    }
    if (rc == WEIR_OK) {
        size_t n = v.n < size - 1 ? v.n : size - 1;
        memcpy(out, v.p, n);
        out[n] = '\0';
    }
    return rc;
}

weir_rc brg_store_meta(brg_store *s, brg_meta *out, weir_error *err)
{
    memset(out, 0, sizeof *out);
    weir_lmdb_txn *t = NULL;
    char timeline[32] = "";
    weir_cursor consistent = {0, 0};
    weir_rc rc = weir_lmdb_begin(s->env, false, &t, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    const struct {
        const char *name;
        char *p;
        size_t size;
    } texts[] = {{"instance", out->instance, sizeof out->instance},
                 {"system_id", out->system_id, sizeof out->system_id},
                 {"slot", out->slot, sizeof out->slot},
                 {"publication", out->publication, sizeof out->publication},
                 {"state", out->state, sizeof out->state},
                 {"timeline", timeline, sizeof timeline}};
    for (size_t i = 0; rc == WEIR_OK && i < sizeof texts / sizeof texts[0]; i++) {
        rc = get_text(s, t, texts[i].name, texts[i].p, texts[i].size, err);
    }
    if (rc == WEIR_OK) {
        rc = get_cursor(s, t, "consistent_lsn", &consistent, err);
    }
    if (rc == WEIR_OK) {
        rc = get_cursor(s, t, "end_lsn", &out->end, err);
    }
    if (rc == WEIR_OK) {
        rc = get_cursor(s, t, "trimmed", &out->trimmed, err);
    }
    weir_lmdb_abort(t);
    out->consistent_lsn = consistent.lsn;
    out->timeline = strtoll(timeline, NULL, 10);
    return rc;
}

weir_rc brg_store_each(brg_store *s, weir_lmdb_db db, brg_store_fn *fn, void *arg, weir_error *err)
{
    weir_lmdb_txn *t = NULL;
    weir_lmdb_cursor *c = NULL;
    weir_rc rc = weir_lmdb_begin(s->env, false, &t, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_lmdb_cursor_open(t, db, &c, err);
    if (rc == WEIR_OK) {
        weir_slice k;
        weir_slice v;
        weir_rc got = weir_lmdb_seek(c, (weir_slice){NULL, 0}, &k, &v);
        for (; got == WEIR_OK; got = weir_lmdb_next(c, &k, &v)) {
            fn(arg, k, v);
        }
        weir_lmdb_cursor_close(c);
    }
    weir_lmdb_abort(t);
    return rc;
}

weir_rc brg_store_cut_end(brg_store *s, weir_lmdb_txn *t, weir_cursor from, weir_error *err)
{
    weir_lmdb_cursor *c = NULL;
    weir_rc rc = weir_lmdb_cursor_open(t, s->log, &c, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    char key[BRG_KEY_BYTES];
    weir_slice k;
    weir_slice v;
    weir_rc got = weir_lmdb_seek(c, brg_key_put(key, from, 0), &k, &v);
    while (got == WEIR_OK && rc == WEIR_OK) {
        rc = weir_lmdb_cursor_del(c, err);
        got = weir_lmdb_next(c, &k, &v);
    }
    weir_lmdb_cursor_close(c);
    return rc;
}

/* The cursor after the frame stored at `at`. */
static weir_rc end_of(weir_slice frame, weir_cursor at, weir_frame_head *head, weir_cursor *end,
                      weir_error *err)
{
    weir_frame_dec dec;
    weir_rc rc = weir_frame_open(&dec, frame, head, err);
    if (rc == WEIR_OK) {
        *end = at.sub == WEIR_SUB_TX ? (weir_cursor){head->end_lsn, 0}
                                     : (weir_cursor){at.lsn, at.sub + 1};
    }
    return rc;
}

weir_rc brg_store_trim(brg_store *s, weir_lmdb_txn *t, brg_trim *trim, weir_error *err)
{
    weir_lmdb_cursor *c = NULL;
    weir_rc rc = weir_lmdb_cursor_open(t, s->log, &c, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_slice k;
    weir_slice v;
    weir_rc got = weir_lmdb_seek(c, (weir_slice){NULL, 0}, &k, &v);
    bool whole = true; /* never stop inside a transaction: what is left of it would look complete */
    while (got == WEIR_OK && rc == WEIR_OK) {
        weir_cursor at;
        weir_cursor end;
        uint32_t part = 0;
        weir_frame_head head;
        if (!brg_key_get(k, &at, &part)) {
            rc = weir_fail(err, WEIR_E_STATE, WEIR_EF_FATAL,
                           "the log is damaged: a key of %zu bytes", k.n);
            break;
        }
        trim->more = trim->frames >= trim->max_frames || trim->bytes >= trim->max_bytes;
        if ((whole && trim->more) || weir_cursor_cmp(at, trim->cut) >= 0) {
            break;
        }
        rc = end_of(v, at, &head, &end, err);
        if (rc == WEIR_OK) {
            trim->frames++;
            trim->bytes += v.n;
            whole = head.last;
            trim->first = whole ? end : trim->first;
            rc = weir_lmdb_cursor_del(c, err);
            got = weir_lmdb_next(c, &k, &v);
        }
    }
    weir_lmdb_cursor_close(c);
    return rc;
}

weir_rc brg_store_wipe(brg_store *s, weir_lmdb_txn *t, weir_error *err)
{
    weir_rc rc = weir_lmdb_drop(t, s->log, err);
    if (rc == WEIR_OK) {
        rc = weir_lmdb_drop(t, s->crawl, err);
    }
    static const char *const names[] = {"system_id", "timeline",       "slot",    "publication",
                                        "state",     "consistent_lsn", "end_lsn", "trimmed"};
    for (size_t i = 0; rc == WEIR_OK && i < sizeof names / sizeof names[0]; i++) {
        rc = weir_lmdb_del(t, s->meta, weir_slice_z(names[i]), err);
        rc = rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    return rc;
}

static weir_rc fetch_frames(weir_lmdb_cursor *c, weir_cursor end, brg_fetch *f, weir_error *err)
{
    char key[BRG_KEY_BYTES];
    weir_slice k;
    weir_slice v;
    weir_rc got = weir_lmdb_seek(c, brg_key_put(key, f->next.at, f->next.part), &k, &v);
    for (; got == WEIR_OK; got = weir_lmdb_next(c, &k, &v)) {
        weir_feed_pos at = {{0, 0}, 0};
        weir_frame_head head;
        weir_cursor after;
        if (!brg_key_get(k, &at.at, &at.part)) {
            return weir_fail(err, WEIR_E_STATE, WEIR_EF_FATAL,
                             "the log is damaged: a key of %zu bytes", k.n);
        }
        if (weir_cursor_cmp(at.at, end) >= 0) {
            break; /* parts of a transaction that is not complete */
        }
        weir_rc rc = end_of(v, at.at, &head, &after, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        if (!brg_fetch_take(f, at, head.last, after, v)) {
            return WEIR_OK;
        }
    }
    brg_fetch_exhausted(f, end);
    return WEIR_OK;
}

weir_rc brg_store_fetch(brg_store *s, brg_fetch *f, weir_lmdb_txn **txn, weir_error *err)
{
    weir_lmdb_cursor *c = NULL;
    weir_cursor end = {0, 0};
    weir_rc rc = weir_lmdb_begin(s->env, false, txn, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = get_cursor(s, *txn, "end_lsn", &end, err);
    if (rc == WEIR_OK) {
        rc = weir_lmdb_cursor_open(*txn, s->log, &c, err);
    }
    if (rc == WEIR_OK) {
        rc = fetch_frames(c, end, f, err);
        weir_lmdb_cursor_close(c);
    }
    if (rc != WEIR_OK) {
        weir_lmdb_abort(*txn);
        *txn = NULL;
    }
    return rc;
}
