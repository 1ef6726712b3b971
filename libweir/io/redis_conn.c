/* redis_conn.c - the life of the asynchronous client's connection: away, connecting, greeting, up,
 * and away again.
 *
 * Greeting: AUTH, SELECT, PING, in that order and only where needed; PING finds out whether Redis
 * still loads its data. A subscriber then subscribes and is up when every channel is confirmed, so
 * nothing published after on_up is missed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/io/redis_priv.h"

static void fail_all(weir_redis *r)
{
    /* The ring is taken over first: a callback may already see the client as away, and must not add
     * to what is being emptied. */
    redis_pending *ring = r->ring;
    size_t cap = r->ring_cap;
    size_t head = r->ring_head;
    size_t n = r->ring_n;
    r->ring = NULL;
    r->ring_cap = r->ring_head = r->ring_n = 0;
    for (size_t i = 0; i < n; i++) {
        redis_pending p = ring[(head + i) & (cap - 1)];
        if (p.fn) {
            p.fn(p.arg, NULL);
        }
    }
    free(ring);
}

/* true: it was the last of those that had lost Redis. */
static bool count_back(weir_redis *r)
{
    bool counted = r->away;
    r->away = false;
    return counted && atomic_fetch_sub(&r->conf.outage->away, 1) == 1;
}

void weir_redis_drop(weir_redis *r, const weir_error *why)
{
    char at[WEIR_REDIS_WHERE_BYTES];
    weir_redis_enter(r);
    r->state = RDS_AWAY;
    weir_loop_del(r->source);
    r->source = NULL;
    if (r->rc) {
        redisFree(r->rc);
        r->rc = NULL;
    }
    weir_buf_reset(&r->out);
    r->out_sent = 0;
    r->nconfirmed = 0;
    if (r->closed) {
        (void)count_back(r);
    } else if (!r->away) {
        r->away = true;
        if (atomic_fetch_add(&r->conf.outage->away, 1) == 0) {
            WEIR_WARN("RDS-AWAY", "redis=%s reason=\"%s\"", weir_redis_uri_where(&r->uri, at),
                      why->msg);
        }
    }
    if (r->timer) {
        weir_loop_timer_arm(r->timer, weir_backoff_next_ms(&r->backoff), false);
    }
    fail_all(r);
    if (r->conf.on_away) {
        r->conf.on_away(r->conf.arg, why);
    }
    (void)weir_redis_leave(r);
}

void weir_redis_greeted(weir_redis *r)
{
    char at[WEIR_REDIS_WHERE_BYTES];
    r->state = RDS_UP;
    bool first = !atomic_exchange(&r->conf.outage->was_up, true) && !r->away;
    bool last = count_back(r);
    weir_backoff_reset(&r->backoff);
    int64_t step_ms = r->conf.command_timeout_ms / 4;
    weir_loop_timer_arm(r->timer, step_ms > 250 ? 250 : step_ms, true);
    if (first || last) {
        WEIR_INFO("RDS-UP", "redis=%s", weir_redis_uri_where(&r->uri, at));
    }
    if (r->conf.on_up) {
        r->conf.on_up(r->conf.arg);
    }
}

static void drop_greeting(weir_redis *r, const weir_redis_reply *reply)
{
    weir_error why;
    weir_slice text = weir_redis_reply_str(reply);
    bool denied = weir_slice_starts(text, WEIR_SLICE_LIT("NOAUTH")) ||
                  weir_slice_starts(text, WEIR_SLICE_LIT("WRONGPASS")) ||
                  weir_slice_starts(text, WEIR_SLICE_LIT("NOPERM"));
    (void)weir_fail(&why, denied ? WEIR_E_DENIED : WEIR_E_CONN, WEIR_EF_RETRY,
                    "Redis refused: %.*s%s", (int)(text.n > 200 ? 200 : text.n),
                    text.p ? text.p : "", weir_redis_login_hint(text));
    weir_redis_drop(r, &why);
}

static void on_greeting(void *arg, const weir_redis_reply *reply)
{
    weir_redis *r = arg;
    if (reply && weir_redis_reply_type(reply) == WEIR_REDIS_ERROR) {
        drop_greeting(r, reply);
    }
}

static void on_last_greeting(void *arg, const weir_redis_reply *reply)
{
    weir_redis *r = arg;
    if (!reply) {
        return; /* dropped meanwhile */
    }
    if (weir_redis_reply_type(reply) == WEIR_REDIS_ERROR) {
        drop_greeting(r, reply);
    } else if (r->nchannels == 0) {
        weir_redis_greeted(r);
    }
}

