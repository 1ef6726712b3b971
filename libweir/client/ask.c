/* ask.c - commands, queries and questions about commands: asked, answered, waited for. */
#include <stdlib.h>

#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"
#include "libweir/client/priv.h"
#include "libweir/codec/ask.h"

static weir_client_text text_of(weir_slice s)
{
    return (weir_client_text){s.p, s.n};
}

/* {"command_id":"…","result":…,"position":"…"}: the value in the middle, which nobody need parse.
 */
static void take_parts(weir_client_reply *r)
{
    static const char head[] = "{\"command_id\":\"", middle[] = "\",\"result\":";
    static const char tail[] = ",\"position\":\"";
    const char *p = r->body.p, *end = p ? p + r->body.n : p;
    if (r->body.n < sizeof head || memcmp(p, head, sizeof head - 1) != 0) {
        return;
    }
    p += sizeof head - 1;
    const char *quote = memchr(p, '"', (size_t)(end - p));
    if (!quote) {
        return;
    }
    r->command_id = (weir_client_text){p, (size_t)(quote - p)};
    const char *value = quote + sizeof middle - 1;
    if (value > end || memcmp(quote, middle, sizeof middle - 1) != 0) {
        return;
    }
    for (const char *at = end - (sizeof tail - 1); at > value; at--) {
        if (memcmp(at, tail, sizeof tail - 1) == 0) {
            r->result = (weir_client_text){value, (size_t)(at - value)};
            return;
        }
    }
}

/* Does a refusal leave open what became of the command? When it was sent before, only an outcome
 * of its key closes that, or a refusal that it would have met the first time: others come before
 * the key is looked at, from a service that has just started, say. */
static bool may_have_run(const weir_cl_call *k, int status, const char *type)
{
    bool outcome = status == 400 || status == 409 || status == 412 || status == 422;
    return k->command &&
           ((k->left && !outcome) || strcmp(type, "urn:weir:problem:outcome-unknown") == 0);
}

static void on_answer(const weir_cl_call *k, weir_slice body, const weir_client_error *err)
{
    weir_answer a;
    weir_client_error why;
    weir_error ignored;
    if (err) {
        k->fn(k->fn_arg, NULL, err);
        return;
    }
    if (weir_answer_decode(body, &a, &ignored) != WEIR_OK) {
        (void)weir_cl_error(&why, WEIR_CLIENT_PROTOCOL, "the service's answer cannot be read");
        why.maybe_executed = k->command;
        k->fn(k->fn_arg, NULL, &why);
        return;
    }
    if (!weir_answer_ok(&a)) {
        weir_cl_error_problem(&why, a.status, a.body);
        why.retry_after_s = (int)a.retry_after_s;
        why.maybe_executed = may_have_run(k, a.status, why.type);
        k->fn(k->fn_arg, NULL, &why);
        return;
    }
    weir_client_reply r = {.status = a.status,
                           .body = text_of(a.body),
                           .position = text_of(a.position),
                           .correlation_id = text_of(a.correlation_id),
                           .etag = text_of(a.etag),
                           .model_state = text_of(a.model_state),
                           .replayed = a.replayed};
    if (k->command) {
        take_parts(&r);
    }
    k->fn(k->fn_arg, &r, NULL);
}

static weir_slice maybe(const char *z)
{
    return z ? weir_slice_z(z) : (weir_slice){NULL, 0};
}

static int64_t given(int64_t v)
{
    return v > 0 ? v : -1;
}

static int start(weir_client *c, weir_cl_where where, weir_ask *ask, int64_t timeout_ms,
                 weir_client_fn *fn, void *arg, weir_client_error *err)
{
    weir_client_error mine;
    err = err ? err : &mine;
    weir_cl_call *k = weir_cl_call_new(c, where, timeout_ms, err);
    if (!k) {
        return err->code;
    }
    ask->credentials = maybe(c->credentials);
    weir_ask_encode(&k->message, ask);
    if (k->message.failed) {
        weir_cl_call_drop(c, k);
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "the message is too large");
    }
    k->done = on_answer;
    k->fn = fn;
    k->fn_arg = arg;
    k->command = ask->op == WEIR_ASK_COMMAND;
    k->resend = !k->command || ask->idempotency_key.p;
    weir_cl_call_go(c, k);
    return WEIR_CLIENT_OK;
}

