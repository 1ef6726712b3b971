/* waiters.c - requests that ask what became of a stored command. */
#include "write-service/waiters.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/map.h"
#include "libweir/base/xalloc.h"

enum {
    WAITERS_MAX = 1024,
    WAIT_MAX_MS = 60000,
    STREAM_WAIT_MS = 25000,
    TICK_MS = 250, /* another service may have executed it */
    SSE_MAX_BYTES = 1 << 30,
};

/* In its request's arena. */
typedef struct waiter {
    wsvc_wish wish;
    wsvc_waiters *w;
    weir_http_req *req;
    int64_t until_ms;
    bool stream, asking, again;
    const char *seen;           /* Last-Event-ID; NULL: none */
    struct waiter *same;        /* that asks for the same command */
    struct waiter *prev, *next; /* of all */
} waiter;

struct wsvc_waiters {
    wsvc_service *s;
    wsvc_intake *intake;
    weir_map *by_id; /* first of those that ask for it */
    waiter *all;
    size_t n;
    bool quiet;
    weir_loop_timer *tick;
};

static void leave(waiter *k)
{
    wsvc_waiters *w = k->w;
    weir_slice id = weir_slice_z(k->wish.id);
    waiter *first = weir_map_get(w->by_id, id);
    if (first == k) {
        if (k->same) {
            *weir_map_slot(w->by_id, id, NULL) = k->same;
        } else {
            (void)weir_map_del(w->by_id, id);
        }
    } else {
        while (first && first->same != k) {
            first = first->same;
        }
        if (first) {
            first->same = k->same;
        }
    }
    *(k->prev ? &k->prev->next : &w->all) = k->next;
    if (k->next) {
        k->next->prev = k->prev;
    }
    w->n--;
}

static void reply_stream(waiter *k)
{
    const wsvc_wish *wish = &k->wish;
    weir_buf b;
    weir_http_set_header(k->req, "Cache-Control", "no-store");
    if (wish->finished && k->seen && strcmp(k->seen, wish->version) == 0) {
        weir_http_reply(k->req, 204, NULL, (weir_slice){NULL, 0});
        return;
    }
    weir_buf_init(&b, SSE_MAX_BYTES);
    if (k->seen && strcmp(k->seen, wish->version) == 0) {
        weir_buf_putz(&b, "retry: 100\n: no change\n\n");
    } else {
        weir_buf_printf(&b, "retry: 100\nid: %s\nevent: state\ndata: ", wish->version);
        weir_buf_putz(&b, wish->document); /* one line: jsonb prints no line breaks */
        weir_buf_putz(&b, "\n\n");
    }
    weir_http_reply(k->req, 200, "text/event-stream", weir_buf_slice(&b));
    weir_buf_fini(&b);
}

static void reply(waiter *k)
{
    wsvc_wish wish = k->wish;
    wsvc_service *s = k->w->s;
    leave(k);
    if (wish.rc == WEIR_E_NOTFOUND) {
        wsvc_refuse(s, k->req, 404,
                    "there is no such asynchronous command; finished ones are forgotten after a "
                    "while");
    } else if (wish.rc != WEIR_OK) {
        weir_http_set_header(k->req, "Retry-After", "1");
        wsvc_refuse(s, k->req, 503, wish.why);
    } else if (k->stream) {
        reply_stream(k);
    } else {
        weir_http_set_header(k->req, "Cache-Control", "no-store");
        weir_http_reply(k->req, 200, "application/json", weir_slice_z(wish.document));
    }
    free(wish.document);
}

static void ask(waiter *k)
{
    if (k->asking) {
        k->again = true;
        return;
    }
    k->again = false;
    k->asking = wsvc_intake_submit(k->w->intake, &k->wish);
    if (!k->asking) {
        k->wish.rc = WEIR_E_CONN;
        (void)snprintf(k->wish.why, sizeof k->wish.why, "too many requests are waiting");
        reply(k);
    }
}

static void on_gone(void *arg)
{
    waiter *k = arg;
    k->until_ms = 0;
    ask(k);
}

