/* async.c - asynchronous commands on the loop thread.
 *
 * Accepting: request → wish → intake thread (INSERT) → 202. Executing: the dispatcher's claims
 * become jobs like any other, with weir.run_stored around the wrapper; what the lanes say goes back
 * to the dispatcher as a verdict. Neither knows of the other: between them lies the table.
 */
#include "write-service/async.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "write-service/batch.h"
#include "write-service/body.h"
#include "write-service/callback.h"
#include "write-service/dispatch.h"
#include "write-service/intake.h"
#include "write-service/verdict.h"
#include "write-service/waiters.h"

enum { IN_HAND_MAX = 192, KEY_BYTES = 160 };

struct wsvc_async {
    wsvc_service *s;
    wsvc_intake *intake;
    wsvc_dispatch *dispatch;
    wsvc_callbacks *callbacks;
    wsvc_waiters *waiters;
    wsvc_allow *allow;
    weir_metric *m_accepted, *m_refused, *m_pending;
};

/* A request to accept a command. In the request's arena. */
typedef struct accept_ask {
    wsvc_wish wish;
    wsvc_async *a;
    weir_http_req *req;
    const char *ids; /* of a batch */
    char id[WSVC_ID_BYTES];
} accept_ask;

/* A stored command on its way through the lanes. */
typedef struct stored_job {
    wsvc_ticket ticket;
    wsvc_call call;
    wsvc_async *a;
    wsvc_stored *stored;
} stored_job;

/* --- accepting --- */

static void refuse_later(wsvc_async *a, weir_http_req *req, const char *detail)
{
    weir_http_set_header(req, "Retry-After", "1");
    wsvc_refuse(a->s, req, 503, detail);
}

static void on_stored(accept_ask *k)
{
    wsvc_async *a = k->a;
    wsvc_wish *w = &k->wish;
    wsvc_outcome out = {0};
    if (w->document) { /* its Idempotency-Key has a past */
        wsvc_outcome_reply(&out, k->id, weir_slice_z(w->document), w->position);
        free(w->document);
        w->document = NULL;
    } else {
        weir_metric_add(a->m_accepted, 1);
        wsvc_dispatch_wake(a->dispatch);
        wsvc_outcome_stored(&out, k->id, weir_slice_z(k->ids));
    }
    if (out.status == 202) {
        weir_http_set_header(k->req, "Preference-Applied", "respond-async");
    } else if (out.status == 200) {
        weir_http_set_header(k->req, "Weir-Position", w->position);
    }
    if (w->correlation_id != w->id) {
        weir_http_set_header(k->req, "X-Correlation-Id", w->correlation_id);
    }
    wsvc_reply(k->req, &out);
}

static void on_accepted(wsvc_wish *w)
{
    accept_ask *k = (accept_ask *)(void *)w;
    wsvc_async *a = k->a;
    char text[160], path[64];
    if (w->rc == WEIR_OK) {
        on_stored(k);
        return;
    }
    weir_metric_add(a->m_refused, 1);
    weir_http_set_header(k->req, "Retry-After", "1");
    if (w->doubt && k->ids) {
        weir_http_problem(k->req, 503, WSVC_TYPE_UNKNOWN,
                          "the connection to PostgreSQL was lost while the commands were stored",
                          NULL);
    } else if (w->doubt) { /* it may be there: its status page knows */
        (void)snprintf(path, sizeof path, "/commands/%s", k->id);
        weir_http_set_header(k->req, "Location", path);
        (void)snprintf(text, sizeof text, "\"command_id\":\"%s\"", k->id);
        weir_http_problem(k->req, 503, WSVC_TYPE_UNKNOWN,
                          "the connection to PostgreSQL was lost while the command was stored; "
                          "GET its Location before you send it again",
                          text);
    } else {
        weir_http_problem(
            k->req, w->rc == WEIR_E_SYS ? 500 : 503, NULL,
            weir_utf8_ok(weir_slice_z(w->why)) ? w->why : "the command was not stored", NULL);
    }
}

static void on_intake(void *async, wsvc_wish *list)
{
    wsvc_async *a = async;
    wsvc_wish *next;
    for (wsvc_wish *w = list; w; w = next) {
        next = w->next;
        if (w->kind == WSVC_INTAKE_ACCEPT) {
            on_accepted(w);
        } else {
            wsvc_waiters_told(a->waiters, w);
        }
    }
}

/* false: refused. */
static bool read_terms(wsvc_async *a, weir_http_req *req, const wsvc_terms_text *text,
                       wsvc_terms *terms)
{
    weir_error err = {0};
    weir_rc rc = wsvc_terms_read(terms, text, weir_wall_us(), &err);
    if (rc == WEIR_OK && terms->callback) {
        rc = wsvc_allow_check(a->allow, terms->callback, NULL, &err);
    }
    if (rc != WEIR_OK) {
        wsvc_refuse(a->s, req, rc == WEIR_E_DENIED ? 422 : 400,
                    weir_utf8_ok(weir_slice_z(err.msg)) ? err.msg : "a header is not acceptable");
    }
    return rc == WEIR_OK;
}

