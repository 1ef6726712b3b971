/* writer.c - the log writer thread.
 *
 * A turn takes what waits in the ring (up to 8 MiB) and all orders of the loop, puts them into one
 * LMDB transaction and commits it, which syncs. Only then is anything called durable: the slot is
 * confirmed up to there and subscribers get their answers. If the commit fails, the same turn is
 * tried again.
 */
#include "bridge/writer.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridge/batch.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

enum {
    TURN_ITEMS = 4096,
    TURN_BYTES = 8 * 1024 * 1024,
    RETRY_MS = 1000,
    TRIM_FRAMES = 5000,
    FRAME_OVERHEAD = 4096,
    RESERVE_LEAST = 1024 * 1024
};

typedef struct writer {
    brg_shared *s;
    brg_item items[TURN_ITEMS];
    size_t n;
    brg_order *orders;
    weir_cursor end;     /* as in meta, in this turn's transaction */
    weir_cursor durable; /* end of the last committed turn */
    char last_key[BRG_KEY_BYTES];
    bool appended; /* last_key is the greatest key */
    weir_cursor first;
    bool trimmed;
    uint64_t budget; /* bytes that may be written before the log's size is looked at again */
} writer;

static weir_rc write_frame(writer *w, weir_lmdb_txn *t, const brg_frame *f, weir_error *err)
{
    char buf[BRG_KEY_BYTES];
    weir_slice key = brg_key_put(buf, f->at, f->part);
    weir_slice value = {f->p, f->n};
    weir_rc rc;
    if (w->appended && memcmp(buf, w->last_key, sizeof buf) > 0) {
        rc = weir_lmdb_append(t, w->s->store.log, key, value, err);
    } else {
        rc = weir_lmdb_put(t, w->s->store.log, key, value, err);
    }
    if (rc == WEIR_OK) {
        memcpy(w->last_key, buf, sizeof buf);
        w->end = f->last ? f->end : w->end;
    }
    return rc;
}

static weir_rc write_relation(writer *w, weir_lmdb_txn *t, const brg_item *i, weir_error *err)
{
    char version[4] = {(char)(i->version >> 24), (char)(i->version >> 16), (char)(i->version >> 8),
                       (char)i->version};
    weir_slice v = {version, sizeof version};
    weir_rc rc = weir_lmdb_put(t, w->s->store.rel, v, (weir_slice){i->p, i->n}, err);
    if (rc == WEIR_OK) {
        rc = weir_lmdb_put(t, w->s->store.relhash,
                           (weir_slice){(const char *)i->hash.b, sizeof i->hash.b}, v, err);
    }
    return rc;
}

static weir_rc write_item(writer *w, weir_lmdb_txn *t, const brg_item *i, weir_error *err)
{
    switch (i->kind) {
    case BRG_ITEM_FRAME: return write_frame(w, t, i->frame, err);
    case BRG_ITEM_RELATION: return write_relation(w, t, i, err);
    case BRG_ITEM_HEAD:
        w->end = weir_cursor_cmp(i->cursor, w->end) > 0 ? i->cursor : w->end;
        return WEIR_OK;
    case BRG_ITEM_META:
        return weir_lmdb_put(t, w->s->store.meta, weir_slice_z(i->name), (weir_slice){i->p, i->n},
                             err);
    case BRG_ITEM_CUT: w->appended = false; return brg_store_cut_end(&w->s->store, t, w->end, err);
    case BRG_ITEM_WIPE:
        w->appended = false;
        w->end = w->first = (weir_cursor){0, 0};
        w->trimmed = true;
        return brg_store_wipe(&w->s->store, t, err);
    case BRG_ITEM_CRAWL: return brg_batch_apply(&w->s->store, t, (weir_slice){i->p, i->n}, err);
    }
    return weir_fail(err, WEIR_E_SYS, WEIR_EF_FATAL, "unknown item for the log");
}

