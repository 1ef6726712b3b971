/* answer.c - replies: documents, their tags and positions, and problems that say what to do. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/lsn.h"
#include "read-service/etag.h"
#include "read-service/worker_priv.h"

enum { NAMES_MAX_BYTES = 8192 };

static void put_position(weir_http_req *req, bool has, uint64_t position)
{
    char text[WEIR_LSN_TEXT_MAX];
    if (has) {
        weir_http_set_header(req, "Weir-Position", weir_lsn_print(position, text));
    }
}

/* The last thing before a reply: afterwards the query's memory belongs to nobody. */
static void finish(rsvc_query *q, int status)
{
    rsvc_meters_answer(q->w->meters, status, weir_mono_us() - q->started_us);
}

static void problem(rsvc_query *q, int status, const char *type, const char *detail,
                    const char *extra)
{
    weir_http_req *req = q->req;
    char *heap = q->heap;
    if (q->model && q->model->state == RSVC_STALLED) {
        weir_http_set_header(req, "Weir-Model-State", "stalled"); /* no position can be promised */
    } else if (q->has_position) {
        put_position(req, true, q->position);
    } else {
        put_position(req, q->w->has_seen, q->w->seen);
    }
    if (status == 503) {
        weir_http_set_header(req, "Retry-After", "1");
    }
    finish(q, status);
    weir_http_problem(req, status, type, detail, extra);
    free(heap);
}

void rsvc_answer_document(rsvc_query *q)
{
    char etag[RSVC_ETAG_SIZE];
    weir_http_req *req = q->req;
    weir_slice document = q->document;
    char *heap = q->heap;
    const char *known = weir_http_header(req, "If-None-Match");
    rsvc_etag_of(document, etag);
    int status = known && rsvc_etag_matches(known, etag) ? 304 : 200;
    weir_http_set_header(req, "ETag", etag);
    if (q->model->state == RSVC_STALLED) {
        /* The document is the last one from before the trouble: no position can be promised for it.
         */
        weir_http_set_header(req, "Weir-Model-State", "stalled");
    } else {
        put_position(req, q->has_position, q->position);
    }
    finish(q, status);
    if (status == 304) {
        weir_http_reply(req, 304, NULL, (weir_slice){NULL, 0});
    } else if (heap) {
        weir_http_reply(req, 200, "application/json", document);
    } else {
        weir_http_reply_lasting(req, 200, "application/json", document);
    }
    free(heap);
}

void rsvc_answer_absent(rsvc_query *q)
{
    const char *detail = weir_arena_printf(
        weir_http_arena(q->req), "model %s has no document with key %.*s", q->model->name,
        (int)(q->target.key.n > 300 ? 300 : q->target.key.n), q->target.key.p);
    problem(q, 404, NULL, detail, NULL);
}

/* "models":["a","b"], shortened when there are too many. */
static const char *known_models(rsvc_query *q)
{
    weir_buf b;
    weir_buf_init(&b, NAMES_MAX_BYTES);
    weir_buf_putz(&b, "\"models\":");
    rsvc_catalog_json(q->w->catalog, true, &b);
    const char *text =
        b.failed ? NULL : weir_arena_dupz(weir_http_arena(q->req), weir_buf_slice(&b));
    weir_buf_fini(&b);
    return text;
}

void rsvc_answer_unknown_model(rsvc_query *q)
{
    weir_arena *a = weir_http_arena(q->req);
    int n =
        (int)(q->target.model.n > RSVC_MODEL_NAME_MAX ? RSVC_MODEL_NAME_MAX : q->target.model.n);
    const char *hint = rsvc_catalog_len(q->w->catalog) > 0
                           ? "GET /queries lists the models"
                           : "no model is deployed; run `weir deploy`";
    problem(q, 404, "urn:weir:problem:unknown-model",
            weir_arena_printf(a, "there is no model %.*s; %s", n, q->target.model.p, hint),
            known_models(q));
}

void rsvc_answer_building(rsvc_query *q)
{
    weir_arena *a = weir_http_arena(q->req);
    problem(q, 503, "urn:weir:problem:building",
            weir_arena_printf(a, "model %s is being built, %.1f%% done", q->model->name,
                              q->model->progress * 100),
            weir_arena_printf(a, "\"progress\":%.3f", q->model->progress));
}

void rsvc_answer_stalled(rsvc_query *q)
{
    problem(q, 503, "urn:weir:problem:stalled",
            weir_arena_printf(weir_http_arena(q->req),
                              "model %s is stalled and cannot reach a position: %s; without "
                              "min_position its last documents "
                              "are served",
                              q->model->name, q->model->reason),
            NULL);
}

