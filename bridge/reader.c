/* reader.c - the reader thread. */
#include "bridge/reader.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bridge/crawl_record.h"
#include "bridge/guard.h"
#include "bridge/initial.h"
#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/codec/frame.h"

enum {
    PUSH_SLICE_MS = 20,
    BURST = 256,
    MESSAGE_MAX_BYTES = 64 * 1024 * 1024, /* decoded structure of one message; texts are borrowed */
    TAIL_BYTES = 16 * 1024 * 1024,
    LOOK_AGAIN_MS = 1000,
    OPERATOR_MS = 5000,
    LAST_DRAIN_MS = 5000,
    PERSIST_MS = 1000,
    PERSIST_ASKED_MS = 20,
};

/* --- feedback
 * ------------------------------------------------------------------------------------------------------
 */

/* Flushed is the end of the last transaction whose every frame is synced in our log, nothing less:
 * what is confirmed here the server may throw away. */
static weir_rc feedback(brg_reader *rd, bool ask, weir_error *err)
{
    uint64_t durable = brg_get_durable(rd->s).lsn;
    weir_rc rc = weir_pgrepl_feedback(rd->repl, brg_assembler_head(rd->as).lsn, durable, ask, err);
    if (rc == WEIR_OK) {
        atomic_store(&rd->s->confirmed, durable);
        brg_schedule_sent(&rd->schedule, ask, weir_mono_ms());
    }
    return rc;
}

/* The head of an idle stream is stored from time to time, so that the slot can move with it. It has
 * a timetable of its own: a server that shuts down asks without pause and goes only when everything
 * is confirmed. */
static void persist_head(brg_reader *rd, int64_t every_ms)
{
    weir_cursor head = brg_assembler_head(rd->as);
    int64_t now = weir_mono_ms();
    if (brg_assembler_in_tx(rd->as) || weir_cursor_cmp(head, rd->persisted) <= 0 ||
        now - rd->persisted_ms < every_ms) {
        return;
    }
    brg_item item = {.kind = BRG_ITEM_HEAD, .cursor = head};
    if (brg_ring_push(rd->s->ring, &item, 0)) {
        rd->persisted = head;
        rd->persisted_ms = now;
    }
}

static weir_rc feedback_if_due(brg_reader *rd, weir_error *err)
{
    bool ask = false;
    int64_t now = weir_mono_ms();
    if (!rd->flowing || !brg_schedule_due(&rd->schedule, now, &ask)) {
        return WEIR_OK;
    }
    return feedback(rd, ask, err);
}

/* --- to the log
 * ----------------------------------------------------------------------------------------------------
 */

weir_rc brg_reader_push(brg_reader *rd, brg_item *item, weir_error *err)
{
    while (!brg_ring_push(rd->s->ring, item, PUSH_SLICE_MS)) {
        weir_rc rc = brg_stopping(rd->s) ? weir_fail(err, WEIR_E_EOF, 0, "stopping")
                                         : feedback_if_due(rd, err);
        if (rc != WEIR_OK) {
            brg_item_fini(item);
            return rc;
        }
    }
    return WEIR_OK;
}

