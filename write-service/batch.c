/* batch.c - several commands in one request.
 *
 * Without atomic each is a job of its own, executed like any other and in no promised order. With
 * atomic the whole is one job: weir.run_batch calls the wrappers one after the other in one
 * subtransaction.
 */
#include "write-service/batch.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/codec/lsn.h"
#include "write-service/body.h"
#include "write-service/meta.h"
#include "write-service/split.h"

enum { REPLY_MAX_BYTES = 1 << 30, META_MAX_BYTES = 4096 };

struct batch_ticket;

/* In the request's arena. */
typedef struct batch {
    wsvc_service *s;
    weir_http_req *req;
    bool atomic;
    size_t n, left; /* tickets not finished */
    struct batch_ticket *tickets;
    wsvc_part parts[WSVC_BATCH_MAX];
    wsvc_call call; /* of the atomic one */
} batch;

typedef struct batch_ticket {
    wsvc_ticket ticket;
    batch *b;
} batch_ticket;

static void put_problem(weir_buf *b, const wsvc_outcome *out)
{
    weir_buf_printf(b, "{\"status\":%d,\"type\":\"%s\",\"title\":\"%s\",\"detail\":", out->status,
                    out->type ? out->type : "about:blank", weir_http_reason(out->status));
    weir_json_quote(b, weir_slice_z(out->text ? out->text : "the error is too long to be told"));
    if (out->members && *out->members) {
        weir_buf_putz(b, ",");
        weir_buf_putz(b, out->members);
    }
    weir_buf_putz(b, "}");
}

static void put_outcome(weir_buf *b, const wsvc_outcome *out)
{
    if (out->status == 200 && out->text && out->text_bytes > 1) {
        weir_buf_putz(b, "{\"status\":200,");
        weir_buf_put(b, out->text + 1, out->text_bytes - 1);
    } else {
        put_problem(b, out);
    }
}

static wsvc_job *job_at(batch *b, size_t i)
{
    return &b->tickets[i].ticket.job;
}

/* The highest one: a query that waits for it sees all of them. */
static void set_position(batch *b)
{
    uint64_t best = 0, lsn;
    char text[WEIR_LSN_TEXT_MAX];
    for (size_t i = 0; i < b->n; i++) {
        if (weir_lsn_parse(weir_slice_z(job_at(b, i)->position), &lsn) && lsn > best) {
            best = lsn;
        }
    }
    if (best) {
        weir_http_set_header(b->req, "Weir-Position", weir_lsn_print(best, text));
    }
}

static void reply_each(batch *b)
{
    weir_buf out;
    weir_buf_init(&out, REPLY_MAX_BYTES);
    for (size_t i = 0; i < b->n; i++) {
        weir_buf_putz(&out, i ? "," : "[");
        put_outcome(&out, &job_at(b, i)->out);
        wsvc_outcome_fini(&job_at(b, i)->out);
    }
    weir_buf_putz(&out, "]");
    set_position(b);
    if (out.failed) {
        weir_http_problem(b->req, 500, NULL,
                          "the commands were executed, their results are too large to send", NULL);
    } else {
        weir_http_reply(b->req, 200, "application/json", weir_buf_slice(&out));
    }
    weir_buf_fini(&out);
}

static void reply_atomic(batch *b)
{
    wsvc_outcome out = job_at(b, 0)->out;
    job_at(b, 0)->out = (wsvc_outcome){0};
    set_position(b);
    if (out.retry_after) {
        weir_http_set_header(b->req, "Retry-After", "1");
    }
    if (out.status == 200 && out.text) {
        weir_http_reply(b->req, 200, "application/json", weir_slice_of(out.text, out.text_bytes));
    } else {
        weir_http_problem(b->req, out.status, out.type,
                          out.text ? out.text : "the error is too long to be told", out.members);
    }
    wsvc_outcome_fini(&out);
}

static void on_finished(wsvc_service *s, wsvc_ticket *t)
{
    batch *b = ((batch_ticket *)(void *)t)->b;
    if (t->command) {
        wsvc_registry_count(s->registry, t->command, t->job.out.status);
    }
    if (--b->left > 0) {
        return;
    }
    if (b->atomic) {
        reply_atomic(b);
    } else {
        reply_each(b);
    }
}

static void on_gone(void *arg)
{
    batch *b = arg;
    for (size_t i = 0; i < b->n; i++) {
        atomic_store_explicit(&job_at(b, i)->gone, true, memory_order_relaxed);
    }
}

