/* feed.c - the feed server: dispatch, fetch and long polls. */
#include "bridge/feed.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

enum {
    CONNECTIONS_MAX = 512,
    UNANSWERED_MAX = 256, /* of one connection */
    PARKED_MAX = 2048,    /* of all; beyond, a fetch is answered at once */
    REQUEST_MAX_BYTES = 2 * 1024 * 1024,
    FETCH_DEFAULT_BYTES = 1024 * 1024,
    FETCH_MAX_BYTES = 64 * 1024 * 1024,
    WAIT_MAX_MS = 60000,
    RETENTION_MS = 1000,
    KEEP_BUFFER_BYTES = 8 * 1024 * 1024,
};

void brg_feed_reply(brg_feed *f, weir_sp_req *req, weir_feed_op op, const weir_feed_reply *r)
{
    weir_buf_reset(&f->out);
    weir_feed_reply_encode(&f->out, op, r);
    if (f->out.failed) {
        WEIR_ERROR("BRG-REPLY-SIZE", "a reply does not fit into %d bytes",
                   WEIR_FEED_REPLY_MAX_BYTES);
        weir_feed_reply sorry = {.code = WEIR_SLICE_LIT("internal"),
                                 .error = WEIR_SLICE_LIT("the reply is too large")};
        weir_buf_reset(&f->out);
        weir_feed_reply_encode(&f->out, op, &sorry);
    }
    weir_sp_reply(req, weir_buf_slice(&f->out));
    if (f->out.cap > KEEP_BUFFER_BYTES) {
        weir_buf_fini(&f->out); /* one large row must not be held for ever */
        weir_buf_init(&f->out, WEIR_FEED_REPLY_MAX_BYTES);
    }
}

void brg_feed_refuse(brg_feed *f, weir_sp_req *req, weir_feed_op op, const char *code,
                     const char *fmt, ...)
{
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    weir_feed_reply r = {.code = weir_slice_z(code), .error = weir_slice_z(text)};
    brg_feed_reply(f, req, op, &r);
}

weir_cursor brg_feed_head(brg_feed *f)
{
    weir_monitor_lock(f->s->m);
    weir_cursor head = brg_tail_head(f->s->tail);
    weir_monitor_unlock(f->s->m);
    return head;
}

weir_cursor brg_feed_first(brg_feed *f)
{
    weir_monitor_lock(f->s->m);
    weir_cursor first = f->s->first;
    weir_monitor_unlock(f->s->m);
    return first;
}

bool brg_feed_ready(brg_feed *f, weir_sp_req *req, weir_feed_op op)
{
    brg_shared *s = f->s;
    weir_monitor_lock(s->m);
    bool ready = strcmp(s->meta.state, "streaming") == 0;
    brg_state state = s->state;
    brg_copy_figures c = s->copy;
    char text[sizeof s->text];
    memcpy(text, s->text, sizeof text);
    weir_monitor_unlock(s->m);
    if (!ready && state == BRG_COPYING && text[0] == '\0') {
        brg_feed_refuse(f, req, op, "notready",
                        "first copy: %" PRIu64 " of %" PRIu64 " tables, %" PRIu64 " rows, now %s",
                        c.tables_done, c.tables, c.rows, c.table);
    } else if (!ready) {
        brg_feed_refuse(f, req, op, "notready", "%s: %s", brg_state_name(state),
                        text[0] ? text : "starting");
    }
    return ready;
}

/* --- fetch
 * ---------------------------------------------------------------------------------------------------------
 */

/* Descriptions the subscriber does not know; those that frames name are always among them, for they
 * were durable first. */
static size_t collect_relations(brg_feed *f, uint32_t known, weir_slice **out)
{
    brg_shared *s = f->s;
    size_t n = 0;
    *out = WEIR_ARENA_ARRAY(f->a, weir_slice, s->nrels);
    for (size_t i = 0; i < s->nrels; i++) {
        if (s->rels[i].version > known) {
            (*out)[n++] = (weir_slice){s->rels[i].p, s->rels[i].n};
        }
    }
    return n;
}

