/* sp_client.c - the asking side: one connection, the requests in flight, and their time. */
#include "libweir/io/sp_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/backoff.h"
#include "libweir/base/clock.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/sp_dial.h"

enum {
    READ_BYTES = 64 * 1024,
    READ_MAX_BYTES = 1 << 20, /* of a message that is known to be long */
    READS_MAX = 16,           /* then others have their turn */
    KEEP_BYTES = 4 << 20,
    OUT_MAX_BYTES = 1 << 30,
    CONNECT_MAX_MS = 10000, /* of each address, until the greeting is there */
    DEAF_MS = 5000,
    REDIAL_MIN_MS = 50,
    REDIAL_MAX_MS = 1000,
    TIMEOUT_MAX_MS = 24 * 3600 * 1000,
};

#define ID_TOP_BIT 0x80000000U

typedef enum line_state { LINE_DOWN, LINE_CONNECTING, LINE_GREETING, LINE_UP } line_state;

typedef struct call {
    bool busy;
    uint32_t id;
    int64_t deadline_ms;
    bool sent; /* on this connection */
    weir_buf message;
    weir_sp_reply_fn *fn;
    void *arg;
} call;

struct weir_sp_client {
    weir_loop *l;
    char *url_text;
    weir_sp_url url;
    size_t reply_max_bytes;
    line_state state;
    weir_sp_dial dialing;
    int fd;
    weir_loop_fd *source;
    weir_loop_timer *timer; /* the next dial, the end of one under way, or a deadline */
    weir_backoff backoff;
    int64_t dial_ms, give_up_ms;
    int64_t asked_ms; /* since then nothing came, although something was asked; 0: nothing was */
    weir_buf in, out;
    size_t out_at; /* sent of out */
    uint32_t last_id;
    call calls[WEIR_SP_CALLS_MAX];
    bool met;
    char why[WEIR_SP_WHY_BYTES];
    bool inside; /* a callback of the loop is under way */
    bool closed; /* freed when it is through */
};

static void dial(weir_sp_client *c);
static void on_event(void *arg, unsigned events);

/* --- the connection's end
 * ------------------------------------------------------------------------------------------
 */

static void drop_input(weir_sp_client *c)
{
    weir_buf_fini(&c->in);
    weir_buf_reset(&c->in);
}

static void hang_up(weir_sp_client *c)
{
    weir_loop_del(c->source);
    c->source = NULL;
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    c->fd = -1;
    c->state = LINE_DOWN;
    drop_input(c);
    weir_buf_reset(&c->out);
    c->out_at = 0;
}

static void lost(weir_sp_client *c, const char *why)
{
    (void)snprintf(c->why, sizeof c->why, "%s", why);
    hang_up(c);
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        c->calls[i].sent = false;
    }
    c->asked_ms = 0;
    c->dial_ms = weir_mono_ms() + weir_backoff_next_ms(&c->backoff);
}

/* --- requests
 * ------------------------------------------------------------------------------------------------------
 */

static void arm(weir_sp_client *c)
{
    int64_t next_ms = c->state == LINE_DOWN ? c->dial_ms
                      : c->state == LINE_UP ? INT64_MAX
                                            : c->give_up_ms;
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        if (c->calls[i].busy && c->calls[i].deadline_ms < next_ms) {
            next_ms = c->calls[i].deadline_ms;
        }
    }
    if (next_ms == INT64_MAX) {
        weir_loop_timer_disarm(c->timer);
        return;
    }
    int64_t left_ms = next_ms - weir_mono_ms();
    weir_loop_timer_arm(c->timer, left_ms > 0 ? left_ms : 0, false);
}

/* The callback may ask again, and close the client. */
static void finish(call *k, weir_rc rc, weir_slice reply)
{
    k->busy = false;
    if (k->message.cap > READ_BYTES) {
        weir_buf_fini(&k->message);
    }
    k->fn(k->arg, rc, reply);
}

static void expire(weir_sp_client *c, int64_t now_ms)
{
    bool some = false;
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX && !c->closed; i++) {
        call *k = &c->calls[i];
        if (k->busy && k->deadline_ms <= now_ms) {
            some = true;
            finish(k, k->sent ? WEIR_E_TIMEOUT : WEIR_E_CONN, (weir_slice){NULL, 0});
        }
    }
    if (some && !c->closed && c->asked_ms && now_ms - c->asked_ms >= DEAF_MS) {
        lost(c, "no answer in time");
    }
}

static void queue(weir_sp_client *c, call *k)
{
    unsigned char head[WEIR_SP_HEAD_MAX];
    weir_buf_put(&c->out, head, weir_sp_head(head, c->url.ipc, k->message.n + 4));
    weir_buf_u32(&c->out, k->id);
    weir_buf_puts(&c->out, weir_buf_slice(&k->message));
    k->sent = true;
    c->asked_ms = c->asked_ms ? c->asked_ms : weir_mono_ms();
}

