/* feed.c - the bridge's feed: subscribe, fetch ahead (one reply is applied while the next is on its
 * way), ack, copies.
 *
 * At most PROJ_REPLIES replies are held; while they are, nothing is fetched. That is all the back
 * pressure there is: the bridge keeps the rest in its log.
 */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "projector/proj.h"

enum {
    WAIT_MS = 5000,
    ANSWER_MS = 15000,
    COPY_TICK_MS = 1000,
    COPIES_PER_TICK = 16,
    NAME_MAX_BYTES = 100
};

static void fetch(proj *p);
static void subscribe(proj *p);

static weir_slice name_of(const proj *p, char buf[NAME_MAX_BYTES])
{
    int n = snprintf(buf, NAME_MAX_BYTES, "projector-%s", p->ns);
    return (weir_slice){buf, n < NAME_MAX_BYTES ? (size_t)n : NAME_MAX_BYTES - 1};
}

static weir_rc ask(proj *p, const weir_feed_req *req, int64_t timeout_ms, weir_sp_reply_fn *fn)
{
    weir_buf_reset(&p->feed.request);
    weir_feed_req_encode(&p->feed.request, req);
    return weir_sp_request(p->feed.client, weir_buf_slice(&p->feed.request), timeout_ms, fn, p);
}

static void later(proj *p, const char *why)
{
    weir_health_wait(p->health, "bridge", why);
    if (!p->stopping) {
        weir_loop_timer_arm(p->feed.retry, weir_backoff_next_ms(&p->feed.backoff), false);
    }
}

static void on_retry(void *arg)
{
    proj *p = arg;
    if (p->feed.state == FEED_SUBSCRIBING) {
        subscribe(p);
    } else if (p->feed.state == FEED_ON) {
        fetch(p);
    }
}

/* What went wrong with an answer; true: it was good. */
static bool good(proj *p, weir_rc rc, weir_slice reply, weir_arena *a, weir_feed_reply *r)
{
    weir_error err = {0};
    if (rc != WEIR_OK) {
        later(p, "the bridge does not answer");
        return false;
    }
    rc = weir_feed_reply_decode(reply, a, r, &err);
    if (rc != WEIR_OK) {
        WEIR_ERROR("PROJ-FEED-PROTO", "%s", err.msg);
        later(p, err.msg);
        return false;
    }
    p->feed.heard_ms = weir_mono_ms();
    if (r->ok) {
        return true;
    }
    char text[400];
    (void)snprintf(text, sizeof text, "%.*s", WEIR_SLICE_ARG(r->error));
    if (weir_slice_eqz(r->code, "lapsed")) {
        p->feed.lapsed = true;
        proj_pump_soon(p);
    } else {
        if (weir_slice_eqz(r->code, "unknown")) {
            p->feed.state = FEED_SUBSCRIBING;
        }
        later(p, text);
    }
    return false;
}

/* --- subscribe
 * --------------------------------------------------------------------------------------------------------
 */

static void begin_fresh(proj *p, const weir_feed_reply *r)
{
    p->cursor = (weir_feed_pos){r->position, 0};
    p->position = r->position.lsn;
    p->has_cursor = true;
    p->feed.fresh = false;
    for (int i = 0; r->complete && i < p->layout.ntables; i++) {
        weir_ltable *t = p->layout.tables[i];
        if (!t->dropped && t->ncomplete < t->ncols) {
            (void)snprintf(t->copy_id, sizeof t->copy_id,
                           "log"); /* the initial copy is in what follows */
            t->copy_cols = t->ncols;
            p->layout_dirty = true;
        }
    }
    WEIR_INFO("PROJ-FEED-FRESH", "complete=%d", r->complete);
}

static bool other_system(proj *p, const weir_feed_reply *r)
{
    if (p->system_id[0] && !weir_slice_eqz(r->system_id, p->system_id)) {
        return true;
    }
    if (!p->system_id[0]) {
        free(p->system_id);
        p->system_id = weir_xmalloc(r->system_id.n + 1);
        memcpy(p->system_id, r->system_id.n ? r->system_id.p : "", r->system_id.n);
        p->system_id[r->system_id.n] = '\0';
        p->system_id_dirty = true;
    }
    return false;
}

static void subscribed(proj *p, const weir_feed_reply *r)
{
    weir_health_wait(p->health, "bridge", NULL);
    weir_backoff_reset(&p->feed.backoff);
    if (other_system(p, r)) {
        WEIR_WARN("PROJ-OTHER-SYSTEM", "the bridge reads another database cluster than before");
        p->feed.lapsed = true;
        proj_pump_soon(p);
        return;
    }
    if (p->feed.fresh) {
        begin_fresh(p, r);
    }
    p->feed.state = FEED_ON;
    p->feed.next = p->cursor;
    p->feed.head_lsn = r->head.lsn;
    p->feed.caught_up = false;
    fetch(p);
    weir_loop_timer_arm(p->feed.copy_timer, 0, false);
}