static void fill(batch *b, wsvc_ticket *t, weir_slice body, bool alone, bool serializable)
{
    wsvc_job *j = &t->job;
    const char *correlation = weir_http_header(b->req, "X-Correlation-Id");
    const char *trace = weir_http_header(b->req, "traceparent");
    ((batch_ticket *)(void *)t)->b = b;
    t->req = b->req;
    t->finish = on_finished;
    wsvc_make_id(b->s, j->id);
    j->ticket = t;
    j->body = body;
    j->arrived_us = weir_mono_us();
    j->alone = alone;
    j->serializable = serializable;
    j->correlation_id = correlation ? correlation : j->id;
    j->traceparent = trace && wsvc_traceparent_ok(trace) ? trace : NULL;
    wsvc_submit_for(b->s, weir_gate_caller(b->req), j, NULL);
}

static void unknown(wsvc_ticket *t, weir_slice name)
{
    char detail[160];
    (void)snprintf(detail, sizeof detail, "there is no command \"%.*s\"",
                   (int)(name.n < 80 ? name.n : 80), name.p);
    wsvc_outcome_problem(&t->job.out, t->job.id, 404, NULL,
                         weir_utf8_ok(weir_slice_z(detail)) ? detail : "there is no such command",
                         NULL);
}

/* false: the arena's ceiling; nothing was begun. */
static bool prepare_each(batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const wsvc_part *part = &b->parts[i];
        wsvc_ticket *t = &b->tickets[i].ticket;
        const wsvc_entry *e = wsvc_catalog_find(b->s->catalog, part->name);
        char *text = weir_arena_dupz(weir_http_arena(b->req), part->arguments);
        if (!text) {
            return false;
        }
        fill(b, t, weir_slice_of(text, part->arguments.n), e && (e->isolated || e->serializable),
             e && e->serializable);
        if (e) {
            t->command = wsvc_registry_get(b->s->registry, e->name);
            t->job.call = wsvc_registry_call(b->s->registry, t->command, t->job.role);
            wsvc_submit_prepare(t);
        }
    }
    return true;
}

static void begin_each(batch *b)
{
    size_t missing = 0;
    for (size_t i = 0; i < b->n; i++) {
        wsvc_ticket *t = &b->tickets[i].ticket;
        if (t->command) {
            wsvc_job_list_add(&b->s->batch, &t->job);
        } else {
            unknown(t, b->parts[i].name);
            missing++;
        }
    }
    b->left -= missing;
    if (b->left == 0) {
        reply_each(b);
    }
}

/* [{"name","meta","arguments"}…] for weir.run_batch. */
static bool put_atomic(batch *b, weir_buf *out, const wsvc_job *as)
{
    weir_buf meta;
    weir_buf_init(&meta, META_MAX_BYTES);
    for (size_t i = 0; i < b->n; i++) {
        wsvc_job one = {.correlation_id = as->correlation_id,
                        .traceparent = as->traceparent,
                        .caller = as->caller};
        char *name = weir_arena_dupz(weir_http_arena(b->req), b->parts[i].name);
        one.call = &(wsvc_call){.name = name ? name : ""};
        (void)snprintf(one.id, sizeof one.id, "%s", as->id);
        weir_buf_reset(&meta);
        wsvc_meta_put(&meta, &one, weir_wall_us());
        weir_buf_printf(out, "%s{\"name\":\"%s\",\"meta\":", i ? "," : "[", one.call->name);
        weir_json_quote(out, weir_buf_slice(&meta));
        weir_buf_putz(out, ",\"arguments\":");
        weir_buf_puts(out, b->parts[i].arguments);
        weir_buf_putz(out, "}");
    }
    weir_buf_putz(out, "]");
    bool ok = !meta.failed && !out->failed;
    weir_buf_fini(&meta);
    return ok;
}

