/* window.c - keys touched while a chunk is read, and the merge with it. */
#include "bridge/window.h"

#include <stdlib.h>

#include "libweir/base/map.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"

enum { KEY_MAX_BYTES = 64 * 1024 * 1024 };

typedef struct touched {
    uint32_t xid; /* the last transaction that touched it; earlier ones are visible whenever it is
                     (row locks) */
    bool gone;
    bool arrived; /* inserted or moved here, by arrived_xid: a snapshot that does not see that has
                     another row or none under this key */
    uint32_t arrived_xid;
    bool taken;       /* a row of the chunk stood for it */
    weir_tuple image; /* one block with its texts */
    size_t bytes;
} touched;

/* One change of a keyless table, in order. */
typedef struct change {
    uint32_t xid;
    int sign;
    weir_tuple row;
    struct change *next;
} change;

struct brg_window {
    uint32_t oid; /* 0: nothing is watched */
    bool open;    /* a chunk is being read */
    uint16_t key[BRG_KEYS_MAX];
    uint16_t nkey;
    weir_map *keys; /* key text -> touched */
    change *first, *last;
    size_t bytes, max_bytes;
    const char *redo; /* a reason found while noting */
    bool relation_seen;
    weir_buf relation; /* encoded (version 0): what the stream said of the table since the window
                          opened */
    uint32_t xid;      /* the running transaction */
    brg_recent *recent;
    uint64_t from, open_at; /* what it said when the window opened */
    weir_map *moved;        /* key text -> weir_tuple block */
    bool moved_overflow;
    uint64_t moved_at; /* number of the next moved key */
    weir_buf untold;   /* moved keys: u32 length, key values */
    uint64_t told_at;  /* number of the first of them */
    weir_buf k;
};

brg_window *brg_window_new(size_t max_bytes, brg_recent *recent)
{
    brg_window *w = weir_xcalloc(1, sizeof *w);
    w->max_bytes = max_bytes;
    w->recent = recent;
    w->keys = weir_map_new();
    w->moved = weir_map_new();
    weir_buf_init(&w->k, KEY_MAX_BYTES);
    weir_buf_init(&w->relation, KEY_MAX_BYTES);
    weir_buf_init(&w->untold, KEY_MAX_BYTES);
    return w;
}

static void clear_keys(brg_window *w)
{
    weir_map_iter it = {0};
    while (weir_map_next(w->keys, &it)) {
        touched *t = it.value;
        free(t->image.v);
        free(t);
    }
    weir_map_clear(w->keys);
    while (w->first) {
        change *c = w->first;
        w->first = c->next;
        free(c->row.v);
        free(c);
    }
    w->last = NULL;
    w->bytes = 0;
}

static void clear_moved(brg_window *w)
{
    weir_map_iter it = {0};
    while (weir_map_next(w->moved, &it)) {
        weir_tuple *t = it.value;
        free(t->v);
        free(t);
    }
    weir_map_clear(w->moved);
    w->moved_overflow = false;
}

static void forget_moved(brg_window *w)
{
    clear_moved(w);
    weir_buf_reset(&w->untold);
    w->told_at = w->moved_at = 0;
}

void brg_window_free(brg_window *w)
{
    if (w) {
        clear_keys(w);
        clear_moved(w);
        weir_map_free(w->keys);
        weir_map_free(w->moved);
        weir_buf_fini(&w->k);
        weir_buf_fini(&w->relation);
        weir_buf_fini(&w->untold);
        free(w);
    }
}

void brg_window_watch(brg_window *w, uint32_t oid, const uint16_t *key, uint16_t nkey)
{
    forget_moved(w);
    w->oid = oid;
    w->nkey = nkey < BRG_KEYS_MAX ? nkey : BRG_KEYS_MAX;
    if (w->nkey > 0) { /* a table without a key: key may be NULL */
        memcpy(w->key, key, w->nkey * sizeof *key);
    }
    brg_window_close(w);
}

void brg_window_unwatch(brg_window *w)
{
    w->oid = 0;
    brg_window_close(w);
    forget_moved(w);
}

void brg_window_open(brg_window *w)
{
    clear_keys(w);
    w->redo = NULL;
    w->relation_seen = false;
    w->from = brg_recent_open(w->recent);
    w->open_at = brg_recent_mark(w->recent);
    w->open = true;
}

void brg_window_close(brg_window *w)
{
    clear_keys(w);
    w->open = false;
    w->redo = "no window is open";
}

bool brg_window_watches(const brg_window *w, uint32_t oid)
{
    return w->oid != 0 && w->oid == oid;
}

void brg_window_begin(brg_window *w, uint32_t xid)
{
    w->xid = xid;
}

