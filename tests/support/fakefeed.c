/* fakefeed.c - a bridge's feed made by a test. */
#include "tests/support/fakefeed.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/sp.h"

enum {
    FRAMES_MAX = 4000,
    RELS_MAX = 16,
    PARKED_MAX = 1024,
    CONNECTIONS_MAX = 16,
    PER_REPLY = 8,
};

typedef struct entry {
    weir_feed_pos at, next;
    char *p;
    size_t n;
} entry;

typedef struct parked {
    weir_sp_req *req;
    weir_feed_pos after;
} parked;

struct fakefeed {
    weir_loop *l;
    weir_thread *t;
    weir_sp_server *s;
    weir_monitor *m;
    const char *system_id;
    entry frames[FRAMES_MAX];
    size_t n;
    weir_cursor head;
    weir_buf rels[RELS_MAX];
    uint32_t nrels;
    parked parked[PARKED_MAX];
    size_t nparked;
    bool lapsed;
    uint64_t acked;
    bool broke_its_word;
    int copies, subscribed;
    char copy_id[64], copy_table[64];
};

static int pos_cmp(weir_feed_pos a, weir_feed_pos b)
{
    int c = weir_cursor_cmp(a.at, b.at);
    return c ? c : (a.part > b.part) - (a.part < b.part);
}