static void on_subscribed(void *arg, weir_rc rc, weir_slice reply)
{
    proj *p = arg;
    weir_arena *a = weir_arena_new(1 << 20);
    weir_feed_reply r;
    p->feed.busy = false;
    if (p->feed.drop) {
        p->feed.drop = false;
        later(p, "subscribing again");
    } else if (good(p, rc, reply, a, &r)) {
        subscribed(p, &r);
    }
    weir_arena_free(a);
}

static void on_unsubscribed(void *arg, weir_rc rc, weir_slice reply)
{
    proj *p = arg;
    (void)reply;
    p->feed.busy = false;
    if (rc != WEIR_OK) {
        later(p, "the bridge does not answer");
        return;
    }
    char name[NAME_MAX_BYTES];
    weir_feed_req req = {
        .op = WEIR_FEED_SUBSCRIBE, .name = name_of(p, name), .start = WEIR_START_EARLIEST};
    p->feed.busy = ask(p, &req, ANSWER_MS, on_subscribed) == WEIR_OK;
    if (!p->feed.busy) {
        later(p, "the feed connection is overloaded");
    }
}

static void subscribe(proj *p)
{
    char name[NAME_MAX_BYTES];
    if (p->feed.busy || p->stopping) {
        return;
    }
    /* Without a cursor whatever the bridge remembers of us is void: what was acknowledged is lost
     * here. */
    weir_feed_req req = {.op = p->feed.fresh ? WEIR_FEED_UNSUBSCRIBE : WEIR_FEED_SUBSCRIBE,
                         .name = name_of(p, name),
                         .start = WEIR_START_AT,
                         .has_after = true,
                         .after = {p->cursor.at, 0}};
    p->feed.busy =
        ask(p, &req, ANSWER_MS, p->feed.fresh ? on_unsubscribed : on_subscribed) == WEIR_OK;
    if (!p->feed.busy) {
        later(p, "the feed connection is overloaded");
    }
}

/* --- fetch
 * ---------------------------------------------------------------------------------------------------------------
 */

static void on_fetched(void *arg, weir_rc rc, weir_slice reply)
{
    proj *p = arg;
    proj_feed *f = &p->feed;
    f->busy = false;
    if (f->drop) {
        f->drop = false;
        subscribe(p);
        return;
    }
    if (rc == WEIR_E_TIMEOUT) {
        later(p, "the bridge does not answer");
        return;
    }
    proj_reply *slot = &f->replies[(f->head_reply + f->nreplies) % PROJ_REPLIES];
    weir_buf_reset(&slot->bytes);
    weir_arena_reset(slot->a);
    weir_buf_puts(&slot->bytes, reply);
    if (!good(p, rc, weir_buf_slice(&slot->bytes), slot->a, &slot->r)) {
        return;
    }
    weir_health_wait(p->health, "bridge", NULL);
    weir_backoff_reset(&f->backoff);
    f->next = slot->r.next;
    f->head_lsn = slot->r.head.lsn;
    f->caught_up = weir_cursor_cmp(f->next.at, slot->r.head) == 0 && f->next.part == 0;
    if (slot->r.nframes > 0) {
        f->nreplies++;
    }
    fetch(p); /* ahead of the work, so that the next batch travels while this one is applied */
    proj_pump_soon(p);
}

static void fetch(proj *p)
{
    proj_feed *f = &p->feed;
    char name[NAME_MAX_BYTES];
    if (f->state == FEED_SUBSCRIBING) {
        subscribe(p);
        return;
    }
    if (f->state != FEED_ON || f->busy || f->lapsed || p->stopping || f->nreplies == PROJ_REPLIES) {
        return;
    }
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .name = name_of(p, name),
                         .has_after = true,
                         .after = f->next,
                         .max_bytes = (uint32_t)p->settings->projector_batch_bytes,
                         .wait_ms = WAIT_MS,
                         .known = f->known};
    f->busy = ask(p, &req, WAIT_MS + ANSWER_MS, on_fetched) == WEIR_OK;
    if (!f->busy) {
        later(p, "the feed connection is overloaded");
    }
}

proj_reply *proj_feed_peek(proj *p)
{
    return p->feed.nreplies > 0 ? &p->feed.replies[p->feed.head_reply] : NULL;
}

void proj_feed_pop(proj *p)
{
    proj_feed *f = &p->feed;
    f->head_reply = (f->head_reply + 1) % PROJ_REPLIES;
    f->nreplies--;
    fetch(p);
}

/* --- ack
 * ---------------------------------------------------------------------------------------------------------------------
 */

static void on_acked(void *arg, weir_rc rc, weir_slice reply)
{
    (void)arg;
    (void)rc;
    (void)reply; /* the next one says more; a lapsed subscription shows at the next fetch */
}

void proj_feed_ack(proj *p, weir_cursor at)
{
    char name[NAME_MAX_BYTES];
    if (p->feed.state != FEED_ON) {
        return;
    }
    weir_feed_req req = {
        .op = WEIR_FEED_ACK, .name = name_of(p, name), .has_after = true, .after = {at, 0}};
    if (ask(p, &req, ANSWER_MS, on_acked) != WEIR_OK) {
        WEIR_DEBUG("PROJ-ACK-SKIPPED", "too many requests in flight");
    }
}

