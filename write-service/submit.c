/* submit.c - POST /commands/{name}: from a request to a job in a lane's queue, or a refusal. */
#include <stdio.h>
#include <sys/random.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "write-service/async.h"
#include "write-service/body.h"
#include "write-service/service_priv.h"

/* A client is looked after only when its command waits so long: it costs two system calls. */
enum { WATCH_AFTER_MS = 100 };

static void refuse_later(wsvc_service *s, weir_http_req *req, const char *detail)
{
    weir_http_set_header(req, "Retry-After", "1");
    wsvc_refuse(s, req, 503, detail);
}

static void unknown(wsvc_service *s, weir_http_req *req, weir_slice name)
{
    const char *z = weir_arena_dupz(weir_http_arena(req), name);
    const char *near = z ? wsvc_catalog_nearest(s->catalog, z) : NULL;
    char detail[300];
    if (near) {
        (void)snprintf(detail, sizeof detail,
                       "there is no command \"%.80s\"; did you mean \"%.80s\"?", z, near);
    } else {
        (void)snprintf(detail, sizeof detail,
                       "there is no command \"%.80s\"; GET /commands lists them", z ? z : "");
    }
    wsvc_refuse(s, req, 404,
                weir_utf8_ok(weir_slice_z(detail)) ? detail : "there is no such command");
}

/* Deployed a moment ago, perhaps: the catalog is looked at once more before the answer is no. */
static void park(wsvc_service *s, weir_http_req *req, weir_slice name)
{
    if (s->nparked == WSVC_PARKED_MAX) {
        refuse_later(s, req, "too many requests for commands nobody knows");
        return;
    }
    s->parked[s->nparked++] = (wsvc_parked){req, name, wsvc_watch_ask(s->watch)};
}

/* Of two different ones we would take the one, a proxy or the client mean the other. NULL: none. */
static const char *repeated(const weir_http_req *req)
{
    static const char *const names[] = {"Idempotency-Key", "If-Match",        "Weir-Begin-Within",
                                        "Weir-Priority",   "Weir-Not-Before", "Weir-Ordering-Key",
                                        "Weir-Deadline",   "Weir-Callback"};
    return weir_http_header_twice(req, names, sizeof names / sizeof names[0]);
}

bool wsvc_submit_headers(wsvc_service *s, weir_http_req *req, const char *other_type)
{
    if (!wsvc_media_type_ok(weir_http_header(req, "Content-Type"))) {
        weir_http_set_header(req, "Accept-Post", "application/json");
        wsvc_refuse(s, req, 415, other_type);
        return false;
    }
    if (!wsvc_coding_ok(weir_http_header(req, "Content-Encoding"))) {
        weir_http_set_header(req, "Accept-Encoding", "identity");
        wsvc_refuse(s, req, 415, "send the body as it is, without a Content-Encoding");
        return false;
    }
    const char *correlation = weir_http_header(req, "X-Correlation-Id");
    if (correlation && !wsvc_correlation_ok(correlation)) {
        wsvc_refuse(s, req, 400, "X-Correlation-Id must have 1 to 128 printable ASCII characters");
        return false;
    }
    const char *twice = repeated(req);
    if (twice) {
        char detail[80];
        (void)snprintf(detail, sizeof detail, "%s must be sent once", twice);
        wsvc_refuse(s, req, 400, detail);
    }
    return !twice;
}

void wsvc_submit_traced(weir_http_req *req, wsvc_job *j)
{
    const char *correlation = weir_http_header(req, "X-Correlation-Id");
    const char *trace = weir_http_header(req, "traceparent");
    j->correlation_id = correlation ? correlation : j->id;
    j->traceparent = trace && wsvc_traceparent_ok(trace) ? trace : NULL;
}

/* true: answered. */
static bool bad_body(wsvc_service *s, weir_http_req *req)
{
    weir_error err = {0};
    if (wsvc_body_check(weir_http_body(req), &err) == WEIR_OK) {
        return false;
    }
    wsvc_refuse(s, req, 400,
                weir_utf8_ok(weir_slice_z(err.msg)) ? err.msg : "the body is not acceptable JSON");
    return true;
}

