/* intake.c - asynchronous commands made durable, and looked up. */
#include "write-service/intake.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/queue.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "write-service/link.h"

enum {
    BATCH_MAX = 256,
    BATCH_BYTES_MAX = 4 << 20, /* of bodies; one body may be larger */
    LIST_MAX_BYTES = 1 << 30,
    IDLE_MS = 250,
    GIVE_UP_MS = 5000, /* PostgreSQL is away for so long: the clients are told */
    RETRY_MS = 20,
    COUNT_MS = 5000,
};

struct wsvc_intake {
    wsvc_intake_conf conf;
    weir_queue *queue;
    weir_thread *thread;
    weir_monitor *mon; /* pauses wait here */
    wsvc_link link;
    atomic_bool ended;
    atomic_int_least64_t pending;
    int64_t count_ms; /* when to count the next time */
};

static void put_text(weir_buf *b, const char *name, const char *value)
{
    if (value) {
        weir_buf_printf(b, ",\"%s\":", name);
        weir_json_quote(b, weir_slice_z(value));
    }
}

static void put_wish(weir_buf *b, const wsvc_wish *w)
{
    weir_buf_printf(b, "{\"id\":\"%s\",\"name\":\"%s\",\"priority\":%d,\"body\":", w->id, w->name,
                    w->terms.priority);
    weir_json_quote(b, w->body);
    if (w->list) {
        weir_buf_putz(b, ",\"list\":");
        weir_buf_putz(b, w->list);
    }
    put_text(b, "idempotency_key", w->idempotency_key);
    put_text(b, "expected_version", w->expected_version);
    put_text(b, "correlation_id", w->correlation_id);
    put_text(b, "traceparent", w->traceparent);
    put_text(b, "ordering_key", w->terms.ordering_key);
    put_text(b, "callback_url", w->terms.callback);
    put_text(b, "role", w->role);
    put_text(b, "claims", w->claims);
    put_text(b, "caller", w->caller);
    if (w->terms.delay_us) {
        weir_buf_printf(b, ",\"delay_us\":%" PRId64, w->terms.delay_us);
    }
    if (w->terms.deadline_us) {
        weir_buf_printf(b, ",\"deadline_us\":%" PRId64, w->terms.deadline_us);
    }
    weir_buf_putz(b, "}");
}

static void put_array_word(weir_buf *b, const char *text)
{
    weir_buf_putz(b, b->n > 1 ? "," : "");
    weir_buf_putz(b, "\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            weir_buf_u8(b, '\\');
        }
        weir_buf_u8(b, (uint8_t)*p);
    }
    weir_buf_putz(b, "\"");
}

/* The keys' first ones may run: after the commit, see async.sql. */
static weir_rc promote(wsvc_intake *t, wsvc_wish **w, size_t n, weir_error *err)
{
    weir_buf b;
    weir_rc rc = WEIR_OK;
    weir_buf_init(&b, LIST_MAX_BYTES);
    weir_buf_putz(&b, "{");
    for (size_t i = 0; i < n; i++) {
        if (w[i]->terms.ordering_key) {
            put_array_word(&b, w[i]->terms.ordering_key);
        }
    }
    bool any = b.n > 1;
    weir_buf_putz(&b, "}");
    weir_buf_u8(&b, 0);
    if (any && !b.failed) {
        const char *params[] = {b.p};
        rc = weir_pg_query(t->link.pg, "SELECT weir.promote_commands($1::text[])", 1, params, NULL,
                           err);
    }
    weir_buf_fini(&b);
    return rc;
}

static bool any_keyed(wsvc_wish **w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (w[i]->idempotency_key || w[i]->list) {
            return true;
        }
    }
    return false;
}

/* What was not accepted, and why. */
static void take_refusals(wsvc_wish **w, size_t n, const weir_pg_rows *rows)
{
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        weir_slice id = weir_pg_value(rows, r, 0);
        wsvc_wish *one = NULL;
        for (size_t i = 0; i < n && !one; i++) {
            one = weir_slice_eqz(id, w[i]->id) ? w[i] : NULL;
        }
        if (one) {
            one->document = weir_xstrdup(weir_pg_valuez(rows, r, 1));
            (void)snprintf(one->position, sizeof one->position, "%s", weir_pg_valuez(rows, r, 2));
        }
    }
}

