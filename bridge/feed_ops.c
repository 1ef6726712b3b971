/* feed_ops.c - subscribe, ack, unsubscribe, list, status, copy; and the retention timer. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridge/feed.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

/* A request that is answered when its order is durable. */
typedef struct waiting {
    brg_feed *f;
    weir_sp_req *req;
    weir_feed_op op;
    weir_cursor position;
} waiting;

static waiting *waiting_new(brg_feed *f, weir_sp_req *req, weir_feed_op op, weir_cursor position)
{
    waiting *w = weir_xcalloc(1, sizeof *w);
    *w = (waiting){f, req, op, position};
    return w;
}

bool brg_feed_store_sub(brg_feed *f, const brg_sub *sub, void (*done)(void *order), void *arg)
{
    brg_order *o = weir_xcalloc(1, sizeof *o);
    o->kind = BRG_ORDER_SUB_PUT;
    memcpy(o->name, sub->name, sizeof o->name);
    o->value_n = brg_sub_encode(sub, o->value);
    o->done = done;
    o->arg = arg;
    o->owns_arg = arg != NULL;
    if (!brg_ring_order(f->s->ring, o)) {
        free(o);
        return false;
    }
    return true;
}

/* The log has nothing trimmed: what a new subscriber reads from the start is everything since the
 * first copy. */
static bool is_complete(weir_cursor first)
{
    return first.lsn == 0 && first.sub == 0;
}

static void answer_durable(void *order)
{
    brg_order *o = order;
    waiting *w = o->arg;
    weir_feed_reply r = {.ok = true, .position = w->position, .head = brg_feed_head(w->f)};
    char system_id[sizeof w->f->s->meta.system_id];
    weir_monitor_lock(w->f->s->m);
    memcpy(system_id, w->f->s->meta.system_id, sizeof system_id);
    weir_monitor_unlock(w->f->s->m);
    r.system_id = weir_slice_z(system_id);
    r.complete = w->f->s->settings->bridge_first_copy != 0 && is_complete(brg_feed_first(w->f));
    brg_feed_reply(w->f, w->req, w->op, &r);
    free(w);
    free(o);
}

static void forget_order(void *order)
{
    free(order);
}

/* Stores sub and answers req when that is durable. */
static void store_and_answer(brg_feed *f, weir_sp_req *req, weir_feed_op op, const brg_sub *sub)
{
    waiting *w = waiting_new(f, req, op, sub->position);
    if (!brg_feed_store_sub(f, sub, answer_durable, w)) {
        free(w);
        brg_feed_refuse(f, req, op, "busy", "the log takes no more orders now; try again");
    }
}

void brg_feed_on_subscribe(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    if (!brg_feed_ready(f, req, q->op)) {
        return;
    }
    brg_sub sub = {.created_us = weir_wall_us()};
    const brg_sub *old = brg_subs_get(&f->subs, q->name);
    if (old) {
        sub.created_us = old->created_us;
    }
    memcpy(sub.name, q->name.p, q->name.n);
    sub.seen_us = weir_wall_us();
    weir_cursor first = brg_feed_first(f);
    weir_monitor_lock(f->s->m);
    weir_cursor begin = {f->s->meta.consistent_lsn, 0};
    weir_monitor_unlock(f->s->m);
    begin = weir_cursor_cmp(first, begin) > 0 ? first : begin;
    sub.position = q->start == WEIR_START_AT         ? q->after.at
                   : q->start == WEIR_START_EARLIEST ? begin
                                                     : brg_feed_head(f);
    if (weir_cursor_cmp(sub.position, begin) < 0) {
        brg_feed_refuse(f, req, q->op, "lapsed",
                        "the log no longer holds what comes after this position; start "
                        "\"earliest\" or \"now\" and copy the tables "
                        "anew (rebuild)");
        return;
    }
    /* Counted for retention from this moment; orders are carried out in order, so no trim can
     * overtake it. */
    if (!brg_subs_put(&f->subs, &sub)) {
        brg_feed_refuse(f, req, q->op, "busy",
                        "%d subscribers are too many; unsubscribe those that are gone",
                        BRG_SUBS_MAX);
        return;
    }
    char lsn[WEIR_LSN_TEXT_MAX];
    WEIR_INFO("BRG-SUBSCRIBED", "name=%s position=%s", sub.name,
              weir_lsn_print(sub.position.lsn, lsn));
    store_and_answer(f, req, q->op, &sub);
}

