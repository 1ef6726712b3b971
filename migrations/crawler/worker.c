/* worker.c - takes ranges, copies them, says what became of them; the last one of a table builds
 * its key. */
#include <inttypes.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/lsn.h"
#include "migrations/crawler/job.h"

enum { TRIES_MAX = 30, BACKOFF_MS = 100, BACKOFF_MAX_MS = 5000, ROWS_LEAST = 50, REDO_MAX = 20 };
enum { IDLE_MS = 200, PAUSE_MS = 1000 };

typedef enum work { WORK_NONE, WORK_GAP, WORK_CUT, WORK_REDO, WORK_END } work;

void crw_fail(crw *c, const weir_error *err)
{
    weir_monitor_lock(c->m);
    if (!atomic_exchange(&c->failed, true)) {
        c->err = *err;
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

static bool busy(const crw_tab *t)
{
    return t->open > 0 || t->cutting;
}

static work work_of(const crw_tab *t)
{
    if (t->copied || t->ending) {
        return WORK_NONE;
    }
    if (t->redo) {
        return busy(t) ? WORK_NONE : WORK_REDO;
    }
    if (t->gaps) {
        return WORK_GAP;
    }
    if (t->cutting) {
        return WORK_NONE;
    }
    if (!t->cut_all) {
        return WORK_CUT;
    }
    return t->open == 0 ? WORK_END : WORK_NONE;
}

/* Of the tables with work the one fewest are at, so that tables go side by side; tables are sorted,
 * the largest first. The caller holds the monitor. *all: nothing is left, now or later. */
static crw_tab *pick(crw *c, bool *all)
{
    crw_tab *best = NULL;
    *all = true;
    for (size_t i = 0; i < c->ntabs; i++) {
        crw_tab *t = &c->tabs[i];
        *all = *all && t->copied;
        if (work_of(t) != WORK_NONE && (!best || t->open < best->open)) {
            best = t;
        }
    }
    return best;
}

/* Marks what the worker is going to do, so that nobody else does it. */
static work take(crw_tab *t, crw_range **range)
{
    work w = work_of(t);
    *range = NULL;
    switch (w) {
    case WORK_GAP:
        *range = t->gaps;
        t->gaps = (*range)->next;
        t->open++;
        break;
    case WORK_CUT: t->cutting = true; break;
    case WORK_REDO:
    case WORK_END: t->ending = true; break;
    case WORK_NONE: break;
    }
    return w;
}

/* After a failure that may pass: the connections are opened anew, after a while. */
static bool try_again(crw_pair *p, const char *what, int tries, const weir_error *err)
{
    if (crw_ended(p->c)) {
        return false;
    }
    if (!(err->flags & WEIR_EF_RETRY) || tries > TRIES_MAX) {
        weir_error e = *err;
        weir_error_wrap(&e, "%s", what);
        crw_fail(p->c, &e);
        return false;
    }
    WEIR_WARN("CRW-AGAIN", "what=\"%s\" tries=%d error=\"%s\"", what, tries, err->msg);
    crw_pair_close(p);
    int64_t ms = (int64_t)BACKOFF_MS << (tries < 7 ? tries : 7);
    return crw_wait(p->c, ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS);
}

static int64_t next_size(const crw *c, const crw_tab *t, const crw_chunk *ch)
{
    int64_t rows = t->chunk_rows;
    double factor = (double)c->own.chunk_ms / (double)(ch->read_ms > 0 ? ch->read_ms : 1);
    factor = factor > 2 ? 2 : factor < 0.25 ? 0.25 : factor;
    /* Only a chunk of about the present size says something about it. */
    if (ch->rows * 2 >= rows || factor < 1) {
        rows = (int64_t)((double)rows * factor);
    }
    rows = rows < ROWS_LEAST ? ROWS_LEAST : rows;
    rows = rows > c->own.chunk_rows_max ? c->own.chunk_rows_max : rows;
    return rows;
}

/* Others may still compare with t->storage: the new one is taken over when no chunk runs. */
static void want_redo(crw_tab *t, crw_chunk *ch)
{
    if (ch->changed) {
        t->redo = true;
        free(t->storage_now);
        t->storage_now = ch->storage;
        ch->storage = NULL;
    }
}

/* A chunk is over, well or not; when not, its range is there to be taken again. */
static void put_back(crw *c, crw_chunk *ch, bool done)
{
    crw_tab *t = ch->t;
    uint64_t lsn = 0;
    weir_monitor_lock(c->m);
    atomic_fetch_sub(&c->live_rows, ch->live);
    t->open--;
    want_redo(t, ch);
    if (ch->in_chunks) { /* nobody else is at this table */
        crw_tab_rewind(t);
        t->whole = false;
    } else if (done) {
        t->rows += ch->rows;
        t->bytes += ch->bytes;
        t->rejects += ch->rejects;
        t->chunks++;
        t->chunk_rows = next_size(c, t, ch);
        if (weir_lsn_parse(weir_slice_z(ch->lsn), &lsn) && lsn > c->passed_lsn) {
            c->passed_lsn = lsn;
        }
    } else {
        ch->r->next = t->gaps;
        t->gaps = ch->r;
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
    free(ch->storage);
    if (done || ch->in_chunks) {
        crw_range_free(ch->r);
    }
}

static void do_chunk(crw_pair *p, crw_tab *t, crw_range *r)
{
    crw_chunk ch = {.t = t, .r = r};
    weir_error err = {.code = WEIR_OK};
    weir_rc rc = crw_chunk_copy(p, &ch, &err);
    bool done = rc == WEIR_OK && !ch.changed && !ch.in_chunks;
    int tries = ++r->tries;
    WEIR_DEBUG("CRW-CHUNK", "table=\"%s\" no=%" PRId64 " rows=%" PRId64 " ms=%" PRId64 " rc=%s",
               t->id, r->no, ch.rows, ch.read_ms, weir_rc_name(rc));
    put_back(p->c, &ch, done);
    if (rc != WEIR_OK) {
        (void)try_again(p, t->source, tries, &err);
    }
}

/* Finds the next bound, moves the cursor there and copies what lies between. */
static void do_cut(crw_pair *p, crw_tab *t)
{
    crw *c = p->c;
    weir_error err = {.code = WEIR_OK};
    char *hi = NULL;
    int tries = 0;
    weir_rc rc;
    weir_monitor_lock(c->m);
    int64_t rows = t->chunk_rows;
    bool whole = t->whole && !t->next_lo;
    weir_monitor_unlock(c->m);
    do {
        rc = crw_pair_open(p, &err);
        if (rc == WEIR_OK && !whole) {
            rc = crw_cut(p, t, t->next_lo, rows, &hi, &err);
        }
    } while (rc != WEIR_OK && try_again(p, t->source, ++tries, &err));
    crw_range *r = NULL;
    weir_monitor_lock(c->m);
    t->cutting = false;
    if (rc == WEIR_OK) {
        r = weir_xcalloc(1, sizeof *r);
        r->no = t->next_no++;
        r->whole = whole;
        r->lo = t->next_lo;
        r->hi = hi;
        t->next_lo = hi ? weir_xstrdup(hi) : NULL;
        t->cut_all = hi == NULL;
        t->open++;
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
    if (r) {
        do_chunk(p, t, r);
    }
}

static void do_redo(crw_pair *p, crw_tab *t)
{
    crw *c = p->c;
    weir_error err = {.code = WEIR_OK};
    int tries = 0;
    weir_rc rc;
    if (t->storage_now) {
        free(t->storage);
        t->storage = t->storage_now;
        t->storage_now = NULL;
    }
    WEIR_INFO("CRW-REDO", "table=\"%s\" why=\"truncated or rewritten in the source\"", t->id);
    do {
        rc = ++t->redone > REDO_MAX
                 ? weir_fail(&err, WEIR_E_LIMIT, 0,
                             "truncated or rewritten again and again while it is copied")
                 : crw_pair_open(p, &err);
        if (rc == WEIR_OK) {
            rc = crw_record_redo(c, p->target, t, &err);
        }
    } while (rc != WEIR_OK && try_again(p, t->source, ++tries, &err));
    weir_monitor_lock(c->m);
    t->ending = false;
    if (rc == WEIR_OK) {
        crw_tab_rewind(t);
    }
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

/* Every chunk is in: unless the table changed under the last of them, its key is built. */
static void do_end(crw_pair *p, crw_tab *t)
{
    crw *c = p->c;
    weir_error err = {.code = WEIR_OK};
    crw_chunk look = {.t = t};
    int tries = 0;
    weir_rc rc;
    do {
        rc = crw_pair_open(p, &err);
        if (rc == WEIR_OK) {
            rc = crw_chunk_look(p, &look, &err);
        }
        if (rc == WEIR_OK && !look.changed) {
            rc = crw_steps_key(c, t, &err);
        }
        if (rc == WEIR_OK && !look.changed) {
            rc = crw_record_copied(c, p->target, t, &err);
        }
    } while (rc != WEIR_OK && try_again(p, t->source, ++tries, &err));
    weir_monitor_lock(c->m);
    t->ending = false;
    t->copied = rc == WEIR_OK && !look.changed;
    want_redo(t, &look);
    weir_monitor_wake(c->m);
    weir_monitor_unlock(c->m);
}

void crw_worker(void *arg)
{
    crw *c = arg;
    crw_pair p = {.c = c};
    crw_pair_init(&p);
    for (bool all = false; !all && !crw_ended(c);) {
        crw_range *r = NULL;
        weir_monitor_lock(c->m);
        bool held = atomic_load(&c->paused) || atomic_load(&c->hold);
        crw_tab *t = held ? NULL : pick(c, &all);
        work w = t ? take(t, &r) : WORK_NONE;
        if (w == WORK_NONE && !all) {
            (void)weir_monitor_wait(c->m, IDLE_MS);
        }
        weir_monitor_unlock(c->m);
        switch (w) {
        case WORK_GAP: do_chunk(&p, t, r); break;
        case WORK_CUT: do_cut(&p, t); break;
        case WORK_REDO: do_redo(&p, t); break;
        case WORK_END: do_end(&p, t); break;
        case WORK_NONE: break;
        }
    }
    crw_pair_close(&p);
}
