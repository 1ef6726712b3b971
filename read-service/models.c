/* models.c - reading the list of models: at reconnects, on notices, now and then, and before saying
 * that there is none. */
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/codec/lsn.h"
#include "read-service/worker_priv.h"

static void take_all(rsvc_worker *w, const weir_redis_reply *reply)
{
    rsvc_catalog_begin(w->catalog);
    for (size_t i = 0; i + 1 < weir_redis_reply_len(reply); i += 2) {
        weir_error err;
        if (!rsvc_catalog_set(w->catalog, weir_redis_reply_str(weir_redis_reply_at(reply, i)),
                              weir_redis_reply_str(weir_redis_reply_at(reply, i + 1)), &err)) {
            WEIR_WARN("RSVC-MODEL", "%s", err.msg);
        }
    }
    rsvc_catalog_end(w->catalog);
}

/* The first reading after a connection came up makes this loop a ready one. */
static void count_ready(rsvc_worker *w)
{
    w->catalog_known = true;
    if (!w->counted) {
        w->counted = true;
        weir_metric_add(w->meters->loops_ready, 1);
    }
}

static void on_models(void *arg, const weir_redis_reply *reply)
{
    rsvc_worker *w = arg;
    w->reading = false;
    if (!reply || weir_redis_reply_type(reply) != WEIR_REDIS_ARRAY) {
        w->read_again = false;
        return; /* the tick tries again */
    }
    take_all(w, reply);
    count_ready(w);
    weir_metric_add(w->meters->readings, 1);
    if (w->read_again) { /* somebody asked after this reading was sent */
        w->read_again = false;
        rsvc_models_read(w);
    }
}

void rsvc_models_read(rsvc_worker *w)
{
    if (w->reading) {
        w->read_again = true;
        return;
    }
    weir_slice argv[2] = {WEIR_SLICE_LIT("HGETALL"), w->key_models};
    if (weir_redis_send(w->redis, 2, argv, on_models, w) == WEIR_OK) {
        w->reading = true;
        w->read_at_ms = weir_mono_ms();
    }
}

static void on_position(void *arg, const weir_redis_reply *reply)
{
    rsvc_query *q = arg;
    if (!reply || weir_redis_reply_type(reply) == WEIR_REDIS_ERROR) {
        rsvc_answer_unavailable(q, "the connection to Redis was lost");
        return;
    }
    q->has_position = weir_lsn_parse(weir_redis_reply_str(reply), &q->position);
    rsvc_query_run(q);
}

/* A model that is gone was removed, or Redis was emptied: then it has no position either. */
static void ask_position(rsvc_query *q)
{
    weir_slice argv[2] = {WEIR_SLICE_LIT("GET"), q->w->key_position};
    if (weir_redis_send(q->w->redis, 2, argv, on_position, q) != WEIR_OK) {
        rsvc_answer_unavailable(q, "too many reads wait for Redis");
    }
}

static void on_one(void *arg, const weir_redis_reply *reply)
{
    rsvc_query *q = arg;
    weir_error err;
    if (!reply || weir_redis_reply_type(reply) == WEIR_REDIS_ERROR) {
        rsvc_answer_unavailable(q, "the connection to Redis was lost");
        return;
    }
    if (!rsvc_catalog_set(q->w->catalog, q->target.model, weir_redis_reply_str(reply), &err)) {
        WEIR_WARN("RSVC-MODEL", "%s", err.msg);
    }
    q->fresh = true;
    const rsvc_model *m = rsvc_catalog_get(q->w->catalog, q->target.model);
    if (m && !m->present) {
        ask_position(q);
    } else {
        rsvc_query_run(q);
    }
}

void rsvc_models_ask(rsvc_query *q)
{
    weir_slice argv[3] = {WEIR_SLICE_LIT("HGET"), q->w->key_models, q->target.model};
    if (weir_redis_send(q->w->redis, 3, argv, on_one, q) != WEIR_OK) {
        rsvc_answer_unavailable(q, "too many reads wait for Redis");
    }
}
