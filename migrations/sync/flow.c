/* flow.c - batches to transactions to the destination, and what happens when one of them fails. */
#include "migrations/sync/flow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/backoff.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"

enum {
    TURN_MS = 250,
    CALL_MS = 10000,
    LOOK_AGAIN_MS = 5000, /* has an operator mended what it failed for? */
    EVENTS_BYTES = 512 << 20
};

struct sync_flow {
    sync_flow_conf conf;
    sync_source *source;
    weir_monitor *m; /* of view, stop, pause */
    sync_flow_view view;
    bool stop, pause;
    /* of the flow's thread */
    weir_arena *a; /* decoded events of the batch */
    sync_tx tx;
    char origin[64];
    weir_cursor place; /* after the last transaction that was given */
    bool open, begun,
        drop; /* inside a transaction; the destination knows of it; it is not for it */
    weir_cursor acked;
    weir_backoff backoff;
    bool failed; /* until it is past where it failed */
    weir_cursor failed_at;
    bool single; /* each transaction is committed by itself, up to the one that fails */
};

const char *sync_flow_state_name(sync_flow_state s)
{
    switch (s) {
    case SYNC_FLOW_STARTING: return "starting";
    case SYNC_FLOW_RUNNING: return "running";
    case SYNC_FLOW_WAITING: return "waiting";
    case SYNC_FLOW_PAUSED: return "paused";
    case SYNC_FLOW_FAILED: return "failed";
    }
    return "?";
}

weir_rc sync_flow_new(sync_flow **out, const sync_flow_conf *conf, weir_error *err)
{
    sync_flow *f = weir_xcalloc(1, sizeof *f);
    f->conf = *conf;
    f->m = weir_monitor_new();
    f->a = weir_arena_new(EVENTS_BYTES);
    weir_backoff_init(&f->backoff, 100, 5000, 0);
    sync_source_conf sc = {
        .feed = conf->feed, .name = conf->subscription, .batch_bytes = conf->batch_bytes};
    weir_rc rc = sync_source_open(&f->source, &sc, err);
    if (rc != WEIR_OK) {
        sync_flow_free(f);
        f = NULL;
    }
    *out = f;
    return rc;
}

void sync_flow_free(sync_flow *f)
{
    if (f) {
        sync_source_close(f->source);
        weir_arena_free(f->a);
        weir_monitor_free(f->m);
        free(f);
    }
}

static void set_state(sync_flow *f, sync_flow_state state, const char *text)
{
    weir_monitor_lock(f->m);
    f->view.state = state;
    (void)snprintf(f->view.text, sizeof f->view.text, "%s", text ? text : "");
    if (state == SYNC_FLOW_WAITING || state == SYNC_FLOW_FAILED) {
        f->view.caught_up = false;
    }
    weir_monitor_unlock(f->m);
}

void sync_flow_stop(sync_flow *f)
{
    weir_monitor_lock(f->m);
    f->stop = true;
    weir_monitor_wake(f->m);
    weir_monitor_unlock(f->m);
}

void sync_flow_pause(sync_flow *f, bool pause)
{
    weir_monitor_lock(f->m);
    if (f->pause != pause) {
        f->pause = pause;
        weir_monitor_wake(f->m);
    }
    weir_monitor_unlock(f->m);
}

void sync_flow_view_get(sync_flow *f, sync_flow_view *out)
{
    weir_cursor head = sync_source_head(f->source);
    weir_monitor_lock(f->m);
    *out = f->view;
    weir_monitor_unlock(f->m);
    out->head = weir_cursor_cmp(head, out->position) > 0 ? head : out->position;
    if (out->state == SYNC_FLOW_RUNNING &&
        sync_source_lost(f->source, out->text, sizeof out->text)) {
        out->state = SYNC_FLOW_WAITING;
        out->caught_up = false;
    }
}

static bool stopping(sync_flow *f)
{
    weir_monitor_lock(f->m);
    bool stop = f->stop;
    weir_monitor_unlock(f->m);
    return stop;
}

static bool pausing(sync_flow *f)
{
    weir_monitor_lock(f->m);
    bool pause = f->pause && !f->stop;
    weir_monitor_unlock(f->m);
    return pause;
}

static void nap(sync_flow *f, int64_t ms)
{
    weir_monitor_lock(f->m);
    if (!f->stop) {
        (void)weir_monitor_wait(f->m, ms);
    }
    weir_monitor_unlock(f->m);
}

/* Did this transaction come from where we would bring it? */
static bool is_echo(const sync_flow *f, weir_slice origin)
{
    return f->conf.drop_origin && weir_slice_starts(origin, weir_slice_z(f->conf.drop_origin));
}

