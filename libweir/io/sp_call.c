/* sp_call.c - one request and its answer, waited for. */
#include "libweir/base/clock.h"
#include "libweir/io/sp_client.h"

typedef struct waiter {
    weir_buf *reply;
    bool over;
    weir_rc rc;
} waiter;

static void on_reply(void *arg, weir_rc rc, weir_slice reply)
{
    waiter *w = arg;
    w->over = true;
    w->rc = rc;
    weir_buf_puts(w->reply, reply);
}

static weir_rc wait_for(weir_loop *l, weir_sp_client *c, const char *url, waiter *w,
                        weir_error *err)
{
    enum { TURN_MS = 1000 };
    while (!w->over) {
        const char *down = weir_sp_client_met(c) ? NULL : weir_sp_client_down(c);
        if (down) {
            return weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "no answer from %s: %s", url, down);
        }
        weir_loop_turn(l, TURN_MS);
    }
    if (w->rc != WEIR_OK) {
        const char *down = weir_sp_client_down(c);
        return weir_fail(err, w->rc, WEIR_EF_RETRY, "no answer from %s: %s", url,
                         down ? down : "not in time");
    }
    return w->reply->failed ? weir_fail(err, WEIR_E_LIMIT, 0, "the answer of %s is too large", url)
                            : WEIR_OK;
}

weir_rc weir_sp_call(const char *url, weir_slice request, int64_t timeout_ms, weir_buf *reply,
                     weir_error *err)
{
    weir_loop *l = NULL;
    weir_sp_client *c = NULL;
    waiter w = {.reply = reply};
    weir_rc rc = weir_loop_new(&l, err);
    if (rc == WEIR_OK) {
        rc = weir_sp_client_open(&c, l, url, SIZE_MAX, err); /* a tool takes any answer */
    }
    if (rc == WEIR_OK) {
        rc = weir_sp_request(c, request, timeout_ms, on_reply, &w);
    }
    if (rc == WEIR_OK) {
        rc = wait_for(l, c, url, &w, err);
    }
    weir_sp_client_close(c);
    if (l) {
        weir_loop_free(l);
    }
    return rc;
}
