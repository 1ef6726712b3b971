/* port.c - requests of the copier to the reader. */
#include "bridge/port.h"

#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"

enum port_step { FREE, ASKED, SERVING, ANSWERED };

struct brg_port {
    brg_shared *s;
    weir_monitor *m;
    atomic_bool pending; /* spares the reader the lock when nothing is asked */
    enum port_step step;
    brg_ask *ask;
};

brg_port *brg_port_new(brg_shared *s)
{
    brg_port *p = weir_xcalloc(1, sizeof *p);
    p->s = s;
    p->m = weir_monitor_new();
    return p;
}

void brg_port_free(brg_port *p)
{
    if (p) {
        weir_monitor_free(p->m);
        free(p);
    }
}

weir_rc brg_port_ask(brg_port *p, brg_ask *ask, int64_t wait_ms, weir_error *err)
{
    int64_t end = weir_mono_ms() + wait_ms;
    weir_rc rc = WEIR_OK;
    weir_monitor_lock(p->m);
    p->ask = ask;
    p->step = ASKED;
    atomic_store(&p->pending, true);
    uint64_t one = 1;
    ssize_t k = write(p->s->wake_fd, &one, sizeof one);
    (void)k; /* full: the reader is awake anyway */
    while (p->step != ANSWERED) {
        int64_t left = end - weir_mono_ms();
        bool give_up = left <= 0 || brg_stopping(p->s);
        if (give_up && p->step == ASKED) {
            rc = left <= 0 ? weir_fail(err, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                                       "the stream did not get there in time")
                           : weir_fail(err, WEIR_E_EOF, 0, "stopping");
            break;
        }
        /* While it is being served it must be awaited: the reader holds our memory. */
        (void)weir_monitor_wait(p->m, give_up || left > 200 ? 200 : left);
    }
    p->step = FREE;
    p->ask = NULL;
    atomic_store(&p->pending, false);
    weir_monitor_unlock(p->m);
    return rc;
}

/* false: not yet. */
static bool answer(brg_ask *ask, brg_assembler *as, brg_window *w, weir_rc *rc, weir_error *err)
{
    switch (ask->kind) {
    case BRG_ASK_WATCH:
        brg_window_watch(w, &ask->table->rel, ask->table->key, ask->table->nkey);
        return true;
    case BRG_ASK_OPEN: brg_window_open(w); return true;
    case BRG_ASK_MOVED:
        ask->nmoved = brg_window_take_moved(w, ask->a, &ask->moved, &ask->overflow);
        return true;
    case BRG_ASK_UNWATCH: brg_window_unwatch(w); return true;
    case BRG_ASK_CHUNK:
        if (brg_assembler_in_tx(as) || brg_assembler_head(as).lsn < ask->chunk->passed_lsn) {
            return false;
        }
        *rc = brg_chunk_emit(ask->chunk, as, w, &ask->redo, &ask->emitted, err);
        if (*rc != WEIR_OK) {
            ask->redo = "the stream was interrupted";
        }
        return true;
    }
    return true;
}

weir_rc brg_port_serve(brg_port *p, brg_assembler *as, brg_window *w, bool *busy, weir_error *err)
{
    *busy = false;
    if (!atomic_load(&p->pending)) {
        return WEIR_OK;
    }
    weir_monitor_lock(p->m);
    brg_ask *ask = p->step == ASKED ? p->ask : NULL;
    p->step = ask ? SERVING : p->step;
    weir_monitor_unlock(p->m);
    if (!ask) {
        return WEIR_OK;
    }
    weir_rc rc = WEIR_OK;
    bool answered = answer(ask, as, w, &rc, err);
    *busy = !answered;
    weir_monitor_lock(p->m);
    p->step = answered ? ANSWERED : ASKED;
    weir_monitor_wake(p->m);
    weir_monitor_unlock(p->m);
    return rc;
}