bool wsvc_submit_options(wsvc_service *s, weir_http_req *req, wsvc_options *o)
{
    const weir_principal *caller = weir_gate_caller(req);
    wsvc_options_text in = {.idempotency_key = weir_http_header(req, "Idempotency-Key"),
                            .if_match = weir_http_header(req, "If-Match"),
                            .prefer = weir_http_header_list(req, "Prefer"),
                            .begin_within = weir_http_header(req, "Weir-Begin-Within"),
                            .scope = caller->scope,
                            .role = caller->role,
                            .claims = caller->claims.p};
    memset(o, 0, sizeof *o);
    if (!in.idempotency_key && !in.if_match && !in.prefer && !in.begin_within) {
        return true;
    }
    weir_error err = {0};
    weir_rc rc = wsvc_options_read(o, &in, weir_http_arena(req), &err);
    if (rc != WEIR_OK) {
        wsvc_refuse(s, req, rc == WEIR_E_INPUT ? 400 : 503, err.msg);
    }
    return rc == WEIR_OK;
}

void wsvc_submit_apply(wsvc_service *s, wsvc_ticket *t, const wsvc_options *o)
{
    wsvc_job *j = &t->job;
    j->options = o->json;
    j->has_key = o->has_key;
    j->idempotency_key = o->key;
    if (o->has_key) {
        wsvc_keys_add(&j->keys, o->key);
    }
    if (o->wait_ms) {
        j->deadline_ms = j->arrived_us / 1000 + o->wait_ms;
        s->deadlines = true;
        if (!t->tracked) {
            wsvc_submit_track(s, t);
        }
    }
}

static void on_gone(void *ticket)
{
    wsvc_ticket *t = ticket;
    atomic_store_explicit(&t->job.gone, true, memory_order_relaxed);
}

void wsvc_submit_track(wsvc_service *s, wsvc_ticket *t)
{
    t->tracked = true;
    t->prev = s->newest;
    *(t->prev ? &t->prev->next : &s->oldest) = t;
    s->newest = t;
}

void wsvc_submit_watch_clients(wsvc_service *s)
{
    int64_t before_us = weir_mono_us() - WATCH_AFTER_MS * 1000;
    for (wsvc_ticket *t = s->oldest; t && t->job.arrived_us < before_us; t = t->next) {
        if (!t->watched) {
            t->watched = true;
            weir_http_on_gone(t->req, on_gone, t);
        }
    }
}

