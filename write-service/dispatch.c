/* dispatch.c - stored commands: claimed, handed out, settled, forgotten. */
#include "write-service/dispatch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/queue.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "write-service/link.h"

enum {
    INBOX_MAX = 4096,
    SETTLE_MAX = 256,
    UNTOLD_MS = 5,
    IDLE_MS = 100, /* so often something another service accepted, or a time that came, is seen */
    ORPHANS_MS = 1000,
    ALL_KEYS_MS = 60000,
    FORGET_MS = 1000,
    FORGET_ROWS = 1000,
    LIST_MAX_BYTES = 256 << 20,
};

struct wsvc_dispatch {
    wsvc_dispatch_conf conf;
    weir_queue *inbox;
    weir_thread *thread;
    wsvc_link link;
    int epoch;                                        /* of this connection */
    bool capable;                                     /* the control schema has what we need */
    bool maybe;                                       /* there may be something to claim */
    int64_t claim_ms, orphans_ms, keys_ms, forget_ms; /* when to do it again */
    wsvc_stored *untold[SETTLE_MAX];
    size_t nuntold;
    atomic_bool woken, quiet, ended;
    atomic_size_t in_hand;
    weir_metric *m_claimed, *m_verdict[5], *m_in_hand;
};

static char wake_mark; /* in the inbox: nothing but a wake */

static void stored_free(wsvc_stored *s)
{
    free(s->reason);
    free(s->answer);
    free(s);
}

static const char *add(char **at, weir_slice v)
{
    char *p = *at;
    memcpy(p, v.p ? v.p : "", v.n);
    p[v.n] = '\0';
    *at += v.n + 1;
    return p;
}

static wsvc_stored *stored_new(wsvc_dispatch *d, const weir_pg_rows *rows, int r)
{
    size_t bytes = 0;
    int columns = weir_pg_ncols(rows); /* an older control schema knows no callers */
    for (int c = 0; c < columns; c++) {
        bytes += weir_pg_value(rows, r, c).n + 1;
    }
    wsvc_stored *s = weir_xcalloc(1, sizeof *s + bytes);
    char *at = (char *)(s + 1);
    s->owner = d;
    s->epoch = d->epoch;
    s->id = add(&at, weir_pg_value(rows, r, 0));
    s->name = add(&at, weir_pg_value(rows, r, 1));
    s->correlation_id = add(&at, weir_pg_value(rows, r, 2));
    s->traceparent = weir_pg_isnull(rows, r, 3) ? NULL : add(&at, weir_pg_value(rows, r, 3));
    s->ordering_key = weir_pg_isnull(rows, r, 4) ? NULL : add(&at, weir_pg_value(rows, r, 4));
    s->body = weir_slice_of(add(&at, weir_pg_value(rows, r, 5)), weir_pg_value(rows, r, 5).n);
    if (columns == 8) {
        s->role = weir_pg_isnull(rows, r, 6) ? NULL : add(&at, weir_pg_value(rows, r, 6));
        s->caller = weir_pg_isnull(rows, r, 7) ? NULL : add(&at, weir_pg_value(rows, r, 7));
    }
    return s;
}

static weir_rc run(wsvc_dispatch *d, const char *sql, int n, const char *const *params,
                   weir_pg_rows **rows)
{
    weir_error err = {0};
    weir_rc rc = weir_pg_query(d->link.pg, sql, n, params, rows, &err);
    if (rc != WEIR_OK) {
        wsvc_link_failed(&d->link, &err);
        d->capable = d->link.pg != NULL; /* a broken connection has lost its epoch too */
    } else {
        d->link.complained = false;
        weir_backoff_reset(&d->link.backoff);
    }
    return rc;
}

/* A new connection draws a new epoch: what we had in hand belongs to nobody now, and is claimed
 * again by whoever is first. */
static bool ready(wsvc_dispatch *d)
{
    bool fresh = false;
    if (!wsvc_link_up(&d->link, &fresh)) {
        return false;
    }
    if (fresh) {
        d->capable = false;
    }
    if (!d->capable) {
        weir_pg_rows *rows = NULL;
        if (run(d, "SELECT weir.take_epoch()", 0, NULL, &rows) != WEIR_OK) {
            d->capable = false;
            return false;
        }
        d->epoch = (int)weir_pg_i64(rows, 0, 0);
        weir_pg_rows_free(rows);
        d->capable = true;
        d->orphans_ms = d->keys_ms = d->claim_ms = 0;
        d->maybe = true;
    }
    return true;
}

static void on_loop(void *list)
{
    wsvc_stored *s = list;
    s->owner->conf.claimed(s->owner->conf.arg, s);
}

