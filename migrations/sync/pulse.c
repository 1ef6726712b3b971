/* pulse.c - asks a bridge once a second whether it has its database. */
#include "migrations/sync/pulse.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/json.h"
#include "libweir/codec/message.h"

enum { EACH_MS = 1000, ANSWER_MS = 5000, REQUEST_MAX_BYTES = 1000, TEXT_BYTES = 400 };

struct sync_pulse {
    weir_sp_client *client;
    weir_loop_timer *timer;
    weir_arena *a;
    bool asked;
    weir_monitor *m;
    char text[TEXT_BYTES]; /* under m; "": all is well */
};

static void note(sync_pulse *p, const char *text)
{
    weir_monitor_lock(p->m);
    (void)snprintf(p->text, sizeof p->text, "%s", text);
    weir_monitor_unlock(p->m);
}

/* A bridge that does not tell its state is an older one, and believed. */
static void take_status(sync_pulse *p, weir_slice status)
{
    weir_json *j = NULL;
    weir_error err;
    weir_slice state, reason = WEIR_SLICE_LIT("");
    if (weir_json_parse(&j, status, &err) == WEIR_OK) {
        const weir_json *slot = weir_json_get(j, "slot");
        if (!weir_json_str(slot, "state", &state) || weir_slice_eqz(state, "streaming")) {
            note(p, "");
        } else {
            (void)weir_json_str(slot, "reason", &reason);
            note(p, weir_arena_printf(
                        p->a, "the bridge does not stream (" WEIR_SLICE_FMT "): " WEIR_SLICE_FMT,
                        WEIR_SLICE_ARG(state), WEIR_SLICE_ARG(reason)));
        }
    }
    weir_json_free(j);
}

static void on_status(void *arg, weir_rc rc, weir_slice bytes)
{
    sync_pulse *p = arg;
    weir_feed_reply r = {.ok = false};
    weir_error err;
    p->asked = false;
    weir_arena_reset(p->a);
    if (rc != WEIR_OK) {
        note(p, "the bridge does not answer");
    } else if (weir_feed_reply_decode(bytes, p->a, &r, &err) == WEIR_OK && r.ok) {
        take_status(p, r.status);
    }
}

static void on_timer(void *arg)
{
    sync_pulse *p = arg;
    const char *down = weir_sp_client_down(p->client);
    if (down) {
        char text[TEXT_BYTES];
        (void)snprintf(text, sizeof text, "the bridge is away: %s", down);
        note(p, text);
    }
    if (p->asked) {
        return;
    }
    weir_buf b;
    weir_feed_req req = {.op = WEIR_FEED_STATUS};
    weir_buf_init(&b, REQUEST_MAX_BYTES);
    weir_feed_req_encode(&b, &req);
    p->asked = weir_sp_request(p->client, weir_buf_slice(&b), ANSWER_MS, on_status, p) == WEIR_OK;
    weir_buf_fini(&b);
}

sync_pulse *sync_pulse_open(weir_loop *l, weir_sp_client *client)
{
    sync_pulse *p = weir_xcalloc(1, sizeof *p);
    p->client = client;
    p->m = weir_monitor_new();
    p->a = weir_arena_new(0); /* bounded by the reply, which is */
    p->timer = weir_loop_timer_new(l, on_timer, p);
    weir_loop_timer_arm(p->timer, EACH_MS, true);
    return p;
}

void sync_pulse_close(sync_pulse *p)
{
    if (p) {
        weir_loop_timer_free(p->timer);
        weir_monitor_free(p->m);
        weir_arena_free(p->a);
        free(p);
    }
}

bool sync_pulse_lost(sync_pulse *p, char *text, size_t size)
{
    weir_monitor_lock(p->m);
    bool lost = p->text[0] != '\0';
    if (lost) {
        (void)snprintf(text, size, "%s", p->text);
    }
    weir_monitor_unlock(p->m);
    return lost;
}
