/* line.c - one connection: made when needed, greeted, written, read, and made anew when lost. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/client/priv.h"

enum {
    READ_BYTES = 64 * 1024,
    READS_MAX = 64, /* then what else there is to do */
    KEEP_BYTES = 1 << 20,
    CONNECT_MAX_MS = 5000,
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 1000,
    OUT_MAX_BYTES = 2000 << 20,
};

void weir_cl_line_init(weir_cl_line *l)
{
    l->fd = -1;
    weir_buf_init(&l->in, (size_t)WEIR_CL_REPLY_MAX_BYTES + 2UL * READ_BYTES);
    weir_buf_init(&l->out, OUT_MAX_BYTES);
    weir_backoff_init(&l->backoff, BACKOFF_MIN_MS, BACKOFF_MAX_MS, 0);
}

static void disconnect(weir_cl_line *l)
{
    weir_tls_stream_free(l->tls);
    l->tls = NULL;
    if (l->fd >= 0) {
        (void)close(l->fd);
    }
    l->fd = -1;
}

void weir_cl_line_fini(weir_cl_line *l)
{
    disconnect(l);
    weir_buf_fini(&l->in);
    weir_buf_fini(&l->out);
}

void weir_cl_line_lost(weir_client *c, weir_cl_line *l, const char *why)
{
    (void)snprintf(l->why, sizeof l->why, "%s", why);
    disconnect(l);
    l->state = WEIR_CL_DOWN;
    l->try_at_ms = weir_mono_ms() + weir_backoff_next_ms(&l->backoff);
    weir_cl_calls_lost(c, l);
    weir_buf_reset(&l->in);
    weir_buf_reset(&l->out);
    l->out_at = 0;
    l->out_base = 0;
}

/* The address to connect to. false: why says what is wrong. */
static bool address_of(weir_cl_line *l, struct sockaddr_storage *ss, socklen_t *n)
{
    memset(ss, 0, sizeof *ss);
    if (l->url.ipc) {
        struct sockaddr_un *un = (struct sockaddr_un *)ss;
        un->sun_family = AF_UNIX;
        (void)snprintf(un->sun_path, sizeof un->sun_path, "%s", l->url.path);
        *n = sizeof *un;
        return strlen(l->url.path) < sizeof un->sun_path;
    }
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *ai = NULL;
    (void)snprintf(port, sizeof port, "%d", l->url.port);
    if (getaddrinfo(l->url.host, port, &hints, &ai) != 0) {
        return false;
    }
    memcpy(ss, ai->ai_addr, ai->ai_addrlen);
    *n = ai->ai_addrlen;
    freeaddrinfo(ai);
    return true;
}

static void greet(weir_client *c, weir_cl_line *l)
{
    if (l->url.tls) {
        l->tls = weir_tls_stream_client(c->trust, l->fd, c->tls_name ? c->tls_name : l->url.host);
        if (!l->tls) {
            weir_cl_line_lost(c, l, "no memory for TLS");
            return;
        }
    }
    unsigned char greeting[WEIR_SP_GREETING_BYTES];
    weir_sp_greeting(greeting, WEIR_SP_REQ);
    weir_buf_put(&l->out, greeting, sizeof greeting);
    l->state = WEIR_CL_GREETING;
}