static wsvc_terms_text terms_text(const weir_http_req *req)
{
    return (wsvc_terms_text){.priority = weir_http_header(req, "Weir-Priority"),
                             .not_before = weir_http_header(req, "Weir-Not-Before"),
                             .deadline = weir_http_header(req, "Weir-Deadline"),
                             .ordering_key = weir_http_header(req, "Weir-Ordering-Key"),
                             .callback = weir_http_header(req, "Weir-Callback")};
}

void wsvc_async_store(wsvc_async *a, weir_http_req *req, const wsvc_later *later)
{
    wsvc_terms_text text = terms_text(req);
    const weir_principal *caller = weir_gate_caller(req);
    wsvc_terms terms;
    wsvc_options o;
    if (!wsvc_submit_options(a->s, req, &o) || !read_terms(a, req, &text, &terms)) {
        return;
    }
    accept_ask *k = weir_arena_zalloc(weir_http_arena(req), sizeof *k);
    if (!k) {
        refuse_later(a, req, "the body needs more memory than a request may have");
        return;
    }
    k->a = a;
    k->req = req;
    k->ids = later->ids;
    wsvc_make_id(a->s, k->id);
    const char *correlation = weir_http_header(req, "X-Correlation-Id");
    const char *trace = weir_http_header(req, "traceparent");
    k->wish = (wsvc_wish){.kind = WSVC_INTAKE_ACCEPT,
                          .id = k->id,
                          .name = later->name,
                          .correlation_id = correlation ? correlation : k->id,
                          .traceparent = trace && wsvc_traceparent_ok(trace) ? trace : NULL,
                          .caller = caller->scope,
                          .role = caller->role,
                          .claims = caller->claims.p,
                          .idempotency_key = o.key_text,
                          .expected_version = o.version,
                          .list = later->list,
                          .body = later->body,
                          .terms = terms};
    if (!wsvc_intake_submit(a->intake, &k->wish)) {
        weir_metric_add(a->m_refused, 1);
        refuse_later(a, req, "too many commands are waiting to be stored");
    }
}

wsvc_asked wsvc_async_asked(wsvc_async *a, weir_http_req *req)
{
    wsvc_terms_text text = terms_text(req);
    if (wsvc_prefers_async(weir_http_header_list(req, "Prefer"))) {
        return WSVC_ASKED_LATER;
    }
    const char *given = wsvc_terms_given(&text);
    if (given) {
        char detail[120];
        (void)snprintf(detail, sizeof detail,
                       "%s needs Prefer: respond-async; the command was not executed", given);
        wsvc_refuse(a->s, req, 400, detail);
    }
    return given ? WSVC_ASKED_WRONGLY : WSVC_ASKED_NOW;
}

void wsvc_async_look(wsvc_async *a, weir_http_req *req, weir_slice id)
{
    wsvc_waiters_add(a->waiters, req, id);
}

/* --- executing --- */

static void on_finished(wsvc_service *s, wsvc_ticket *t)
{
    stored_job *j = (stored_job *)(void *)t;
    wsvc_async *a = j->a;
    wsvc_registry_count(s->registry, t->command, t->job.out.status);
    bool over = wsvc_verdict_of(&t->job.out, t->job.lost, j->stored);
    wsvc_outcome_fini(&t->job.out);
    if (over) {
        wsvc_waiters_poke(a->waiters, j->stored->id);
        wsvc_callbacks_wake(a->callbacks);
    }
    wsvc_dispatch_settle(a->dispatch, j->stored);
    free(j);
}

static void execute(wsvc_async *a, wsvc_stored *st)
{
    wsvc_service *s = a->s;
    weir_slice name = weir_slice_z(st->name);
    const wsvc_entry *e = wsvc_catalog_find(s->catalog, name);
    stored_job *j = weir_xcalloc(1, sizeof *j);
    j->a = a;
    j->stored = st;
    j->ticket.finish = on_finished;
    j->ticket.command = wsvc_registry_get(s->registry, name);
    j->call = (wsvc_call){.name = st->name,
                          .stmt = ":stored",
                          .sql = "SELECT weir.run_stored($1::text, $2::text)::text"};
    wsvc_job *job = &j->ticket.job;
    job->call = &j->call;
    job->ticket = &j->ticket;
    job->body = st->body;
    job->arrived_us = weir_mono_us();
    if (strcmp(st->name, WSVC_BATCH_NAME) == 0) {
        wsvc_batch_stored(s, job);
    } else {
        job->serializable = e && e->serializable;
        job->alone = e && (e->isolated || e->serializable);
    }
    (void)snprintf(job->id, sizeof job->id, "%s", st->id);
    job->correlation_id = st->correlation_id;
    job->traceparent = st->traceparent;
    job->role = wsvc_registry_role(s->registry, st->role);
    job->caller = st->caller;
    wsvc_submit_prepare(&j->ticket);
    wsvc_job_list_add(&s->batch, job);
}

