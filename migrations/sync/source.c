/* source.c - the fetch thread: a loop with one client of the feed; replies go to the flow under a
 * monitor.
 */
#include "migrations/sync/source.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/map.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/loop.h"
#include "migrations/sync/pulse.h"

enum {
    SYNC_AHEAD = 3,
    BATCH_BYTES = 4 << 20,
    WAIT_MS = 5000,
    ANSWER_MS = 15000,
    /* While little comes at a time: a fetch, and so a group in the target, at most so often. What
     * comes after a silence does not wait. */
    GATHER_MS = 10,
    GATHER_BYTES = 256 << 10,
    /* Each costs the bridge a sync of its log, and only says what it need not keep. */
    ACK_EVERY_MS = 1000,
    REQUEST_MAX_BYTES = 1 << 16,
    COPY_MAX_BYTES = 1 << 24, /* a question names up to all tables */
    COPY_MS = 3000
};

typedef struct reply {
    weir_buf bytes;
    weir_arena *a;
    weir_feed_reply r;
} reply;

/* One start, one round: an answer that was on its way when another began belongs to nobody. */
typedef struct fetch_round {
    struct sync_source *s;
    struct fetch_round *next;
    bool busy; /* a request is out */
} fetch_round;

/* Of the loop thread: everything but what stands under "m". */
struct sync_source {
    char *feed, *name;
    uint32_t batch_bytes;
    weir_loop *loop;
    weir_thread *thread;
    weir_sp_client *client;
    sync_pulse *pulse;
    weir_loop_timer *retry, *ack;
    weir_backoff backoff;
    weir_buf request;
    weir_arena *scratch;
    bool on;
    fetch_round *round; /* the running one first */
    weir_feed_pos next;
    uint32_t known;
    int64_t fetched_ms; /* when the last request was sent */
    bool little;        /* what the last reply brought */
    weir_cursor ack_at;
    bool ack_waits; /* for its time */
    int64_t acked_ms;
    weir_monitor *m;
    /* under m */
    reply replies[SYNC_AHEAD];
    size_t first, n;
    bool taken; /* the flow works on replies[first] */
    weir_rc trouble;
    char text[400];
    weir_cursor head;
    /* of the flow's thread */
    weir_map *relations;
    weir_arena *rel_arena;
    char system_id[64];
};

static void fetch(sync_source *s);

static weir_rc ask(sync_source *s, const weir_feed_req *req, int64_t ms, weir_sp_reply_fn *fn,
                   void *arg)
{
    weir_buf_reset(&s->request);
    weir_feed_req_encode(&s->request, req);
    return weir_sp_request(s->client, weir_buf_slice(&s->request), ms, fn, arg);
}

static void set_trouble(sync_source *s, weir_rc rc, const char *text)
{
    weir_monitor_lock(s->m);
    s->trouble = rc;
    (void)snprintf(s->text, sizeof s->text, "%s", text);
    weir_monitor_wake(s->m);
    weir_monitor_unlock(s->m);
}

static void later(sync_source *s, weir_rc rc, const char *text)
{
    set_trouble(s, rc, text);
    weir_loop_timer_arm(s->retry, weir_backoff_next_ms(&s->backoff), false);
}

/* The largest relation version told, so that it is not told again. */
static void note_relations(sync_source *s, const weir_feed_reply *r)
{
    weir_relation rel;
    weir_error err;
    for (size_t i = 0; i < r->nrelations; i++) {
        weir_arena_reset(s->scratch);
        if (weir_relation_decode(r->relations[i], s->scratch, &rel, &err) == WEIR_OK &&
            rel.version > s->known) {
            s->known = rel.version;
        }
    }
}

static void refused(sync_source *s, const weir_feed_reply *r)
{
    char text[400];
    (void)snprintf(text, sizeof text, "%.*s", WEIR_SLICE_ARG(r->error));
    if (weir_slice_eqz(r->code, "lapsed")) {
        s->on = false;
        set_trouble(s, WEIR_E_STATE, text);
    } else if (weir_slice_eqz(r->code, "unknown")) {
        s->on = false;
        set_trouble(s, WEIR_E_NOTFOUND, text);
    } else {
        later(s, WEIR_E_CONN, text);
    }
}