void weir_cl_line_connect(weir_client *c, weir_cl_line *l, int64_t now_ms)
{
    struct sockaddr_storage ss;
    socklen_t n = 0;
    const int one = 1;
    if (!address_of(l, &ss, &n)) {
        weir_cl_line_lost(c, l, "the address cannot be resolved");
        return;
    }
    l->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0) {
        weir_cl_line_lost(c, l, strerror(errno));
        return;
    }
    if (!l->url.ipc) {
        (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(l->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    l->give_up_at_ms = now_ms + CONNECT_MAX_MS;
    if (connect(l->fd, (struct sockaddr *)&ss, n) == 0) {
        greet(c, l);
    } else if (errno == EINPROGRESS) {
        l->state = WEIR_CL_CONNECTING;
    } else {
        weir_cl_line_lost(c, l, strerror(errno));
    }
}

short weir_cl_line_events(const weir_cl_line *l)
{
    bool waits = l->out.n > l->out_at && (!l->tls || weir_tls_wants_out(l->tls));
    return l->state == WEIR_CL_CONNECTING || waits ? POLLIN | POLLOUT : POLLIN;
}

/* Why recv or send failed just now. */
static const char *failure(const weir_cl_line *l)
{
    return l->tls && errno == EPROTO ? weir_tls_why(l->tls) : strerror(errno);
}

void weir_cl_line_send(weir_client *c, weir_cl_line *l)
{
    if (l->out.failed) {
        weir_cl_line_lost(c, l, "too much waits to be sent");
        return;
    }
    while (l->out.n > l->out_at) {
        const char *p = l->out.p + l->out_at;
        ssize_t n = l->tls ? weir_tls_send(l->tls, p, l->out.n - l->out_at)
                           : send(l->fd, p, l->out.n - l->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            weir_cl_line_lost(c, l, failure(l));
            return;
        }
        l->out_at += (size_t)n;
    }
    l->out_base += l->out_at;
    l->out_at = 0;
    weir_buf_reset(&l->out);
    if (l->out.cap > KEEP_BYTES) {
        weir_buf_fini(&l->out);
        weir_buf_init(&l->out, OUT_MAX_BYTES);
    }
}

/* false: what came is no greeting of a REP socket. */
static bool take_greeting(weir_client *c, weir_cl_line *l, size_t *at)
{
    unsigned char bytes[WEIR_SP_GREETING_BYTES];
    if (l->in.n < sizeof bytes) {
        return true;
    }
    memcpy(bytes, l->in.p, sizeof bytes);
    *at = sizeof bytes;
    if (!weir_sp_greeting_ok(bytes, WEIR_SP_REP)) {
        return false;
    }
    l->state = WEIR_CL_UP;
    weir_backoff_reset(&l->backoff);
    weir_cl_calls_queue(c, l);
    return true;
}

/* Whole messages of what has arrived. NULL, or why the connection must end. */
static const char *parse(weir_client *c, weir_cl_line *l)
{
    size_t at = 0, body_at = 0, body_n = 0;
    if (l->state == WEIR_CL_GREETING && !take_greeting(c, l, &at)) {
        return "the peer is no REP socket";
    }
    while (l->state == WEIR_CL_UP) {
        weir_sp_seen seen = weir_sp_look(l->in.p + at, l->in.n - at, l->url.ipc,
                                         WEIR_CL_REPLY_MAX_BYTES, &body_at, &body_n);
        if (seen == WEIR_SP_BAD) {
            return "the peer sent what is no message";
        }
        if (seen == WEIR_SP_MORE) {
            break;
        }
        if (!weir_cl_calls_answer(c, l, weir_slice_of(l->in.p + at + body_at, body_n))) {
            return "the peer sent what is no answer";
        }
        at += body_at + body_n;
    }
    if (at > 0) {
        memmove(l->in.p, l->in.p + at, l->in.n - at);
        l->in.n -= at;
    }
    if (l->in.n == 0 && l->in.cap > KEEP_BYTES) {
        size_t max = l->in.max;
        weir_buf_fini(&l->in);
        weir_buf_init(&l->in, max);
    }
    return NULL;
}

static void receive(weir_client *c, weir_cl_line *l)
{
    for (int i = 0; i < READS_MAX; i++) {
        char *p = weir_buf_reserve(&l->in, READ_BYTES);
        ssize_t n = !p       ? 0
                    : l->tls ? weir_tls_recv(l->tls, p, READ_BYTES)
                             : recv(l->fd, p, READ_BYTES, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            weir_cl_line_lost(c, l, n < 0 ? failure(l) : "the peer closed the connection");
            return;
        }
        l->in.n += (size_t)n;
        const char *why = parse(c, l);
        if (why) {
            weir_cl_line_lost(c, l, why);
            return;
        }
        if (n < READ_BYTES && !l->tls) { /* of TLS a read has one record */
            return;
        }
    }
}

void weir_cl_line_ready(weir_client *c, weir_cl_line *l, short revents)
{
    if (l->state == WEIR_CL_CONNECTING && (revents & (POLLOUT | POLLERR | POLLHUP))) {
        int e = 0;
        socklen_t n = sizeof e;
        if (getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0 || e != 0) {
            weir_cl_line_lost(c, l, strerror(e ? e : errno));
            return;
        }
        greet(c, l);
    } else if (revents & (POLLIN | POLLERR | POLLHUP)) {
        receive(c, l);
    }
    if (l->fd >= 0 && l->state != WEIR_CL_CONNECTING) {
        weir_cl_line_send(c, l);
    }
}
