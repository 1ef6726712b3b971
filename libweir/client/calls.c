/* calls.c - calls in flight: sent when their connection is up, matched with their answers, sent
 * again or given up when it is lost. */
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/client/priv.h"

enum { TOP_BIT = (int)0x80000000 };

static uint32_t slot_of(const weir_client *c, const weir_cl_call *k)
{
    return (uint32_t)(k - c->calls);
}

static uint32_t id_of(const weir_client *c, const weir_cl_call *k)
{
    return (uint32_t)TOP_BIT | k->generation << WEIR_CL_SLOT_BITS | slot_of(c, k);
}

weir_cl_call *weir_cl_call_new(weir_client *c, weir_cl_where where, int64_t timeout_ms,
                               weir_client_error *err)
{
    if (!c->lines[where].url_text[0]) {
        static const char *const names[] = {"write_url", "read_url", "feed_url"};
        (void)weir_cl_error(err, WEIR_CLIENT_INPUT, "%s was not configured", names[where]);
        return NULL;
    }
    if (c->free_slot == c->slots) {
        (void)weir_cl_error(err, WEIR_CLIENT_BUSY, "%u calls are in flight, more than configured",
                            c->in_flight);
        return NULL;
    }
    weir_cl_call *k = &c->calls[c->free_slot];
    c->free_slot = k->next_free;
    k->generation = (k->generation + 1) & 0x7ffff;
    k->busy = true;
    k->queued = k->left = k->resend = k->command = false;
    k->where = where;
    k->deadline_ms = weir_mono_ms() + (timeout_ms > 0 ? timeout_ms : c->timeout_ms);
    weir_buf_reset(&k->message);
    c->in_flight++;
    c->lines[where].calls++;
    if (k->deadline_ms < c->soonest_ms) {
        c->soonest_ms = k->deadline_ms;
    }
    return k;
}

void weir_cl_call_drop(weir_client *c, weir_cl_call *k)
{
    enum { KEEP_BYTES = 64 * 1024 };
    if (k->message.cap > KEEP_BYTES) {
        weir_buf_fini(&k->message);
        weir_buf_init(&k->message, WEIR_CL_MESSAGE_MAX_BYTES);
    }
    k->busy = false;
    k->next_free = c->free_slot;
    c->free_slot = slot_of(c, k);
    c->in_flight--;
    c->lines[k->where].calls--;
}

static void finish(weir_client *c, weir_cl_call *k, weir_slice body, const weir_client_error *err)
{
    const weir_cl_call over = *k; /* the slot is free in the callback, which may start a call */
    weir_cl_call_drop(c, k);
    c->answered++;
    over.done(&over, body, err);
}

static void queue(weir_client *c, weir_cl_call *k)
{
    weir_cl_line *l = &c->lines[k->where];
    unsigned char head[WEIR_SP_HEAD_MAX];
    weir_buf_put(&l->out, head, weir_sp_head(head, l->url.ipc, k->message.n + 4));
    weir_buf_u32(&l->out, id_of(c, k));
    weir_buf_puts(&l->out, weir_buf_slice(&k->message));
    k->queued = true;
    k->out_end = l->out_base + l->out.n;
}

void weir_cl_call_go(weir_client *c, weir_cl_call *k)
{
    if (c->lines[k->where].state == WEIR_CL_UP) {
        queue(c, k);
    }
}

void weir_cl_calls_queue(weir_client *c, weir_cl_line *l)
{
    for (uint32_t i = 0; i < c->slots; i++) {
        weir_cl_call *k = &c->calls[i];
        if (k->busy && !k->queued && &c->lines[k->where] == l) {
            queue(c, k);
        }
    }
}

/* It may have arrived as a whole. */
static bool has_left(const weir_client *c, const weir_cl_call *k)
{
    const weir_cl_line *l = &c->lines[k->where];
    return k->queued && l->out_base + l->out_at >= k->out_end;
}

void weir_cl_calls_lost(weir_client *c, weir_cl_line *l)
{
    for (uint32_t i = 0; i < c->slots; i++) {
        weir_cl_call *k = &c->calls[i];
        if (!k->busy || &c->lines[k->where] != l) {
            continue;
        }
        if (has_left(c, k) && !k->resend) {
            weir_client_error err;
            (void)weir_cl_error(&err, WEIR_CLIENT_LOST,
                                "the connection was lost before the answer came (%s); the command "
                                "may have been executed",
                                l->why);
            err.maybe_executed = k->command;
            finish(c, k, (weir_slice){NULL, 0}, &err);
        } else {
            k->left = k->left || has_left(c, k);
            k->queued = false;
        }
    }
}

static void expire(weir_client *c, weir_cl_call *k)
{
    const weir_cl_line *l = &c->lines[k->where];
    weir_client_error err;
    bool left = k->left || has_left(c, k);
    if (left) {
        (void)weir_cl_error(&err, WEIR_CLIENT_TIMEOUT, "no answer in time");
    } else {
        (void)weir_cl_error(&err, WEIR_CLIENT_TIMEOUT, "%s cannot be reached: %s", l->url_text,
                            l->why[0] ? l->why : "no connection in time");
    }
    err.maybe_executed = k->command && left;
    finish(c, k, (weir_slice){NULL, 0}, &err);
}

void weir_cl_calls_expire(weir_client *c, int64_t now_ms)
{
    if (now_ms < c->soonest_ms) {
        return;
    }
    c->soonest_ms = INT64_MAX;
    for (uint32_t i = 0; i < c->slots; i++) {
        weir_cl_call *k = &c->calls[i];
        if (k->busy && k->deadline_ms <= now_ms) {
            expire(c, k);
        } else if (k->busy && k->deadline_ms < c->soonest_ms) {
            c->soonest_ms = k->deadline_ms;
        }
    }
}

bool weir_cl_calls_answer(weir_client *c, weir_cl_line *l, weir_slice message)
{
    if (message.n < 4 || weir_sp_ids(message.p, message.n) != 4) {
        return false;
    }
    const unsigned char *p = (const unsigned char *)message.p;
    uint32_t id = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    uint32_t slot = id & (WEIR_CL_SLOTS_MAX - 1);
    weir_cl_call *k = slot < c->slots ? &c->calls[slot] : NULL;
    if (k && k->busy && k->queued && id_of(c, k) == id && &c->lines[k->where] == l) {
        finish(c, k, weir_slice_of(message.p + 4, message.n - 4), NULL);
    }
    return true; /* a late one is nobody's */
}