static weir_rc begin_once(sync_flow *f, weir_error *err)
{
    if (f->begun || f->drop) {
        return WEIR_OK;
    }
    f->begun = true;
    return f->conf.dest->begin(f->conf.dest->self, &f->tx, err);
}

static weir_rc one_event(sync_flow *f, const weir_ev *ev, weir_error *err)
{
    const sync_dest *d = f->conf.dest;
    if (ev->kind == WEIR_EV_ORIGIN) {
        (void)snprintf(f->origin, sizeof f->origin, "%.*s", WEIR_SLICE_ARG(ev->a));
        f->tx.origin = weir_slice_z(f->origin);
        f->tx.origin_lsn = ev->lsn;
        f->drop = f->drop || is_echo(f, ev->a);
        return WEIR_OK;
    }
    /* Only in a transaction of ours: anybody may write messages, but not with our origin. */
    if (f->drop && d->told && ev->kind == WEIR_EV_MESSAGE && weir_slice_eqz(ev->a, "weir.sync")) {
        return d->told(d->self, &f->tx, ev->b, err);
    }
    if (f->drop || ev->kind == WEIR_EV_TYPE) {
        return WEIR_OK;
    }
    const weir_relation *rel = ev->rel ? sync_source_relation(f->source, ev->rel) : NULL;
    if (ev->rel && !rel) {
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                         "the feed tells of relation %u it never described", ev->rel);
    }
    weir_rc rc = begin_once(f, err);
    return rc == WEIR_OK ? d->event(d->self, &f->tx, rel, ev, err) : rc;
}

static weir_rc end_tx(sync_flow *f, weir_error *err)
{
    const sync_dest *d = f->conf.dest;
    weir_rc rc = WEIR_OK;
    if (f->drop || !f->begun) {
        rc = d->skip(d->self, &f->tx, err);
    } else {
        rc = d->commit(d->self, &f->tx, err);
    }
    weir_monitor_lock(f->m);
    f->view.transactions += !f->drop;
    f->view.dropped += f->drop;
    f->view.last_commit_us = f->tx.commit_us;
    weir_monitor_unlock(f->m);
    f->open = f->begun = f->drop = false;
    return rc;
}

static void open_tx(sync_flow *f, const weir_frame_head *head)
{
    f->tx = (sync_tx){.kind = head->kind,
                      .xid = head->xid,
                      .commit_lsn = head->commit_lsn,
                      .commit_us = head->commit_us,
                      .origin = WEIR_SLICE_LIT(""),
                      .source = f->source};
    f->open = true;
    f->begun = f->drop = false;
}