void rsvc_answer_bad_key(rsvc_query *q)
{
    weir_arena *a = weir_http_arena(q->req);
    if (q->target.key_parts == 0) {
        problem(q, 400, NULL,
                weir_arena_printf(a, "name a key: /queries/%s/{key}; its columns are %s",
                                  q->model->name, q->model->key_json),
                weir_arena_printf(a, "\"key\":%s", q->model->key_json));
        return;
    }
    problem(
        q, 400, NULL,
        weir_arena_printf(
            a,
            "the key of model %s has %zu part%s, %zu given; a \"/\" inside a value is written %%2F",
            q->model->name, q->model->key_parts, q->model->key_parts == 1 ? "" : "s",
            q->target.key_parts),
        weir_arena_printf(a, "\"key\":%s", q->model->key_json));
}

void rsvc_answer_bad_value(rsvc_query *q, size_t part)
{
    weir_arena *a = weir_http_arena(q->req);
    const char *expected = rsvc_key_expected(q->model->types[part], a);
    const char *which =
        q->model->key_parts == 1 ? "" : weir_arena_printf(a, "part %zu of ", part + 1);
    problem(q, 400, NULL,
            weir_arena_printf(a, "%sthe key of model %s must be %s", which ? which : "",
                              q->model->name, expected ? expected : "of another type"),
            weir_arena_printf(a, "\"key\":%s", q->model->key_json));
}

void rsvc_answer_timeout(rsvc_query *q)
{
    weir_arena *a = weir_http_arena(q->req);
    char at[WEIR_LSN_TEXT_MAX] = "nowhere";
    char want[WEIR_LSN_TEXT_MAX];
    if (q->has_position) {
        (void)weir_lsn_print(q->position, at);
    } else if (q->w->has_seen) {
        (void)weir_lsn_print(q->w->seen, at);
    }
    (void)weir_lsn_print(q->wait.position, want);
    problem(q, 504, "urn:weir:problem:position-not-reached",
            weir_arena_printf(
                a, "model %s is at %s and did not reach min_position %s within %" PRId64 " ms",
                q->model->name, at, want, q->wait_ms),
            weir_arena_printf(a, "\"position\":\"%s\",\"min_position\":\"%s\"", at, want));
}

void rsvc_answer_refilling(rsvc_query *q)
{
    problem(q, 503, "urn:weir:problem:refilling",
            "Redis has no position: it was emptied, and its documents are being written again; "
            "whether this one exists is not known yet",
            NULL);
}

void rsvc_answer_unavailable(rsvc_query *q, const char *why)
{
    problem(q, 503, NULL, why, NULL);
}

void rsvc_answer_refuse(rsvc_worker *w, weir_http_req *req, int status, const char *detail)
{
    put_position(req, w->has_seen, w->seen);
    if (status == 503) {
        weir_http_set_header(req, "Retry-After", "1");
    }
    rsvc_meters_answer(w->meters, status, 0);
    weir_http_problem(req, status, NULL, detail, NULL);
}

void rsvc_answer_models(rsvc_worker *w, weir_http_req *req)
{
    if (!w->catalog_known) {
        rsvc_answer_refuse(w, req, 503, "the models have not been read from Redis yet");
        return;
    }
    weir_buf b;
    weir_buf_init(&b, 16 << 20);
    weir_buf_putz(&b, "{\"models\":");
    rsvc_catalog_json(w->catalog, false, &b);
    weir_buf_putz(&b, "}\n");
    put_position(req, w->has_seen, w->seen);
    rsvc_meters_answer(w->meters, 200, 0);
    if (b.failed) {
        weir_http_problem(req, 500, NULL, "the list of models is too large", NULL);
    } else {
        weir_http_reply(req, 200, "application/json", weir_buf_slice(&b));
    }
    weir_buf_fini(&b);
}

void rsvc_answer_status(void *worker, weir_buf *out)
{
    rsvc_worker *w = worker;
    char text[WEIR_LSN_TEXT_MAX];
    weir_buf_printf(out, "\"loop\":%u,\"position\":", w->conf.index);
    if (w->has_seen) {
        weir_buf_printf(out, "\"%s\"", weir_lsn_print(w->seen, text));
    } else {
        weir_buf_putz(out, "null");
    }
    weir_buf_printf(out, ",\"redis\":%s,\"notices\":%s,\"waiting\":%zu,\"models\":",
                    weir_redis_up(w->redis) ? "true" : "false",
                    weir_redis_up(w->sub) ? "true" : "false", rsvc_waits_len(w->waits));
    rsvc_catalog_json(w->catalog, false, out);
}