void brg_feed_on_ack(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    brg_sub *sub = brg_subs_get(&f->subs, q->name);
    if (!sub) {
        brg_feed_refuse(f, req, q->op, "unknown", "subscriber %.*s is not known: subscribe first",
                        WEIR_SLICE_ARG(q->name));
        return;
    }
    if (sub->lapsed) {
        brg_feed_refuse(f, req, q->op, "lapsed",
                        "subscriber %s lapsed: subscribe again and copy the tables anew (rebuild)",
                        sub->name);
        return;
    }
    if (weir_cursor_cmp(q->after.at, sub->position) > 0) {
        sub->position = q->after.at;
    }
    sub->seen_us = weir_wall_us();
    store_and_answer(f, req, q->op, sub);
}

void brg_feed_on_unsubscribe(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    brg_subs_del(&f->subs, q->name);
    brg_order *o = weir_xcalloc(1, sizeof *o);
    o->kind = BRG_ORDER_SUB_DEL;
    memcpy(o->name, q->name.p, q->name.n < sizeof o->name ? q->name.n : sizeof o->name - 1);
    o->done = answer_durable;
    waiting *w = waiting_new(f, req, q->op, (weir_cursor){0, 0});
    o->arg = w;
    o->owns_arg = true;
    if (!brg_ring_order(f->s->ring, o)) {
        free(o);
        free(w);
        brg_feed_refuse(f, req, q->op, "busy", "the log takes no more orders now; try again");
    }
}

void brg_feed_on_list(brg_feed *f, weir_sp_req *req)
{
    weir_cursor head = brg_feed_head(f);
    weir_feed_reply r = {.ok = true, .nsubs = f->subs.n};
    r.subs = WEIR_ARENA_ARRAY(f->a, weir_feed_sub, f->subs.n);
    for (size_t i = 0; i < f->subs.n; i++) {
        const brg_sub *sub = &f->subs.v[i];
        r.subs[i].name = weir_slice_z(sub->name);
        r.subs[i].state = weir_slice_z(sub->lapsed ? "lapsed" : "active");
        r.subs[i].position = sub->position;
        r.subs[i].lag_bytes = head.lsn > sub->position.lsn ? head.lsn - sub->position.lsn : 0;
    }
    brg_feed_reply(f, req, WEIR_FEED_LIST, &r);
}

void brg_feed_on_status(brg_feed *f, weir_sp_req *req)
{
    weir_buf b;
    weir_buf_init(&b, 4 * 1024 * 1024);
    weir_buf_u8(&b, '{');
    f->status(f->status_arg, &b);
    weir_buf_u8(&b, '}');
    weir_feed_reply r = {.ok = true, .status = weir_buf_slice(&b)};
    brg_feed_reply(f, req, WEIR_FEED_STATUS, &r);
    weir_buf_fini(&b);
}

void brg_feed_on_copy(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    brg_job_view view;
    weir_error err;
    if (!brg_feed_ready(f, req, q->op)) {
        return;
    }
    weir_rc rc = brg_copier_request(f->copier, q->copy_id, q->tables, q->ntables, &view, &err);
    if (rc != WEIR_OK) {
        brg_feed_refuse(f, req, q->op, "busy", "%s", err.msg);
        return;
    }
    if (view.state == BRG_JOB_FAILED) {
        brg_feed_refuse(f, req, q->op, "input", "%s", view.error);
        return;
    }
    weir_feed_reply r = {.ok = true,
                         .state = weir_slice_z(brg_job_state_name(view.state)),
                         .rows = view.rows,
                         .tables_done = view.tables_done};
    brg_feed_reply(f, req, q->op, &r);
}

