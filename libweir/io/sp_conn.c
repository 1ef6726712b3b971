/* sp_conn.c - one connection of the answering side: bytes to requests, replies to bytes. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/sp_priv.h"

static bool full(const sp_conn *c)
{
    return c->out.n - c->out_at > SP_UNSENT_PAUSE_BYTES;
}

static bool paused(const sp_conn *c)
{
    return c->nreqs >= c->s->conf.unanswered_max || full(c);
}

static void set_interest(sp_conn *c)
{
    unsigned events = WEIR_LOOP_HUP;
    if (!paused(c)) {
        events |= WEIR_LOOP_IN;
    }
    if (c->out.n > c->out_at && (!c->tls || weir_tls_wants_out(c->tls))) {
        events |= WEIR_LOOP_OUT;
    }
    weir_loop_mod(c->source, events);
}

static void mark_dirty(sp_conn *c)
{
    weir_sp_server *s = c->s;
    if (!c->dirty) {
        c->dirty = true;
        c->next_dirty = NULL;
        *(s->dirty ? &s->last_dirty->next_dirty : &s->dirty) = c;
        s->last_dirty = c;
        s->ndirty++;
        weir_loop_again(s->l);
    }
}

static void unmark_dirty(sp_conn *c)
{
    weir_sp_server *s = c->s;
    sp_conn *before = NULL;
    for (sp_conn *at = s->dirty; c->dirty && at; before = at, at = at->next_dirty) {
        if (at == c) {
            *(before ? &before->next_dirty : &s->dirty) = c->next_dirty;
            s->last_dirty = s->last_dirty == c ? before : s->last_dirty;
            s->ndirty--;
            c->dirty = false;
        }
    }
}

static weir_sp_req **list_of(const weir_sp_req *req)
{
    return req->conn ? &req->conn->reqs : &req->s->orphans;
}

static void link_req(weir_sp_req *req)
{
    weir_sp_req **list = list_of(req);
    req->prev = NULL;
    req->next = *list;
    if (req->next) {
        req->next->prev = req;
    }
    *list = req;
}

static void unlink_req(weir_sp_req *req)
{
    *(req->prev ? &req->prev->next : list_of(req)) = req->next;
    if (req->next) {
        req->next->prev = req->prev;
    }
}

static void req_free(weir_sp_req *req)
{
    weir_sp_server *s = req->s;
    unlink_req(req);
    if (s->npool >= SP_POOL_MAX) {
        free(req);
        return;
    }
    req->next = s->pool;
    s->pool = req;
    s->npool++;
}

static weir_sp_req *req_new(sp_conn *c)
{
    weir_sp_server *s = c->s;
    weir_sp_req *req = s->pool;
    if (req) {
        s->pool = req->next;
        s->npool--;
    } else {
        req = weir_xcalloc(1, sizeof *req);
    }
    req->s = s;
    req->conn = c;
    req->gone_fn = NULL;
    link_req(req);
    c->nreqs++;
    return req;
}

static void orphan(weir_sp_req *req)
{
    unlink_req(req);
    req->conn = NULL;
    link_req(req);
}

static void hang_up(sp_conn *c)
{
    weir_tls_stream_free(c->tls);
    weir_tls_drop(c->pair);
    (void)close(c->fd);
}

void weir_sp_conn_close(sp_conn *c)
{
    weir_sp_server *s = c->s;
    unmark_dirty(c);
    weir_loop_del(c->source);
    hang_up(c);
    while (c->reqs) { /* whoever is told may reply at once, and the request is gone */
        weir_sp_req *req = c->reqs;
        orphan(req);
        if (req->gone_fn) {
            req->gone_fn(req->gone_arg);
        }
    }
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    s->nconns--;
    weir_buf_fini(&c->in);
    weir_buf_fini(&c->out);
    free(c);
}

/* false: it broke the protocol. */
static bool take_message(sp_conn *c, const char *p, size_t n)
{
    size_t ids_n = weir_sp_ids(p, n);
    if (ids_n == 0) {
        return false;
    }
    weir_sp_req *req = req_new(c);
    memcpy(req->ids, p, ids_n);
    req->ids_n = ids_n;
    c->s->conf.fn(c->s->conf.arg, req, weir_slice_of(p + ids_n, n - ids_n));
    return true;
}