static void take_reply(sync_source *s, weir_slice bytes)
{
    weir_error err = {.code = WEIR_OK};
    weir_monitor_lock(s->m);
    reply *slot = &s->replies[(s->first + s->n) % SYNC_AHEAD];
    weir_monitor_unlock(s->m); /* a free slot is ours alone */
    weir_buf_reset(&slot->bytes);
    weir_arena_reset(slot->a);
    weir_buf_puts(&slot->bytes, bytes);
    weir_rc rc = weir_feed_reply_decode(weir_buf_slice(&slot->bytes), slot->a, &slot->r, &err);
    if (rc != WEIR_OK) {
        later(s, WEIR_E_PROTO, err.msg);
        return;
    }
    if (!slot->r.ok) {
        refused(s, &slot->r);
        return;
    }
    weir_backoff_reset(&s->backoff);
    note_relations(s, &slot->r);
    s->next = slot->r.next;
    s->little = bytes.n < GATHER_BYTES;
    weir_monitor_lock(s->m);
    s->trouble = WEIR_OK;
    s->head = slot->r.head;
    s->n++; /* also without frames: the head may have moved */
    weir_monitor_wake(s->m);
    weir_monitor_unlock(s->m);
    fetch(s);
}

/* Those before the running one that nothing is out for. */
static void end_rounds(sync_source *s)
{
    for (fetch_round **p = &s->round->next; *p;) {
        fetch_round *old = *p;
        if (old->busy) {
            p = &old->next;
        } else {
            *p = old->next;
            free(old);
        }
    }
}

static void begin_round(sync_source *s)
{
    fetch_round *round = weir_xcalloc(1, sizeof *round);
    *round = (fetch_round){.s = s, .next = s->round};
    s->round = round;
    end_rounds(s);
}

static void on_fetched(void *arg, weir_rc rc, weir_slice bytes)
{
    fetch_round *round = arg;
    sync_source *s = round->s;
    round->busy = false;
    if (round != s->round) {
        end_rounds(s);
    } else if (rc != WEIR_OK) {
        later(s, WEIR_E_CONN, "the bridge does not answer");
    } else {
        take_reply(s, bytes);
    }
}

static void fetch(sync_source *s)
{
    weir_monitor_lock(s->m);
    bool room = s->n < SYNC_AHEAD;
    weir_monitor_unlock(s->m);
    if (!s->on || s->round->busy || !room) {
        return;
    }
    int64_t now_ms = weir_mono_ms();
    int64_t wait_ms = s->little ? s->fetched_ms + GATHER_MS - now_ms : 0;
    if (wait_ms > 0) {
        weir_loop_timer_arm(s->retry, wait_ms, false);
        return;
    }
    s->fetched_ms = now_ms;
    weir_feed_req req = {.op = WEIR_FEED_FETCH,
                         .name = weir_slice_z(s->name),
                         .has_after = true,
                         .after = s->next,
                         .max_bytes = s->batch_bytes,
                         .wait_ms = WAIT_MS,
                         .known = s->known};
    s->round->busy = ask(s, &req, WAIT_MS + ANSWER_MS, on_fetched, s->round) == WEIR_OK;
    if (!s->round->busy) {
        later(s, WEIR_E_CONN, "the feed connection is overloaded");
    }
}

static void fetch_posted(void *arg)
{
    fetch(arg);
}

static void on_acked(void *arg, weir_rc rc, weir_slice bytes)
{
    (void)arg;
    (void)rc;
    (void)bytes; /* the next one says more; a lapsed subscription shows at the next fetch */
}

static void send_ack(void *arg)
{
    sync_source *s = arg;
    weir_feed_req req = {.op = WEIR_FEED_ACK,
                         .name = weir_slice_z(s->name),
                         .has_after = true,
                         .after = {s->ack_at, 0}};
    s->ack_waits = false;
    s->acked_ms = weir_mono_ms();
    if (!s->client || ask(s, &req, ANSWER_MS, on_acked, s) != WEIR_OK) {
        WEIR_DEBUG("SYNC-ACK-SKIPPED", "too many requests in flight");
    }
}

static void run(void *arg)
{
    sync_source *s = arg;
    weir_loop_run(s->loop);
}