static void begin_atomic(batch *b)
{
    bool alone = false, serializable = false;
    wsvc_ticket *t = &b->tickets[0].ticket;
    weir_buf body;
    for (size_t i = 0; i < b->n; i++) {
        const wsvc_entry *e = wsvc_catalog_find(b->s->catalog, b->parts[i].name);
        if (!e) {
            char detail[120];
            (void)snprintf(detail, sizeof detail,
                           "command %zu of the batch (from 0) is not known; nothing was executed",
                           i);
            wsvc_refuse(b->s, b->req, 404, detail);
            return;
        }
        alone = alone || e->isolated || e->serializable;
        serializable = serializable || e->serializable;
    }
    fill(b, t, (weir_slice){NULL, 0}, alone, serializable);
    weir_buf_init(&body, REPLY_MAX_BYTES);
    char *text = put_atomic(b, &body, &t->job)
                     ? weir_arena_dupz(weir_http_arena(b->req), weir_buf_slice(&body))
                     : NULL;
    t->job.body = weir_slice_of(text, body.n);
    weir_buf_fini(&body);
    if (!text) {
        weir_http_set_header(b->req, "Retry-After", "1");
        wsvc_refuse(b->s, b->req, 503, "the batch needs more memory than a request may have");
        return;
    }
    b->n = b->left = 1;
    b->call = (wsvc_call){.name = "(batch)",
                          .stmt = ":batch",
                          .sql = "SELECT weir.run_batch($1::text, $2::text)::text"};
    if (t->job.role) {
        b->call.stmt = ":batch_as";
        b->call.sql = "SELECT weir.run_batch($1::text, $2::text, $3::text, $4::text)::text";
        b->call.takes_role = true;
    }
    t->command = wsvc_registry_get(b->s->registry, WEIR_SLICE_LIT("(batch)"));
    t->job.call = &b->call;
    wsvc_job_list_add(&b->s->batch, &t->job);
}

/* A header that has no meaning for a batch; NULL: none. */
static const char *misplaced(const weir_http_req *req)
{
    static const char *const names[] = {"Idempotency-Key",   "If-Match",          "Prefer",
                                        "Weir-Begin-Within", "Weir-Priority",     "Weir-Not-Before",
                                        "Weir-Deadline",     "Weir-Ordering-Key", "Weir-Callback"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (weir_http_header(req, names[i])) {
            return names[i];
        }
    }
    return NULL;
}

/* true: answered. */
static bool refused(wsvc_service *s, weir_http_req *req)
{
    const char *correlation = weir_http_header(req, "X-Correlation-Id");
    const char *name = misplaced(req);
    char detail[96];
    if (s->stop_ms || !s->catalog || !wsvc_pool_up(s->pool)) {
        weir_http_set_header(req, "Retry-After", "1");
        wsvc_refuse(s, req, 503,
                    s->stop_ms   ? "the service is stopping"
                    : s->catalog ? "PostgreSQL is away; nothing was executed"
                                 : s->seen_text);
    } else if (!wsvc_media_type_ok(weir_http_header(req, "Content-Type"))) {
        weir_http_set_header(req, "Accept-Post", "application/json");
        wsvc_refuse(s, req, 415, "a batch is a JSON array; send Content-Type: application/json");
    } else if (correlation && !wsvc_correlation_ok(correlation)) {
        wsvc_refuse(s, req, 400, "X-Correlation-Id must have 1 to 128 printable ASCII characters");
    } else if (name) {
        (void)snprintf(detail, sizeof detail, "%s does not go with a batch; nothing was executed",
                       name);
        wsvc_refuse(s, req, 501, detail);
    } else {
        return false;
    }
    return true;
}

void wsvc_batch_submit(wsvc_service *s, weir_http_req *req)
{
    weir_arena *a = weir_http_arena(req);
    weir_error err = {0};
    if (refused(s, req)) {
        return;
    }
    batch *b = weir_arena_zalloc(a, sizeof *b);
    weir_rc rc = b ? wsvc_batch_split(weir_http_body(req), b->parts, &b->n, &err)
                   : weir_fail(&err, WEIR_E_LIMIT, 0, "out of memory for this request");
    if (rc != WEIR_OK) {
        wsvc_refuse(s, req, rc == WEIR_E_INPUT ? 400 : 503,
                    weir_utf8_ok(weir_slice_z(err.msg)) ? err.msg : "the batch is not acceptable");
        return;
    }
    const char *atomic = weir_http_query(req, "atomic");
    b->s = s;
    b->req = req;
    b->left = b->n;
    b->atomic = atomic && strcmp(atomic, "true") == 0;
    b->tickets = WEIR_ARENA_ARRAY(a, batch_ticket, b->n);
    if (!weir_gate_charge(s->auth, req, (unsigned)b->n - 1)) {
        return;
    }
    if (atomic && !b->atomic && strcmp(atomic, "false") != 0) {
        wsvc_refuse(s, req, 400, "atomic must be true or false");
    } else if (!b->tickets || (!b->atomic && !prepare_each(b))) {
        weir_http_set_header(req, "Retry-After", "1");
        wsvc_refuse(s, req, 503, "the batch needs more memory than a request may have");
    } else {
        weir_http_on_gone(req, on_gone, b);
        (b->atomic ? begin_atomic : begin_each)(b);
    }
}