static void claim(wsvc_dispatch *d)
{
    char me[16], most[24];
    const char *params[] = {me, most};
    weir_pg_rows *rows = NULL;
    size_t room = d->conf.most - atomic_load(&d->in_hand);
    (void)snprintf(me, sizeof me, "%d", d->epoch);
    (void)snprintf(most, sizeof most, "%zu", room);
    if (run(d, "SELECT * FROM weir.claim_commands($1::int, $2::int)", 2, params, &rows) !=
        WEIR_OK) {
        return;
    }
    wsvc_stored *first = NULL, **end = &first;
    int n = weir_pg_nrows(rows);
    for (int r = 0; r < n; r++) {
        *end = stored_new(d, rows, r);
        end = &(*end)->next;
    }
    weir_pg_rows_free(rows);
    d->maybe = (size_t)n == room;
    weir_metric_add(d->m_claimed, n);
    atomic_fetch_add(&d->in_hand, (size_t)n);
    if (first && !weir_loop_post(d->conf.loop, on_loop, first)) {
        while (first) { /* the loop is over; our epoch ends with us */
            wsvc_stored *s = first;
            first = s->next;
            stored_free(s);
        }
    }
}

static void put_verdict(weir_buf *b, const wsvc_stored *s)
{
    static const char *const words[] = {"done", "later", "retry", "rejected", "dead"};
    weir_buf_printf(b, "%s{\"id\":\"%s\",\"verdict\":\"%s\"", b->n > 1 ? "," : "", s->id,
                    words[s->verdict]);
    if (s->reason) {
        weir_buf_putz(b, ",\"reason\":");
        weir_json_quote(b, weir_slice_z(s->reason));
    }
    if (s->answer) {
        weir_buf_printf(b, ",\"answer\":%s", s->answer);
    }
    weir_buf_putz(b, "}");
}

static weir_rc write_verdicts(wsvc_dispatch *d)
{
    weir_buf b;
    char me[16], most[16], pause[24];
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, LIST_MAX_BYTES);
    weir_buf_putz(&b, "[");
    for (size_t i = 0; i < d->nuntold; i++) {
        const wsvc_stored *s = d->untold[i];
        if (s->verdict != WSVC_VERDICT_DONE && s->epoch == d->epoch) {
            put_verdict(&b, s);
        }
    }
    bool any = b.n > 1;
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, 0);
    if (any && !b.failed) {
        const char *params[] = {me, b.p, most, pause};
        (void)snprintf(me, sizeof me, "%d", d->epoch);
        (void)snprintf(most, sizeof most, "%d", d->conf.attempts_max);
        (void)snprintf(pause, sizeof pause, "%" PRId64, d->conf.pause_max_ms);
        rc = run(d, "SELECT weir.settle_commands($1::int, $2::jsonb, $3::int, $4::bigint)", 4,
                 params, NULL);
    }
    weir_buf_fini(&b);
    return rc;
}

/* After the commits: the next of each key, of commands and of callbacks, see async.sql. */
static weir_rc promote(wsvc_dispatch *d)
{
    weir_buf b;
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, LIST_MAX_BYTES);
    weir_buf_putz(&b, "[");
    for (size_t i = 0; i < d->nuntold; i++) {
        if (d->untold[i]->ordering_key) {
            weir_buf_putz(&b, b.n > 1 ? "," : "");
            weir_json_quote(&b, weir_slice_z(d->untold[i]->ordering_key));
        }
    }
    bool any = b.n > 1;
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, 0);
    if (any && !b.failed) {
        const char *params[] = {b.p};
        rc = run(d,
                 "SELECT weir.promote_commands(k), weir.promote_callbacks(k) FROM (SELECT "
                 "ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) x(k)",
                 1, params, NULL);
        d->maybe = true;
    }
    weir_buf_fini(&b);
    return rc;
}

/* false: to be told again, on this connection or the next. */
static bool settle(wsvc_dispatch *d)
{
    if (d->nuntold == 0) {
        return true;
    }
    if (write_verdicts(d) != WEIR_OK || promote(d) != WEIR_OK) {
        return false;
    }
    for (size_t i = 0; i < d->nuntold; i++) {
        weir_metric_add(d->m_verdict[d->untold[i]->verdict], 1);
        stored_free(d->untold[i]);
    }
    atomic_fetch_sub(&d->in_hand, d->nuntold);
    weir_metric_set(d->m_in_hand, (int64_t)atomic_load(&d->in_hand));
    d->nuntold = 0;
    return true;
}

/* One of its own turn: what crashed services left, keys a crash left blocked, what is too old. */
static void keep_house(wsvc_dispatch *d, int64_t now_ms)
{
    if (now_ms >= d->orphans_ms && run(d, "SELECT weir.free_orphans()", 0, NULL, NULL) == WEIR_OK) {
        d->orphans_ms = now_ms + ORPHANS_MS;
        d->maybe = true;
    }
    if (d->link.pg && now_ms >= d->keys_ms &&
        run(d, "SELECT weir.promote_all()", 0, NULL, NULL) == WEIR_OK) {
        d->keys_ms = now_ms + ALL_KEYS_MS;
        d->maybe = true;
    }
    if (d->link.pg && now_ms >= d->forget_ms) {
        char keep[24], dead[24], rows_max[16];
        const char *params[] = {keep, dead, rows_max};
        weir_pg_rows *rows = NULL;
        (void)snprintf(keep, sizeof keep, "%" PRId64, d->conf.keep_ms);
        (void)snprintf(dead, sizeof dead, "%" PRId64, d->conf.dead_keep_ms);
        (void)snprintf(rows_max, sizeof rows_max, "%d", FORGET_ROWS);
        if (run(d, "SELECT weir.forget_commands($1::bigint, $2::bigint, $3::int)::text", 3, params,
                &rows) == WEIR_OK) {
            bool more = weir_slice_eqz(weir_pg_value(rows, 0, 0), "true");
            d->forget_ms = now_ms + (more ? 0 : FORGET_MS);
            weir_pg_rows_free(rows);
        }
    }
}