static weir_rc insert(wsvc_intake *t, wsvc_wish **w, size_t n, weir_error *err)
{
    static const char keyed[] =
        "SELECT a.id, a.said, CASE current_setting('synchronous_commit') WHEN 'off' THEN "
        "pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END FROM "
        "weir.accept_keyed($1::jsonb) a";
    weir_buf b;
    weir_rc rc;
    weir_buf_init(&b, LIST_MAX_BYTES);
    for (size_t i = 0; i < n; i++) {
        weir_buf_putz(&b, i ? "," : "[");
        put_wish(&b, w[i]);
    }
    weir_buf_putz(&b, "]");
    weir_buf_u8(&b, 0);
    if (b.failed) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "the commands need more than 1 GiB");
    } else {
        const char *params[] = {b.p};
        bool is_keyed = any_keyed(w, n);
        weir_pg_rows *rows = NULL;
        rc = weir_pg_query(t->link.pg, is_keyed ? keyed : "SELECT weir.accept_commands($1::jsonb)",
                           1, params, &rows, err);
        if (rc == WEIR_OK && is_keyed) {
            take_refusals(w, n, rows);
        }
        weir_pg_rows_free(rows);
    }
    weir_buf_fini(&b);
    return rc;
}

/* Waits, also when the queue is full of work. */
static void pause_a_little(wsvc_intake *t)
{
    weir_monitor_lock(t->mon);
    (void)weir_monitor_wait(t->mon, RETRY_MS);
    weir_monitor_unlock(t->mon);
}

static bool not_deployed(const weir_error *err)
{
    return strcmp(err->sqlstate, "42883") == 0 || strcmp(err->sqlstate, "42P01") == 0 ||
           strcmp(err->sqlstate, "3F000") == 0;
}

static void fail_all(wsvc_wish **w, size_t n, weir_rc rc, bool doubt, const char *why)
{
    for (size_t i = 0; i < n; i++) {
        w[i]->rc = rc;
        w[i]->doubt = doubt;
        (void)snprintf(w[i]->why, sizeof w[i]->why, "%s", why);
    }
}

/* Given again until there is a clear answer, or nobody can be expected to wait any longer. */
static void accept_all(wsvc_intake *t, wsvc_wish **w, size_t n)
{
    int64_t until = weir_mono_ms() + GIVE_UP_MS;
    bool doubt = false, fresh;
    weir_error err = {0};
    if (atomic_load(&t->pending) >= t->conf.pending_max) {
        fail_all(w, n, WEIR_E_LIMIT, false, "too many commands are waiting to be executed");
        return;
    }
    for (;;) {
        if (wsvc_link_up(&t->link, &fresh)) {
            weir_rc rc = insert(t, w, n, &err);
            if (rc == WEIR_OK) {
                break;
            }
            wsvc_link_failed(&t->link, &err);
            doubt = doubt || !t->link.pg; /* lost while it may have committed */
            if (t->link.pg && !(err.flags & WEIR_EF_RETRY)) {
                fail_all(w, n, WEIR_E_SYS, false,
                         not_deployed(&err) ? "the control schema knows no asynchronous commands; "
                                              "run `weir deploy`"
                                            : err.msg);
                return;
            }
        }
        if (weir_mono_ms() > until) {
            fail_all(w, n, WEIR_E_CONN, doubt, "PostgreSQL is away");
            return;
        }
        pause_a_little(t);
    }
    t->link.complained = false;
    weir_backoff_reset(&t->link.backoff);
    fail_all(w, n, WEIR_OK, false, "");
    if (promote(t, w, n, &err) != WEIR_OK) { /* the dispatcher's look at all keys will do it */
        wsvc_link_failed(&t->link, &err);
    }
}

/* caller: whose command it is; {NULL,0}: nobody's. */
static wsvc_wish *find(wsvc_wish **w, size_t n, weir_slice id, weir_slice caller)
{
    for (size_t i = 0; i < n; i++) {
        if (weir_slice_eqz(id, w[i]->id) && !w[i]->document &&
            (!w[i]->caller || weir_slice_eqz(caller, w[i]->caller))) {
            return w[i];
        }
    }
    return NULL;
}

static void look_all(wsvc_intake *t, wsvc_wish **w, size_t n)
{
    weir_error err = {0};
    weir_pg_rows *rows = NULL;
    bool fresh;
    fail_all(w, n, WEIR_E_CONN, false, "PostgreSQL is away");
    if (!wsvc_link_up(&t->link, &fresh)) {
        return;
    }
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    weir_buf_putz(&b, "{");
    for (size_t i = 0; i < n; i++) {
        put_array_word(&b, w[i]->id);
    }
    weir_buf_putz(&b, "}");
    weir_buf_u8(&b, 0);
    const char *params[] = {b.failed ? "{}" : b.p};
    weir_rc rc = weir_pg_query(
        t->link.pg, "SELECT d.*, d.finished::text FROM weir.command_documents($1::text[]) d", 1,
        params, &rows, &err);
    weir_buf_fini(&b);
    if (rc != WEIR_OK) {
        wsvc_link_failed(&t->link, &err);
        fail_all(w, n, WEIR_E_CONN, false,
                 not_deployed(&err) ? "the control schema knows no asynchronous commands; run "
                                      "`weir deploy`"
                                    : err.msg);
        return;
    }
    fail_all(w, n, WEIR_E_NOTFOUND, false, "");
    for (int r = 0; r < weir_pg_nrows(rows); r++) {
        wsvc_wish *one;
        int last = weir_pg_ncols(rows) - 1; /* an older control schema knows no callers */
        weir_slice caller = last == 5 ? weir_pg_value(rows, r, 4) : (weir_slice){NULL, 0};
        while ((one = find(w, n, weir_pg_value(rows, r, 0), caller))) {
            one->rc = WEIR_OK;
            one->finished = weir_slice_eqz(weir_pg_value(rows, r, last), "true");
            (void)snprintf(one->version, sizeof one->version, "%s", weir_pg_valuez(rows, r, 2));
            one->document = weir_xstrdup(weir_pg_valuez(rows, r, 3));
        }
    }
    weir_pg_rows_free(rows);
}