/* true: there was something to say (frames, or the head moved), or `anyway`; it has been said. */
static bool serve(brg_feed *f, const brg_parked *p, bool anyway)
{
    brg_shared *s = f->s;
    weir_lmdb_txn *txn = NULL;
    weir_error err;
    weir_rc rc = WEIR_OK;
    weir_feed_reply r = {.ok = true};
    brg_fetch_init(&f->fetch, p->after, p->max_bytes);
    weir_monitor_lock(s->m);
    bool lapsed = weir_cursor_cmp(p->after.at, s->first) < 0 && (s->first.lsn || s->first.sub);
    bool in_tail = weir_cursor_cmp(p->after.at, brg_tail_from(s->tail)) >= 0;
    if (in_tail && !lapsed) {
        brg_fetch_tail(&f->fetch, s->tail);
    }
    r.head = brg_tail_head(s->tail);
    weir_monitor_unlock(s->m);
    if (lapsed) {
        f->lapsed++;
        brg_feed_refuse(f, p->req, WEIR_FEED_FETCH, "lapsed",
                        "the log no longer holds what comes after this position; subscribe again "
                        "and copy the tables anew (rebuild)");
        return true;
    }
    if (!in_tail) {
        rc = brg_store_fetch(&s->store, &f->fetch, &txn, &err);
    }
    if (rc != WEIR_OK) {
        WEIR_ERROR("BRG-FETCH", "%s", err.msg);
        brg_feed_refuse(f, p->req, WEIR_FEED_FETCH, "internal", "%s", err.msg);
        return true;
    }
    bool news = f->fetch.n > 0 || weir_cursor_cmp(f->fetch.next.at, p->after.at) > 0;
    if (news || anyway) {
        r.nframes = f->fetch.n;
        r.frames = f->fetch.frames;
        r.next = f->fetch.next;
        /* A cursor from before a restart may be ahead of what this process has seen: nothing lies
         * between. */
        r.head = weir_cursor_cmp(r.next.at, r.head) > 0 ? r.next.at : r.head;
        weir_monitor_lock(s->m);
        r.nrelations = collect_relations(f, p->known, &r.relations);
        weir_monitor_unlock(s->m);
        brg_feed_reply(f, p->req, WEIR_FEED_FETCH, &r);
    }
    /* Sent: a long read through the log must not fill our memory. */
    for (size_t i = 0; txn && i < f->fetch.n; i++) {
        if (f->fetch.frames[i].n >= BRG_FORGET_BYTES) {
            weir_lmdb_forget(f->fetch.frames[i]);
        }
    }
    brg_fetch_release(&f->fetch);
    weir_lmdb_abort(txn);
    return news || anyway;
}

static void arm(brg_feed *f)
{
    int64_t next = INT64_MAX;
    for (const brg_parked *p = f->parked; p; p = p->next) {
        if (p->deadline_ms < next && !weir_sp_full(p->req)) {
            next = p->deadline_ms;
        }
    }
    if (next != INT64_MAX) {
        int64_t left = next - weir_mono_ms();
        weir_loop_timer_arm(f->timer, left > 0 ? left : 0, false);
    } else {
        weir_loop_timer_disarm(f->timer);
    }
}

static void unpark(brg_parked *p)
{
    brg_feed *f = p->f;
    *(p->prev ? &p->prev->next : &f->parked) = p->next;
    if (p->next) {
        p->next->prev = p->prev;
    }
    f->nparked--;
    atomic_fetch_sub(&f->s->listeners, 1);
    free(p);
}

static void on_gone(void *arg)
{
    brg_parked *p = arg;
    weir_sp_reply(p->req, (weir_slice){NULL, 0}); /* to nobody */
    unpark(p);
}

/* It counts among the listeners already. */
static void park(brg_feed *f, const brg_parked *what)
{
    brg_parked *p = weir_xcalloc(1, sizeof *p);
    *p = *what;
    p->next = f->parked;
    if (p->next) {
        p->next->prev = p;
    }
    f->parked = p;
    f->nparked++;
    weir_sp_on_gone(p->req, on_gone, p);
}

static void serve_parked(void *arg)
{
    brg_feed *f = arg;
    int64_t now = weir_mono_ms();
    brg_parked *next;
    for (brg_parked *p = f->parked; p; p = next) {
        next = p->next;
        weir_arena_reset(f->a);
        if (!weir_sp_full(p->req) && serve(f, p, now >= p->deadline_ms)) {
            unpark(p);
        }
    }
    arm(f);
}

/* From any thread, through the loop: frames came or the head moved. */
static void on_kick(void *arg)
{
    brg_feed *f = arg;
    atomic_store(&f->s->kicked, false); /* before looking: what comes later kicks again */
    serve_parked(f);
}