/* --- copies
 * --------------------------------------------------------------------------------------------------------------------
 */

static void on_copy(void *arg, weir_rc rc, weir_slice reply)
{
    proj *p = arg;
    weir_error err = {0};
    weir_feed_reply r;
    weir_arena *a = weir_arena_new(1 << 20);
    if (rc == WEIR_OK && weir_feed_reply_decode(reply, a, &r, &err) == WEIR_OK) {
        char text[400];
        (void)snprintf(text, sizeof text, "%.*s", WEIR_SLICE_ARG(r.error));
        bool failed = !r.ok || weir_slice_eqz(r.state, "failed");
        weir_health_wait(p->health, "copy",
                         failed ? (text[0] ? text : "a copy failed; see the bridge's log") : NULL);
    }
    weir_arena_free(a);
}

static void ask_copy(proj *p, weir_ltable *t)
{
    weir_feed_table table = {t->schema, t->name};
    if (!t->copy_id[0]) {
        weir_random_id(t->copy_id);
        t->copy_cols = t->ncols;
        p->layout_dirty = true;
        WEIR_INFO("PROJ-COPY", "table=%.*s copy=%s", WEIR_SLICE_ARG(t->name), t->copy_id);
    }
    char name[NAME_MAX_BYTES];
    weir_feed_req req = {.op = WEIR_FEED_COPY,
                         .name = name_of(p, name),
                         .copy_id = weir_slice_z(t->copy_id),
                         .ntables = 1,
                         .tables = &table};
    if (ask(p, &req, ANSWER_MS, on_copy) != WEIR_OK) {
        WEIR_DEBUG("PROJ-COPY-SKIPPED", "too many requests in flight");
    }
}

/* Is it time to ask for a copy of that table? */
static bool wants_copy(const proj *p, weir_ltable *t)
{
    if (t->dropped || t->ncomplete == t->ncols) {
        return false;
    }
    if (strcmp(t->copy_id, "log") != 0) {
        return true;
    }
    if (!p->feed.caught_up || p->feed.nreplies > 0) {
        return false; /* it may still come */
    }
    t->copy_id[0] = '\0';
    return true;
}

/* Asked again every second with the same id until the stream says the table is complete: the bridge
 * may forget, we do not. */
static void on_copy_tick(void *arg)
{
    proj *p = arg;
    int left = p->feed.state == FEED_ON && !p->stopping ? COPIES_PER_TICK : 0;
    for (int i = 0; i < p->layout.ntables && left > 0; i++) {
        if (wants_copy(p, p->layout.tables[i])) {
            ask_copy(p, p->layout.tables[i]);
            left--;
        }
    }
    if (!p->stopping) {
        weir_loop_timer_arm(p->feed.copy_timer, COPY_TICK_MS, false);
    }
}

/* --- life
 * ----------------------------------------------------------------------------------------------------------------------
 */

weir_rc proj_feed_start(proj *p, weir_error *err)
{
    proj_feed *f = &p->feed;
    f->retry = weir_loop_timer_new(p->loop, on_retry, p);
    f->copy_timer = weir_loop_timer_new(p->loop, on_copy_tick, p);
    weir_backoff_init(&f->backoff, 50, 2000, 0);
    weir_buf_init(&f->request, 1 << 20);
    for (int i = 0; i < PROJ_REPLIES; i++) {
        weir_buf_init(&f->replies[i].bytes, WEIR_FEED_REPLY_MAX_BYTES);
        f->replies[i].a = weir_arena_new(0); /* bounded by the reply, which is */
    }
    weir_health_wait(p->health, "bridge", "not asked yet");
    return weir_sp_client_open(&f->client, p->loop, p->settings->bridge_feed,
                               WEIR_FEED_REPLY_MAX_BYTES, err);
}

void proj_feed_begin(proj *p)
{
    if (p->feed.state == FEED_OFF) {
        p->feed.state = FEED_SUBSCRIBING;
        p->feed.fresh = !p->has_cursor;
        subscribe(p);
    } else {
        weir_loop_timer_arm(p->feed.copy_timer, 0, false);
    }
}

void proj_feed_restart(proj *p)
{
    proj_feed *f = &p->feed;
    f->lapsed = false;
    f->nreplies = 0;
    f->head_reply = 0;
    f->caught_up = false;
    f->fresh = true;
    f->known = 0;
    f->drop = f->busy;
    f->state = FEED_OFF; /* until the models are known again */
    weir_loop_timer_disarm(f->retry);
}

void proj_feed_stop(proj *p)
{
    proj_feed *f = &p->feed;
    weir_sp_client_close(f->client);
    f->client = NULL;
    for (int i = 0; i < PROJ_REPLIES; i++) {
        weir_buf_fini(&f->replies[i].bytes);
        weir_arena_free(f->replies[i].a);
        f->replies[i].a = NULL;
    }
    weir_buf_fini(&f->request);
}
