/* http_wait.c - how a connection waits for its reply: held, then suspended.
 *
 * Suspended, the library has forgotten it: nothing can happen to it, but going and coming back cost
 * three system calls (out of the epoll set, into it again, and a read that finds nothing). Held,
 * the library asks us for the reply in each of its runs. A reply that comes within a few runs has
 * cost only those questions; after HTTP_ASKED_MAX of them, or HTTP_HELD_MS, the connection is
 * suspended after all, so that many that wait long cost nothing.
 *
 * A held connection can end before its reply, for instance by a reset. Its request then goes on as
 * that of a client that is gone.
 */
#include <stdlib.h>

#include "libweir/io/http_priv.h"

void weir_http_wait_end(weir_http_req *req)
{
    if (req->held) {
        req->held = false;
        req->h->nheld--;
    }
}

void weir_http_wait(weir_http_req *req)
{
    weir_http *h = req->h;
    if (!h->conf.short_waits || h->releasing || req->gone_fn) {
        MHD_suspend_connection(req->conn);
        return;
    }
    req->held = true;
    h->nheld++;
    if (!h->release_armed) {
        h->release_armed = true;
        weir_loop_timer_arm(h->release, HTTP_HELD_MS, false);
    }
}

void weir_http_wait_on(weir_http_req *req)
{
    if (++req->asked >= HTTP_ASKED_MAX || req->h->releasing || req->gone_fn) {
        weir_http_wait_end(req);
        MHD_suspend_connection(req->conn);
    }
}

static void answer_nobody(void *arg, const weir_http_answer *answer)
{
    (void)arg;
    (void)answer;
}

void weir_http_wait_lost(weir_http_req *req)
{
    if (!req->held) {
        abort(); /* our bug: a suspended connection cannot end, weir_http_close resumes all */
    }
    weir_http_wait_end(req);
    weir_loop_del(req->gone_source);
    req->gone_source = NULL;
    const char *method = weir_arena_strdup(req->arena, req->method);
    req->method = method ? method : "";
    req->conn = NULL;
    req->peer = NULL;
    req->foreign =
        (weir_http_foreign){.method = req->method, .path = req->path, .answer = answer_nobody};
    req->gone = true;
    if (req->gone_fn) {
        req->h->some_gone = true;
        weir_loop_again(req->h->l);
    }
}