weir_rc brg_reader_drain(brg_reader *rd, weir_error *err)
{
    while (!brg_ring_drained(rd->s->ring, PUSH_SLICE_MS)) {
        weir_rc rc = brg_stopping(rd->s) ? weir_fail(err, WEIR_E_EOF, 0, "stopping")
                                         : feedback_if_due(rd, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    return WEIR_OK;
}

weir_rc brg_reader_push_meta(brg_reader *rd, const char *name, const char *text, weir_error *err)
{
    brg_item item = {
        .kind = BRG_ITEM_META, .name = name, .p = weir_xstrdup(text), .n = strlen(text)};
    return brg_reader_push(rd, &item, err);
}

/* --- sink of the assembler
 * ----------------------------------------------------------------------------------------- */

static weir_rc on_crawl(void *arg, weir_buf *batch, weir_error *err)
{
    brg_item item = {.kind = BRG_ITEM_CRAWL};
    item.p = weir_buf_take(batch, &item.n);
    return brg_reader_push(arg, &item, err);
}

/* Before the frame that holds their events: whoever forgot everything but the log then knows them
 * too. */
static weir_rc push_moved(brg_reader *rd, weir_error *err)
{
    weir_buf b;
    weir_buf_init(&b, BRG_BATCH_MAX_BYTES);
    brg_crawl_moved(rd->windows, &b);
    return b.n > 0 ? on_crawl(rd, &b, err) : WEIR_OK;
}

static weir_rc on_frame(void *arg, brg_frame *f, weir_error *err)
{
    brg_reader *rd = arg;
    brg_shared *s = rd->s;
    bool last = f->last;
    weir_rc rc = push_moved(rd, err);
    if (rc != WEIR_OK) {
        brg_frame_unref(f);
        return rc;
    }
    if (last) {
        rd->persisted = f->end;
    }
    weir_monitor_lock(s->m);
    brg_tail_add(s->tail, f);
    weir_monitor_unlock(s->m);
    if (last) {
        atomic_store(&s->head_lsn, f->end.lsn);
        brg_kick(s);
    }
    brg_item item = {.kind = BRG_ITEM_FRAME, .frame = f};
    return brg_reader_push(rd, &item, err);
}

/* Its number is about to appear in frames that subscribers may see at once: after a crash the same
 * number must still mean the same description, so it is made durable first. */
static weir_rc on_relation(void *arg, const weir_relation *rel, weir_hash128 hash, weir_error *err)
{
    brg_reader *rd = arg;
    weir_buf b;
    weir_buf_init(&b, 4 * 1024 * 1024);
    weir_relation_encode(&b, rel);
    if (b.failed) {
        weir_buf_fini(&b);
        return weir_fail(err, WEIR_E_LIMIT, WEIR_EF_FATAL, "a relation's description is too large");
    }
    brg_item item = {.kind = BRG_ITEM_RELATION, .version = rel->version, .hash = hash};
    item.p = weir_buf_take(&b, &item.n);
    weir_rc rc = brg_reader_push(rd, &item, err);
    return rc == WEIR_OK ? brg_reader_drain(rd, err) : rc;
}

static void on_moved(void *arg, weir_cursor head)
{
    brg_reader *rd = arg;
    weir_monitor_lock(rd->s->m);
    brg_tail_move(rd->s->tail, head);
    weir_monitor_unlock(rd->s->m);
    atomic_store(&rd->s->head_lsn, head.lsn);
    brg_kick(rd->s);
}

void brg_reader_start_at(brg_reader *rd, weir_cursor head)
{
    brg_sink sink = {on_frame, on_relation, on_moved, rd, on_crawl};
    brg_assembler_free(rd->as);
    rd->as = brg_assembler_new(rd->relcat, rd->windows, &sink, head, WEIR_FRAME_TARGET_BYTES);
    rd->persisted = head;
    weir_monitor_lock(rd->s->m);
    brg_tail_free(rd->s->tail);
    rd->s->tail = brg_tail_new(TAIL_BYTES, head);
    rd->s->durable = head;
    brg_tail_durable(rd->s->tail, head);
    weir_monitor_unlock(rd->s->m);
    atomic_store(&rd->s->head_lsn, head.lsn);
}

/* --- the stream
 * ----------------------------------------------------------------------------------------------------
 */

static weir_rc on_message(brg_reader *rd, const weir_pgrepl_msg *m, weir_error *err)
{
    int64_t now = weir_mono_ms();
    if (m->keepalive) {
        brg_schedule_arrived(&rd->schedule, false, now);
        if (brg_assembler_idle(rd->as, m->wal_end)) {
            on_moved(rd, brg_assembler_head(rd->as));
        }
        if (!m->reply_requested) {
            return WEIR_OK;
        }
        persist_head(rd, PERSIST_ASKED_MS);
        return feedback(rd, false, err);
    }
    weir_pgo pgo;
    weir_arena_reset(rd->a);
    weir_rc rc = weir_pgo_decode(m->data, rd->a, &pgo, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    brg_schedule_arrived(&rd->schedule, pgo.kind == WEIR_PGO_COMMIT, now);
    if (pgo.kind == WEIR_PGO_COMMIT) {
        atomic_store(&rd->s->last_tx_ms, now);
    } else if (pgo.kind == WEIR_PGO_BEGIN) {
        brg_gather_began(&rd->gather, pgo.u.begin.commit_us);
    }
    return brg_assembler_feed(rd->as, &pgo, err);
}

static void clear_wake(brg_reader *rd)
{
    uint64_t n;
    ssize_t k = read(rd->s->wake_fd, &n, sizeof n);
    (void)k;
}

/* Also while input gathers others may want the thread. */
static void let_gather(brg_reader *rd)
{
    bool loopback = weir_pgrepl_loopback(rd->repl);
    int64_t now_us = weir_wall_us() - WEIR_PG_EPOCH_US;
    bool heard =
        atomic_load(&rd->s->listeners) > 0 ||
        weir_mono_ms() - atomic_load(&rd->s->last_asked_ms) < (int64_t)BRG_GATHER_UNHEARD_MS;
    int64_t ns =
        brg_gather_pause_ns(&rd->gather, loopback, heard, brg_assembler_tx_events(rd->as), now_us);
    if (ns > 0) {
        struct timespec ts = {0, ns};
        struct pollfd pf = {rd->s->wake_fd, POLLIN, 0};
        if (ppoll(&pf, 1, &ts, NULL) > 0) {
            clear_wake(rd);
        }
    }
}

static void wait_for_input(brg_reader *rd)
{
    let_gather(rd);
    struct pollfd pf[2] = {{weir_pgrepl_fd(rd->repl), POLLIN, 0}, {rd->s->wake_fd, POLLIN, 0}};
    int64_t ms = brg_schedule_wait_ms(&rd->schedule, weir_mono_ms());
    (void)poll(pf, 2, (int)ms);
    if (pf[1].revents & POLLIN) {
        clear_wake(rd);
    }
}

static weir_rc one_round(brg_reader *rd, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    unsigned n = 0;
    size_t bytes = 0;
    while (n < BURST && rc == WEIR_OK) {
        weir_pgrepl_msg m;
        rc = weir_pgrepl_next(rd->repl, &m, err);
        if (rc == WEIR_OK) {
            n++;
            bytes += m.data.n;
            rc = on_message(rd, &m, err);
        }
    }
    brg_gather_read(&rd->gather, n, bytes, weir_mono_ms());
    bool drained = rc == WEIR_E_AGAIN;
    rc = drained ? WEIR_OK : rc;
    atomic_store(&rd->s->last_read_ms, weir_mono_ms());
    atomic_store(&rd->s->rows, brg_assembler_rows(rd->as));
    atomic_store(&rd->s->transactions, brg_assembler_transactions(rd->as));
    persist_head(rd, PERSIST_MS);
    bool busy = false;
    if (rc == WEIR_OK) {
        rc = brg_port_serve(rd->port, rd->as, rd->windows, &busy, err);
    }
    if (busy) { /* a chunk waits for a position: ask for keepalives often, read them at once */
        rd->schedule.last_tx_ms = weir_mono_ms();
        atomic_store(&rd->s->last_asked_ms, weir_mono_ms());
    }
    if (rc == WEIR_OK) {
        rc = feedback_if_due(rd, err);
    }
    if (rc == WEIR_OK && drained) {
        wait_for_input(rd);
    }
    return rc;
}

/* In order: what was received goes to disk, then the server is told. */
static void say_goodbye(brg_reader *rd)
{
    weir_error err;
    persist_head(rd, 0);
    if (brg_ring_drained(rd->s->ring, LAST_DRAIN_MS) && feedback(rd, false, &err) != WEIR_OK) {
        WEIR_WARN("BRG-GOODBYE", "%s", err.msg);
    }
}

static weir_rc stream(brg_reader *rd, weir_error *err)
{
    const weir_settings *set = rd->s->settings;
    weir_rc rc = weir_pgrepl_open(&rd->repl, set->postgres_uri, rd->s->application_name, err);
    if (rc == WEIR_OK) {
        rc = weir_pgrepl_start(rd->repl, set->bridge_slot, set->bridge_publication,
                               brg_get_durable(rd->s).lsn, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    rd->flowing = true;
    brg_schedule_init(&rd->schedule, weir_mono_ms());
    brg_gather_init(&rd->gather);
    brg_set_state(rd->s, BRG_STREAMING, NULL);
    while (rc == WEIR_OK && !brg_stopping(rd->s)) {
        rc = one_round(rd, err);
    }
    if (brg_stopping(rd->s)) {
        say_goodbye(rd);
    }
    return rc;
}

/* --- sessions
 * ------------------------------------------------------------------------------------------------------
 */

static weir_rc session(brg_reader *rd, brg_verdict *verdict, weir_error *err)
{
    weir_rc rc = brg_guard_check(rd->s, verdict, err);
    if (rc == WEIR_OK && *verdict == BRG_GO_COPY) {
        rc = brg_initial_copy(rd, err);
        *verdict = rc == WEIR_OK ? BRG_GO_STREAM : *verdict;
    }
    if (rc == WEIR_OK && *verdict == BRG_GO_STREAM) {
        rc = stream(rd, err);
    }
    return rc;
}

/* What the lost connection leaves half done is forgotten on all sides: the slot sends it again. */
static void disconnect(brg_reader *rd)
{
    weir_pgrepl_close(rd->repl);
    rd->repl = NULL;
    rd->flowing = false;
    bool half = brg_assembler_in_tx(rd->as);
    brg_assembler_reset(rd->as);
    weir_monitor_lock(rd->s->m);
    brg_tail_drop_open(rd->s->tail);
    weir_monitor_unlock(rd->s->m);
    brg_item cut = {.kind = BRG_ITEM_CUT};
    weir_error err;
    if (half && brg_reader_push(rd, &cut, &err) != WEIR_OK) {
        WEIR_DEBUG("BRG-STOP", "%s", err.msg);
    }
}

/* The guardian has seen the publication; the server looks for it in the catalog of the change it
 * decodes, and time does not bring it there. */
static bool no_publication(const weir_error *err)
{
    return strcmp(err->sqlstate, "42704") == 0 && strstr(err->msg, "publication") != NULL;
}

/* After an error: the state to show and how long to wait. Errors that time does not heal are looked
 * at by the guardian. */
static int64_t after_error(brg_reader *rd, const weir_error *err, weir_backoff *backoff)
{
    atomic_fetch_add(&rd->s->reconnects, 1);
    if (err->code == WEIR_E_EOF) {
        brg_set_state(rd->s, BRG_CONNECTING, "the server ended the stream");
    } else if (no_publication(err)) {
        brg_set_state(
            rd->s, BRG_GAP,
            "publication %s exists, but not yet at the place where the stream goes on: it "
            "was dropped and made again, and what changed in between cannot be read; " BRG_REMEDY,
            rd->s->settings->bridge_publication);
        return LOOK_AGAIN_MS;
    } else if (err->code == WEIR_E_STATE) {
        brg_set_state(rd->s, BRG_WAITING, "the stream was refused: %s", err->msg);
        return LOOK_AGAIN_MS;
    } else if (err->code == WEIR_E_DENIED) {
        brg_set_state(rd->s, BRG_WAITING, "PostgreSQL does not let the bridge in: %s", err->msg);
        return LOOK_AGAIN_MS;
    } else {
        brg_set_state(rd->s, BRG_CONNECTING, "%s", err->msg);
    }
    return weir_backoff_next_ms(backoff);
}

void brg_reader_run(void *arg)
{
    brg_reader *rd = arg;
    weir_backoff backoff;
    weir_backoff_init(&backoff, 50, 3000, 0);
    brg_item cut = {.kind = BRG_ITEM_CUT}; /* parts a killed process left behind */
    weir_error first;
    if (brg_reader_push(rd, &cut, &first) != WEIR_OK) {
        WEIR_DEBUG("BRG-STOP", "%s", first.msg);
    }
    while (!brg_stopping(rd->s)) {
        weir_error err = {.code = WEIR_OK};
        brg_verdict verdict = BRG_GO_NOT;
        int64_t begun = weir_mono_ms();
        weir_rc rc = session(rd, &verdict, &err);
        disconnect(rd);
        if (brg_stopping(rd->s)) {
            break;
        }
        if (weir_mono_ms() - begun > 10000) {
            weir_backoff_reset(&backoff);
        }
        if (rc != WEIR_OK) {
            err.code = rc;
            brg_pause(rd->s, after_error(rd, &err, &backoff));
        } else {
            brg_state state = brg_get_state(rd->s, NULL, 0);
            brg_pause(rd->s, state == BRG_LOST || state == BRG_GAP ? OPERATOR_MS : LOOK_AGAIN_MS);
        }
    }
    brg_set_state(rd->s, BRG_STOPPED, NULL);
    atomic_fetch_sub(&rd->s->running, 1);
}

static void load_hash(void *arg, weir_slice key, weir_slice value)
{
    brg_relcat *rc = arg;
    weir_hash128 h;
    if (key.n == sizeof h.b && value.n == 4) {
        const unsigned char *p = (const unsigned char *)value.p;
        memcpy(h.b, key.p, sizeof h.b);
        brg_relcat_known(rc, h,
                         (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
    }
}

weir_rc brg_reader_new(brg_reader **out, brg_shared *s, brg_port *port, brg_windows *windows,
                       weir_error *err)
{
    brg_reader *rd = weir_xcalloc(1, sizeof *rd);
    rd->s = s;
    rd->port = port;
    rd->relcat = brg_relcat_new();
    rd->windows = windows;
    rd->a = weir_arena_new(MESSAGE_MAX_BYTES);
    brg_reader_start_at(rd, s->meta.end);
    weir_rc rc = brg_store_each(&s->store, s->store.relhash, load_hash, rd->relcat, err);
    if (rc != WEIR_OK) {
        brg_reader_free(rd);
        return rc;
    }
    *out = rd;
    return WEIR_OK;
}

void brg_reader_free(brg_reader *rd)
{
    if (rd) {
        weir_pgrepl_close(rd->repl);
        brg_assembler_free(rd->as);
        brg_relcat_free(rd->relcat);
        weir_arena_free(rd->a);
        free(rd);
    }
}