/* false: it is no answer. One to a request that is over is nobody's. */
static bool take_answer(weir_sp_client *c, weir_slice message)
{
    weir_rd rd = weir_rd_of(message);
    uint32_t id = weir_rd_u32(&rd);
    if (!weir_rd_ok(&rd) || !(id & ID_TOP_BIT)) {
        return false;
    }
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        if (c->calls[i].busy && c->calls[i].id == id) {
            finish(&c->calls[i], WEIR_OK, weir_slice_of(rd.p, weir_rd_left(&rd)));
            return true;
        }
    }
    return true;
}

/* --- bytes
 * ---------------------------------------------------------------------------------------------------------
 */

/* NULL, or why the connection must end. */
static const char *flush(weir_sp_client *c)
{
    while (c->out.n > c->out_at && !c->out.failed) {
        ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            return NULL;
        }
        if (n < 0 && errno != EINTR) {
            return strerror(errno);
        }
        c->out_at += n > 0 ? (size_t)n : 0;
    }
    bool failed = c->out.failed;
    weir_buf_reset(&c->out);
    c->out_at = 0;
    return failed ? "too much waits to be sent" : NULL;
}

static void send_out(weir_sp_client *c)
{
    const char *why = flush(c);
    if (why) {
        lost(c, why);
    } else {
        weir_loop_mod(c->source, WEIR_LOOP_IN | (c->out.n > c->out_at ? WEIR_LOOP_OUT : 0));
    }
}

static bool take_greeting(weir_sp_client *c, size_t *at)
{
    unsigned char bytes[WEIR_SP_GREETING_BYTES];
    if (c->in.n < sizeof bytes) {
        return true;
    }
    memcpy(bytes, c->in.p, sizeof bytes);
    if (!weir_sp_greeting_ok(bytes, WEIR_SP_REP)) {
        return false;
    }
    *at = sizeof bytes;
    weir_sp_dial_end(&c->dialing);
    c->state = LINE_UP;
    c->met = true;
    c->why[0] = '\0';
    weir_backoff_reset(&c->backoff);
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        if (c->calls[i].busy) {
            queue(c, &c->calls[i]);
        }
    }
    return true;
}

/* What has arrived whole; *want: so many bytes of the next message are missing. NULL, or why the
 * connection must end. */
static const char *parse(weir_sp_client *c, size_t *want)
{
    size_t at = 0, body_at = 0, body_n = 0;
    weir_sp_seen seen = WEIR_SP_MORE;
    if (c->state == LINE_GREETING && !take_greeting(c, &at)) {
        return "the peer is no REP socket";
    }
    while (c->state == LINE_UP && !c->closed) {
        body_n = 0;
        seen = weir_sp_look(c->in.p + at, c->in.n - at, c->url.ipc, c->reply_max_bytes + 4,
                            &body_at, &body_n);
        if (seen != WEIR_SP_WHOLE) {
            break;
        }
        if (!take_answer(c, weir_slice_of(c->in.p + at + body_at, body_n))) {
            return "the peer sent what is no answer";
        }
        at += body_at + body_n;
    }
    if (seen == WEIR_SP_BAD) {
        return "the peer sent what is no message, or one that is too large";
    }
    *want = body_n ? at + body_at + body_n - c->in.n : 0;
    if (at > 0) {
        c->in.n -= at;
        memmove(c->in.p, c->in.p + at, c->in.n);
    }
    if (c->in.n == 0 && c->in.cap > KEEP_BYTES) {
        drop_input(c);
    }
    return NULL;
}

/* NULL, or why the connection must end. */
static const char *receive(weir_sp_client *c)
{
    size_t want = 0;
    for (int i = 0; i < READS_MAX && !c->closed; i++) {
        size_t room = want > READ_MAX_BYTES ? READ_MAX_BYTES
                      : want > READ_BYTES   ? want
                                            : READ_BYTES;
        char *p = weir_buf_reserve(&c->in, room);
        ssize_t n = p ? recv(c->fd, p, room, 0) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return NULL;
        }
        if (n <= 0) {
            return n < 0 ? strerror(errno) : "the peer closed the connection";
        }
        c->in.n += (size_t)n;
        c->asked_ms = 0;
        const char *why = parse(c, &want);
        if (why) {
            return why;
        }
    }
    return NULL;
}

/* --- dialing
 * -------------------------------------------------------------------------------------------------------
 */

static void dial_next(weir_sp_client *c)
{
    hang_up(c);
    c->fd = weir_sp_dial_next(&c->dialing);
    if (c->fd >= 0) {
        c->source = weir_loop_add(c->l, c->fd, WEIR_LOOP_OUT, on_event, c, NULL);
    }
    if (!c->source) {
        lost(c, c->fd < 0 ? c->dialing.why : "the connection cannot be watched");
        return;
    }
    c->state = LINE_CONNECTING;
    c->give_up_ms = weir_mono_ms() + CONNECT_MAX_MS;
}

static void dial(weir_sp_client *c)
{
    weir_sp_dial_begin(&c->dialing, &c->url);
    dial_next(c);
}

