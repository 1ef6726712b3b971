/* redis.c - the asynchronous Redis client: commands out, replies to their callbacks in order.
 *
 * hiredis connects and parses; sockets are read and written here, so that one turn's commands leave
 * in one write. The FIFO `ring` holds one entry per command in flight. redis_conn.c has the life of
 * the connection.
 */
#include "libweir/io/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/redis_priv.h"

static void on_turn(void *arg)
{
    weir_redis *r = arg;
    if (r->state >= RDS_GREETING && r->out_sent < r->out.n) {
        (void)weir_redis_flush(r);
    }
}

weir_rc weir_redis_open(weir_redis **out, weir_loop *l, const weir_redis_conf *conf,
                        weir_error *err)
{
    weir_redis *r = weir_xcalloc(1, sizeof *r);
    weir_rc rc = weir_redis_uri_parse(conf->uri, &r->uri, err);
    if (rc != WEIR_OK) {
        free(r);
        *out = NULL;
        return rc;
    }
    r->l = l;
    r->conf = *conf;
    r->conf.uri = NULL; /* borrowed, taken apart above */
    r->conf.outage = conf->outage ? conf->outage : &r->own_outage;
    r->conf.connect_timeout_ms = conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms : 2000;
    r->conf.command_timeout_ms = conf->command_timeout_ms > 0 ? conf->command_timeout_ms : 10000;
    r->conf.pending_max = conf->pending_max ? conf->pending_max : REDIS_PENDING_DEFAULT;
    weir_backoff_init(&r->backoff, 20, 1000, 0);
    weir_buf_init(&r->out, REDIS_OUT_MAX_BYTES);
    r->timer = weir_loop_timer_new(l, weir_redis_on_timer, r);
    weir_loop_timer_arm(r->timer, 0,
                        false); /* from the loop, so that no callback comes before open returned */
    weir_loop_on_turn(l, on_turn, r);
    *out = r;
    return WEIR_OK;
}

static void redis_free(weir_redis *r)
{
    for (size_t i = 0; i < r->nchannels; i++) {
        free(r->channels[i]);
    }
    weir_buf_fini(&r->out);
    free(r->ring);
    free(r);
}

void weir_redis_enter(weir_redis *r)
{
    r->busy++;
}

bool weir_redis_leave(weir_redis *r)
{
    if (--r->busy == 0 && r->closed) {
        redis_free(r);
        return false;
    }
    return !r->closed;
}

void weir_redis_close(weir_redis *r)
{
    if (!r || r->closed) {
        return;
    }
    weir_redis_enter(r);
    r->closed = true;
    r->conf.on_away = NULL;
    weir_error why;
    (void)weir_fail(&why, WEIR_E_EOF, 0, "closed");
    weir_redis_drop(r, &why);
    weir_loop_timer_free(r->timer);
    r->timer = NULL;
    weir_loop_off_turn(r->l, on_turn, r);
    (void)weir_redis_leave(r);
}

bool weir_redis_up(const weir_redis *r)
{
    return r->state == RDS_UP;
}

size_t weir_redis_pending(const weir_redis *r)
{
    return r->ring_n;
}

static void put_number(weir_buf *b, char kind, size_t n)
{
    char text[32];
    char *p = text + sizeof text;
    *--p = '\n';
    *--p = '\r';
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    *--p = kind;
    weir_buf_put(b, p, (size_t)(text + sizeof text - p));
}

bool weir_redis_put(weir_redis *r, size_t argc, const weir_slice *argv)
{
    size_t before = r->out.n;
    put_number(&r->out, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        put_number(&r->out, '$', argv[i].n);
        weir_buf_put(&r->out, argv[i].p, argv[i].n);
        weir_buf_put(&r->out, "\r\n", 2);
    }
    if (r->out.failed) { /* what stood there before is still whole */
        r->out.n = before;
        r->out.failed = false;
        return false;
    }
    weir_loop_again(r->l);
    return true;
}

void weir_redis_expect(weir_redis *r, weir_redis_fn *fn, void *arg)
{
    if (r->ring_n == r->ring_cap) {
        size_t cap = r->ring_cap ? r->ring_cap * 2 : 64;
        redis_pending *ring = weir_xcalloc(cap, sizeof *ring);
        for (size_t i = 0; i < r->ring_n; i++) {
            ring[i] = r->ring[(r->ring_head + i) & (r->ring_cap - 1)];
        }
        free(r->ring);
        r->ring = ring;
        r->ring_cap = cap;
        r->ring_head = 0;
    }
    r->ring[(r->ring_head + r->ring_n++) & (r->ring_cap - 1)] =
        (redis_pending){fn, arg, weir_coarse_ms()};
}

weir_rc weir_redis_send(weir_redis *r, size_t argc, const weir_slice *argv, weir_redis_fn *fn,
                        void *arg)
{
    if (r->state != RDS_UP) {
        return WEIR_E_CONN;
    }
    if (r->nchannels > 0) {
        return WEIR_E_STATE; /* a subscriber takes no other commands */
    }
    if (r->ring_n >= r->conf.pending_max || argc == 0 || !weir_redis_put(r, argc, argv)) {
        return WEIR_E_LIMIT;
    }
    weir_redis_expect(r, fn, arg);
    return WEIR_OK;
}

weir_rc weir_redis_sendz(weir_redis *r, const char *words, weir_redis_fn *fn, void *arg)
{
    weir_slice argv[32];
    size_t n = 0;
    while (*words) {
        size_t len = strcspn(words, " ");
        if (len > 0) {
            if (n == sizeof argv / sizeof argv[0]) {
                return WEIR_E_LIMIT;
            }
            argv[n++] = (weir_slice){words, len};
        }
        words += len + (words[len] == ' ');
    }
    return weir_redis_send(r, n, argv, fn, arg);
}