static bool satisfied(const waiter *k)
{
    const wsvc_wish *wish = &k->wish;
    bool news = k->stream && !(k->seen && strcmp(k->seen, wish->version) == 0);
    return wish->rc != WEIR_OK || wish->finished || news || k->w->quiet ||
           weir_mono_ms() >= k->until_ms;
}

void wsvc_waiters_told(wsvc_waiters *w, wsvc_wish *wish)
{
    waiter *k = (waiter *)(void *)wish;
    (void)w;
    k->asking = false;
    if (satisfied(k)) {
        reply(k);
        return;
    }
    free(wish->document);
    wish->document = NULL;
    if (k->again) {
        ask(k);
    }
}

void wsvc_waiters_poke(wsvc_waiters *w, const char *id)
{
    waiter *next;
    for (waiter *k = weir_map_get(w->by_id, weir_slice_z(id)); k; k = next) {
        next = k->same;
        ask(k);
    }
}

static void ask_all(wsvc_waiters *w)
{
    waiter *next;
    for (waiter *k = w->all; k; k = next) {
        next = k->next;
        if (!k->asking) {
            ask(k);
        }
    }
}

static void on_tick(void *arg)
{
    ask_all(arg);
}

static int64_t wait_ms(const weir_http_req *req, bool stream)
{
    int64_t ms = 0;
    const char *text = weir_http_query(req, "wait_ms");
    if (!text) {
        return stream ? STREAM_WAIT_MS : 0;
    }
    if (!weir_slice_i64(weir_slice_z(text), &ms) || ms < 0) {
        return -1;
    }
    return ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
}

/* Ours are 32 hex digits; what cannot be one needs no look. */
static bool is_id(weir_slice id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-')) {
            return false;
        }
    }
    return id.n > 0 && id.n <= 64;
}

void wsvc_waiters_add(wsvc_waiters *w, weir_http_req *req, weir_slice id)
{
    if (!is_id(id)) {
        wsvc_refuse(w->s, req, 404, "there is no such asynchronous command");
        return;
    }
    weir_arena *a = weir_http_arena(req);
    const char *accept = weir_http_header(req, "Accept");
    bool stream = accept && strstr(accept, "text/event-stream");
    int64_t ms = wait_ms(req, stream);
    if (ms < 0) {
        wsvc_refuse(w->s, req, 400, "wait_ms must be a number of milliseconds");
        return;
    }
    waiter *k = w->n < WAITERS_MAX ? weir_arena_zalloc(a, sizeof *k) : NULL;
    char *z = k ? weir_arena_dupz(a, id) : NULL;
    if (!z) {
        weir_http_set_header(req, "Retry-After", "1");
        wsvc_refuse(w->s, req, 503, "too many requests are waiting for commands to end");
        return;
    }
    k->wish.kind = WSVC_INTAKE_LOOK;
    k->wish.id = z;
    k->wish.caller = weir_gate_caller(req)->scope;
    k->w = w;
    k->req = req;
    k->stream = stream;
    k->seen = stream ? weir_http_header(req, "Last-Event-ID") : NULL;
    k->until_ms = weir_mono_ms() + ms;
    void **slot = weir_map_slot(w->by_id, id, NULL);
    k->same = *slot;
    *slot = k;
    k->next = w->all;
    if (k->next) {
        k->next->prev = k;
    }
    w->all = k;
    w->n++;
    if (ms > 0) {
        weir_http_on_gone(req, on_gone, k);
    }
    ask(k);
}

void wsvc_waiters_quiet(wsvc_waiters *w)
{
    w->quiet = true;
    ask_all(w);
}

wsvc_waiters *wsvc_waiters_new(wsvc_service *s, wsvc_intake *intake)
{
    wsvc_waiters *w = weir_xcalloc(1, sizeof *w);
    w->s = s;
    w->intake = intake;
    w->by_id = weir_map_new();
    w->tick = weir_loop_timer_new(s->loop, on_tick, w);
    weir_loop_timer_arm(w->tick, TICK_MS, true);
    return w;
}

void wsvc_waiters_free(wsvc_waiters *w)
{
    if (w) {
        weir_loop_timer_free(w->tick);
        weir_map_free(w->by_id);
        free(w);
    }
}