static void on_claimed(void *async, wsvc_stored *list)
{
    wsvc_async *a = async;
    wsvc_stored *next;
    for (wsvc_stored *st = list; st; st = next) {
        next = st->next;
        if (a->s->stop_ms) {
            st->verdict = WSVC_VERDICT_LATER;
            wsvc_dispatch_settle(a->dispatch, st);
        } else {
            execute(a, st);
        }
    }
    weir_loop_again(a->s->loop);
}

/* --- life --- */

static weir_rc start(wsvc_async *a, weir_error *err)
{
    wsvc_service *s = a->s;
    const weir_settings *c = s->settings;
    wsvc_intake_conf intake = {.uri = c->postgres_uri,
                               .queue_max = (size_t)c->write_queue_max,
                               .pending_max = c->write_async_max,
                               .loop = s->loop,
                               .done = on_intake,
                               .arg = a};
    wsvc_dispatch_conf dispatch = {.uri = c->postgres_uri,
                                   .most = IN_HAND_MAX,
                                   .attempts_max = (int)c->write_async_attempts_max,
                                   .pause_max_ms = c->write_retry_pause_max_ms,
                                   .keep_ms = c->write_async_keep_ms,
                                   .dead_keep_ms = c->write_dead_keep_ms,
                                   .loop = s->loop,
                                   .metrics = s->metrics,
                                   .claimed = on_claimed,
                                   .arg = a};
    wsvc_callbacks_conf callbacks = {.uri = c->postgres_uri,
                                     .secret = c->write_callback_secret,
                                     .timeout_ms = c->write_callback_timeout_ms,
                                     .attempts_max = (int)c->write_callback_attempts_max,
                                     .pause_max_ms = c->write_retry_pause_max_ms,
                                     .allow = a->allow,
                                     .metrics = s->metrics};
    weir_rc rc = wsvc_intake_start(&a->intake, &intake, err);
    if (rc == WEIR_OK) {
        a->waiters = wsvc_waiters_new(s, a->intake);
        rc = wsvc_callbacks_start(&a->callbacks, &callbacks, err);
    }
    if (rc == WEIR_OK) {
        rc = wsvc_dispatch_start(&a->dispatch, &dispatch, err);
    }
    return rc;
}

weir_rc wsvc_async_open(wsvc_async **out, wsvc_service *s, weir_error *err)
{
    wsvc_async *a = weir_xcalloc(1, sizeof *a);
    const weir_settings *c = s->settings;
    a->s = s;
    a->m_accepted = weir_counter(s->metrics, "weir_write_async_accepted_total",
                                 "Commands stored to be executed later.", NULL);
    a->m_refused = weir_counter(s->metrics, "weir_write_async_refused_total",
                                "Commands that could not be stored.", NULL);
    a->m_pending = weir_gauge(s->metrics, "weir_write_async_pending",
                              "Stored commands not finished, counted every five seconds.", NULL);
    weir_rc rc = wsvc_allow_new(&a->allow, c->write_callback_allow, c->write_callback_secret, err);
    if (rc == WEIR_OK) {
        rc = start(a, err);
    }
    *out = a; /* closed by the service, also after a failure */
    return rc;
}

void wsvc_async_quiet(wsvc_async *a)
{
    wsvc_dispatch_quiet(a->dispatch);
    wsvc_waiters_quiet(a->waiters);
}

bool wsvc_async_idle(const wsvc_async *a)
{
    return wsvc_dispatch_in_hand(a->dispatch) == 0;
}

void wsvc_async_stop(wsvc_async *a)
{
    if (a->dispatch) {
        wsvc_dispatch_stop(a->dispatch);
    }
    if (a->callbacks) {
        wsvc_callbacks_stop(a->callbacks);
    }
    if (a->intake) {
        wsvc_intake_stop(a->intake);
    }
}

bool wsvc_async_ended(const wsvc_async *a)
{
    return (!a->dispatch || wsvc_dispatch_ended(a->dispatch)) &&
           (!a->callbacks || wsvc_callbacks_ended(a->callbacks)) &&
           (!a->intake || wsvc_intake_ended(a->intake));
}

void wsvc_async_free(wsvc_async *a)
{
    if (a) {
        wsvc_dispatch_free(a->dispatch);
        wsvc_callbacks_free(a->callbacks);
        wsvc_waiters_free(a->waiters);
        wsvc_intake_free(a->intake);
        wsvc_allow_free(a->allow);
        free(a);
    }
}

void wsvc_async_status(const wsvc_async *a, weir_buf *out)
{
    int64_t pending = wsvc_intake_pending(a->intake);
    weir_metric_set(a->m_pending, pending);
    weir_buf_printf(out, ",\"async\":{\"pending\":%lld,\"in_hand\":%zu,\"accepted\":%lld,",
                    (long long)pending, wsvc_dispatch_in_hand(a->dispatch),
                    (long long)weir_metric_value(a->m_accepted));
    wsvc_callbacks_status(a->callbacks, out);
    weir_buf_putz(out, "}");
}