static weir_rc write_trim(writer *w, weir_lmdb_txn *t, brg_order *o, weir_error *err)
{
    brg_trim trim = {
        .cut = o->cut, .max_frames = TRIM_FRAMES, .max_bytes = o->max_bytes, .first = w->first};
    weir_rc rc = brg_store_trim(&w->s->store, t, &trim, err);
    if (rc == WEIR_OK && trim.frames > 0) {
        w->first = trim.first;
        w->trimmed = true;
        rc = brg_store_put_cursor(&w->s->store, t, "trimmed", trim.first, err);
    }
    o->more = trim.more;
    return rc;
}

static weir_rc write_order(writer *w, weir_lmdb_txn *t, brg_order *o, weir_error *err)
{
    switch (o->kind) {
    case BRG_ORDER_SUB_PUT:
        return weir_lmdb_put(t, w->s->store.sub, weir_slice_z(o->name),
                             (weir_slice){o->value, o->value_n}, err);
    case BRG_ORDER_SUB_DEL: {
        weir_rc rc = weir_lmdb_del(t, w->s->store.sub, weir_slice_z(o->name), err);
        return rc == WEIR_E_NOTFOUND ? WEIR_OK : rc;
    }
    case BRG_ORDER_TRIM: return write_trim(w, t, o, err);
    case BRG_ORDER_CRAWL: return brg_batch_apply(&w->s->store, t, (weir_slice){o->p, o->n}, err);
    }
    return weir_fail(err, WEIR_E_SYS, WEIR_EF_FATAL, "unknown order for the log");
}

/* The last part of the map is kept for deleting: LMDB copies pages also to remove something, so a
 * log filled to the brim could never be trimmed again. */
static weir_rc check_room(writer *w, weir_error *err)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->n; i++) {
        const brg_frame *f = w->items[i].frame;
        bytes += f ? f->n + f->n / 16 + FRAME_OVERHEAD : 0;
    }
    if (bytes > w->budget) {
        uint64_t map = (uint64_t)w->s->settings->bridge_log_map_bytes;
        uint64_t reserve = map / 8 > RESERVE_LEAST ? map / 8 : RESERVE_LEAST;
        uint64_t used = weir_lmdb_used_bytes(w->s->store.env) + reserve;
        w->budget = used < map ? map - used : 0;
    }
    if (bytes > w->budget) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "the log is full (bridge.log_map_bytes)");
    }
    w->budget -= bytes;
    return WEIR_OK;
}