void brg_window_key(const weir_tuple *row, const uint16_t *key, uint16_t nkey, weir_buf *out)
{
    uint16_t n = nkey ? nkey : row->n;
    for (uint16_t i = 0; i < n; i++) {
        uint16_t col = nkey ? key[i] : i;
        const weir_val *v = col < row->n ? &row->v[col] : NULL;
        weir_buf_u8(out, v ? (uint8_t)v->kind : 255);
        if (v && v->kind == WEIR_VAL_TEXT) {
            weir_buf_u32(out, (uint32_t)v->text.n);
            weir_buf_puts(out, v->text);
        }
    }
}

/* A row in one block: values, then texts. */
static weir_tuple row_dup(const weir_tuple *row, size_t *bytes)
{
    size_t n = row->n * sizeof(weir_val);
    for (uint16_t i = 0; i < row->n; i++) {
        n += row->v[i].kind == WEIR_VAL_TEXT ? row->v[i].text.n : 0;
    }
    weir_tuple out = {row->n, weir_xmalloc(n)};
    char *p = (char *)(out.v + row->n);
    for (uint16_t i = 0; i < row->n; i++) {
        out.v[i] = row->v[i];
        if (row->v[i].kind == WEIR_VAL_TEXT && row->v[i].text.n) {
            memcpy(p, row->v[i].text.p, row->v[i].text.n);
            out.v[i].text.p = p;
            p += row->v[i].text.n;
        }
    }
    *bytes = n;
    return out;
}

static weir_slice key_of(brg_window *w, const weir_tuple *row)
{
    weir_buf_reset(&w->k);
    brg_window_key(row, w->key, w->nkey, &w->k);
    return weir_buf_slice(&w->k);
}

static touched *touch(brg_window *w, weir_slice key)
{
    bool created = false;
    void **slot = weir_map_slot(w->keys, key, &created);
    if (created) {
        *slot = weir_xcalloc(1, sizeof(touched));
        w->bytes += sizeof(touched) + 2 * key.n + 64;
    }
    touched *t = *slot;
    t->xid = w->xid;
    return t;
}

static void set_image(brg_window *w, touched *t, const weir_tuple *row)
{
    w->bytes -= t->bytes;
    weir_val *old = t->image.v;
    t->image = row_dup(row, &t->bytes);
    w->bytes += t->bytes;
    t->gone = false;
    free(old);
}

static void set_gone(brg_window *w, touched *t)
{
    w->bytes -= t->bytes;
    free(t->image.v);
    t->image = (weir_tuple){0, NULL};
    t->bytes = 0;
    t->gone = true;
    t->arrived = false;
}

static void set_arrived(const brg_window *w, touched *t)
{
    t->arrived = true;
    t->arrived_xid = w->xid;
}

static bool has_unchanged(const weir_tuple *row)
{
    for (uint16_t i = 0; i < row->n; i++) {
        if (row->v[i].kind == WEIR_VAL_UNCHANGED) {
            return true;
        }
    }
    return false;
}

/* Columns the event left unchanged keep what is known of the row. v has room for row->n values. */
static weir_tuple over(const weir_tuple *row, const weir_tuple *known, weir_val *v)
{
    for (uint16_t i = 0; i < row->n; i++) {
        bool take = row->v[i].kind == WEIR_VAL_UNCHANGED && known && i < known->n;
        v[i] = take ? known->v[i] : row->v[i];
    }
    return (weir_tuple){row->n, v};
}