static bool take_greeting(sp_conn *c, size_t *at)
{
    if (c->in.n < WEIR_SP_GREETING_BYTES) {
        return true;
    }
    unsigned char bytes[WEIR_SP_GREETING_BYTES];
    memcpy(bytes, c->in.p, sizeof bytes);
    *at = sizeof bytes;
    c->greeted = true;
    return weir_sp_greeting_ok(bytes, WEIR_SP_REQ);
}

/* Whole messages of what has arrived. false: the connection must end. */
static bool parse(sp_conn *c)
{
    size_t at = 0, body_at, body_n;
    size_t max = c->s->conf.message_max_bytes + 4 * WEIR_SP_IDS_MAX;
    weir_sp_seen seen = WEIR_SP_MORE;
    bool ok = c->greeted || take_greeting(c, &at);
    while (ok && c->greeted && !paused(c)) {
        seen = weir_sp_look(c->in.p + at, c->in.n - at, c->s->url.ipc, max, &body_at, &body_n);
        if (seen != WEIR_SP_WHOLE) {
            break;
        }
        ok = take_message(c, c->in.p + at + body_at, body_n);
        at += body_at + body_n;
    }
    if (!ok || seen == WEIR_SP_BAD) {
        WEIR_DEBUG("SP-BAD", "a client sent what is no request, or one over %zu bytes", max);
        return false;
    }
    if (at > 0) {
        memmove(c->in.p, c->in.p + at, c->in.n - at);
        c->in.n -= at;
        c->arrive_since_ms = 0;
    }
    if (c->in.n == 0 && c->in.cap > SP_KEEP_BYTES) {
        size_t ceiling = c->in.max;
        weir_buf_fini(&c->in);
        weir_buf_init(&c->in, ceiling);
    }
    if (c->in.n > 0 && c->arrive_since_ms == 0) {
        c->arrive_since_ms = weir_mono_ms();
    }
    return true;
}

static ssize_t take_bytes(sp_conn *c, void *p, size_t n)
{
    return c->tls ? weir_tls_recv(c->tls, p, n) : recv(c->fd, p, n, 0);
}

static ssize_t give_bytes(sp_conn *c, const void *p, size_t n)
{
    return c->tls ? weir_tls_send(c->tls, p, n) : send(c->fd, p, n, MSG_NOSIGNAL);
}

/* false: it has ended. */
static bool receive(sp_conn *c)
{
    int reads_max = c->tls ? SP_RECORDS_MAX : SP_READS_MAX;
    for (int i = 0; i < reads_max && !paused(c); i++) {
        char *p = weir_buf_reserve(&c->in, SP_READ_BYTES);
        ssize_t n = p ? take_bytes(c, p, SP_READ_BYTES) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return true;
        }
        if (n <= 0) {
            return false;
        }
        c->in.n += (size_t)n;
        if (!parse(c)) {
            return false;
        }
        if (n < SP_READ_BYTES && !c->tls) {
            return true;
        }
    }
    return true;
}

/* A client that is always a little behind must not make what was sent pile up. */
static void forget_sent(sp_conn *c)
{
    if (c->out_at > c->out.n - c->out_at) {
        c->out.n -= c->out_at;
        memmove(c->out.p, c->out.p + c->out_at, c->out.n);
        c->out_at = 0;
    }
}

/* false: it has ended. */
static bool flush(sp_conn *c)
{
    for (int writes = 0; c->out.n > c->out_at; writes++) {
        if (writes == SP_WRITES_MAX) {
            forget_sent(c);
            mark_dirty(c);
            return true;
        }
        ssize_t n = give_bytes(c, c->out.p + c->out_at, c->out.n - c->out_at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            c->send_since_ms = c->send_since_ms ? c->send_since_ms : weir_mono_ms();
            forget_sent(c);
            return true;
        }
        if (n <= 0) {
            return false;
        }
        c->out_at += (size_t)n;
        c->send_since_ms = 0;
    }
    c->out_at = 0;
    weir_buf_reset(&c->out);
    if (c->out.cap > SP_KEEP_BYTES) {
        weir_buf_fini(&c->out);
        weir_buf_init(&c->out, SP_UNSENT_MAX_BYTES);
    }
    return true;
}

