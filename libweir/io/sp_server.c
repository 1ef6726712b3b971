/* sp_server.c - the answering side: listens, accepts, ends. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/listen.h"
#include "libweir/io/sp_priv.h"

static void on_accept(void *arg, unsigned events)
{
    weir_sp_server *s = arg;
    const int one = 1;
    (void)events;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (fd < 0) {
            s->paused = errno != EAGAIN; /* no descriptors left: not again at once */
            weir_loop_mod(s->source, s->paused ? 0 : WEIR_LOOP_IN);
            return;
        }
        if (s->nconns >= s->conf.connections_max) {
            WEIR_DEBUG("SP-CONNECTIONS-FULL", "connections=%u", s->nconns);
            (void)close(fd);
            continue;
        }
        if (!s->url.ipc) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        }
        (void)weir_sp_conn_new(s, fd);
    }
}

static void on_tick(void *arg)
{
    weir_sp_server *s = arg;
    int64_t now_ms = weir_mono_ms();
    sp_conn *next;
    for (sp_conn *c = s->conns; c; c = next) {
        next = c->next;
        weir_sp_conn_tick(c, now_ms);
    }
    if (s->paused && s->source) {
        s->paused = false;
        weir_loop_mod(s->source, WEIR_LOOP_IN);
    }
}

static weir_rc open_socket(weir_sp_server *s, weir_error *err)
{
    weir_rc rc = weir_sp_url_read(&s->url, s->conf.url, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (s->url.ipc) {
        rc = weir_listen_unix(s->url.path, &s->fd, err);
        s->path = rc == WEIR_OK ? weir_xstrdup(s->url.path) : NULL;
        return rc;
    }
    if (s->url.tls && !s->conf.tls) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "tls+tcp:// needs a certificate: set tls.cert and tls.key");
    }
    bool any = strcmp(s->url.host, "*") == 0; /* as NNG writes it */
    const weir_listen at = {any ? "" : s->url.host, s->url.port, s->conf.reuseport};
    return weir_listen_tcp(&at, &s->fd, &s->port, err);
}

weir_rc weir_sp_serve(weir_sp_server **out, weir_loop *l, const weir_sp_conf *conf, weir_error *err)
{
    weir_sp_server *s = weir_xcalloc(1, sizeof *s);
    *out = NULL;
    s->l = l;
    s->conf = *conf;
    s->fd = -1;
    weir_rc rc = open_socket(s, err);
    if (rc == WEIR_OK) {
        s->source = weir_loop_add(l, s->fd, WEIR_LOOP_IN, on_accept, s, err);
        rc = s->source ? WEIR_OK : WEIR_E_SYS;
    }
    if (rc != WEIR_OK) {
        weir_sp_server_close(s);
        return rc;
    }
    s->url.path = s->conf.url = NULL; /* borrowed, not needed any more */
    s->tick = weir_loop_timer_new(l, on_tick, s);
    weir_loop_timer_arm(s->tick, SP_TICK_MS, true);
    weir_loop_on_turn(l, weir_sp_conn_flush_all, s);
    *out = s;
    return WEIR_OK;
}

int weir_sp_port(const weir_sp_server *s)
{
    return s->port;
}

unsigned weir_sp_connections(const weir_sp_server *s)
{
    return s->nconns;
}

void weir_sp_stop_accepting(weir_sp_server *s)
{
    weir_loop_del(s->source);
    s->source = NULL;
    if (s->fd >= 0) {
        (void)close(s->fd);
        s->fd = -1;
    }
    if (s->path) {
        (void)unlink(s->path);
        free(s->path);
        s->path = NULL;
    }
}

void weir_sp_server_close(weir_sp_server *s)
{
    if (!s) {
        return;
    }
    s->conf.room_fn = NULL;
    weir_sp_stop_accepting(s);
    weir_sp_conn_flush_all(s);
    while (s->conns) {
        weir_sp_conn_close(s->conns);
    }
    while (s->orphans) {
        weir_sp_req *req = s->orphans;
        s->orphans = req->next;
        free(req);
    }
    weir_loop_off_turn(s->l, weir_sp_conn_flush_all, s);
    weir_loop_timer_free(s->tick);
    while (s->pool) {
        weir_sp_req *req = s->pool;
        s->pool = req->next;
        free(req);
    }
    free(s);
}