/* One system call serves many. */
void wsvc_make_id(wsvc_service *s, char id[WSVC_ID_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    if (s->nrandom < 16) {
        /* Up to 256 bytes getrandom never fails nor comes short. */
        for (size_t i = 0; i < sizeof s->random; i += 256) {
            if (getrandom(s->random + i, 256, 0) != 256) {
                weir_random_id(id);
                return;
            }
        }
        s->nrandom = sizeof s->random;
    }
    s->nrandom -= 16;
    for (size_t i = 0; i < 16; i++) {
        id[2 * i] = hex[s->random[s->nrandom + i] >> 4];
        id[2 * i + 1] = hex[s->random[s->nrandom + i] & 15];
    }
    id[32] = '\0';
}

void wsvc_submit_prepare(wsvc_ticket *t)
{
    wsvc_job *j = &t->job;
    int64_t now_ms = j->arrived_us / 1000;
    if (wsvc_rules_any(&t->command->rules, now_ms)) {
        wsvc_rules_keys(&t->command->rules, j->body, now_ms, &j->keys);
    }
    j->watched = wsvc_rules_watched(&t->command->rules, now_ms);
}

void wsvc_submit_for(wsvc_service *s, const weir_principal *caller, wsvc_job *j, wsvc_command *c)
{
    j->role = wsvc_registry_role(s->registry, caller->role);
    j->claims = caller->claims.p;
    j->caller = caller->name;
    if (c) {
        j->call = wsvc_registry_call(s->registry, c, j->role);
    }
}

/* NULL: the arena's ceiling. */
static wsvc_ticket *make_ticket(wsvc_service *s, weir_http_req *req, const wsvc_entry *e)
{
    weir_arena *a = weir_http_arena(req);
    weir_slice body = weir_http_body(req);
    wsvc_ticket *t = weir_arena_zalloc(a, sizeof *t);
    char *text = weir_arena_dupz(a, body);
    if (!t || !text) {
        return NULL;
    }
    t->req = req;
    t->command = wsvc_registry_get(s->registry, e->name);
    wsvc_job *j = &t->job;
    wsvc_submit_for(s, weir_gate_caller(req), j, t->command);
    j->ticket = t;
    j->body = weir_slice_of(text, body.n);
    j->arrived_us = weir_mono_us();
    j->serializable = e->serializable;
    j->alone = e->isolated || e->serializable;
    wsvc_submit_prepare(t);
    wsvc_make_id(s, j->id);
    wsvc_submit_traced(req, j);
    return t;
}

static void store(wsvc_service *s, weir_http_req *req, const wsvc_entry *e)
{
    /* The catalog may be replaced meanwhile. */
    wsvc_later later = {.name = weir_arena_dupz(weir_http_arena(req), e->name),
                        .body = weir_http_body(req)};
    if (later.name) {
        wsvc_async_store(s->async, req, &later);
    } else {
        refuse_later(s, req, "the body needs more memory than a request may have");
    }
}

void wsvc_submit(wsvc_service *s, weir_http_req *req, weir_slice name, bool final)
{
    if (s->stop_ms) {
        refuse_later(s, req, "the service is stopping");
        return;
    }
    if (!s->catalog || !wsvc_pool_up(s->pool)) {
        refuse_later(
            s, req, s->catalog ? "PostgreSQL is away; the command was not executed" : s->seen_text);
        return;
    }
    const wsvc_entry *e = wsvc_catalog_find(s->catalog, name);
    if (!e && !final) {
        park(s, req, name);
        return;
    }
    if (!e) {
        unknown(s, req, name);
        return;
    }
    if (!wsvc_submit_headers(s, req,
                             "a command is a JSON object; send Content-Type: application/json") ||
        bad_body(s, req)) {
        return;
    }
    wsvc_asked asked = wsvc_async_asked(s->async, req);
    if (asked == WSVC_ASKED_LATER) {
        store(s, req, e);
    }
    if (asked != WSVC_ASKED_NOW) {
        return;
    }
    wsvc_options o;
    if (!wsvc_submit_options(s, req, &o)) {
        return;
    }
    wsvc_ticket *t = make_ticket(s, req, e);
    if (!t) {
        refuse_later(s, req, "the body needs more memory than a request may have");
        return;
    }
    wsvc_submit_track(s, t);
    wsvc_submit_apply(s, t, &o);
    wsvc_job_list_add(&s->batch, &t->job);
}

void wsvc_submit_deadlines(wsvc_service *s)
{
    int64_t now_ms = weir_mono_ms();
    wsvc_ticket *next;
    bool more = false;
    for (wsvc_ticket *t = s->deadlines ? s->oldest : NULL; t; t = next) {
        next = t->next;
        wsvc_job *j = &t->job;
        more |= j->deadline_ms != 0;
        if (j->deadline_ms && j->deadline_ms <= now_ms && wsvc_pool_withdraw(s->pool, j)) {
            wsvc_outcome_fini(&j->out);
            wsvc_outcome_problem(&j->out, j->id, 504, WSVC_TYPE_DEADLINE,
                                 "the command did not begin within the time of Prefer: wait or "
                                 "Weir-Begin-Within; it was not executed",
                                 NULL);
            wsvc_answer(s, j);
        }
    }
    s->deadlines = more;
}

void wsvc_submit_batch(void *service)
{
    wsvc_service *s = service;
    wsvc_job *next;
    wsvc_job *list = s->batch.first;
    s->batch = (wsvc_job_list){NULL, NULL};
    for (wsvc_job *j = list ? wsvc_pool_submit_list(s->pool, list) : NULL; j; j = next) {
        next = j->next;
        wsvc_outcome_busy(&j->out, j->id,
                          "too many commands are waiting; the command was not executed");
        wsvc_answer(s, j);
    }
}