static weir_rc turn(writer *w, weir_error *err)
{
    weir_lmdb_txn *t = NULL;
    weir_rc rc = check_room(w, err);
    if (rc == WEIR_OK) {
        rc = weir_lmdb_begin(w->s->store.env, true, &t, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    w->end = w->durable;
    for (brg_order *o = w->orders; o && rc == WEIR_OK; o = o->next) {
        rc = write_order(w, t, o, err);
    }
    for (size_t i = 0; i < w->n && rc == WEIR_OK; i++) {
        rc = write_item(w, t, &w->items[i], err);
    }
    if (rc == WEIR_OK && weir_cursor_cmp(w->end, w->durable) != 0) {
        rc = brg_store_put_cursor(&w->s->store, t, "end_lsn", w->end, err);
    }
    if (rc != WEIR_OK) {
        weir_lmdb_abort(t);
        w->appended = false;
        return rc;
    }
    return weir_lmdb_commit(t, err);
}

/* Everything of this turn is on disk: now it may be confirmed, answered and shown. */
static void turn_done(writer *w)
{
    brg_shared *s = w->s;
    w->appended = true;
    w->durable = w->end;
    for (size_t i = 0; i < w->n; i++) {
        const brg_item *item = &w->items[i];
        if (item->kind == BRG_ITEM_RELATION) {
            brg_relation_add(s, item->version, (weir_slice){item->p, item->n});
        } else if (item->kind == BRG_ITEM_FRAME) {
            atomic_fetch_add(&s->frames, 1);
            atomic_fetch_add(&s->bytes, item->frame->n);
        } else if (item->kind == BRG_ITEM_CUT || item->kind == BRG_ITEM_WIPE) {
            w->appended = false; /* the next key may be lower than the last one */
        }
        brg_item_fini(&w->items[i]);
    }
    weir_monitor_lock(s->m);
    s->log_error[0] = w->n ? '\0' : s->log_error[0];
    s->first = w->trimmed ? w->first : s->first;
    weir_monitor_unlock(s->m);
    brg_durable(s, w->durable);
    brg_ring_done(s->ring, w->n);
    for (brg_order *o = w->orders; o;) {
        brg_order *next = o->next;
        o->rc = WEIR_OK;
        if (!weir_loop_post(s->loop, o->done, o)) {
            brg_order_free(o);
        }
        o = next;
    }
    if (w->n) {
        brg_kick(s);
    }
    atomic_store(&s->last_write_ms, weir_mono_ms());
}

static void turn_failed(writer *w, const weir_error *err)
{
    weir_monitor_lock(w->s->m);
    bool first = w->s->log_error[0] == '\0';
    (void)snprintf(w->s->log_error, sizeof w->s->log_error, "%.190s", err->msg);
    weir_monitor_unlock(w->s->m);
    if (first) {
        WEIR_ERROR("BRG-LOG-STUCK", "cannot write the log, trying again every second: %s",
                   err->msg);
    }
}

static void drop_turn(writer *w)
{
    for (size_t i = 0; i < w->n; i++) {
        brg_item_fini(&w->items[i]);
    }
    for (brg_order *o = w->orders; o;) {
        brg_order *next = o->next;
        brg_order_free(o);
        o = next;
    }
}

/* While the log is stuck the loop may send an order to trim, which can free it: take further orders
 * into the same turn. */
static void add_orders(writer *w)
{
    brg_order *more = NULL;
    brg_item none;
    (void)brg_ring_take(w->s->ring, &none, 0, 0, &more, 0);
    brg_order **end = &w->orders;
    while (*end) {
        end = &(*end)->next;
    }
    *end = more;
}

/* The log takes no frames now, but orders are small: acknowledgements and trims, which can free it,
 * go through without them. true: room was made. */
static bool orders_alone(writer *w)
{
    weir_error err;
    size_t n = w->n;
    weir_cursor before = w->first;
    if (!w->orders) {
        return false;
    }
    w->n = 0;
    weir_rc rc = turn(w, &err);
    if (rc == WEIR_OK) {
        turn_done(w);
        w->orders = NULL;
    } else {
        WEIR_DEBUG("BRG-LOG-ORDERS", "%s", err.msg);
        w->first = before;
    }
    w->n = n;
    w->budget = 0;
    return rc == WEIR_OK && weir_cursor_cmp(w->first, before) > 0;
}

void brg_writer_run(void *arg)
{
    brg_shared *s = arg;
    writer *w = weir_xcalloc(1, sizeof *w);
    w->s = s;
    w->durable = s->meta.end;
    w->first = s->meta.trimmed;
    size_t map = (size_t)s->settings->bridge_log_map_bytes;
    size_t turn_bytes = map / 16 < TURN_BYTES ? map / 16 : TURN_BYTES;
    bool abandoned = false; /* once a turn is dropped nothing may follow it: a hole in the log */
    while (!abandoned && !brg_ring_closed(s->ring)) {
        w->n = brg_ring_take(s->ring, w->items, TURN_ITEMS, turn_bytes, &w->orders, 1000);
        if (w->n == 0 && !w->orders) {
            continue;
        }
        weir_error err;
        while (turn(w, &err) != WEIR_OK) {
            turn_failed(w, &err);
            if (brg_stopping(s)) {
                drop_turn(w); /* not confirmed, so the slot sends it again */
                w->n = 0;
                w->orders = NULL;
                abandoned = true;
                break;
            }
            if (!orders_alone(w)) {
                brg_pause(s, RETRY_MS);
            }
            add_orders(w);
        }
        if (w->n || w->orders) {
            turn_done(w);
        }
        w->n = 0;
        w->orders = NULL;
    }
    free(w);
    atomic_fetch_sub(&s->running, 1);
}
