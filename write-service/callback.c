/* callback.c - callbacks: claimed, signed, sent, settled. */
#include "write-service/callback.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/clock.h"
#include "libweir/base/hmac.h"
#include "libweir/base/log.h"
#include "libweir/base/str.h"
#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/curl_multi.h"
#include "write-service/link.h"

enum {
    RUNNING_MAX = 64,
    ANSWER_MAX_BYTES = 64 * 1024,
    IDLE_MS = 200,
    BUSY_MS = 20,
    LIST_MAX_BYTES = 1 << 20,
    SIGNATURE_MAX_BYTES = 1024,
    HEADERS = 7,
};

/* One on its way. Texts live behind the struct or in headers. */
typedef struct delivery {
    weir_curl_post post;
    struct delivery *next; /* in the list of those that ended */
    int epoch;
    bool ok;
    char reason[200];
    const char *id, *command_id, *url, *key; /* key NULL: none */
    char *headers[HEADERS + 1];
} delivery;

struct wsvc_callbacks {
    wsvc_callbacks_conf conf;
    weir_thread *thread;
    wsvc_link link;
    weir_curl_multi *multi;
    int epoch;
    bool capable;
    delivery *ended_first; /* not yet written down */
    size_t nended;
    int64_t claim_ms;
    atomic_bool woken, stop, ended;
    weir_metric *m_acknowledged, *m_failed, *m_running;
};

bool wsvc_callback_sign(weir_buf *out, const char *secrets, const char *timestamp, weir_slice body)
{
    weir_buf text;
    char hex[WEIR_HMAC_HEX_BYTES];
    bool ok = true, first = true;
    weir_buf_init(&text, body.n + 64);
    weir_buf_printf(&text, "%s.", timestamp);
    weir_buf_puts(&text, body);
    for (const char *p = secrets; ok && *p;) {
        size_t n = strcspn(p, " ");
        if (n > 0) {
            ok = !text.failed &&
                 weir_hmac_sha256_hex(weir_slice_of(p, n), weir_buf_slice(&text), hex);
            weir_buf_printf(out, "%sv1=%s", first ? "" : ",", hex);
            first = false;
        }
        p += n + (p[n] != '\0');
    }
    weir_buf_fini(&text);
    return ok && !out->failed;
}

static void delivery_free(delivery *d)
{
    for (size_t i = 0; i < HEADERS; i++) {
        free(d->headers[i]);
    }
    free(d);
}

static char *header(const char *name, const char *value)
{
    size_t n = strlen(name) + strlen(value) + 3;
    char *z = weir_xmalloc(n);
    (void)snprintf(z, n, "%s: %s", name, value);
    return z;
}

static bool add_headers(const wsvc_callbacks *c, delivery *d, int64_t attempts)
{
    char stamp[24], attempt[24];
    weir_buf sig;
    weir_buf_init(&sig, SIGNATURE_MAX_BYTES);
    (void)snprintf(stamp, sizeof stamp, "%" PRId64, weir_wall_us() / 1000000);
    (void)snprintf(attempt, sizeof attempt, "%" PRId64, attempts + 1);
    bool ok = wsvc_callback_sign(&sig, c->conf.secret, stamp, d->post.body);
    weir_buf_u8(&sig, 0);
    ok = ok && !sig.failed;
    d->headers[0] = header("Content-Type", "application/json");
    d->headers[1] = header("Weir-Timestamp", stamp);
    d->headers[2] = header("Weir-Signature", ok ? sig.p : "");
    d->headers[3] = header("Weir-Command-Id", d->command_id);
    d->headers[4] = header("Weir-Attempt", attempt);
    d->headers[5] = header("User-Agent", "weir/" WEIR_VERSION);
    weir_buf_fini(&sig);
    return ok;
}

static const char *add(char **at, weir_slice v)
{
    char *p = *at;
    memcpy(p, v.p ? v.p : "", v.n);
    p[v.n] = '\0';
    *at += v.n + 1;
    return p;
}

/* Columns: id, command_id, url, attempts, ordering_key, payload. */
static delivery *delivery_new(const wsvc_callbacks *c, const weir_pg_rows *rows, int r)
{
    size_t bytes = 0;
    for (int col = 0; col < 6; col++) {
        bytes += weir_pg_value(rows, r, col).n + 1;
    }
    delivery *d = weir_xcalloc(1, sizeof *d + bytes);
    char *at = (char *)(d + 1);
    d->epoch = c->epoch;
    d->id = add(&at, weir_pg_value(rows, r, 0));
    d->command_id = add(&at, weir_pg_value(rows, r, 1));
    d->url = add(&at, weir_pg_value(rows, r, 2));
    d->key = weir_pg_isnull(rows, r, 4) ? NULL : add(&at, weir_pg_value(rows, r, 4));
    d->post.body = weir_slice_of(add(&at, weir_pg_value(rows, r, 5)), weir_pg_value(rows, r, 5).n);
    d->post.url = d->url;
    d->post.header_lines = (const char *const *)d->headers;
    d->post.timeout_ms = c->conf.timeout_ms;
    d->post.arg = d;
    return d;
}