int weir_client_send_start(weir_client *c, const weir_client_command *command, weir_client_fn *fn,
                           void *arg, weir_client_error *err)
{
    weir_ask ask = weir_ask_of(WEIR_ASK_COMMAND);
    char key[33];
    if (!command->name) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "a command needs a name");
    }
    ask.name = weir_slice_z(command->name);
    ask.args = !command->args        ? WEIR_SLICE_LIT("{}")
               : command->args_bytes ? weir_slice_of(command->args, command->args_bytes)
                                     : weir_slice_z(command->args);
    ask.idempotency_key = maybe(command->idempotency_key);
    if (!ask.idempotency_key.p && c->keys && !command->async) {
        weir_random_id(key);
        ask.idempotency_key = weir_slice_z(key);
    }
    ask.if_match = maybe(command->if_match);
    ask.correlation_id = maybe(command->correlation_id);
    ask.traceparent = maybe(command->traceparent);
    ask.deadline_ms = given(command->deadline_ms);
    ask.async = command->async;
    ask.priority = given(command->priority);
    ask.not_before_ms = given(command->not_before_ms);
    ask.ordering_key = maybe(command->ordering_key);
    ask.callback = maybe(command->callback);
    return start(c, WEIR_CL_WRITE, &ask, command->timeout_ms, fn, arg, err);
}

int weir_client_get_start(weir_client *c, const weir_client_query *query, weir_client_fn *fn,
                          void *arg, weir_client_error *err)
{
    weir_ask ask = weir_ask_of(WEIR_ASK_QUERY);
    if (!query->model || query->key_parts < 1 || query->key_parts > WEIR_ASK_KEY_PARTS_MAX) {
        return weir_cl_error(err, WEIR_CLIENT_INPUT, "a query needs a model and a key");
    }
    ask.model = weir_slice_z(query->model);
    ask.nkey = query->key_parts;
    for (size_t i = 0; i < ask.nkey; i++) {
        ask.key[i] = weir_slice_z(query->key[i]);
    }
    ask.min_position = maybe(query->min_position);
    ask.wait_ms = given(query->wait_ms);
    ask.etag = maybe(query->etag);
    return start(c, WEIR_CL_READ, &ask, query->timeout_ms, fn, arg, err);
}

int weir_client_status_start(weir_client *c, const char *command_id, int64_t wait_ms,
                             weir_client_fn *fn, void *arg, weir_client_error *err)
{
    weir_ask ask = weir_ask_of(WEIR_ASK_STATUS);
    ask.id = weir_slice_z(command_id);
    ask.wait_ms = given(wait_ms);
    return start(c, WEIR_CL_WRITE, &ask, 0, fn, arg, err);
}

/* --- blocking --- */

typedef struct waiter {
    bool over;
    weir_client_reply *reply;
    weir_client_error *err;
    int rc;
} waiter;

static weir_client_text keep(char **at, weir_client_text t)
{
    char *p = *at;
    if (!t.p) {
        return t;
    }
    memcpy(p, t.p, t.n);
    p[t.n] = '\0';
    *at += t.n + 1;
    return (weir_client_text){p, t.n};
}

static weir_client_text moved(weir_client_text part, weir_client_text from, weir_client_text to)
{
    return part.p ? (weir_client_text){to.p + (part.p - from.p), part.n} : part;
}

static void on_over(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    waiter *w = arg;
    w->over = true;
    if (err) {
        w->rc = err->code;
        if (w->err) {
            *w->err = *err;
        }
        return;
    }
    size_t bytes =
        r->body.n + r->position.n + r->correlation_id.n + r->etag.n + r->model_state.n + 5;
    char *at = weir_xmalloc(bytes);
    *w->reply = *r;
    w->reply->memory = at;
    w->reply->body = keep(&at, r->body);
    w->reply->position = keep(&at, r->position);
    w->reply->correlation_id = keep(&at, r->correlation_id);
    w->reply->etag = keep(&at, r->etag);
    w->reply->model_state = keep(&at, r->model_state);
    w->reply->result = moved(r->result, r->body, w->reply->body);
    w->reply->command_id = moved(r->command_id, r->body, w->reply->body);
}

static int wait_over(weir_client *c, waiter *w)
{
    while (!w->over) {
        (void)weir_client_run(c, 60000);
    }
    return w->rc;
}

int weir_client_send(weir_client *c, const weir_client_command *command, weir_client_reply *reply,
                     weir_client_error *err)
{
    waiter w = {false, reply, err, WEIR_CLIENT_OK};
    int rc = weir_client_send_start(c, command, on_over, &w, err);
    return rc == WEIR_CLIENT_OK ? wait_over(c, &w) : rc;
}

int weir_client_get(weir_client *c, const weir_client_query *query, weir_client_reply *reply,
                    weir_client_error *err)
{
    waiter w = {false, reply, err, WEIR_CLIENT_OK};
    int rc = weir_client_get_start(c, query, on_over, &w, err);
    return rc == WEIR_CLIENT_OK ? wait_over(c, &w) : rc;
}

int weir_client_status(weir_client *c, const char *command_id, int64_t wait_ms,
                       weir_client_reply *reply, weir_client_error *err)
{
    waiter w = {false, reply, err, WEIR_CLIENT_OK};
    int rc = weir_client_status_start(c, command_id, wait_ms, on_over, &w, err);
    return rc == WEIR_CLIENT_OK ? wait_over(c, &w) : rc;
}

void weir_client_reply_free(weir_client_reply *reply)
{
    free(reply->memory);
    memset(reply, 0, sizeof *reply);
}
