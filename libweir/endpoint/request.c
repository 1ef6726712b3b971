/* request.c - an ask as the request it would be over HTTP, and the way back. */
#include "libweir/endpoint/request.h"

#include <string.h>

#include "libweir/codec/dockey.h"

enum { HEADERS_MAX = 16, PATH_MAX_BYTES = 1 << 20 };

/* A message under construction; sticky: failed once, failed for good. */
typedef struct draft {
    weir_arena *a;
    weir_http_pair headers[HEADERS_MAX], query[4];
    size_t nheaders, nquery;
    bool failed;
} draft;

static void header(draft *d, const char *name, const char *value)
{
    d->failed = d->failed || !value;
    d->headers[d->nheaders++] = (weir_http_pair){name, value};
}

static void header_text(draft *d, const char *name, weir_slice value)
{
    if (value.p) {
        header(d, name, weir_arena_dupz(d->a, value));
    }
}

static void header_number(draft *d, const char *name, const char *format, int64_t value)
{
    if (value >= 0) {
        header(d, name, weir_arena_printf(d->a, format, (long long)value));
    }
}

static void query(draft *d, const char *name, const char *value)
{
    d->failed = d->failed || !value;
    d->query[d->nquery++] = (weir_http_pair){name, value};
}

static void query_wait(draft *d, int64_t wait_ms)
{
    if (wait_ms >= 0) {
        query(d, "wait_ms", weir_arena_printf(d->a, "%lld", (long long)wait_ms));
    }
}

/* prefix, one segment, and - of a query - the key. */
static const char *path_of(draft *d, const char *prefix, weir_slice name, const weir_ask *ask)
{
    static const char hex[] = "0123456789ABCDEF";
    weir_buf b;
    weir_buf_init(&b, PATH_MAX_BYTES);
    weir_buf_putz(&b, prefix);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c > ' ' && c < 0x7f && c != '%' && c != '/' && c != '?') {
            weir_buf_u8(&b, c);
        } else {
            weir_buf_u8(&b, '%');
            weir_buf_u8(&b, (uint8_t)hex[c >> 4]);
            weir_buf_u8(&b, (uint8_t)hex[c & 15]);
        }
    }
    if (ask->nkey > 0) {
        weir_buf_putz(&b, "/");
        weir_dockey_text(&b, ask->key, ask->nkey);
    }
    const char *path = b.failed ? NULL : weir_arena_dupz(d->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    d->failed = d->failed || !path;
    return path;
}

static void command(draft *d, const weir_ask *ask)
{
    header_text(d, "Idempotency-Key", ask->idempotency_key);
    if (ask->if_match.p) {
        header(d, "If-Match",
               weir_arena_printf(d->a, "\"" WEIR_SLICE_FMT "\"", WEIR_SLICE_ARG(ask->if_match)));
    }
    if (ask->async) {
        header(d, "Prefer", "respond-async");
    }
    header_number(d, ask->async ? "Weir-Deadline" : "Weir-Begin-Within",
                  ask->async ? "+%lld" : "%lld", ask->deadline_ms);
    header_number(d, "Weir-Priority", "%lld", ask->priority);
    header_number(d, "Weir-Not-Before", "+%lld", ask->not_before_ms);
    header_text(d, "Weir-Ordering-Key", ask->ordering_key);
    header_text(d, "Weir-Callback", ask->callback);
}

static void say(draft *d, const weir_ask *ask, weir_http_foreign *out)
{
    bool posts = ask->op == WEIR_ASK_COMMAND || ask->op == WEIR_ASK_COMMANDS;
    out->method = posts ? "POST" : "GET";
    header_text(d, "Authorization", ask->credentials);
    if (posts) {
        header(d, "Content-Type", "application/json");
        header_text(d, "X-Correlation-Id", ask->correlation_id);
        header_text(d, "traceparent", ask->traceparent);
    }
    switch (ask->op) {
    case WEIR_ASK_COMMAND:
        out->path = path_of(d, "/commands/", ask->name, ask);
        command(d, ask);
        break;
    case WEIR_ASK_COMMANDS:
        out->path = "/commands";
        if (ask->atomic) {
            query(d, "atomic", "true");
        }
        break;
    case WEIR_ASK_STATUS:
        out->path = path_of(d, "/commands/", ask->id, ask);
        query_wait(d, ask->wait_ms);
        break;
    case WEIR_ASK_QUERY:
        out->path = path_of(d, "/queries/", ask->model, ask);
        header_text(d, "If-None-Match", ask->etag);
        if (ask->min_position.p) {
            query(d, "min_position", weir_arena_dupz(d->a, ask->min_position));
        }
        query_wait(d, ask->wait_ms);
        break;
    }
}

weir_rc weir_endpoint_request(const weir_ask *ask, weir_arena *a, weir_http_foreign *out,
                              weir_error *err)
{
    draft *d = weir_arena_zalloc(a, sizeof *d);
    memset(out, 0, sizeof *out);
    if (d) {
        d->a = a;
        say(d, ask, out);
    }
    if (!d || d->failed) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "the request needs too much memory");
    }
    out->headers = d->headers;
    out->nheaders = d->nheaders;
    out->query = d->query;
    out->nquery = d->nquery;
    return WEIR_OK;
}

static weir_slice told(const weir_http_answer *in, const char *name)
{
    return weir_slice_z(weir_http_pair_find(in->headers, in->nheaders, name));
}

void weir_endpoint_answer(const weir_http_answer *in, weir_buf *out)
{
    weir_answer r = {.status = in->status,
                     .body = in->body,
                     .position = told(in, "Weir-Position"),
                     .correlation_id = told(in, "X-Correlation-Id"),
                     .location = told(in, "Location"),
                     .etag = told(in, "ETag"),
                     .model_state = told(in, "Weir-Model-State"),
                     .retry_after_s = -1,
                     .replayed = told(in, "Idempotency-Replayed").p != NULL};
    weir_slice again = told(in, "Retry-After");
    if (again.p && !weir_slice_i64(again, &r.retry_after_s)) {
        r.retry_after_s = -1;
    }
    weir_answer_encode(out, &r);
}