weir_rc sync_source_open(sync_source **out, const sync_source_conf *conf, weir_error *err)
{
    sync_source *s = weir_xcalloc(1, sizeof *s);
    *out = s;
    s->feed = weir_xstrdup(conf->feed);
    s->name = weir_xstrdup(conf->name);
    s->batch_bytes = conf->batch_bytes ? conf->batch_bytes : BATCH_BYTES;
    s->m = weir_monitor_new();
    s->relations = weir_map_new();
    s->rel_arena = weir_arena_new(0);
    s->scratch = weir_arena_new(0);
    weir_buf_init(&s->request, REQUEST_MAX_BYTES);
    weir_backoff_init(&s->backoff, 50, 2000, 0);
    begin_round(s);
    for (size_t i = 0; i < SYNC_AHEAD; i++) {
        weir_buf_init(&s->replies[i].bytes, WEIR_FEED_REPLY_MAX_BYTES);
        s->replies[i].a = weir_arena_new(0); /* bounded by the reply, which is */
    }
    weir_rc rc = weir_loop_new(&s->loop, err);
    if (rc == WEIR_OK) {
        s->retry = weir_loop_timer_new(s->loop, fetch_posted, s);
        s->ack = weir_loop_timer_new(s->loop, send_ack, s);
        rc = weir_sp_client_open(&s->client, s->loop, s->feed, WEIR_FEED_REPLY_MAX_BYTES, err);
    }
    if (rc == WEIR_OK) {
        s->pulse = sync_pulse_open(s->loop, s->client);
    }
    if (rc == WEIR_OK) {
        rc = weir_thread_start(&s->thread, "sync-fetch", run, s, err);
    }
    if (rc != WEIR_OK) {
        sync_source_close(s);
        *out = NULL;
    }
    return rc;
}

static void stop_posted(void *arg)
{
    sync_source *s = arg;
    weir_sp_client_close(s->client);
    s->client = NULL;
    weir_loop_stop(s->loop);
}

void sync_source_close(sync_source *s)
{
    if (!s) {
        return;
    }
    if (s->thread && weir_loop_post(s->loop, stop_posted, s)) {
        weir_thread_join(s->thread);
    }
    sync_pulse_close(s->pulse);
    if (s->client) {
        weir_sp_client_close(s->client);
    }
    if (s->retry) {
        weir_loop_timer_free(s->retry);
        weir_loop_timer_free(s->ack);
    }
    if (s->loop) {
        weir_loop_free(s->loop);
    }
    for (size_t i = 0; i < SYNC_AHEAD; i++) {
        weir_buf_fini(&s->replies[i].bytes);
        weir_arena_free(s->replies[i].a);
    }
    while (s->round) {
        fetch_round *round = s->round;
        s->round = round->next;
        free(round);
    }
    weir_buf_fini(&s->request);
    weir_map_free(s->relations);
    weir_arena_free(s->rel_arena);
    weir_arena_free(s->scratch);
    weir_monitor_free(s->m);
    free(s->feed);
    free(s->name);
    free(s);
}

/* A blocking request of the flow's own. The answer lives in a. */
static weir_rc call(const char *feed, const weir_feed_req *req, int64_t ms, weir_arena *a,
                    weir_feed_reply *r, weir_error *err)
{
    weir_buf q;
    weir_buf got;
    weir_buf_init(&q, REQUEST_MAX_BYTES);
    weir_buf_init(&got, 16 << 20);
    weir_feed_req_encode(&q, req);
    weir_rc rc = weir_sp_call(feed, weir_buf_slice(&q), ms, &got, err);
    if (rc == WEIR_OK) {
        rc = weir_feed_reply_decode(weir_arena_dup(a, weir_buf_slice(&got)), a, r, err);
    } else {
        rc = weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "the bridge does not answer");
    }
    if (rc == WEIR_OK && !r->ok) {
        bool lapsed = weir_slice_eqz(r->code, "lapsed");
        rc = weir_fail(err, lapsed ? WEIR_E_STATE : WEIR_E_CONN, lapsed ? 0 : WEIR_EF_RETRY,
                       "the bridge: %.*s", WEIR_SLICE_ARG(r->error));
    }
    weir_buf_fini(&q);
    weir_buf_fini(&got);
    return rc;
}

