/* route.c - from an HTTP request to a query: path, parameters, first refusals. */
#include "libweir/base/clock.h"
#include "libweir/codec/lsn.h"
#include "read-service/worker_priv.h"

static bool is_method(const char *method, const char *name)
{
    return strcmp(method, name) == 0;
}

/* False: refused. */
static bool take_wait(rsvc_query *q)
{
    rsvc_worker *w = q->w;
    const char *min = weir_http_query(q->req, "min_position");
    const char *wait = weir_http_query(q->req, "wait_ms");
    int64_t most_ms = w->conf.settings->read_wait_max_ms;
    q->wait_ms = RSVC_DEFAULT_WAIT_MS;
    if (min && !weir_lsn_parse(weir_slice_z(min), &q->wait.position)) {
        rsvc_answer_refuse(
            w, q->req, 400,
            "min_position is malformed; write it as it was received, like 0/1A2B3C8");
        return false;
    }
    if (wait && (!weir_slice_i64(weir_slice_z(wait), &q->wait_ms) || q->wait_ms < 0)) {
        rsvc_answer_refuse(w, q->req, 400, "wait_ms is malformed; it is a number of milliseconds");
        return false;
    }
    q->has_min = min != NULL;
    q->wait_ms = q->wait_ms < most_ms ? q->wait_ms : most_ms;
    q->wait.deadline_ms = q->has_min ? weir_mono_ms() + q->wait_ms : 0;
    return true;
}

static void route_query(rsvc_worker *w, weir_http_req *req, const rsvc_target *target)
{
    rsvc_query *q = weir_arena_zalloc(weir_http_arena(req), sizeof *q);
    if (!q) {
        rsvc_answer_refuse(w, req, 503, "the request needs too much memory");
        return;
    }
    q->w = w;
    q->req = req;
    q->target = *target;
    q->started_us = weir_mono_us();
    if (!take_wait(q)) {
        return;
    }
    if (!target->key.p && weir_http_query(req, "index")) {
        rsvc_answer_refuse(
            w, req, 501,
            "index pages are not available in this version; ask for single documents by key");
        return;
    }
    rsvc_query_run(q);
}

void rsvc_route(void *worker, weir_http_req *req)
{
    rsvc_worker *w = worker;
    const char *method = weir_http_method(req);
    weir_slice path = weir_slice_z(weir_http_path(req));
    weir_error err;
    rsvc_target target;
    if (weir_health_path(weir_http_path(req))) {
        rsvc_worker_health(w);
        (void)!weir_gate_health(w->conf.auth, w->health, req);
        return;
    }
    if (!weir_gate_pass(w->conf.auth, req, 1)) {
        return;
    }
    weir_rc rc = rsvc_target_parse(path, weir_http_arena(req), &target, &err);
    if (rc != WEIR_OK) {
        rsvc_answer_refuse(w, req, rc == WEIR_E_NOTFOUND ? 404 : 400, err.msg);
        return;
    }
    if (is_method(method, "OPTIONS")) {
        weir_http_set_header(req, "Allow", "GET, HEAD, OPTIONS");
        weir_http_reply(req, 204, NULL, (weir_slice){NULL, 0});
    } else if (!is_method(method, "GET") && !is_method(method, "HEAD")) {
        weir_http_set_header(req, "Allow", "GET, HEAD, OPTIONS");
        rsvc_answer_refuse(w, req, 405,
                           "queries are asked with GET or HEAD; commands go to the write-service");
    } else if (!target.model.p) {
        rsvc_answer_models(w, req);
    } else if (!weir_auth_may_read(w->conf.auth, weir_gate_caller(req), target.model)) {
        rsvc_answer_refuse(w, req, 403, "the caller's role may not read this model");
    } else {
        route_query(w, req, &target);
    }
}