static bool greet(weir_redis *r)
{
    char db[16];
    bool ok = true;
    if (r->uri.password[0]) {
        weir_slice argv[3] = {WEIR_SLICE_LIT("AUTH"), weir_slice_z(r->uri.user),
                              weir_slice_z(r->uri.password)};
        if (!r->uri.user[0]) {
            argv[1] = argv[2];
        }
        ok = weir_redis_put(r, r->uri.user[0] ? 3 : 2, argv);
        weir_redis_expect(r, on_greeting, r);
    }
    if (r->uri.db > 0) {
        (void)snprintf(db, sizeof db, "%d", r->uri.db);
        weir_slice argv[2] = {WEIR_SLICE_LIT("SELECT"), weir_slice_z(db)};
        ok = weir_redis_put(r, 2, argv) && ok;
        weir_redis_expect(r, on_greeting, r);
    }
    ok = weir_redis_put(r, 1, &(weir_slice){"PING", 4}) && ok;
    weir_redis_expect(r, on_last_greeting, r);
    for (size_t i = 0; i < r->nchannels; i++) {
        weir_slice argv[2] = {WEIR_SLICE_LIT("SUBSCRIBE"), weir_slice_z(r->channels[i])};
        ok = weir_redis_put(r, 2, argv) && ok;
    }
    return ok;
}

/* The non-blocking connect has an outcome. False: dropped. */
static bool finish_connect(weir_redis *r)
{
    weir_error why;
    int e = 0;
    socklen_t n = sizeof e;
    char at[WEIR_REDIS_WHERE_BYTES];
    if (getsockopt(r->rc->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) {
        e = errno;
    }
    if (e != 0) {
        errno = e;
        (void)weir_fail_errno(&why, "cannot connect to Redis at %s",
                              weir_redis_uri_where(&r->uri, at));
        why.code = WEIR_E_CONN;
        weir_redis_drop(r, &why);
        return false;
    }
    r->state = RDS_GREETING;
    r->heard_ms = r->pinged_ms = weir_mono_ms();
    if (!greet(r)) {
        (void)weir_fail(&why, WEIR_E_LIMIT, WEIR_EF_RETRY,
                        "the greeting does not fit the output buffer");
        weir_redis_drop(r, &why);
        return false;
    }
    return true;
}

static void on_socket(void *arg, unsigned events)
{
    weir_redis *r = arg;
    weir_redis_enter(r);
    if (r->state == RDS_CONNECTING && !finish_connect(r)) {
        events = 0;
    }
    if ((events & WEIR_LOOP_OUT) && !weir_redis_flush(r)) {
        events = 0;
    }
    if (r->source && (events & (WEIR_LOOP_IN | WEIR_LOOP_HUP))) {
        weir_redis_read(r);
    }
    (void)weir_redis_leave(r);
}

void weir_redis_connect(weir_redis *r)
{
    weir_error why;
    char at[WEIR_REDIS_WHERE_BYTES];
    r->rc = r->uri.path[0] ? redisConnectUnixNonBlock(r->uri.path)
                           : redisConnectNonBlock(r->uri.host, r->uri.port);
    if (!r->rc || r->rc->err) {
        (void)weir_fail(&why, WEIR_E_CONN, WEIR_EF_RETRY, "cannot connect to Redis at %s: %s",
                        weir_redis_uri_where(&r->uri, at), r->rc ? r->rc->errstr : "out of memory");
        weir_redis_drop(r, &why);
        return;
    }
    r->rc->reader->maxbuf =
        1024 * 1024; /* do not give the input buffer back after every large reply */
    r->state = RDS_CONNECTING;
    r->source = weir_loop_add(r->l, r->rc->fd, WEIR_LOOP_OUT, on_socket, r, &why);
    if (!r->source) {
        weir_redis_drop(r, &why);
        return;
    }
    weir_loop_timer_arm(r->timer, r->conf.connect_timeout_ms, false);
}

/* A subscriber has no command in flight by whose age a dead peer would show: it asks now and then.
 */
static bool subscriber_overdue(weir_redis *r, int64_t now_ms)
{
    if (now_ms - r->heard_ms > REDIS_PING_MS + r->conf.command_timeout_ms) {
        return true;
    }
    if (now_ms - r->pinged_ms >= REDIS_PING_MS) {
        r->pinged_ms = now_ms;
        return !weir_redis_put(r, 1, &(weir_slice){"PING", 4});
    }
    return false;
}

void weir_redis_on_timer(void *arg)
{
    weir_redis *r = arg;
    weir_error why;
    char at[WEIR_REDIS_WHERE_BYTES];
    int64_t now_ms = weir_mono_ms();
    if (r->state == RDS_AWAY) {
        weir_redis_connect(r);
        return;
    }
    if (r->state != RDS_UP) {
        (void)weir_fail(&why, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                        "Redis at %s did not answer within %lld ms",
                        weir_redis_uri_where(&r->uri, at), (long long)r->conf.connect_timeout_ms);
        weir_redis_drop(r, &why);
        return;
    }
    bool overdue =
        r->ring_n > 0 && now_ms - r->ring[r->ring_head].sent_ms > r->conf.command_timeout_ms;
    if (overdue || (r->nchannels > 0 && subscriber_overdue(r, now_ms))) {
        (void)weir_fail(&why, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                        "Redis at %s did not answer within %lld ms",
                        weir_redis_uri_where(&r->uri, at), (long long)r->conf.command_timeout_ms);
        weir_redis_drop(r, &why);
    }
}