static void answer(weir_sp_req *req, weir_feed_op op, const weir_feed_reply *r)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)1 << 28);
    weir_feed_reply_encode(&b, op, r);
    weir_sp_reply(req, weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void refuse(weir_sp_req *req, weir_feed_op op, const char *code)
{
    weir_feed_reply r = {.code = weir_slice_z(code),
                         .error = WEIR_SLICE_LIT("as the test wants it")};
    answer(req, op, &r);
}

/* Under the lock. false: nothing new for it. */
static bool try_fetch(fakefeed *f, weir_sp_req *req, weir_feed_pos after)
{
    weir_slice frames[PER_REPLY];
    weir_slice rels[RELS_MAX];
    weir_feed_reply r = {
        .ok = true, .next = after, .head = f->head, .frames = frames, .relations = rels};
    for (size_t i = 0; i < f->n && r.nframes < PER_REPLY; i++) {
        if (pos_cmp(f->frames[i].at, after) >= 0) {
            frames[r.nframes++] = (weir_slice){f->frames[i].p, f->frames[i].n};
            r.next = f->frames[i].next;
        }
    }
    bool moved = r.nframes == 0 && weir_cursor_cmp(f->head, after.at) > 0;
    if (r.nframes == 0 && !moved) {
        return false;
    }
    if (moved) {
        r.next = (weir_feed_pos){f->head, 0};
    }
    for (; r.nrelations < f->nrels; r.nrelations++) {
        rels[r.nrelations] = weir_buf_slice(&f->rels[r.nrelations]);
    }
    answer(req, WEIR_FEED_FETCH, &r);
    return true;
}

static void on_fetch(fakefeed *f, weir_sp_req *req, const weir_feed_req *q)
{
    if (f->lapsed) {
        refuse(req, WEIR_FEED_FETCH, "lapsed");
    } else if (!try_fetch(f, req, q->after)) {
        if (f->nparked == PARKED_MAX) {
            abort();
        }
        f->parked[f->nparked++] = (parked){req, q->after};
    }
}

static void on_copy(fakefeed *f, weir_sp_req *req, const weir_feed_req *q)
{
    char id[64];
    (void)snprintf(id, sizeof id, "%.*s", WEIR_SLICE_ARG(q->copy_id));
    f->copies += strcmp(id, f->copy_id) != 0;
    memcpy(f->copy_id, id, sizeof id);
    (void)snprintf(f->copy_table, sizeof f->copy_table, "%.*s", WEIR_SLICE_ARG(q->tables[0].name));
    weir_feed_reply r = {.ok = true, .state = WEIR_SLICE_LIT("running")};
    answer(req, WEIR_FEED_COPY, &r);
}

static void on_request(void *arg, weir_sp_req *req, weir_slice body)
{
    fakefeed *f = arg;
    weir_feed_req q;
    weir_error err;
    weir_arena *a = weir_arena_new(1 << 20);
    if (weir_feed_req_decode(body, a, &q, &err) != WEIR_OK) {
        (void)fprintf(stderr, "fakefeed: %s\n", err.msg);
        abort();
    }
    weir_monitor_lock(f->m);
    weir_feed_reply ok = {
        .ok = true, .system_id = weir_slice_z(f->system_id), .head = f->head, .complete = true};
    if (q.op == WEIR_FEED_FETCH) {
        on_fetch(f, req, &q);
    } else if (q.op == WEIR_FEED_COPY) {
        on_copy(f, req, &q);
    } else {
        if (q.op == WEIR_FEED_SUBSCRIBE) {
            f->subscribed++;
            f->broke_its_word |= q.start == WEIR_START_AT && q.after.at.lsn < f->acked;
            ok.complete = !f->lapsed;
            ok.position = q.start == WEIR_START_AT ? q.after.at : (weir_cursor){0, 0};
            if (f->lapsed && q.start != WEIR_START_AT) {
                ok.position = f->head;
            }
            f->lapsed = f->lapsed && q.start == WEIR_START_AT;
        } else if (q.op == WEIR_FEED_ACK) {
            f->acked = q.after.at.lsn;
        } else if (q.op == WEIR_FEED_UNSUBSCRIBE) {
            f->acked = 0;
        }
        answer(req, q.op, &ok);
    }
    weir_monitor_unlock(f->m);
    weir_arena_free(a);
}

static void serve_parked(void *arg)
{
    fakefeed *f = arg;
    weir_monitor_lock(f->m);
    for (size_t i = 0; i < f->nparked;) {
        bool done = f->lapsed;
        if (f->lapsed) {
            refuse(f->parked[i].req, WEIR_FEED_FETCH, "lapsed");
        } else {
            done = try_fetch(f, f->parked[i].req, f->parked[i].after);
        }
        if (done) {
            f->parked[i] = f->parked[--f->nparked];
        } else {
            i++;
        }
    }
    weir_monitor_unlock(f->m);
}

static void wake(fakefeed *f)
{
    if (!weir_loop_post(f->l, serve_parked, f)) {
        abort();
    }
}

static void run(void *arg)
{
    weir_loop_run(((fakefeed *)arg)->l);
}

static void stop(void *arg)
{
    weir_loop_stop(((fakefeed *)arg)->l);
}

fakefeed *fakefeed_open(const char *url, const char *system_id)
{
    fakefeed *f = weir_xcalloc(1, sizeof *f);
    weir_error err;
    const weir_sp_conf conf = {.url = url,
                               .connections_max = CONNECTIONS_MAX,
                               .unanswered_max = PARKED_MAX / CONNECTIONS_MAX,
                               .message_max_bytes = 1 << 20,
                               .fn = on_request,
                               .arg = f};
    f->m = weir_monitor_new();
    f->system_id = system_id;
    if (weir_loop_new(&f->l, &err) != WEIR_OK ||
        weir_sp_serve(&f->s, f->l, &conf, &err) != WEIR_OK ||
        weir_thread_start(&f->t, "fakefeed", run, f, &err) != WEIR_OK) {
        (void)fprintf(stderr, "fakefeed: %s\n", err.msg);
        abort();
    }
    return f;
}

void fakefeed_close(fakefeed *f)
{
    if (!weir_loop_post(f->l, stop, f)) {
        abort();
    }
    weir_thread_join(f->t);
    weir_sp_server_close(f->s);
    weir_loop_free(f->l);
    for (size_t i = 0; i < f->n; i++) {
        free(f->frames[i].p);
    }
    for (uint32_t i = 0; i < f->nrels; i++) {
        weir_buf_fini(&f->rels[i]);
    }
    weir_monitor_free(f->m);
    free(f);
}

bool fakefeed_broke_its_word(fakefeed *f)
{
    weir_monitor_lock(f->m);
    bool broke = f->broke_its_word;
    weir_monitor_unlock(f->m);
    return broke;
}

uint32_t fakefeed_relation(fakefeed *f, const weir_relation *rel)
{
    weir_relation r = *rel;
    weir_monitor_lock(f->m);
    r.version = ++f->nrels;
    weir_buf_init(&f->rels[r.version - 1], 1 << 20);
    weir_relation_encode(&f->rels[r.version - 1], &r);
    weir_monitor_unlock(f->m);
    return r.version;
}

void fakefeed_add(fakefeed *f, weir_frame_kind kind, uint32_t part, uint64_t commit, uint64_t end,
                  const weir_ev *evs, size_t n)
{
    weir_buf b;
    weir_frame_enc e;
    weir_frame_head h = {.kind = kind, .part = part, .xid = 1, .commit_lsn = commit};
    bool last = end != 0;
    weir_buf_init(&b, (size_t)1 << 28);
    weir_frame_begin(&e, &b, &h);
    for (size_t i = 0; i < n; i++) {
        weir_frame_put(&e, &evs[i]);
    }
    weir_frame_finish(&e, last, end);
    weir_monitor_lock(f->m);
    if (f->n == FRAMES_MAX) {
        abort();
    }
    entry *en = &f->frames[f->n++];
    bool chunk = kind == WEIR_FRAME_CHUNK;
    en->at = (weir_feed_pos){{commit, chunk ? 0 : WEIR_SUB_TX}, part};
    if (chunk) {
        en->at.at = f->head;
        en->next = (weir_feed_pos){{f->head.lsn, f->head.sub + 1}, 0};
        f->head = en->next.at;
    } else if (last) {
        en->next = (weir_feed_pos){{end, 0}, 0};
        f->head = en->next.at;
    } else {
        en->next = (weir_feed_pos){{commit, WEIR_SUB_TX}, part + 1};
    }
    en->p = weir_buf_take(&b, &en->n);
    weir_monitor_unlock(f->m);
    wake(f);
}

void fakefeed_head(fakefeed *f, uint64_t lsn)
{
    weir_monitor_lock(f->m);
    f->head = (weir_cursor){lsn, 0};
    weir_monitor_unlock(f->m);
    wake(f);
}

void fakefeed_lapse(fakefeed *f)
{
    weir_monitor_lock(f->m);
    f->lapsed = true;
    weir_monitor_unlock(f->m);
    wake(f);
}

uint64_t fakefeed_acked(fakefeed *f)
{
    weir_monitor_lock(f->m);
    uint64_t v = f->acked;
    weir_monitor_unlock(f->m);
    return v;
}

int fakefeed_copies(fakefeed *f)
{
    weir_monitor_lock(f->m);
    int n = f->copies;
    weir_monitor_unlock(f->m);
    return n;
}

int fakefeed_subscribed(fakefeed *f)
{
    weir_monitor_lock(f->m);
    int n = f->subscribed;
    weir_monitor_unlock(f->m);
    return n;
}

bool fakefeed_copy(fakefeed *f, char *id, char *table, size_t size)
{
    weir_monitor_lock(f->m);
    (void)snprintf(id, size, "%s", f->copy_id);
    (void)snprintf(table, size, "%s", f->copy_table);
    weir_monitor_unlock(f->m);
    return id[0] != '\0';
}