bool weir_redis_flush(weir_redis *r)
{
    while (r->out_sent < r->out.n) {
        ssize_t n = send(r->rc->fd, r->out.p + r->out_sent, r->out.n - r->out_sent, MSG_NOSIGNAL);
        if (n > 0) {
            r->out_sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            weir_loop_mod(r->source, WEIR_LOOP_IN | WEIR_LOOP_OUT);
            return true;
        } else if (errno != EINTR) {
            weir_error why;
            (void)weir_fail_errno(&why, "cannot write to Redis");
            why.code = WEIR_E_CONN;
            weir_redis_drop(r, &why);
            return false;
        }
    }
    weir_buf_reset(&r->out);
    if (r->out.cap > REDIS_OUT_KEEP_BYTES) {
        weir_buf_fini(&r->out);
        weir_buf_init(&r->out, REDIS_OUT_MAX_BYTES);
    }
    r->out_sent = 0;
    weir_loop_mod(r->source, WEIR_LOOP_IN);
    return true;
}

/* "message" and the confirmations of SUBSCRIBE; anything else a subscriber gets (pong) only proves
 * that Redis lives. */
static void take_push(weir_redis *r, const weir_redis_reply *reply)
{
    if (weir_redis_reply_len(reply) != 3) {
        return;
    }
    weir_slice kind = weir_redis_reply_str(weir_redis_reply_at(reply, 0));
    weir_slice channel = weir_redis_reply_str(weir_redis_reply_at(reply, 1));
    if (weir_slice_eqz(kind, "message")) {
        if (r->conf.on_message) {
            r->conf.on_message(r->conf.arg, channel,
                               weir_redis_reply_str(weir_redis_reply_at(reply, 2)));
        }
    } else if (weir_slice_eqz(kind, "subscribe") && ++r->nconfirmed >= r->nchannels &&
               r->state == RDS_GREETING) {
        weir_redis_greeted(r);
    }
}

static void take_reply(weir_redis *r, redisReply *raw, weir_error *why)
{
    const weir_redis_reply *reply = (const weir_redis_reply *)(const void *)raw;
    if (r->ring_n > 0) {
        redis_pending p = r->ring[r->ring_head];
        r->ring_head = (r->ring_head + 1) & (r->ring_cap - 1);
        r->ring_n--;
        if (p.fn) {
            p.fn(p.arg, reply);
        }
    } else if (r->nchannels > 0 && weir_redis_reply_type(reply) == WEIR_REDIS_ARRAY) {
        take_push(r, reply);
    } else {
        weir_slice text = weir_redis_reply_str(reply);
        (void)weir_fail(why, WEIR_E_CONN, WEIR_EF_RETRY, "Redis sent what nobody asked for: %.*s",
                        (int)(text.n > 100 ? 100 : text.n), text.p ? text.p : "");
    }
}

/* False: the connection is gone (or the client); the caller must leave at once. */
static bool take_replies(weir_redis *r)
{
    redisContext *rc = r->rc;
    for (;;) {
        void *raw = NULL;
        weir_error why = {.code = WEIR_OK};
        if (redisReaderGetReply(rc->reader, &raw) != REDIS_OK) {
            (void)weir_fail(&why, WEIR_E_PROTO, WEIR_EF_RETRY, "Redis broke its protocol: %s",
                            rc->reader->errstr);
        } else if (!raw) {
            return true;
        } else {
            take_reply(r, raw, &why);
            freeReplyObject(raw);
        }
        if (r->rc != rc) {
            return false; /* a callback led to a drop */
        }
        if (why.code != WEIR_OK) {
            weir_redis_drop(r, &why);
            return false;
        }
    }
}

void weir_redis_read(weir_redis *r)
{
    static _Thread_local char chunk[REDIS_READ_BYTES];
    weir_error why;
    for (int i = 0; i < REDIS_READS_PER_TURN; i++) {
        ssize_t n = recv(r->rc->fd, chunk, sizeof chunk, 0);
        if (n > 0) {
            r->heard_ms = weir_mono_ms();
            if (redisReaderFeed(r->rc->reader, chunk, (size_t)n) != REDIS_OK) {
                (void)weir_fail(&why, WEIR_E_CONN, WEIR_EF_RETRY, "cannot take Redis' answer: %s",
                                r->rc->reader->errstr);
                weir_redis_drop(r, &why);
                return;
            }
            if (!take_replies(r) || n < (ssize_t)sizeof chunk) {
                return;
            }
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        } else {
            (void)(n == 0
                       ? weir_fail(&why, WEIR_E_CONN, WEIR_EF_RETRY, "Redis closed the connection")
                       : weir_fail_errno(&why, "cannot read from Redis"));
            why.code = WEIR_E_CONN;
            weir_redis_drop(r, &why);
            return;
        }
    }
}

weir_rc weir_redis_subscribe(weir_redis *r, const char *channel)
{
    if (r->nchannels == REDIS_CHANNELS_MAX) {
        return WEIR_E_LIMIT;
    }
    r->channels[r->nchannels++] = weir_xstrdup(channel);
    if (r->state == RDS_UP) {
        weir_slice argv[2] = {WEIR_SLICE_LIT("SUBSCRIBE"), weir_slice_z(channel)};
        if (!weir_redis_put(r, 2, argv)) {
            free(r->channels[--r->nchannels]);
            return WEIR_E_LIMIT;
        }
    }
    return WEIR_OK;
}
