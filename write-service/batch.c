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
#include "write-service/async.h"
#include "write-service/body.h"
#include "write-service/split.h"

enum { REPLY_MAX_BYTES = 1 << 30 };

typedef struct batch batch;

typedef struct batch_ticket {
    wsvc_ticket ticket;
    batch *b;
    wsvc_options options;
} batch_ticket;

/* In the request's arena. */
struct batch {
    wsvc_service *s;
    weir_http_req *req;
    bool atomic;
    size_t n, left; /* tickets not finished */
    batch_ticket *tickets;
    wsvc_options options;
    wsvc_part parts[WSVC_BATCH_MAX];
    wsvc_call call; /* of the atomic one, or of the claim */
    batch_ticket claim;
};

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
    set_position(b);
    wsvc_reply(b->req, &job_at(b, 0)->out);
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
    atomic_store_explicit(&b->claim.ticket.job.gone, true, memory_order_relaxed);
}

static void refuse_memory(wsvc_service *s, weir_http_req *req)
{
    weir_http_set_header(req, "Retry-After", "1");
    wsvc_refuse(s, req, 503, "the batch needs more memory than a request may have");
}

static void fill(batch *b, wsvc_ticket *t, weir_slice body, bool alone, bool serializable)
{
    wsvc_job *j = &t->job;
    ((batch_ticket *)(void *)t)->b = b;
    t->req = b->req;
    t->finish = on_finished;
    t->watched = true; /* the batch looks after its client */
    wsvc_make_id(b->s, j->id);
    j->ticket = t;
    j->body = body;
    j->arrived_us = weir_mono_us();
    j->alone = alone;
    j->serializable = serializable;
    wsvc_submit_traced(b->req, j);
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
            weir_error err = {0};
            if (wsvc_options_of_part(&b->tickets[i].options, &b->options, i,
                                     weir_http_arena(b->req), &err) != WEIR_OK) {
                return false;
            }
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
            wsvc_submit_apply(b->s, t, &b->tickets[i].options);
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

/* The first command nobody knows; b->n: all are known. */
static size_t first_unknown(const batch *b)
{
    size_t i = 0;
    while (i < b->n && wsvc_catalog_find(b->s->catalog, b->parts[i].name)) {
        i++;
    }
    return i;
}

/* true: answered. */
static bool refused_as_unknown(batch *b)
{
    size_t i = first_unknown(b);
    char detail[120];
    (void)snprintf(detail, sizeof detail,
                   "command %zu of the batch (from 0) is not known; nothing was executed", i);
    if (i < b->n) {
        wsvc_refuse(b->s, b->req, 404, detail);
    }
    return i < b->n;
}

static void take_nature(const wsvc_service *s, const wsvc_part *parts, size_t n, wsvc_job *j)
{
    for (size_t i = 0; i < n; i++) {
        const wsvc_entry *e = wsvc_catalog_find(s->catalog, parts[i].name);
        j->alone = j->alone || (e && (e->isolated || e->serializable));
        j->serializable = j->serializable || (e && e->serializable);
    }
}

void wsvc_batch_stored(const wsvc_service *s, wsvc_job *j)
{
    wsvc_part parts[WSVC_BATCH_MAX];
    weir_error err = {0};
    size_t n = 0;
    if (wsvc_batch_split(j->body, parts, &n, &err) == WEIR_OK) {
        take_nature(s, parts, n, j);
    }
}

static void begin_atomic(batch *b)
{
    wsvc_ticket *t = &b->tickets[0].ticket;
    char *text = weir_arena_dupz(weir_http_arena(b->req), weir_http_body(b->req));
    if (refused_as_unknown(b)) {
        return;
    }
    if (!text) {
        refuse_memory(b->s, b->req);
        return;
    }
    fill(b, t, weir_slice_of(text, weir_http_body(b->req).n), false, false);
    take_nature(b->s, b->parts, b->n, &t->job);
    b->n = b->left = 1;
    t->command = wsvc_registry_get(b->s->registry, WEIR_SLICE_LIT(WSVC_BATCH_NAME));
    b->call = (wsvc_call){.name = WSVC_BATCH_NAME,
                          .stmt = ":batch",
                          .sql = "SELECT weir.run_batch($1::text, $2::text)::text"};
    if (t->job.role) {
        b->call.stmt = ":batch_as";
        b->call.sql = "SELECT weir.run_batch($1::text, $2::text, $3::text, $4::text)::text";
        b->call.takes_role = true;
    }
    t->job.call = &b->call;
    wsvc_submit_apply(b->s, t, &b->options);
    wsvc_job_list_add(&b->s->batch, &t->job);
}

/* --- a batch with an Idempotency-Key, each command by itself ------------------------------------
 * The batch takes the key for its list, then each command has a key of its own below it. What a
 * crash left undone is done by the repetition, and nothing twice. */

static void on_claimed(wsvc_service *s, wsvc_ticket *t)
{
    batch *b = ((batch_ticket *)(void *)t)->b;
    (void)s;
    if (t->job.out.status == 200) {
        wsvc_outcome_fini(&t->job.out);
        begin_each(b);
    } else {
        wsvc_reply(b->req, &t->job.out);
    }
}

static void put_claim(const batch *b, weir_buf *out)
{
    weir_buf_putz(out, "{\"key\":");
    weir_json_quote(out, weir_slice_z(b->options.key_text));
    if (b->options.version) {
        weir_buf_putz(out, ",\"expected_version\":");
        weir_json_quote(out, weir_slice_z(b->options.version));
    }
    weir_buf_putz(out, ",\"list\":");
    weir_buf_puts(out, weir_http_body(b->req));
    weir_buf_putz(out, "}");
}

static void begin_claim(batch *b)
{
    wsvc_ticket *t = &b->claim.ticket;
    weir_buf body;
    weir_buf_init(&body, REPLY_MAX_BYTES);
    put_claim(b, &body);
    char *text =
        body.failed ? NULL : weir_arena_dupz(weir_http_arena(b->req), weir_buf_slice(&body));
    fill(b, t, weir_slice_of(text, body.n), false, false);
    weir_buf_fini(&body);
    if (!text) {
        refuse_memory(b->s, b->req);
        return;
    }
    wsvc_submit_apply(b->s, t, &b->options);
    t->finish = on_claimed;
    t->command = wsvc_registry_get(b->s->registry, WEIR_SLICE_LIT(WSVC_BATCH_NAME));
    b->call = (wsvc_call){.name = WSVC_BATCH_NAME,
                          .stmt = ":claim",
                          .sql = "SELECT weir.claim_batch($1::text, $2::text)::text"};
    t->job.call = &b->call;
    t->job.options = NULL; /* they are in its body */
    wsvc_job_list_add(&b->s->batch, &t->job);
}

/* --- Prefer: respond-async ----------------------------------------------------------------------
 */

/* [{"id","name","body"}…], and the ids alone. */
static void put_parts(batch *b, weir_buf *list, weir_buf *ids)
{
    for (size_t i = 0; i < b->n; i++) {
        char id[WSVC_ID_BYTES];
        wsvc_make_id(b->s, id);
        weir_buf_printf(ids, "%s\"%s\"", i ? "," : "[", id);
        weir_buf_printf(list, "%s{\"id\":\"%s\",\"name\":", i ? "," : "[", id);
        weir_json_quote(list, b->parts[i].name);
        weir_buf_putz(list, ",\"body\":");
        weir_json_quote(list, b->parts[i].arguments);
        weir_buf_putz(list, "}");
    }
    weir_buf_putz(list, "]");
    weir_buf_putz(ids, "]");
}

static void store(batch *b)
{
    weir_arena *a = weir_http_arena(b->req);
    wsvc_later later = {.name = WSVC_BATCH_NAME, .body = weir_http_body(b->req)};
    bool ok = true;
    if (refused_as_unknown(b)) {
        return;
    }
    if (!b->atomic) {
        weir_buf list, ids;
        weir_buf_init(&list, REPLY_MAX_BYTES);
        weir_buf_init(&ids, REPLY_MAX_BYTES);
        put_parts(b, &list, &ids);
        later.name = "(batch later)"; /* nothing is stored under it: it tells the keys apart */
        later.list = list.failed ? NULL : weir_arena_dupz(a, weir_buf_slice(&list));
        later.ids = ids.failed ? NULL : weir_arena_dupz(a, weir_buf_slice(&ids));
        ok = later.list && later.ids;
        weir_buf_fini(&list);
        weir_buf_fini(&ids);
    }
    if (ok) {
        wsvc_async_store(b->s->async, b->req, &later);
    } else {
        refuse_memory(b->s, b->req);
    }
}

/* --- the request ---------------------------------------------------------------------------------
 */

/* true: answered. */
static bool refused(wsvc_service *s, weir_http_req *req)
{
    if (s->stop_ms || !s->catalog || !wsvc_pool_up(s->pool)) {
        weir_http_set_header(req, "Retry-After", "1");
        wsvc_refuse(s, req, 503,
                    s->stop_ms   ? "the service is stopping"
                    : s->catalog ? "PostgreSQL is away; nothing was executed"
                                 : s->seen_text);
        return true;
    }
    return !wsvc_submit_headers(s, req,
                                "a batch is a JSON array; send Content-Type: application/json");
}

static void begin(batch *b)
{
    b->left = b->n;
    b->tickets = WEIR_ARENA_ARRAY(weir_http_arena(b->req), batch_ticket, b->n);
    if (!b->tickets || (!b->atomic && !prepare_each(b))) {
        refuse_memory(b->s, b->req);
        return;
    }
    weir_http_on_gone(b->req, on_gone, b);
    if (b->atomic) {
        begin_atomic(b);
    } else if (b->options.has_key) {
        begin_claim(b);
    } else {
        begin_each(b);
    }
}

void wsvc_batch_submit(wsvc_service *s, weir_http_req *req)
{
    weir_error err = {0};
    if (refused(s, req)) {
        return;
    }
    batch *b = weir_arena_zalloc(weir_http_arena(req), sizeof *b);
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
    b->atomic = atomic && strcmp(atomic, "true") == 0;
    if (!weir_gate_charge(s->auth, req, (unsigned)b->n - 1)) {
        return;
    }
    if (atomic && !b->atomic && strcmp(atomic, "false") != 0) {
        wsvc_refuse(s, req, 400, "atomic must be true or false");
        return;
    }
    wsvc_asked asked = wsvc_async_asked(s->async, req);
    if (asked == WSVC_ASKED_LATER) {
        store(b);
    } else if (asked == WSVC_ASKED_NOW && wsvc_submit_options(s, req, &b->options)) {
        begin(b);
    }
}