static void count(wsvc_intake *t)
{
    char most[24];
    const char *params[] = {most};
    weir_pg_rows *rows = NULL;
    weir_error err = {0};
    bool fresh;
    if (weir_mono_ms() < t->count_ms || !wsvc_link_up(&t->link, &fresh)) {
        return;
    }
    t->count_ms = weir_mono_ms() + COUNT_MS;
    (void)snprintf(most, sizeof most, "%" PRId64, t->conf.pending_max);
    if (weir_pg_query(t->link.pg,
                      "SELECT count(*) FROM (SELECT FROM weir.command WHERE state = 'accepted' "
                      "LIMIT $1::bigint) x",
                      1, params, &rows, &err) == WEIR_OK) {
        atomic_store(&t->pending, weir_pg_i64(rows, 0, 0));
        weir_pg_rows_free(rows);
    } else {
        wsvc_link_failed(&t->link, &err);
    }
}

static void on_loop(void *list)
{
    wsvc_wish *w = list;
    wsvc_intake *t = w->owner;
    t->conf.done(t->conf.arg, w);
}

static void hand_back(wsvc_intake *t, wsvc_wish **w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        w[i]->next = i + 1 < n ? w[i + 1] : NULL;
    }
    if (n > 0 && !weir_loop_post(t->conf.loop, on_loop, w[0])) {
        for (size_t i = 0; i < n; i++) { /* the loop is over: nobody is left to be told */
            free(w[i]->document);
            w[i]->document = NULL;
        }
    }
}

static void intake_main(void *arg)
{
    wsvc_intake *t = arg;
    void *items[BATCH_MAX];
    wsvc_wish *wants[BATCH_MAX], *looks[BATCH_MAX];
    while (!(weir_queue_closed(t->queue) && weir_queue_len(t->queue) == 0)) {
        size_t n = weir_queue_pop(t->queue, items, BATCH_MAX, IDLE_MS);
        size_t nwants = 0, nlooks = 0, bytes = 0;
        for (size_t i = 0; i < n; i++) {
            wsvc_wish *w = items[i];
            if (w->kind == WSVC_INTAKE_LOOK) {
                looks[nlooks++] = w;
                continue;
            }
            if (nwants > 0 && bytes + w->body.n > BATCH_BYTES_MAX) {
                accept_all(t, wants, nwants);
                hand_back(t, wants, nwants);
                nwants = bytes = 0;
            }
            wants[nwants++] = w;
            bytes += w->body.n;
        }
        if (nwants > 0) {
            accept_all(t, wants, nwants);
            hand_back(t, wants, nwants);
        }
        if (nlooks > 0) {
            look_all(t, looks, nlooks);
            hand_back(t, looks, nlooks);
        }
        count(t);
    }
    wsvc_link_close(&t->link);
    atomic_store(&t->ended, true);
}

weir_rc wsvc_intake_start(wsvc_intake **out, const wsvc_intake_conf *conf, weir_error *err)
{
    wsvc_intake *t = weir_xcalloc(1, sizeof *t);
    t->conf = *conf;
    t->queue = weir_queue_new(conf->queue_max);
    t->mon = weir_monitor_new();
    wsvc_link_init(&t->link, conf->uri, "weir-write intake");
    weir_rc rc = weir_thread_start(&t->thread, "intake", intake_main, t, err);
    if (rc != WEIR_OK) {
        wsvc_intake_free(t);
        t = NULL;
    }
    *out = t;
    return rc;
}

bool wsvc_intake_submit(wsvc_intake *t, wsvc_wish *w)
{
    w->owner = t;
    return weir_queue_push(t->queue, w);
}

void wsvc_intake_stop(wsvc_intake *t)
{
    weir_queue_close(t->queue);
    weir_monitor_wake(t->mon);
}

bool wsvc_intake_ended(const wsvc_intake *t)
{
    return atomic_load(&t->ended);
}

int64_t wsvc_intake_pending(const wsvc_intake *t)
{
    return atomic_load(&t->pending);
}

void wsvc_intake_free(wsvc_intake *t)
{
    if (t) {
        weir_thread_join(t->thread);
        weir_queue_free(t->queue);
        weir_monitor_free(t->mon);
        free(t);
    }
}
