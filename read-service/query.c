/* query.c - the life of a query: which model, read it, is the position reached, wait, again.
 *
 * A wait ends by a notice, by a poll (notices can be lost while the subscriber is away), or by its
 * deadline; then everything is read again. `seen` is the newest position known. Redis may have been
 * emptied or replaced, so it can also fall: a read that was sent when `seen` was known and returned
 * less is the proof.
 */
#include "libweir/base/clock.h"
#include "read-service/worker_priv.h"

static void arm_deadline(rsvc_worker *w)
{
    int64_t due = rsvc_waits_deadline_ms(w->waits);
    if (due < w->deadline_armed_ms) {
        w->deadline_armed_ms = due;
        weir_loop_timer_arm(w->deadline, due - weir_mono_ms(), false);
    }
}

static void unpark(rsvc_query *q)
{
    weir_metric_add(q->w->meters->waiting, -1);
}

static void on_gone(void *arg)
{
    rsvc_query *q = arg;
    if (q->wait.at[0] == SIZE_MAX) {
        q->gone = true; /* at Redis: its answer will come */
        return;
    }
    rsvc_waits_remove(q->w->waits, &q->wait);
    q->wait.at[0] = SIZE_MAX;
    unpark(q);
    rsvc_answer_unavailable(q, "the client went away");
}

static void park(rsvc_query *q)
{
    rsvc_worker *w = q->w;
    if (!q->waited) {
        q->waited = true;
        weir_metric_add(w->meters->waits, 1);
        weir_http_on_gone(q->req, on_gone, q);
    }
    if (w->stopping) {
        rsvc_answer_unavailable(q, "the service is stopping");
    } else if (!rsvc_waits_add(w->waits, &q->wait)) {
        rsvc_answer_unavailable(q, "too many queries wait for their position");
    } else {
        weir_metric_add(w->meters->waiting, 1);
        arm_deadline(w);
    }
}

/* false: answered, or asked about. */
static bool spell_key(rsvc_query *q)
{
    size_t bad = 0;
    weir_rc rc = rsvc_key_spell(q->model->types, q->model->key_parts, q->target.key,
                                weir_http_arena(q->req), &q->spelled, &bad);
    if (rc == WEIR_E_INPUT && !q->fresh) {
        rsvc_models_ask(q); /* its key may have another type by now */
    } else if (rc == WEIR_E_INPUT) {
        rsvc_answer_bad_value(q, bad);
    } else if (rc != WEIR_OK) {
        rsvc_answer_unavailable(q, "the request needs too much memory");
    }
    return rc == WEIR_OK;
}

void rsvc_query_run(rsvc_query *q)
{
    rsvc_worker *w = q->w;
    q->wait.at[0] = SIZE_MAX; /* not waiting */
    if (!weir_redis_up(w->redis)) {
        rsvc_answer_unavailable(q, "Redis is away");
        return;
    }
    q->model = rsvc_catalog_get(w->catalog, q->target.model);
    bool usable = q->model && q->model->present && q->model->state != RSVC_BUILDING;
    if (!usable && !q->fresh) {
        rsvc_models_ask(q);
    } else if (q->model && !q->model->present && !q->has_position) {
        rsvc_answer_refilling(q); /* it was there */
    } else if (!q->model || !q->model->present) {
        rsvc_answer_unknown_model(q);
    } else if (q->model->key_parts != q->target.key_parts) {
        rsvc_answer_bad_key(q);
    } else if (!usable) {
        rsvc_answer_building(q);
    } else if (q->has_min && q->model->state == RSVC_STALLED) {
        rsvc_answer_stalled(q);
    } else if (spell_key(q)) {
        rsvc_fence_read(q);
    }
}

static void learn(rsvc_query *q)
{
    rsvc_worker *w = q->w;
    bool fell = !q->has_position || q->position < q->seen_before;
    if (!fell && w->has_seen && q->position <= w->seen) {
        return;
    }
    if (!q->has_position && q->seen_before == 0) {
        return; /* nothing there, nothing known to have been there */
    }
    w->has_seen = q->has_position;
    w->seen = q->has_position ? q->position : 0;
}

void rsvc_query_judge(rsvc_query *q)
{
    if (q->outcome == RSVC_LOST) {
        rsvc_answer_unavailable(q, "the connection to Redis was lost");
        return;
    }
    if (q->outcome == RSVC_REFUSED) {
        rsvc_answer_unavailable(q, "Redis refused the read; its log says why");
        return;
    }
    learn(q);
    bool reached = !q->has_min || (q->has_position && q->position >= q->wait.position);
    if (reached && q->outcome == RSVC_DOCUMENT) {
        rsvc_answer_document(q);
    } else if (reached && !q->has_position) {
        rsvc_answer_refilling(q);
    } else if (reached) {
        rsvc_answer_absent(q);
    } else if (q->gone || q->wait.deadline_ms <= weir_mono_ms()) {
        rsvc_answer_timeout(q);
    } else if (q->w->has_seen && q->w->seen >= q->wait.position) {
        rsvc_query_run(q); /* the notice overtook our read */
    } else {
        park(q);
    }
}

void rsvc_query_position(rsvc_worker *w, bool has, uint64_t position)
{
    w->has_seen = has;
    w->seen = has ? position : 0;
    for (rsvc_wait *e = NULL; has && (e = rsvc_waits_reached(w->waits, position)) != NULL;) {
        rsvc_query *q = (rsvc_query *)(void *)e;
        unpark(q);
        weir_metric_observe_us(w->meters->wait_seconds, weir_mono_us() - q->started_us);
        rsvc_query_run(q);
    }
}

void rsvc_query_expire(rsvc_worker *w)
{
    w->deadline_armed_ms = INT64_MAX;
    for (rsvc_wait *e = NULL; (e = rsvc_waits_expired(w->waits, weir_mono_ms())) != NULL;) {
        rsvc_query *q = (rsvc_query *)(void *)e;
        unpark(q);
        rsvc_answer_timeout(q);
    }
    arm_deadline(w);
}

void rsvc_query_fail_waiting(rsvc_worker *w, const char *why)
{
    for (rsvc_wait *e = NULL; (e = rsvc_waits_any(w->waits)) != NULL;) {
        rsvc_query *q = (rsvc_query *)(void *)e;
        unpark(q);
        rsvc_answer_unavailable(q, why);
    }
}