static weir_rc one_frame(sync_flow *f, weir_slice bytes, weir_cursor next, weir_error *err)
{
    weir_frame_dec d;
    weir_frame_head head;
    weir_ev ev;
    uint64_t events = 0;
    weir_rc rc = weir_frame_open(&d, bytes, &head, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (!f->open) {
        open_tx(f, &head);
    }
    while ((rc = weir_frame_next(&d, f->a, &ev, err)) == WEIR_OK) {
        events++;
        rc = one_event(f, &ev, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    if (rc != WEIR_E_EOF) {
        return rc;
    }
    weir_monitor_lock(f->m);
    f->view.events += events;
    weir_monitor_unlock(f->m);
    if (!head.last) {
        return WEIR_OK;
    }
    /* A chunk's or message's own place is only known from the reply: at its last frame. */
    f->tx.after = head.kind == WEIR_FRAME_TX ? (weir_cursor){head.end_lsn, 0} : next;
    f->place = f->tx.after;
    return end_tx(f, err);
}

static void moved(sync_flow *f, weir_cursor durable, bool caught_up)
{
    weir_monitor_lock(f->m);
    f->view.position = durable;
    f->view.caught_up = caught_up;
    f->view.batches++;
    f->failed = f->failed && !caught_up && weir_cursor_cmp(durable, f->failed_at) <= 0;
    if (!f->failed) {
        f->single = false;
        f->view.state = SYNC_FLOW_RUNNING;
        f->view.text[0] = '\0';
    }
    weir_monitor_unlock(f->m);
    /* Only what the destination has made durable: the bridge may forget it now. */
    if (weir_cursor_cmp(durable, f->acked) > 0) {
        sync_source_ack(f->source, durable);
        f->acked = durable;
    }
}

static weir_rc one_batch(sync_flow *f, const sync_batch *b, weir_error *err)
{
    weir_cursor durable = f->view.position;
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; i < b->nframes && rc == WEIR_OK; i++) {
        /* Inside a batch the place after a chunk is not told; it is not needed: the position then
         * stays where the last transaction ended, and the chunk is idempotent. */
        bool last = i + 1 == b->nframes;
        rc = one_frame(f, b->frames[i], last ? b->next : f->place, err);
        if (rc == WEIR_OK && f->single && !f->open && !last) {
            rc = f->conf.dest->flush(f->conf.dest->self, false, &durable, err);
        }
    }
    if (rc == WEIR_OK && !f->open && b->nframes == 0) {
        f->tx = (sync_tx){.kind = WEIR_FRAME_MESSAGE, .after = b->next, .source = f->source};
        rc = f->conf.dest->skip(f->conf.dest->self, &f->tx, err);
    }
    if (rc == WEIR_OK) {
        rc = f->conf.dest->flush(f->conf.dest->self, b->caught_up, &durable, err);
    }
    if (rc == WEIR_OK) {
        moved(f, durable, b->caught_up && !f->open);
    }
    weir_arena_reset(f->a);
    return rc;
}

/* From the durable position: where the destination is, or where the flow was told to begin. */
static weir_rc connect(sync_flow *f, weir_error *err)
{
    bool known = false;
    weir_cursor at = {0, 0};
    weir_cursor position;
    f->open = f->begun = f->drop = false;
    weir_arena_reset(f->a);
    weir_rc rc = f->conf.dest->resume(f->conf.dest->self, &known, &at, err);
    if (rc == WEIR_OK && !known && f->conf.first) {
        at = *f->conf.first;
        known = true;
    }
    if (rc == WEIR_OK) {
        rc = sync_source_start(f->source, known ? &at : NULL, CALL_MS, &position, err);
    }
    if (rc == WEIR_OK) {
        char lsn[WEIR_LSN_TEXT_MAX];
        f->acked = position;
        f->place = position;
        weir_monitor_lock(f->m);
        f->view.position = position;
        weir_monitor_unlock(f->m);
        WEIR_INFO("SYNC-FLOW-START", "flow=%s position=%s", f->conf.name,
                  weir_lsn_print(position.lsn, lsn));
        if (!f->failed) {
            set_state(f, SYNC_FLOW_RUNNING, NULL);
        }
    }
    return rc;
}

/* What needs an operator is told once, and looked at again now and then. First everything before it
 * is brought over: it may need the target as it was (a column that was renamed since). */
static void after_failure(sync_flow *f, const weir_error *err)
{
    bool retry = (err->flags & WEIR_EF_RETRY) != 0;
    bool told = f->failed && strcmp(f->view.text, err->msg) == 0;
    if (!retry && !f->single) {
        f->single = true;
        WEIR_INFO("SYNC-FLOW-SINGLE", "flow=%s %s", f->conf.name, err->msg);
        return;
    }
    int64_t ms = retry ? weir_backoff_next_ms(&f->backoff) : LOOK_AGAIN_MS;
    if (!retry) {
        f->failed = true;
        f->failed_at = f->view.position;
    }
    if (!told) {
        set_state(f, retry ? SYNC_FLOW_WAITING : SYNC_FLOW_FAILED, err->msg);
    }
    if (retry) {
        WEIR_WARN("SYNC-FLOW-RETRY", "flow=%s in_ms=%" PRId64 " %s", f->conf.name, ms, err->msg);
    } else if (!told) {
        WEIR_ERROR("SYNC-FLOW-FAILED", "flow=%s %s", f->conf.name, err->msg);
    }
    nap(f, ms);
}

/* Batches until something fails, a pause, or the end. */
static weir_rc work(sync_flow *f, weir_error *err)
{
    while (!stopping(f)) {
        sync_batch b;
        if (pausing(f) && !f->open) {
            set_state(f, SYNC_FLOW_PAUSED, "paused");
            nap(f, TURN_MS);
            continue;
        }
        weir_rc rc = sync_source_next(f->source, TURN_MS, &b, err);
        if (rc == WEIR_E_AGAIN) {
            continue;
        }
        if (rc == WEIR_OK) {
            rc = one_batch(f, &b, err);
            sync_source_release(f->source);
        }
        if (rc != WEIR_OK) {
            return rc;
        }
        weir_backoff_reset(&f->backoff);
    }
    return WEIR_OK;
}

void sync_flow_run(void *flow)
{
    sync_flow *f = flow;
    set_state(f, SYNC_FLOW_STARTING, NULL);
    while (!stopping(f)) {
        weir_error err = {.code = WEIR_OK};
        weir_rc rc = connect(f, &err);
        if (rc == WEIR_OK) {
            rc = work(f, &err);
        }
        if (rc == WEIR_OK) {
            break;
        }
        after_failure(f, &err);
    }
    WEIR_INFO("SYNC-FLOW-END", "flow=%s", f->conf.name);
}
