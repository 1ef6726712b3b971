/* shared.c - state, positions and signals between the bridge's threads. */
#include "bridge/shared.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"

void brg_shared_init(brg_shared *s, const weir_settings *settings)
{
    memset(s, 0, sizeof *s);
    s->settings = settings;
    s->m = weir_monitor_new();
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->last_write_ms = s->last_read_ms = weir_mono_ms();
}

void brg_shared_fini(brg_shared *s)
{
    for (size_t i = 0; i < s->nrels; i++) {
        free(s->rels[i].p);
    }
    free(s->rels);
    brg_tail_free(s->tail);
    brg_ring_free(s->ring);
    brg_store_close(&s->store);
    weir_monitor_free(s->m);
    (void)close(s->wake_fd);
}

const char *brg_state_name(brg_state state)
{
    switch (state) {
    case BRG_CONNECTING: return "connecting";
    case BRG_WAITING: return "waiting";
    case BRG_COPYING: return "copying";
    case BRG_STREAMING: return "streaming";
    case BRG_LOST: return "lost";
    case BRG_GAP: return "gap";
    case BRG_STOPPED: return "stopped";
    }
    return "?";
}

static void log_state(brg_state state, const char *text)
{
    switch (state) {
    case BRG_LOST: WEIR_ERROR("BRG-SLOT-LOST", "%s", text); break;
    case BRG_GAP: WEIR_ERROR("BRG-GAP", "%s", text); break;
    case BRG_WAITING: WEIR_WARN("BRG-WAITING", "%s", text); break;
    case BRG_CONNECTING:
        if (text[0]) {
            WEIR_WARN("BRG-CONNECTING", "%s", text);
        }
        break;
    default: WEIR_INFO("BRG-STATE", "state=%s %s", brg_state_name(state), text); break;
    }
}

void brg_set_state(brg_shared *s, brg_state state, const char *fmt, ...)
{
    char text[sizeof s->text] = "";
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
    }
    weir_monitor_lock(s->m);
    bool changed = s->state != state || strcmp(s->text, text) != 0;
    s->state = state;
    memcpy(s->text, text, sizeof text);
    weir_monitor_unlock(s->m);
    if (changed) {
        log_state(state, text);
        brg_kick(s);
    }
}

brg_state brg_get_state(brg_shared *s, char *text, size_t size)
{
    weir_monitor_lock(s->m);
    brg_state state = s->state;
    if (size) {
        (void)snprintf(text, size, "%s", s->text);
    }
    weir_monitor_unlock(s->m);
    return state;
}

bool brg_stopping(const brg_shared *s)
{
    return atomic_load_explicit(&s->stop, memory_order_relaxed);
}

void brg_pause(brg_shared *s, int64_t ms)
{
    int64_t end = weir_mono_ms() + ms;
    weir_monitor_lock(s->m);
    for (int64_t left = ms; left > 0 && !brg_stopping(s); left = end - weir_mono_ms()) {
        (void)weir_monitor_wait(s->m, left);
    }
    weir_monitor_unlock(s->m);
}

void brg_kick(brg_shared *s)
{
    if (!s->loop || !s->kick || atomic_load(&s->listeners) == 0 ||
        atomic_exchange(&s->kicked, true)) {
        return;
    }
    if (!weir_loop_post(s->loop, s->kick, s->kick_arg)) {
        atomic_store(&s->kicked, false); /* the loop has ended: nobody reads any more */
    }
}

void brg_relation_add(brg_shared *s, uint32_t version, weir_slice description)
{
    weir_monitor_lock(s->m);
    if (s->nrels == s->rels_cap) {
        s->rels_cap = s->rels_cap ? s->rels_cap * 2 : 64;
        s->rels = weir_xrealloc(s->rels, s->rels_cap * sizeof *s->rels);
    }
    brg_relation_ref *r = &s->rels[s->nrels++];
    r->version = version;
    r->n = description.n;
    r->p = weir_xmalloc(description.n);
    memcpy(r->p, description.p, description.n);
    weir_monitor_unlock(s->m);
}

void brg_durable(brg_shared *s, weir_cursor c)
{
    weir_monitor_lock(s->m);
    if (weir_cursor_cmp(c, s->durable) > 0) {
        s->durable = c;
    }
    if (s->tail) {
        brg_tail_durable(s->tail, s->durable);
    }
    weir_monitor_unlock(s->m);
}

weir_cursor brg_get_durable(brg_shared *s)
{
    weir_monitor_lock(s->m);
    weir_cursor c = s->durable;
    weir_monitor_unlock(s->m);
    return c;
}