typedef struct start_order {
    sync_source *s;
    weir_cursor at;
} start_order;

static void start_posted(void *arg)
{
    start_order *o = arg;
    sync_source *s = o->s;
    s->next = (weir_feed_pos){o->at, 0};
    s->on = true;
    s->known = 0; /* told again: the bridge may be another one */
    weir_monitor_lock(s->m);
    s->n = 0;
    s->trouble = WEIR_OK;
    weir_monitor_unlock(s->m);
    fetch(s);
    free(o);
}

static void pause_posted(void *arg)
{
    sync_source *s = arg;
    s->on = false;
    s->ack_waits = false; /* the target may be another one, and further back */
    weir_loop_timer_disarm(s->ack);
    begin_round(s);
    weir_monitor_lock(s->m);
    s->n = 0;
    s->taken = false;
    s->trouble = WEIR_E_AGAIN; /* so that nobody takes the old for the new */
    weir_monitor_wake(s->m);
    weir_monitor_unlock(s->m);
}

/* The loop thread has let go of what was fetched. */
static void quiet(sync_source *s)
{
    weir_monitor_lock(s->m);
    s->trouble = WEIR_OK;
    weir_monitor_unlock(s->m);
    if (!weir_loop_post(s->loop, pause_posted, s)) {
        return;
    }
    weir_monitor_lock(s->m);
    while (s->trouble != WEIR_E_AGAIN) {
        (void)weir_monitor_wait(s->m, 100);
    }
    weir_monitor_unlock(s->m);
}

weir_rc sync_source_start(sync_source *s, const weir_cursor *at, int64_t ms, weir_cursor *position,
                          weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r = {.ok = false};
    weir_feed_req req = {.op = WEIR_FEED_SUBSCRIBE,
                         .name = weir_slice_z(s->name),
                         .start = at ? WEIR_START_AT : WEIR_START_NOW,
                         .has_after = at != NULL};
    if (at) {
        req.after.at = *at;
    }
    quiet(s);
    /* The bridge tells them again; if it is another one its versions mean other relations. */
    weir_map_clear(s->relations);
    weir_arena_reset(s->rel_arena);
    weir_rc rc = call(s->feed, &req, ms, a, &r, err);
    if (rc == WEIR_OK) {
        start_order *o = weir_xcalloc(1, sizeof *o);
        *o = (start_order){s, at ? *at : r.position};
        *position = o->at;
        (void)snprintf(s->system_id, sizeof s->system_id, "%.*s", WEIR_SLICE_ARG(r.system_id));
        weir_monitor_lock(s->m);
        s->head = r.head;
        weir_monitor_unlock(s->m);
        if (!weir_loop_post(s->loop, start_posted, o)) {
            free(o);
            rc = weir_fail(err, WEIR_E_EOF, 0, "stopping");
        }
    }
    weir_arena_free(a);
    return rc;
}

const char *sync_source_system_id(const sync_source *s)
{
    return s->system_id;
}

static weir_rc learn_relations(sync_source *s, const weir_feed_reply *r, weir_error *err)
{
    for (size_t i = 0; i < r->nrelations; i++) {
        weir_relation *rel = WEIR_ARENA_ARRAY(s->rel_arena, weir_relation, 1);
        weir_slice bytes = weir_arena_dup(s->rel_arena, r->relations[i]);
        weir_rc rc = weir_relation_decode(bytes, s->rel_arena, rel, err);
        if (rc != WEIR_OK) {
            return rc;
        }
        *weir_map_slot(s->relations, (weir_slice){(const char *)&rel->version, sizeof rel->version},
                       NULL) = rel;
    }
    return WEIR_OK;
}

const weir_relation *sync_source_relation(const sync_source *s, uint32_t version)
{
    return weir_map_get(s->relations, (weir_slice){(const char *)&version, sizeof version});
}