static void ended(wsvc_callbacks *c, delivery *d, const char *reason)
{
    d->ok = !reason;
    (void)snprintf(d->reason, sizeof d->reason, "%s",
                   reason && weir_utf8_ok(weir_slice_z(reason)) ? reason : "it failed");
    weir_metric_add(d->ok ? c->m_acknowledged : c->m_failed, 1);
    d->next = c->ended_first;
    c->ended_first = d;
    c->nended++;
}

static void begin(wsvc_callbacks *c, delivery *d, int64_t attempts)
{
    weir_error err = {0};
    bool signed_ok = add_headers(c, d, attempts);
    if (wsvc_allow_check(c->conf.allow, d->url, &d->post.public_only, &err) != WEIR_OK) {
        ended(c, d, err.msg);
    } else if (!signed_ok) {
        ended(c, d, "it cannot be signed");
    } else if (weir_curl_multi_add(c->multi, &d->post, &err) != WEIR_OK) {
        ended(c, d, err.msg);
    }
}

static void collect(wsvc_callbacks *c)
{
    weir_curl_post *post;
    while ((post = weir_curl_multi_done(c->multi))) {
        delivery *d = post->arg;
        if (post->status >= 200 && post->status < 300) {
            ended(c, d, NULL);
        } else if (post->status) {
            char text[80];
            (void)snprintf(text, sizeof text, "the receiver answered %d", post->status);
            ended(c, d, text);
        } else {
            ended(c, d, post->err.msg);
        }
    }
    weir_metric_set(c->m_running, (int64_t)weir_curl_multi_running(c->multi));
}

static weir_rc run(wsvc_callbacks *c, const char *sql, int n, const char *const *params,
                   weir_pg_rows **rows)
{
    weir_error err = {0};
    weir_rc rc = weir_pg_query(c->link.pg, sql, n, params, rows, &err);
    if (rc != WEIR_OK) {
        wsvc_link_failed(&c->link, &err);
        c->capable = c->link.pg != NULL;
    } else {
        c->link.complained = false;
        weir_backoff_reset(&c->link.backoff);
    }
    return rc;
}

static bool ready(wsvc_callbacks *c)
{
    bool fresh = false;
    weir_pg_rows *rows = NULL;
    if (!wsvc_link_up(&c->link, &fresh)) {
        return false;
    }
    c->capable = c->capable && !fresh;
    if (!c->capable) {
        if (run(c, "SELECT weir.take_epoch()", 0, NULL, &rows) != WEIR_OK) {
            c->capable = false;
            return false;
        }
        c->epoch = (int)weir_pg_i64(rows, 0, 0);
        weir_pg_rows_free(rows);
        c->capable = true;
    }
    return true;
}

static void put_all(const wsvc_callbacks *c, weir_buf *list, weir_buf *keys)
{
    weir_buf_putz(list, "[");
    weir_buf_putz(keys, "[");
    for (const delivery *d = c->ended_first; d; d = d->next) {
        if (d->epoch == c->epoch) {
            weir_buf_printf(list, "%s{\"id\":%s,\"ok\":%s,\"reason\":", list->n > 1 ? "," : "",
                            d->id, d->ok ? "true" : "false");
            weir_json_quote(list, weir_slice_z(d->reason));
            weir_buf_putz(list, "}");
        }
        if (d->key) {
            weir_buf_putz(keys, keys->n > 1 ? "," : "");
            weir_json_quote(keys, weir_slice_z(d->key));
        }
    }
    weir_buf_putz(list, "]");
    weir_buf_putz(keys, "]");
    weir_buf_u8(list, 0);
    weir_buf_u8(keys, 0);
}

/* What ended is written down; the next of its key after that commit, see async.sql. */
static void settle(wsvc_callbacks *c)
{
    weir_buf list, keys;
    char me[16], most[16], pause[24];
    if (c->nended == 0) {
        return;
    }
    weir_buf_init(&list, LIST_MAX_BYTES);
    weir_buf_init(&keys, LIST_MAX_BYTES);
    put_all(c, &list, &keys);
    (void)snprintf(me, sizeof me, "%d", c->epoch);
    (void)snprintf(most, sizeof most, "%d", c->conf.attempts_max);
    (void)snprintf(pause, sizeof pause, "%" PRId64, c->conf.pause_max_ms);
    const char *params[] = {me, list.p, most, pause};
    bool told = !list.failed && !keys.failed &&
                run(c, "SELECT weir.settle_callbacks($1::int, $2::jsonb, $3::int, $4::bigint)", 4,
                    params, NULL) == WEIR_OK;
    if (told && keys.n > 3) {
        const char *one[] = {keys.p};
        told = run(c,
                   "SELECT weir.promote_callbacks(ARRAY(SELECT "
                   "jsonb_array_elements_text($1::jsonb)))",
                   1, one, NULL) == WEIR_OK;
    }
    weir_buf_fini(&list);
    weir_buf_fini(&keys);
    while (told && c->ended_first) {
        delivery *d = c->ended_first;
        c->ended_first = d->next;
        delivery_free(d);
        c->nended--;
        c->claim_ms = 0; /* the next of its key may be due */
    }
}