static void put_values(weir_buf *b, const weir_tuple *t)
{
    size_t at = b->n;
    weir_buf_u32(b, 0);
    weir_buf_u16(b, t->n);
    for (uint16_t i = 0; i < t->n; i++) {
        weir_buf_u32(b, (uint32_t)t->v[i].text.n);
        weir_buf_puts(b, t->v[i].text);
    }
    if (!b->failed) {
        size_t n = b->n - at - 4;
        const char length[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
        memcpy(b->p + at, length, sizeof length);
    }
}

/* key: its values in key order; true: it was not known. */
static bool remember_moved(brg_window *w, weir_slice key, const weir_tuple *values)
{
    if (weir_map_len(w->moved) >= BRG_MOVED_MAX) {
        w->moved_overflow = true;
        return false;
    }
    bool created = false;
    void **slot = weir_map_slot(w->moved, key, &created);
    if (created) {
        size_t bytes = 0;
        weir_tuple *copy = weir_xcalloc(1, sizeof *copy);
        *copy = row_dup(values, &bytes);
        *slot = copy;
    }
    return created;
}

static void note_moved(brg_window *w, weir_slice key, const weir_tuple *row)
{
    weir_val v[BRG_KEYS_MAX];
    for (uint16_t i = 0; i < w->nkey; i++) {
        v[i] = w->key[i] < row->n ? row->v[w->key[i]] : (weir_val){WEIR_VAL_NULL, {NULL, 0}};
    }
    weir_tuple values = {w->nkey, v};
    bool was_full = w->moved_overflow;
    if (remember_moved(w, key, &values) || w->moved_overflow != was_full) {
        put_values(&w->untold, &values); /* the one too many too: whoever reads them back sees it */
        w->moved_at++;
    }
}

static void note_update(brg_window *w, const weir_ev *ev)
{
    weir_val v[WEIR_COLUMNS_MAX];
    weir_tuple row = ev->new_row;
    touched *old = NULL;
    if (ev->old_kind != WEIR_OLD_NONE) {
        /* Both texts are compared raw: equality of the database (collations) is not ours to know.
         */
        weir_slice k = key_of(w, &ev->old_row);
        old = touch(w, k);
    }
    touched *now = touch(w, key_of(w, &ev->new_row));
    const touched *from = old && old != now ? old : now;
    row = over(&ev->new_row, &from->image, v);
    if (old && old != now && has_unchanged(&row)) {
        note_moved(w, weir_buf_slice(&w->k), &ev->new_row);
    }
    set_image(w, now, &row);
    if (old && old != now) {
        set_arrived(w, now);
        set_gone(w, old);
    }
}

static void note_keyless(brg_window *w, const weir_tuple *row, int sign)
{
    change *c = weir_xcalloc(1, sizeof *c);
    size_t bytes = 0;
    c->xid = w->xid;
    c->sign = sign;
    c->row = row_dup(row, &bytes);
    w->bytes += bytes + sizeof *c;
    if (w->last) {
        w->last->next = c;
    } else {
        w->first = c;
    }
    w->last = c;
}

static void note_row(brg_window *w, const weir_ev *ev)
{
    if (w->nkey == 0) {
        if (ev->kind != WEIR_EV_INSERT) {
            note_keyless(w, &ev->old_row, -1);
        }
        if (ev->kind != WEIR_EV_DELETE) {
            note_keyless(w, &ev->new_row, 1);
        }
    } else if (ev->kind == WEIR_EV_UPDATE) {
        note_update(w, ev);
    } else if (ev->kind == WEIR_EV_DELETE) {
        set_gone(w, touch(w, key_of(w, &ev->old_row)));
    } else {
        touched *t = touch(w, key_of(w, &ev->new_row));
        set_image(w, t, &ev->new_row);
        set_arrived(w, t);
    }
}

/* The window's keys are of no use any more, but who moves with unsent columns counts for the whole
 * copy of the table. */
static void note_move_only(brg_window *w, const weir_ev *ev)
{
    if (w->nkey && ev->kind == WEIR_EV_UPDATE && ev->old_kind != WEIR_OLD_NONE &&
        has_unchanged(&ev->new_row)) {
        note_moved(w, key_of(w, &ev->new_row), &ev->new_row);
    }
}

void brg_window_note(brg_window *w, const weir_ev *ev)
{
    if (w->redo) { /* closed windows have a reason too */
        note_move_only(w, ev);
        return;
    }
    note_row(w, ev);
    if (w->bytes > w->max_bytes || w->k.failed) {
        w->redo = "too many rows changed while the chunk was read";
        clear_keys(w);
    }
}

void brg_window_truncated(brg_window *w)
{
    if (w->open) {
        w->redo = "the table was truncated";
        clear_keys(w);
    }
}

void brg_window_broken(brg_window *w)
{
    if (w->open) {
        w->redo = "the stream was interrupted";
        clear_keys(w);
    }
}

void brg_window_relation(brg_window *w, const weir_relation *rel)
{
    if (!w->open) {
        return;
    }
    weir_relation plain = *rel;
    plain.version = 0;
    weir_buf_reset(&w->relation);
    weir_relation_encode(&w->relation, &plain);
    w->relation_seen = true;
}

const char *brg_window_redo(brg_window *w, const weir_snapshot *s, const weir_relation *chunk_rel)
{
    if (w->redo) {
        return w->redo;
    }
    if (w->relation_seen) {
        weir_buf b;
        weir_buf_init(&b, KEY_MAX_BYTES);
        weir_relation plain = *chunk_rel;
        plain.version = 0;
        weir_relation_encode(&b, &plain);
        bool same = weir_slice_eq(weir_buf_slice(&b), weir_buf_slice(&w->relation));
        weir_buf_fini(&b);
        if (!same) {
            return "the table's definition changed";
        }
    }
    return brg_recent_redo(w->recent, w->from, w->open_at, s);
}

static bool is_new(const touched *t, const weir_snapshot *s)
{
    return t->arrived && !weir_snapshot_sees(s, t->arrived_xid);
}

brg_merge brg_window_merge(brg_window *w, const weir_snapshot *s, weir_tuple *row)
{
    touched *t = weir_map_get(w->keys, key_of(w, row));
    if (!t || weir_snapshot_sees(s, t->xid)) {
        return BRG_ROW_AS_READ;
    }
    t->taken = true;
    if (t->gone) {
        return BRG_ROW_GONE;
    }
    /* The row that was read is not the one that stands here now: its TOAST is not its own. */
    bool another = is_new(t, s) && has_unchanged(&t->image);
    for (uint16_t i = 0; i < row->n && i < t->image.n; i++) {
        if (another || t->image.v[i].kind != WEIR_VAL_UNCHANGED) {
            row->v[i] = t->image.v[i];
        }
    }
    return another ? BRG_ROW_PARTIAL : BRG_ROW_MERGED;
}

void brg_window_arrived(brg_window *w, const weir_snapshot *s,
                        void (*fn)(void *arg, const weir_tuple *row, bool whole), void *arg)
{
    weir_map_iter it = {0};
    while (weir_map_next(w->keys, &it)) {
        const touched *t = it.value;
        if (!t->gone && !t->taken && is_new(t, s)) {
            fn(arg, &t->image, !has_unchanged(&t->image));
        }
    }
}

typedef struct balance {
    const weir_tuple *row;
    int64_t n;
} balance;

void brg_window_balance(const brg_window *w, const weir_snapshot *s,
                        void (*fn)(void *arg, const weir_tuple *row, int64_t n), void *arg)
{
    weir_map *m = weir_map_new();
    weir_buf k;
    weir_buf_init(&k, KEY_MAX_BYTES);
    for (const change *c = w->first; c; c = c->next) {
        if (weir_snapshot_sees(s, c->xid)) {
            continue;
        }
        weir_buf_reset(&k);
        brg_window_key(&c->row, NULL, 0, &k);
        bool created = false;
        void **slot = weir_map_slot(m, weir_buf_slice(&k), &created);
        if (created) {
            balance *b = weir_xcalloc(1, sizeof *b);
            b->row = &c->row;
            *slot = b;
        }
        ((balance *)*slot)->n += c->sign;
    }
    weir_map_iter it = {0};
    while (weir_map_next(m, &it)) {
        balance *b = it.value;
        if (b->n != 0) {
            fn(arg, b->row, b->n);
        }
        free(b);
    }
    weir_map_free(m);
    weir_buf_fini(&k);
}

size_t brg_window_take_moved(brg_window *w, weir_arena *a, weir_tuple **keys, bool *overflow)
{
    size_t n = 0;
    *overflow = w->moved_overflow;
    *keys = WEIR_ARENA_ARRAY(a, weir_tuple, weir_map_len(w->moved));
    weir_map_iter it = {0};
    while (*keys && weir_map_next(w->moved, &it)) {
        const weir_tuple *t = it.value;
        weir_tuple *out = &(*keys)[n++];
        out->n = t->n;
        out->v = WEIR_ARENA_ARRAY(a, weir_val, t->n);
        for (uint16_t i = 0; i < t->n; i++) {
            out->v[i] = t->v[i];
            out->v[i].text = weir_arena_dup(a, t->v[i].text);
        }
    }
    clear_moved(w);
    return n;
}

void brg_window_tell_moved(brg_window *w, void (*fn)(void *arg, uint64_t number, weir_slice key),
                           void *arg)
{
    weir_rd rd = weir_rd_of(weir_buf_slice(&w->untold));
    while (weir_rd_left(&rd) > 0) {
        uint32_t n = weir_rd_u32(&rd);
        weir_slice key = weir_rd_bytes(&rd, n);
        if (fn) {
            fn(arg, w->told_at, key);
        }
        w->told_at++;
    }
    weir_buf_reset(&w->untold);
}

uint64_t brg_window_moved_at(const brg_window *w)
{
    return w->moved_at;
}

bool brg_window_put_moved(brg_window *w, uint64_t number, weir_slice key)
{
    weir_val v[BRG_KEYS_MAX];
    uint16_t at[BRG_KEYS_MAX];
    weir_rd rd = weir_rd_of(key);
    weir_tuple values = {weir_rd_u16(&rd), v};
    if (!weir_rd_ok(&rd) || values.n != w->nkey) {
        return false;
    }
    for (uint16_t i = 0; i < values.n; i++) {
        uint32_t n = weir_rd_u32(&rd);
        v[i] = (weir_val){WEIR_VAL_TEXT, weir_rd_bytes(&rd, n)};
        at[i] = i;
    }
    if (!weir_rd_finish(&rd)) {
        return false;
    }
    weir_buf_reset(&w->k);
    brg_window_key(&values, at, values.n, &w->k);
    (void)remember_moved(w, weir_buf_slice(&w->k), &values);
    if (number >= w->moved_at) {
        w->moved_at = w->told_at = number + 1;
    }
    return true;
}