static void connected(weir_sp_client *c)
{
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    if (weir_sp_dial_failed(&c->dialing, c->fd)) {
        dial_next(c);
        return;
    }
    c->state = LINE_GREETING;
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    weir_buf_put(&c->out, greeting, sizeof greeting);
    send_out(c);
}

/* --- the loop
 * ------------------------------------------------------------------------------------------------------
 */

static void client_free(weir_sp_client *c)
{
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        weir_buf_fini(&c->calls[i].message);
    }
    weir_buf_fini(&c->in);
    weir_buf_fini(&c->out);
    free(c->url_text);
    free(c);
}

static void leave(weir_sp_client *c)
{
    c->inside = false;
    if (c->closed) {
        client_free(c);
    } else {
        arm(c);
    }
}

static void on_timer(void *arg)
{
    weir_sp_client *c = arg;
    int64_t now_ms = weir_mono_ms();
    c->inside = true;
    if (c->state == LINE_DOWN && now_ms >= c->dial_ms) {
        dial(c);
    } else if (c->state != LINE_DOWN && c->state != LINE_UP && now_ms >= c->give_up_ms) {
        (void)snprintf(c->dialing.why, sizeof c->dialing.why, "no connection in time");
        dial_next(c);
    }
    expire(c, now_ms);
    if (c->state == LINE_UP && !c->closed) { /* what a callback asked */
        send_out(c);
    }
    leave(c);
}

static void on_event(void *arg, unsigned events)
{
    weir_sp_client *c = arg;
    const char *why = NULL;
    c->inside = true;
    if (c->state == LINE_CONNECTING) {
        connected(c);
    } else if (events & (WEIR_LOOP_IN | WEIR_LOOP_HUP)) {
        why = receive(c);
    }
    if (why && !c->closed) {
        lost(c, why);
    } else if (c->state >= LINE_GREETING && !c->closed) {
        send_out(c);
    }
    leave(c);
}

weir_rc weir_sp_client_open(weir_sp_client **out, weir_loop *l, const char *url,
                            size_t reply_max_bytes, weir_error *err)
{
    weir_sp_client *c = weir_xcalloc(1, sizeof *c);
    *out = NULL;
    c->l = l;
    c->fd = -1;
    c->url_text = weir_xstrdup(url);
    c->reply_max_bytes = reply_max_bytes < SIZE_MAX / 4 ? reply_max_bytes : SIZE_MAX / 4;
    weir_rc rc = weir_sp_url_read(&c->url, c->url_text, err);
    if (rc == WEIR_OK && c->url.tls) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%s: tls+tcp:// is not spoken here", url);
    }
    if (rc != WEIR_OK) {
        client_free(c);
        return rc;
    }
    weir_buf_init(&c->in, c->reply_max_bytes + 2UL * READ_MAX_BYTES);
    weir_buf_init(&c->out, OUT_MAX_BYTES);
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX; i++) {
        weir_buf_init(&c->calls[i].message, OUT_MAX_BYTES);
    }
    weir_backoff_init(&c->backoff, REDIAL_MIN_MS, REDIAL_MAX_MS, 0);
    c->timer = weir_loop_timer_new(l, on_timer, c);
    dial(c);
    arm(c);
    *out = c;
    return WEIR_OK;
}

void weir_sp_client_close(weir_sp_client *c)
{
    if (!c) {
        return;
    }
    weir_sp_dial_end(&c->dialing);
    weir_loop_del(c->source);
    c->source = NULL;
    if (c->fd >= 0) {
        (void)close(c->fd);
    }
    weir_loop_timer_free(c->timer);
    c->closed = true;
    if (!c->inside) {
        client_free(c);
    }
}

weir_rc weir_sp_request(weir_sp_client *c, weir_slice request, int64_t timeout_ms,
                        weir_sp_reply_fn *fn, void *arg)
{
    call *k = NULL;
    for (size_t i = 0; i < WEIR_SP_CALLS_MAX && !k; i++) {
        k = c->calls[i].busy ? NULL : &c->calls[i];
    }
    if (!k) {
        return WEIR_E_LIMIT;
    }
    timeout_ms = timeout_ms < 1 ? 1 : timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS : timeout_ms;
    k->busy = true;
    k->id = ++c->last_id | ID_TOP_BIT;
    k->deadline_ms = weir_mono_ms() + timeout_ms;
    k->sent = false;
    k->fn = fn;
    k->arg = arg;
    weir_buf_reset(&k->message);
    weir_buf_puts(&k->message, request);
    if (c->state == LINE_UP) {
        queue(c, k);
        if (!c->inside) {
            send_out(c);
        }
    }
    if (!c->inside) {
        arm(c);
    }
    return WEIR_OK;
}

const char *weir_sp_client_down(const weir_sp_client *c)
{
    return c->state != LINE_UP && c->why[0] ? c->why : NULL;
}

bool weir_sp_client_met(const weir_sp_client *c)
{
    return c->met;
}
