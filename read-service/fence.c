/* fence.c - reading documents so that a switch of generations cannot be missed.
 *
 *   MGET <ns>:position <ns>:m:1:7 …    the turn's documents and their position in one atomic read
 *   MGET <ns>:position <ns>:m:1:9 …    more of them
 *   HMGET <ns>:models m                behind the reads of the turn: the fence
 * A number is never used for another generation, and one that serves again after a rollback was
 * maintained all the while. If m's entry, read later, still says generation 1, then generation 1
 * was maintained when its documents were read, and the position told is true for them. If it says
 * 2, they are read again. Without the fence a loop that has not yet heard of a switch would hand
 * out documents that nobody maintains any more, with a position they have not reached.
 */
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/dockey.h"
#include "libweir/codec/lsn.h"
#include "read-service/worker_priv.h"

static rsvc_fence *fence_new(rsvc_worker *w)
{
    rsvc_fence *f = w->fences;
    if (f) {
        w->fences = f->next;
    } else {
        f = weir_xcalloc(1, sizeof *f);
        f->w = w;
    }
    f->first = NULL;
    f->last = &f->first;
    f->nmodels = 0;
    f->next = NULL;
    w->batches++;
    return f;
}

static void fence_done(rsvc_fence *f)
{
    f->next = f->w->fences;
    f->w->fences = f;
}

void rsvc_fence_free(rsvc_worker *w)
{
    free(w->batch);
    while (w->fences) {
        rsvc_fence *f = w->fences;
        w->fences = f->next;
        free(f);
    }
}

static void keep_document(rsvc_query *q, weir_slice s)
{
    q->outcome = RSVC_DOCUMENT;
    if (s.n <= RSVC_ARENA_DOC_MAX) {
        q->document = weir_arena_dup(weir_http_arena(q->req), s);
    }
    if (s.n > RSVC_ARENA_DOC_MAX || !q->document.p) {
        free(q->heap); /* of an earlier round */
        q->heap = weir_xmalloc(s.n);
        memcpy(q->heap, s.p, s.n);
        q->document = (weir_slice){q->heap, s.n};
    }
}

static void take_document(rsvc_query *q, const weir_redis_reply *document)
{
    if (weir_redis_reply_type(document) == WEIR_REDIS_STRING) {
        keep_document(q, weir_redis_reply_str(document));
    } else {
        q->outcome = RSVC_ABSENT;
    }
}

static void on_read(void *arg, const weir_redis_reply *reply)
{
    rsvc_query *q = arg;
    const size_t n = q->together;
    uint64_t position = 0;
    bool has_position =
        weir_lsn_parse(weir_redis_reply_str(weir_redis_reply_at(reply, 0)), &position);
    for (size_t i = 0; i < n; i++) {
        rsvc_query *next = q->next; /* replying frees q */
        if (!reply) {
            q->outcome = RSVC_LOST;
        } else if (weir_redis_reply_len(reply) == n + 1) {
            q->has_position = has_position;
            q->position = position;
            take_document(q, weir_redis_reply_at(reply, i + 1));
        } else {
            q->outcome = RSVC_REFUSED;
        }
        if (q->unfenced) {
            rsvc_answer_unavailable(q, "too many reads wait for Redis");
        }
        q = next;
    }
}

/* The next documents of the batch in one MGET; returns the query behind them. */
static rsvc_query *send_read(rsvc_worker *w, rsvc_query *first)
{
    weir_slice argv[2 + RSVC_READ_KEYS] = {WEIR_SLICE_LIT("MGET"), w->key_position};
    size_t n = 0;
    rsvc_query *behind = first;
    for (; behind && n < RSVC_READ_KEYS; behind = behind->next) {
        argv[2 + n++] = behind->key;
    }
    first->together = n;
    if (!w->redis || weir_redis_send(w->redis, 2 + n, argv, on_read, first) != WEIR_OK) {
        for (rsvc_query *q = first; q != behind; q = q->next) {
            q->outcome = RSVC_LOST;
        }
    }
    return behind;
}