static void on_fetch(brg_feed *f, weir_sp_req *req, const weir_feed_req *q)
{
    brg_parked p = {.f = f, .req = req, .after = q->after, .known = q->known};
    uint32_t wait_ms = q->wait_ms < WAIT_MAX_MS ? q->wait_ms : WAIT_MAX_MS;
    p.max_bytes = q->max_bytes == 0 ? FETCH_DEFAULT_BYTES : q->max_bytes;
    p.max_bytes = p.max_bytes < FETCH_MAX_BYTES ? p.max_bytes : FETCH_MAX_BYTES;
    p.deadline_ms = weir_mono_ms() + wait_ms;
    f->fetches++;
    atomic_store(&f->s->last_asked_ms, weir_mono_ms());
    if (!brg_feed_ready(f, req, WEIR_FEED_FETCH)) {
        return;
    }
    if (q->name.n) {
        brg_sub *sub = brg_subs_get(&f->subs, q->name);
        if (!sub) {
            brg_feed_refuse(f, req, WEIR_FEED_FETCH, "unknown",
                            "subscriber %.*s is not known: subscribe first",
                            WEIR_SLICE_ARG(q->name));
            return;
        }
        if (sub->lapsed) {
            brg_feed_refuse(f, req, WEIR_FEED_FETCH, "lapsed",
                            "subscriber %s was too far behind (bridge.log_max_bytes) and lapsed at "
                            "its position; subscribe again "
                            "and copy the tables anew (rebuild)",
                            sub->name);
            return;
        }
        sub->seen_us = weir_wall_us();
        if (!q->has_after) {
            p.after = (weir_feed_pos){sub->position, 0};
        }
    } else if (!q->has_after) {
        p.after = (weir_feed_pos){brg_feed_head(f), 0};
    }
    bool may_wait = wait_ms > 0 && f->nparked < PARKED_MAX;
    atomic_fetch_add(&f->s->listeners, 1); /* before looking: what comes after the look must kick */
    if (!serve(f, &p, !may_wait)) {
        park(f, &p);
        arm(f);
    } else {
        atomic_fetch_sub(&f->s->listeners, 1);
    }
}

/* --- dispatch
 * ------------------------------------------------------------------------------------------------------
 */

static void on_request(void *arg, weir_sp_req *req, weir_slice body)
{
    brg_feed *f = arg;
    weir_feed_req q;
    weir_error err;
    f->requests++;
    weir_arena_reset(f->a);
    weir_rc rc = weir_feed_req_decode(body, f->a, &q, &err);
    if (rc != WEIR_OK) {
        brg_feed_refuse(f, req, WEIR_FEED_STATUS, "input", "%s", err.msg);
        return;
    }
    switch (q.op) {
    case WEIR_FEED_SUBSCRIBE: brg_feed_on_subscribe(f, req, &q); break;
    case WEIR_FEED_FETCH: on_fetch(f, req, &q); break;
    case WEIR_FEED_ACK: brg_feed_on_ack(f, req, &q); break;
    case WEIR_FEED_UNSUBSCRIBE: brg_feed_on_unsubscribe(f, req, &q); break;
    case WEIR_FEED_LIST: brg_feed_on_list(f, req); break;
    case WEIR_FEED_STATUS: brg_feed_on_status(f, req); break;
    case WEIR_FEED_COPY: brg_feed_on_copy(f, req, &q); break;
    case WEIR_FEED_CRAWL: brg_feed_on_crawl(f, req, &q); break;
    }
}

weir_rc brg_feed_open(brg_feed **out, brg_shared *s, brg_copier *copier, brg_crawl *crawl,
                      weir_error *err)
{
    brg_feed *f = weir_xcalloc(1, sizeof *f);
    f->s = s;
    f->copier = copier;
    f->crawl = crawl;
    f->a = weir_arena_new(0);
    weir_buf_init(&f->out, WEIR_FEED_REPLY_MAX_BYTES);
    weir_rc rc = brg_subs_load(&f->subs, &s->store, err);
    if (rc == WEIR_OK) {
        const weir_sp_conf conf = {.url = s->settings->bridge_feed,
                                   .connections_max = CONNECTIONS_MAX,
                                   .unanswered_max = UNANSWERED_MAX,
                                   .message_max_bytes = REQUEST_MAX_BYTES,
                                   .fn = on_request,
                                   .room_fn = serve_parked,
                                   .arg = f};
        rc = weir_sp_serve(&f->server, s->loop, &conf, err);
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "bridge.feed");
        }
    }
    if (rc != WEIR_OK) {
        brg_feed_close(f);
        return rc;
    }
    f->timer = weir_loop_timer_new(s->loop, serve_parked, f);
    f->retention = weir_loop_timer_new(s->loop, brg_feed_retention, f);
    weir_loop_timer_arm(f->retention, RETENTION_MS, true);
    s->kick_arg = f;
    s->kick = on_kick;
    *out = f;
    return WEIR_OK;
}

void brg_feed_close(brg_feed *f)
{
    if (!f) {
        return;
    }
    weir_sp_server_close(f->server); /* and the parked fetches with their connections */
    if (f->timer) {
        weir_loop_timer_free(f->timer);
        weir_loop_timer_free(f->retention);
    }
    brg_subs_fini(&f->subs);
    weir_arena_free(f->a);
    weir_buf_fini(&f->out);
    free(f);
}