/* --- retention
 * -----------------------------------------------------------------------------------------------------
 */

static void trim_done(void *order)
{
    brg_order *o = order;
    brg_feed *f = o->arg;
    bool more = o->more;
    if (!more && weir_cursor_cmp(o->cut, f->floor) > 0) {
        f->floor = o->cut;
    }
    free(o);
    f->trimming = false;
    if (more) {
        brg_feed_retention(f);
    }
}

static void order_trim(brg_feed *f, const brg_retain_in *in, const brg_retain_out *out)
{
    brg_order *o = weir_xcalloc(1, sizeof *o);
    o->kind = BRG_ORDER_TRIM;
    o->cut = out->cut;
    o->max_bytes = out->over ? in->used_bytes - in->max_bytes + in->max_bytes / 16 : UINT64_MAX;
    o->done = trim_done;
    o->arg = f;
    f->trimming = brg_ring_order(f->s->ring, o);
    if (!f->trimming) {
        free(o);
    }
}

static void lapse(brg_feed *f, weir_cursor position)
{
    for (size_t i = 0; i < f->subs.n; i++) {
        brg_sub *sub = &f->subs.v[i];
        if (sub->lapsed || weir_cursor_cmp(sub->position, position) != 0) {
            continue;
        }
        char lsn[WEIR_LSN_TEXT_MAX];
        WEIR_WARN("BRG-SUB-LAPSED", "name=%s position=%s: the log reached bridge.log_max_bytes",
                  sub->name, weir_lsn_print(sub->position.lsn, lsn));
        sub->lapsed = true;
        f->lapsed++;
        if (!brg_feed_store_sub(f, sub, forget_order, NULL)) {
            WEIR_WARN("BRG-SUB-LAPSED", "name=%s is not stored yet", sub->name);
        }
    }
}

static void log_figures(brg_feed *f)
{
    weir_lmdb_txn *t = NULL;
    weir_error err;
    atomic_store(&f->s->log_bytes, weir_lmdb_used_bytes(f->s->store.env));
    if (weir_lmdb_begin(f->s->store.env, false, &t, &err) == WEIR_OK) {
        atomic_store(&f->s->log_frames, weir_lmdb_count(t, f->s->store.log));
        weir_lmdb_abort(t);
    }
}

void brg_feed_retention(void *arg)
{
    brg_feed *f = arg;
    const weir_settings *set = f->s->settings;
    weir_cursor positions[BRG_SUBS_MAX];
    log_figures(f);
    weir_cursor end = brg_get_durable(f->s);
    int64_t now = weir_mono_ms();
    brg_ages_add(&f->ages, now, set->bridge_log_keep_ms, end);
    if (f->trimming) {
        return;
    }
    for (;;) {
        weir_cursor first = brg_feed_first(f);
        first = weir_cursor_cmp(f->floor, first) > 0 ? f->floor : first;
        brg_retain_in in = {.subs = positions,
                            .old_enough = brg_ages_cut(&f->ages, now, set->bridge_log_keep_ms),
                            .first = first,
                            .end = end,
                            .used_bytes = atomic_load(&f->s->log_bytes),
                            .max_bytes = (uint64_t)set->bridge_log_max_bytes};
        brg_retain_out out;
        for (size_t i = 0; i < f->subs.n; i++) {
            if (!f->subs.v[i].lapsed) {
                positions[in.n++] = f->subs.v[i].position;
            }
        }
        brg_retain_decide(&in, &out);
        if (!out.lapse) {
            if (weir_cursor_cmp(out.cut, in.first) > 0 && atomic_load(&f->s->log_frames) > 0) {
                order_trim(f, &in, &out);
            }
            return;
        }
        lapse(f, positions[out.slowest]);
    }
}