static void take_mail(wsvc_dispatch *d, int64_t wait_ms)
{
    void *items[SETTLE_MAX];
    size_t n = weir_queue_pop(d->inbox, items, SETTLE_MAX - d->nuntold, wait_ms);
    for (size_t i = 0; i < n; i++) {
        if (items[i] == &wake_mark) {
            atomic_store(&d->woken, false);
            d->maybe = true;
        } else {
            d->untold[d->nuntold++] = items[i];
        }
    }
}

static bool may_claim(const wsvc_dispatch *d)
{
    return !atomic_load(&d->quiet) && atomic_load(&d->in_hand) < d->conf.most;
}

static void turn(wsvc_dispatch *d)
{
    bool busy = d->maybe && may_claim(d);
    take_mail(d, busy && d->link.pg && d->capable ? 0 : d->nuntold ? UNTOLD_MS : IDLE_MS);
    if (!ready(d) || !settle(d)) {
        return;
    }
    int64_t now_ms = weir_mono_ms();
    keep_house(d, now_ms);
    if (now_ms >= d->claim_ms) {
        d->maybe = true;
    }
    if (d->link.pg && d->capable && d->maybe && may_claim(d)) {
        claim(d);
        d->claim_ms = now_ms + IDLE_MS;
    }
}

static void dispatch_main(void *arg)
{
    wsvc_dispatch *d = arg;
    while (!(weir_queue_closed(d->inbox) && weir_queue_len(d->inbox) == 0)) {
        turn(d);
    }
    if (d->nuntold > 0 && d->link.pg) {
        (void)settle(d);
    }
    for (size_t i = 0; i < d->nuntold; i++) {
        stored_free(d->untold[i]); /* its row is as it was: somebody will execute it again */
    }
    wsvc_link_close(&d->link);
    atomic_store(&d->ended, true);
}

static void add_metrics(wsvc_dispatch *d)
{
    static const char *const labels[] = {"verdict=\"done\"", "verdict=\"later\"",
                                         "verdict=\"retry\"", "verdict=\"rejected\"",
                                         "verdict=\"dead\""};
    weir_metrics *ms = d->conf.metrics;
    d->m_claimed = weir_counter(ms, "weir_write_async_claimed_total",
                                "Stored commands taken in hand, repetitions included.", NULL);
    for (size_t i = 0; i < 5; i++) {
        d->m_verdict[i] = weir_counter(ms, "weir_write_async_verdicts_total",
                                       "How the execution of a stored command ended.", labels[i]);
    }
    d->m_in_hand =
        weir_gauge(ms, "weir_write_async_in_hand", "Stored commands being executed.", NULL);
}

weir_rc wsvc_dispatch_start(wsvc_dispatch **out, const wsvc_dispatch_conf *conf, weir_error *err)
{
    assert(conf->most < SETTLE_MAX); /* so that what is in hand always has room among the untold */
    wsvc_dispatch *d = weir_xcalloc(1, sizeof *d);
    d->conf = *conf;
    d->inbox = weir_queue_new(INBOX_MAX);
    wsvc_link_init(&d->link, conf->uri, "weir-write dispatch");
    add_metrics(d);
    weir_rc rc = weir_thread_start(&d->thread, "dispatch", dispatch_main, d, err);
    if (rc != WEIR_OK) {
        wsvc_dispatch_free(d);
        d = NULL;
    }
    *out = d;
    return rc;
}

void wsvc_dispatch_settle(wsvc_dispatch *d, wsvc_stored *s)
{
    /* In hand are fewer than the inbox holds: only a closed one refuses. */
    if (!weir_queue_push(d->inbox, s)) {
        stored_free(s);
    }
}

void wsvc_dispatch_wake(wsvc_dispatch *d)
{
    if (!atomic_exchange(&d->woken, true) && !weir_queue_push(d->inbox, &wake_mark)) {
        atomic_store(&d->woken, false);
    }
}

size_t wsvc_dispatch_in_hand(const wsvc_dispatch *d)
{
    return atomic_load(&d->in_hand);
}

void wsvc_dispatch_quiet(wsvc_dispatch *d)
{
    atomic_store(&d->quiet, true);
}

void wsvc_dispatch_stop(wsvc_dispatch *d)
{
    weir_queue_close(d->inbox);
}

bool wsvc_dispatch_ended(const wsvc_dispatch *d)
{
    return atomic_load(&d->ended);
}

void wsvc_dispatch_free(wsvc_dispatch *d)
{
    if (d) {
        weir_thread_join(d->thread);
        weir_queue_free(d->inbox);
        free(d);
    }
}