static void on_event(void *arg, unsigned events)
{
    sp_conn *c = arg;
    bool there = true, was_up = !c->tls || weir_tls_up(c->tls);
    if (events & WEIR_LOOP_IN) {
        there = receive(c);
    } else if (events & WEIR_LOOP_HUP) {
        there = false;
    }
    if (there && ((events & WEIR_LOOP_OUT) || !was_up)) {
        mark_dirty(c);
    }
    if (!there) {
        weir_sp_conn_close(c);
    } else {
        set_interest(c);
    }
}

void weir_sp_conn_flush_all(void *server)
{
    weir_sp_server *s = server;
    bool room = false;
    /* Once each: who has more to send then comes again in the next pass, behind the others. */
    for (unsigned n = s->ndirty; n > 0 && s->dirty; n--) {
        sp_conn *c = s->dirty;
        unmark_dirty(c);
        bool was_full = full(c), was_paused = paused(c) || c->in.n > 0;
        bool there = !c->out.failed && flush(c);
        room = room || (was_full && there && !full(c));
        if (there && was_paused && !paused(c)) { /* what had arrived before it was paused */
            there = parse(c);
            weir_loop_again(s->l);
        }
        if (there) {
            set_interest(c);
        } else {
            weir_sp_conn_close(c);
        }
    }
    if (room && s->conf.room_fn) {
        s->conf.room_fn(s->conf.arg);
    }
}

void weir_sp_conn_tick(sp_conn *c, int64_t now_ms)
{
    if (paused(c) && c->arrive_since_ms) {
        c->arrive_since_ms = now_ms; /* it is us who do not read */
    }
    int64_t arrive_max_ms = c->greeted ? SP_ARRIVE_MAX_MS : SP_GREETING_MAX_MS;
    bool slow = c->arrive_since_ms && now_ms - c->arrive_since_ms > arrive_max_ms;
    bool stuck = c->send_since_ms && now_ms - c->send_since_ms > SP_SEND_MAX_MS;
    if (slow || stuck) {
        WEIR_DEBUG("SP-SLOW", "a client was too slow and is disconnected");
        weir_sp_conn_close(c);
    }
}

sp_conn *weir_sp_conn_new(weir_sp_server *s, int fd)
{
    sp_conn *c = weir_xcalloc(1, sizeof *c);
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    c->s = s;
    c->fd = fd;
    c->arrive_since_ms = weir_mono_ms();
    weir_buf_init(&c->in, s->conf.message_max_bytes + 4 * SP_READ_BYTES);
    weir_buf_init(&c->out, SP_UNSENT_MAX_BYTES);
    if (s->url.tls) {
        c->pair = weir_tls_take(s->conf.tls);
        c->tls = weir_tls_accept(c->pair, fd);
    }
    if (c->tls || !s->url.tls) {
        c->source = weir_loop_add(s->l, fd, WEIR_LOOP_IN | WEIR_LOOP_HUP, on_event, c, NULL);
    }
    if (!c->source) {
        hang_up(c);
        free(c);
        return NULL;
    }
    c->next = s->conns;
    if (c->next) {
        c->next->prev = c;
    }
    s->conns = c;
    s->nconns++;
    weir_sp_greeting(greeting, WEIR_SP_REP);
    weir_buf_put(&c->out, greeting, sizeof greeting);
    mark_dirty(c);
    return c;
}

void weir_sp_reply(weir_sp_req *req, weir_slice body)
{
    sp_conn *c = req->conn;
    if (c) {
        unsigned char head[WEIR_SP_HEAD_MAX];
        c->nreqs--;
        weir_buf_put(&c->out, head, weir_sp_head(head, c->s->url.ipc, req->ids_n + body.n));
        weir_buf_put(&c->out, req->ids, req->ids_n);
        weir_buf_puts(&c->out, body);
        mark_dirty(c);
    }
    req_free(req);
}

void weir_sp_on_gone(weir_sp_req *req, weir_loop_fn *fn, void *arg)
{
    req->gone_fn = fn;
    req->gone_arg = arg;
}

bool weir_sp_full(const weir_sp_req *req)
{
    return req->conn && full(req->conn);
}