weir_rc sync_source_next(sync_source *s, int64_t wait_ms, sync_batch *out, weir_error *err)
{
    int64_t until = weir_mono_ms() + wait_ms;
    weir_monitor_lock(s->m);
    while (s->n == 0 && s->trouble == WEIR_OK) {
        int64_t left = until - weir_mono_ms();
        if (left <= 0 || !weir_monitor_wait(s->m, left)) {
            break;
        }
    }
    bool got = s->n > 0;
    weir_rc trouble = s->trouble;
    s->taken = got;
    if (!got && trouble != WEIR_OK) {
        (void)weir_fail(err, trouble, trouble == WEIR_E_STATE ? 0 : WEIR_EF_RETRY, "the bridge: %s",
                        s->text);
    }
    const reply *rep = &s->replies[s->first];
    weir_monitor_unlock(s->m);
    if (!got) {
        return trouble != WEIR_OK ? trouble : WEIR_E_AGAIN;
    }
    *out = (sync_batch){.nframes = rep->r.nframes,
                        .frames = rep->r.frames,
                        .next = rep->r.next.at,
                        .head = rep->r.head,
                        .caught_up = rep->r.next.part == 0 &&
                                     weir_cursor_cmp(rep->r.next.at, rep->r.head) >= 0};
    return learn_relations(s, &rep->r, err);
}

void sync_source_release(sync_source *s)
{
    weir_monitor_lock(s->m);
    bool was = s->taken;
    if (was) {
        s->first = (s->first + 1) % SYNC_AHEAD;
        s->n--;
        s->taken = false;
    }
    weir_monitor_unlock(s->m);
    if (was && !weir_loop_post(s->loop, fetch_posted, s)) {
        WEIR_DEBUG("SYNC-FETCH-ENDED", "the loop has stopped");
    }
}

static void ack_posted(void *arg)
{
    start_order *o = arg;
    sync_source *s = o->s;
    s->ack_at = o->at;
    if (!s->ack_waits) {
        int64_t wait_ms = s->acked_ms + ACK_EVERY_MS - weir_mono_ms();
        s->ack_waits = true;
        weir_loop_timer_arm(s->ack, wait_ms > 0 ? wait_ms : 0, false);
    }
    free(o);
}

void sync_source_ack(sync_source *s, weir_cursor at)
{
    start_order *o = weir_xcalloc(1, sizeof *o);
    *o = (start_order){s, at};
    if (!weir_loop_post(s->loop, ack_posted, o)) {
        free(o);
    }
}

weir_cursor sync_source_head(sync_source *s)
{
    weir_monitor_lock(s->m);
    weir_cursor head = s->head;
    weir_monitor_unlock(s->m);
    return head;
}

bool sync_source_lost(sync_source *s, char *text, size_t size)
{
    return sync_pulse_lost(s->pulse, text, size);
}

weir_rc sync_source_copy(const char *feed, const char *copy_id, weir_feed_table *tables, size_t n,
                         weir_error *err)
{
    weir_buf request;
    weir_buf bytes;
    weir_feed_reply answer = {.ok = false};
    weir_arena *a = weir_arena_new(COPY_MAX_BYTES);
    weir_feed_req req = {.op = WEIR_FEED_COPY, .copy_id = weir_slice_z(copy_id)};
    req.tables = tables;
    req.ntables = n;
    weir_buf_init(&request, COPY_MAX_BYTES);
    weir_buf_init(&bytes, 1 << 20);
    weir_feed_req_encode(&request, &req);
    weir_rc rc = weir_sp_call(feed, weir_buf_slice(&request), COPY_MS, &bytes, err);
    rc = rc == WEIR_OK ? weir_feed_reply_decode(weir_buf_slice(&bytes), a, &answer, err) : rc;
    if (rc == WEIR_OK && !answer.ok) {
        rc = weir_fail(err, WEIR_E_STATE, 0, WEIR_SLICE_FMT, WEIR_SLICE_ARG(answer.error));
    }
    weir_buf_fini(&request);
    weir_buf_fini(&bytes);
    weir_arena_free(a);
    return rc;
}

weir_rc sync_source_forget(const char *feed, const char *name, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_feed_reply r;
    weir_feed_req req = {.op = WEIR_FEED_UNSUBSCRIBE, .name = weir_slice_z(name)};
    weir_rc rc = call(feed, &req, ANSWER_MS, a, &r, err);
    weir_arena_free(a);
    return rc;
}
