/* health.c - /healthz, /readyz, /status and /metrics. */
#include "libweir/io/health.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

enum { HEALTH_MAX_BYTES = 4 * 1024 * 1024 };

typedef struct condition {
    char *what;
    char *text; /* NULL: closed */
} condition;

struct weir_health {
    weir_metrics *ms;
    condition *conditions;
    size_t n;
    char *stuck;
    int64_t started_ms;
    void (*status_fn)(void *arg, weir_buf *out);
    void *status_arg;
};

weir_health *weir_health_new(weir_metrics *ms)
{
    weir_health *h = weir_xcalloc(1, sizeof *h);
    h->ms = ms;
    h->started_ms = weir_mono_ms();
    return h;
}

void weir_health_free(weir_health *h)
{
    if (!h) {
        return;
    }
    for (size_t i = 0; i < h->n; i++) {
        free(h->conditions[i].what);
        free(h->conditions[i].text);
    }
    free(h->conditions);
    free(h->stuck);
    free(h);
}

void weir_health_wait(weir_health *h, const char *what, const char *text)
{
    char *copy = text ? weir_xstrdup(text) : NULL;
    for (size_t i = 0; i < h->n; i++) {
        if (strcmp(h->conditions[i].what, what) == 0) {
            free(h->conditions[i].text);
            h->conditions[i].text = copy;
            return;
        }
    }
    if (!copy) {
        return;
    }
    h->conditions = weir_xrealloc(h->conditions, (h->n + 1) * sizeof *h->conditions);
    h->conditions[h->n++] = (condition){weir_xstrdup(what), copy};
}

void weir_health_stuck(weir_health *h, const char *text)
{
    free(h->stuck);
    h->stuck = text ? weir_xstrdup(text) : NULL;
}

bool weir_health_ready(const weir_health *h)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->conditions[i].text) {
            return false;
        }
    }
    return true;
}

void weir_health_status_fn(weir_health *h, void (*fn)(void *arg, weir_buf *out), void *arg)
{
    h->status_fn = fn;
    h->status_arg = arg;
}

static void put_waits(const weir_health *h, weir_buf *b)
{
    const char *comma = "";
    weir_buf_putz(b, ",\"waits\":[");
    for (size_t i = 0; i < h->n; i++) {
        if (h->conditions[i].text) {
            char text[600];
            (void)snprintf(text, sizeof text, "%s: %s", h->conditions[i].what,
                           h->conditions[i].text);
            weir_buf_putz(b, comma);
            weir_json_quote(b, weir_slice_z(text));
            comma = ",";
        }
    }
    weir_buf_u8(b, ']');
}

static void put_status(const weir_health *h, weir_buf *b)
{
    weir_buf_putz(b, "{\"service\":");
    weir_json_quote(b, weir_slice_z(program_invocation_short_name));
    weir_buf_printf(
        b, ",\"version\":\"%s\",\"pid\":%d,\"uptime_s\":%lld,\"ready\":%s,\"stuck\":", WEIR_VERSION,
        (int)getpid(), (long long)((weir_mono_ms() - h->started_ms) / 1000),
        weir_health_ready(h) ? "true" : "false");
    if (h->stuck) {
        weir_json_quote(b, weir_slice_z(h->stuck));
    } else {
        weir_buf_putz(b, "null");
    }
    put_waits(h, b);
    size_t before = b->n;
    if (h->status_fn) {
        weir_buf_u8(b, ',');
        h->status_fn(h->status_arg, b);
        if (b->n == before + 1) {
            b->n = before; /* nothing to say: take the comma back */
        }
    }
    weir_buf_putz(b, "}\n");
}

static int answer_healthz(const weir_health *h, weir_buf *b)
{
    if (!h->stuck) {
        weir_buf_putz(b, "ok\n");
        return 200;
    }
    weir_buf_printf(b, "stuck: %s\n", h->stuck);
    return 503;
}

static int answer_readyz(const weir_health *h, weir_buf *b)
{
    bool ready = weir_health_ready(h);
    if (ready) {
        weir_buf_putz(b, "ready\n");
    }
    for (size_t i = 0; i < h->n; i++) {
        if (h->conditions[i].text) {
            weir_buf_printf(b, "%s: %s\n", h->conditions[i].what, h->conditions[i].text);
        }
    }
    put_status(h, b);
    return ready ? 200 : 503;
}

static size_t path_number(const char *path)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/status", "/metrics"};
    size_t which = 0;
    while (which < 4 && strcmp(path, paths[which]) != 0) {
        which++;
    }
    return which;
}

bool weir_health_path(const char *path)
{
    return path_number(path) < 4;
}

void weir_health_brief(const weir_health *h, weir_http_req *req)
{
    bool ready = weir_health_ready(h);
    char text[80];
    (void)snprintf(text, sizeof text, "%s\n{\"pid\":%d,\"ready\":%s}\n",
                   ready ? "ready" : "not ready", (int)getpid(), ready ? "true" : "false");
    weir_http_set_header(req, "Cache-Control", "no-store");
    weir_http_reply(req, ready ? 200 : 503, "text/plain; charset=utf-8", weir_slice_z(text));
}

bool weir_health_handle(weir_health *h, weir_http_req *req)
{
    size_t which = path_number(weir_http_path(req));
    if (which == 4) {
        return false;
    }
    const char *method = weir_http_method(req);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        weir_http_set_header(req, "Allow", "GET, HEAD");
        weir_http_problem(req, 405, NULL, "this path answers GET and HEAD", NULL);
        return true;
    }
    weir_buf b;
    weir_buf_init(&b, HEALTH_MAX_BYTES);
    const char *type = "text/plain; charset=utf-8";
    int status = 200;
    if (which == 0) {
        status = answer_healthz(h, &b);
    } else if (which == 1) {
        status = answer_readyz(h, &b);
    } else if (which == 2) {
        type = "application/json";
        put_status(h, &b);
    } else {
        type = "text/plain; version=0.0.4; charset=utf-8";
        weir_metrics_render(h->ms, &b);
    }
    weir_http_set_header(req, "Cache-Control", "no-store");
    if (b.failed) {
        weir_http_problem(req, 500, NULL, "the answer is too large", NULL);
    } else {
        weir_http_reply(req, status, type, weir_buf_slice(&b));
    }
    weir_buf_fini(&b);
    return true;
}

static void handle_only_health(void *arg, weir_http_req *req)
{
    if (!weir_health_handle(arg, req)) {
        weir_http_problem(req, 404, NULL,
                          "this port answers /healthz, /readyz, /status and /metrics", NULL);
    }
}

weir_rc weir_health_serve(weir_health *h, weir_loop *l, const char *listen, int port,
                          weir_http **out, weir_error *err)
{
    const weir_http_conf conf = {.listen = listen,
                                 .port = port,
                                 .body_max_bytes = 4096,
                                 .connections_max = 64,
                                 .handler = handle_only_health,
                                 .arg = h};
    return weir_http_open(out, l, &conf, err);
}