static void claim(wsvc_callbacks *c)
{
    char me[16], most[24];
    const char *params[] = {me, most};
    weir_pg_rows *rows = NULL;
    size_t taken = weir_curl_multi_running(c->multi) + c->nended;
    int64_t now_ms = weir_mono_ms();
    if (atomic_exchange(&c->woken, false)) {
        c->claim_ms = 0;
    }
    if (taken >= RUNNING_MAX || now_ms < c->claim_ms) {
        return;
    }
    (void)snprintf(me, sizeof me, "%d", c->epoch);
    (void)snprintf(most, sizeof most, "%zu", RUNNING_MAX - taken);
    if (run(c, "SELECT * FROM weir.claim_callbacks($1::int, $2::int)", 2, params, &rows) !=
        WEIR_OK) {
        return;
    }
    int n = weir_pg_nrows(rows);
    for (int r = 0; r < n; r++) {
        begin(c, delivery_new(c, rows, r), weir_pg_i64(rows, r, 3));
    }
    weir_pg_rows_free(rows);
    c->claim_ms = now_ms + (n > 0 ? BUSY_MS : IDLE_MS);
}

static void callbacks_main(void *arg)
{
    wsvc_callbacks *c = arg;
    bool on = wsvc_allow_any(c->conf.allow); /* else others may send them */
    while (!atomic_load(&c->stop)) {
        bool up = on && ready(c);
        if (up) {
            settle(c);
        }
        if (up && c->link.pg && c->capable) {
            claim(c);
        }
        bool soon = c->nended > 0 || weir_curl_multi_running(c->multi) > 0;
        bool at_once = up && atomic_load(&c->woken);
        weir_curl_multi_step(c->multi, at_once ? 0 : soon ? BUSY_MS : IDLE_MS);
        collect(c);
    }
    if (c->link.pg && c->capable) {
        settle(c);
    }
    for (weir_curl_post *p; (p = weir_curl_multi_drop(c->multi));) {
        delivery_free(p->arg);
    }
    while (c->ended_first) {
        delivery *d = c->ended_first;
        c->ended_first = d->next;
        delivery_free(d);
    }
    wsvc_link_close(&c->link);
    atomic_store(&c->ended, true);
}

weir_rc wsvc_callbacks_start(wsvc_callbacks **out, const wsvc_callbacks_conf *conf, weir_error *err)
{
    wsvc_callbacks *c = weir_xcalloc(1, sizeof *c);
    weir_metrics *ms = conf->metrics;
    c->conf = *conf;
    wsvc_link_init(&c->link, conf->uri, "weir-write callbacks");
    c->m_acknowledged = weir_counter(ms, "weir_write_callbacks_acknowledged_total",
                                     "Callbacks answered 2xx.", NULL);
    c->m_failed = weir_counter(ms, "weir_write_callbacks_failed_total",
                               "Callbacks sent, or tried to, and not acknowledged.", NULL);
    c->m_running = weir_gauge(ms, "weir_write_callbacks_running", "Callbacks on their way.", NULL);
    weir_rc rc = weir_curl_multi_new(&c->multi, ANSWER_MAX_BYTES, err);
    if (rc == WEIR_OK) {
        rc = weir_thread_start(&c->thread, "callbacks", callbacks_main, c, err);
    }
    if (rc != WEIR_OK) {
        wsvc_callbacks_free(c);
        c = NULL;
    }
    *out = c;
    return rc;
}

void wsvc_callbacks_wake(wsvc_callbacks *c)
{
    if (!atomic_exchange(&c->woken, true)) {
        weir_curl_multi_wake(c->multi);
    }
}

void wsvc_callbacks_stop(wsvc_callbacks *c)
{
    atomic_store(&c->stop, true);
    weir_curl_multi_wake(c->multi);
}

bool wsvc_callbacks_ended(const wsvc_callbacks *c)
{
    return atomic_load(&c->ended);
}

void wsvc_callbacks_free(wsvc_callbacks *c)
{
    if (c) {
        weir_thread_join(c->thread);
        weir_curl_multi_free(c->multi);
        free(c);
    }
}

void wsvc_callbacks_status(const wsvc_callbacks *c, weir_buf *out)
{
    weir_buf_printf(out, "\"callbacks\":{\"running\":%lld,\"acknowledged\":%lld,\"failed\":%lld}",
                    (long long)weir_metric_value(c->m_running),
                    (long long)weir_metric_value(c->m_acknowledged),
                    (long long)weir_metric_value(c->m_failed));
}
