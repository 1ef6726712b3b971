/* port.c - requests of copying threads to the reader. */
#include "bridge/port.h"

#include <stdlib.h>
#include <unistd.h>

#include "bridge/batch.h"
#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"

typedef enum port_step { FREE, ASKED, SERVING, ANSWERED } port_step;

typedef struct place {
    port_step step;
    brg_ask *ask;
} place;

struct brg_port {
    brg_shared *s;
    weir_monitor *m;
    atomic_uint pending; /* spares the reader the lock when nothing is asked */
    place at[BRG_WINDOWS_MAX];
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
    place *at = &p->at[ask->window];
    weir_rc rc = WEIR_OK;
    weir_monitor_lock(p->m);
    at->ask = ask;
    at->step = ASKED;
    atomic_fetch_add(&p->pending, 1);
    uint64_t one = 1;
    ssize_t k = write(p->s->wake_fd, &one, sizeof one);
    (void)k; /* full: the reader is awake anyway */
    while (at->step != ANSWERED) {
        int64_t left = end - weir_mono_ms();
        bool give_up = left <= 0 || brg_stopping(p->s);
        if (give_up && at->step == ASKED) {
            rc = left <= 0 ? weir_fail(err, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                                       "the stream did not get there in time")
                           : weir_fail(err, WEIR_E_EOF, 0, "stopping");
            break;
        }
        /* While it is being served it must be awaited: the reader holds our memory. */
        (void)weir_monitor_wait(p->m, give_up || left > 200 ? 200 : left);
    }
    at->step = FREE;
    at->ask = NULL;
    atomic_fetch_sub(&p->pending, 1);
    weir_monitor_unlock(p->m);
    return rc;
}

static weir_rc merge(brg_ask *ask, brg_assembler *as, brg_window *w, weir_error *err)
{
    weir_rc rc = brg_chunk_emit(ask->chunk, as, w, &ask->redo, &ask->emitted, err);
    if (rc != WEIR_OK) {
        ask->redo = "the stream was interrupted";
    }
    ask->barrier = ask->redo == brg_recent_unsure;
    brg_window_close(w);
    return rc;
}

/* false: not yet. */
static bool answer(brg_ask *ask, brg_assembler *as, brg_windows *ws, weir_rc *rc, weir_error *err)
{
    brg_window *w = ws->w[ask->window];
    switch (ask->kind) {
    case BRG_ASK_MARK: ask->mark = brg_recent_mark(ws->recent); break;
    case BRG_ASK_SETTLED: brg_recent_settled(ws->recent, ask->mark); break;
    case BRG_ASK_WATCH:
        brg_window_watch(w, ask->table->rel.oid, ask->table->key, ask->table->nkey);
        ws->crawl_table[ask->window] = ask->crawl_table;
        break;
    case BRG_ASK_OPEN: brg_window_open(w); break;
    case BRG_ASK_MOVED:
        ask->moved_below = brg_window_moved_at(w);
        ask->nmoved = brg_window_take_moved(w, ask->a, &ask->moved, &ask->overflow);
        break;
    case BRG_ASK_NOTE: break;
    case BRG_ASK_UNWATCH:
        brg_window_unwatch(w);
        ws->crawl_table[ask->window] = -1;
        break;
    case BRG_ASK_CHUNK:
        if (brg_assembler_in_tx(as) || brg_assembler_head(as).lsn < ask->chunk->passed_lsn) {
            return false;
        }
        *rc = merge(ask, as, w, err);
        break;
    }
    return true;
}

/* What is kept of it goes behind the frames it made, so it never tells of rows that are not there.
 */
static weir_rc note(brg_ask *ask, brg_assembler *as, weir_error *err)
{
    if (!ask->note || ask->redo) {
        return WEIR_OK;
    }
    weir_buf b;
    weir_buf_init(&b, BRG_BATCH_MAX_BYTES);
    ask->note(ask->note_arg, ask, &b);
    if (b.n == 0 || b.failed) {
        bool failed = b.failed;
        weir_buf_fini(&b);
        return failed ? weir_fail(err, WEIR_E_LIMIT, 0, "a key is too large to be remembered")
                      : WEIR_OK;
    }
    return brg_assembler_crawl(as, &b, err);
}

static weir_rc serve_one(brg_port *p, place *at, brg_assembler *as, brg_windows *ws, bool *busy,
                         weir_error *err)
{
    weir_monitor_lock(p->m);
    brg_ask *ask = at->step == ASKED ? at->ask : NULL;
    at->step = ask ? SERVING : at->step;
    weir_monitor_unlock(p->m);
    if (!ask) {
        return WEIR_OK;
    }
    weir_rc rc = WEIR_OK;
    bool answered = answer(ask, as, ws, &rc, err);
    if (answered && rc == WEIR_OK) {
        rc = note(ask, as, err);
        ask->redo = rc == WEIR_OK ? ask->redo : "the stream was interrupted";
    }
    *busy = *busy || !answered;
    weir_monitor_lock(p->m);
    at->step = answered ? ANSWERED : ASKED;
    weir_monitor_wake(p->m);
    weir_monitor_unlock(p->m);
    return rc;
}

weir_rc brg_port_serve(brg_port *p, brg_assembler *as, brg_windows *ws, bool *busy, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    *busy = false;
    for (int i = 0; i < BRG_WINDOWS_MAX && rc == WEIR_OK && atomic_load(&p->pending) > 0; i++) {
        rc = serve_one(p, &p->at[i], as, ws, busy, err);
    }
    return rc;
}