/* Notes that the batch uses the model. False: the batch has no room for another one. */
static bool fence_covers(rsvc_fence *f, rsvc_model *m)
{
    if (m->fence == f->w->batches) {
        return true;
    }
    if (f->nmodels == RSVC_FENCE_MODELS) {
        return false;
    }
    m->fence = f->w->batches;
    f->models[f->nmodels++] = m;
    return true;
}

void rsvc_fence_read(rsvc_query *q)
{
    rsvc_worker *w = q->w;
    if (!w->batch) {
        w->batch = fence_new(w);
    }
    if (!fence_covers(w->batch, q->model)) {
        rsvc_fence_flush(w);
        w->batch = fence_new(w);
        (void)fence_covers(w->batch, q->model);
    }
    q->generation = q->model->generation;
    q->seen_before = w->has_seen ? w->seen : 0;
    q->outcome = RSVC_NONE;
    q->has_position = false;
    q->key = weir_dockey_doc(weir_http_arena(q->req), w->ns, weir_slice_z(q->model->name),
                             q->generation, q->spelled);
    if (!q->key.p) {
        rsvc_answer_unavailable(q, "the request needs too much memory");
        return;
    }
    q->next = NULL;
    *w->batch->last = q;
    w->batch->last = &q->next;
    weir_loop_again(w->l); /* the turn hook that sends the reads may be over already */
}

/* Judges a query whose read is fenced in. */
static void pass(rsvc_query *q)
{
    if (q->outcome != RSVC_DOCUMENT && q->outcome != RSVC_ABSENT) {
        rsvc_query_judge(q);
    } else if (q->model->present && q->model->generation == q->generation &&
               q->model->state != RSVC_BUILDING) {
        rsvc_query_judge(q);
    } else if (++q->retries > RSVC_RETRIES_MAX) {
        rsvc_answer_unavailable(q, "the model keeps changing; try again");
    } else {
        weir_metric_add(q->w->meters->switched, 1);
        rsvc_query_run(q);
    }
}

static void learn_models(rsvc_fence *f, const weir_redis_reply *reply)
{
    for (size_t i = 0; i < f->nmodels; i++) {
        weir_error err;
        weir_slice entry = weir_redis_reply_str(weir_redis_reply_at(reply, i));
        if (!rsvc_catalog_set(f->w->catalog, weir_slice_z(f->models[i]->name), entry, &err)) {
            WEIR_WARN("RSVC-MODEL", "%s", err.msg);
        }
    }
}

static void on_fence(void *arg, const weir_redis_reply *reply)
{
    rsvc_fence *f = arg;
    bool known = reply && weir_redis_reply_len(reply) == f->nmodels;
    if (known) {
        learn_models(f, reply);
    }
    rsvc_query *q = f->first;
    fence_done(f);
    while (q) {
        rsvc_query *next = q->next; /* replying frees q */
        if (!known) {
            q->outcome = q->outcome == RSVC_REFUSED ? RSVC_REFUSED : RSVC_LOST;
        }
        pass(q);
        q = next;
    }
}

/* No fence behind these reads. Those that could not be sent either, or have come back as lost
 * because the connection went, are over; while it stands (the client refuses more) others still
 * will come back. */
static void unfence(rsvc_fence *f)
{
    rsvc_query *q = f->first;
    fence_done(f);
    while (q) {
        rsvc_query *next = q->next; /* replying frees q */
        q->unfenced = true;
        if (q->outcome != RSVC_NONE) {
            rsvc_answer_unavailable(q, "the connection to Redis was lost");
        }
        q = next;
    }
}

void rsvc_fence_flush(void *worker)
{
    rsvc_worker *w = worker;
    rsvc_fence *f = w->batch;
    if (!f || !f->first) {
        return;
    }
    w->batch = NULL;
    for (rsvc_query *q = f->first; q;) {
        q = send_read(w, q);
    }
    weir_slice argv[2 + RSVC_FENCE_MODELS] = {WEIR_SLICE_LIT("HMGET"), w->key_models};
    for (size_t i = 0; i < f->nmodels; i++) {
        argv[2 + i] = weir_slice_z(f->models[i]->name);
    }
    if (!w->redis || weir_redis_send(w->redis, 2 + f->nmodels, argv, on_fence, f) != WEIR_OK) {
        unfence(f);
    }
}
