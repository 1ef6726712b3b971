/* http.c - the HTTP server: one libmicrohttpd daemon driven by our loop.
 *
 * The daemon has its own epoll descriptor, which we watch; MHD_run does the rest without waiting.
 * Two things it does not tell by that descriptor: connections resumed by us, and connections it has
 * not finished with (MHD_get_timeout says 0); both are taken care of in drive(). It knows
 * inactivity only, so a client that sends a byte now and then is ended by our tick.
 */
#include "libweir/io/http.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/http_priv.h"
#include "libweir/io/listen.h"

/* Held connections make the library want to go on for ever; then it goes on for replies only. */
static bool unfinished(weir_http *h)
{
    unsigned long long wait_ms = 0;
    if (h->nheld > 0) {
        return h->answered;
    }
    return MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES && wait_ms == 0;
}

static void drive(weir_http *h)
{
    if (h->running || !h->daemon) {
        return;
    }
    h->running = true;
    h->readable = h->resumed = false;
    int runs = 0;
    weir_http *before = weir_http_tls_enter(h);
    do {
        h->answered = false;
        (void)MHD_run(h->daemon);
    } while (++runs < HTTP_RUNS_MAX && unfinished(h));
    (void)weir_http_tls_enter(before);
    h->running = false;
    if (runs == HTTP_RUNS_MAX) { /* let others have their turn, then go on at once */
        weir_loop_timer_arm(h->tick, 0, false);
    }
}

/* What else this turn brings may be replies: the library sends them in the same run as it reads. */
static void on_epoll(void *arg, unsigned events)
{
    weir_http *h = arg;
    (void)events;
    h->readable = true;
}

static void on_turn(void *arg)
{
    weir_http *h = arg;
    if (h->some_gone) {
        weir_http_foreign_sweep(h);
    }
    if (h->readable || h->resumed) {
        drive(h);
        weir_loop_again(h->l); /* for the hooks that were called before this one */
    }
}

/* Suspends what is held. */
static void on_release(void *arg)
{
    weir_http *h = arg;
    h->release_armed = false;
    h->releasing = true;
    drive(h);
    h->releasing = false;
}

static void end_slow_peers(weir_http *h, int64_t now_ms)
{
    int64_t limit_ms = (int64_t)h->conf.idle_timeout_s * 1000;
    for (http_peer *p = h->peers; p; p = p->next) {
        /* Waiting includes the idle time before a request, which the library bounds by the same
         * limit: hence twice. */
        int64_t allowed_ms = p->state == PEER_WAITING ? 2 * limit_ms : limit_ms;
        if (p->state == PEER_ANSWERING || now_ms - p->since_ms <= allowed_ms) {
            continue;
        }
        const union MHD_ConnectionInfo *ci =
            MHD_get_connection_info(p->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (ci) {
            (void)shutdown(ci->connect_fd, SHUT_RDWR); /* the library notices and cleans up */
        }
        p->since_ms = now_ms;
    }
}

static void on_tick(void *arg)
{
    weir_http *h = arg;
    unsigned long long wait_ms = 0;
    end_slow_peers(h, weir_mono_ms());
    weir_http_tls_turn(h);
    drive(h);
    int64_t next_ms = HTTP_TICK_MS;
    if (h->nheld == 0 && MHD_get_timeout(h->daemon, &wait_ms) == MHD_YES &&
        wait_ms < HTTP_TICK_MS) {
        next_ms = (int64_t)wait_ms;
    }
    weir_loop_timer_arm(h->tick, next_ms, false);
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **socket_context,
                          enum MHD_ConnectionNotificationCode what)
{
    weir_http *h = cls;
    http_peer *p = *socket_context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        p = weir_xcalloc(1, sizeof *p);
        *p = (http_peer){.conn = conn, .since_ms = weir_coarse_ms(), .next = h->peers};
        if (p->next) {
            p->next->prev = p;
        }
        h->peers = p;
        h->nconns++;
        weir_http_tls_begin(h, p);
        *socket_context = p;
    } else if (p) {
        *(p->prev ? &p->prev->next : &h->peers) = p->next;
        if (p->next) {
            p->next->prev = p->prev;
        }
        h->nconns--;
        weir_http_tls_end(p);
        *socket_context = NULL;
        free(p);
    }
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *addr, socklen_t n)
{
    weir_http *h = cls;
    (void)addr;
    (void)n;
    if (h->nconns >= h->conf.connections_max) {
        WEIR_DEBUG("HTTP-CONNECTIONS-FULL", "connections=%u", h->nconns);
        return MHD_NO;
    }
    return MHD_YES;
}

/* Descriptors that connections must leave to everything else. */
enum { DESCRIPTORS_KEPT = 128 };

static unsigned connections_possible(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)wanted + DESCRIPTORS_KEPT) {
        return wanted;
    }
    unsigned possible = limit.rlim_cur > 2 * DESCRIPTORS_KEPT
                            ? (unsigned)limit.rlim_cur - DESCRIPTORS_KEPT
                            : DESCRIPTORS_KEPT;
    WEIR_WARN("HTTP-DESCRIPTORS", "connections=%u instead of %u: the limit of open files is %llu",
              possible, wanted, (unsigned long long)limit.rlim_cur);
    return possible < wanted ? possible : wanted;
}

/* tls: options of http_tls.c, ended by MHD_OPTION_END. */
static struct MHD_Daemon *start_daemon(weir_http *h, int fd, const http_tls *tls)
{
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | tls->flags;
    return MHD_start_daemon(
        flags, 0, on_accept, h, weir_http_on_access, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, h->conf.connections_max + 16U,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, h->conf.header_max_bytes, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)h->conf.idle_timeout_s, MHD_OPTION_URI_LOG_CALLBACK, weir_http_on_uri, h,
        MHD_OPTION_NOTIFY_COMPLETED, weir_http_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, h, MHD_OPTION_ARRAY, tls->options, MHD_OPTION_END);
}

static weir_rc attach(weir_http *h, weir_error *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info) {
        return weir_fail(err, WEIR_E_SYS, 0, "libmicrohttpd was built without epoll");
    }
    h->source = weir_loop_add(h->l, info->epoll_fd, WEIR_LOOP_IN, on_epoll, h, err);
    if (!h->source) {
        return WEIR_E_SYS;
    }
    h->tick = weir_loop_timer_new(h->l, on_tick, h);
    weir_loop_timer_arm(h->tick, HTTP_TICK_MS, false);
    h->release = weir_loop_timer_new(h->l, on_release, h);
    weir_loop_on_turn(h->l, on_turn, h);
    return WEIR_OK;
}

weir_rc weir_http_open(weir_http **out, weir_loop *l, const weir_http_conf *conf, weir_error *err)
{
    weir_http *h = weir_xcalloc(1, sizeof *h);
    h->l = l;
    h->conf = *conf;
    h->conf.listen = NULL; /* borrowed, not needed any more */
    h->conf.header_max_bytes =
        conf->header_max_bytes ? conf->header_max_bytes : HTTP_HEADER_DEFAULT_BYTES;
    h->conf.idle_timeout_s = conf->idle_timeout_s > 0 ? conf->idle_timeout_s : HTTP_IDLE_DEFAULT_S;
    h->conf.connections_max =
        connections_possible(conf->connections_max ? conf->connections_max : 1024);
    int fd = -1;
    const weir_listen at = {conf->listen, conf->port, conf->reuseport};
    http_tls tls;
    weir_rc rc = weir_http_tls_options(h, &tls, err);
    if (rc != WEIR_OK) {
        goto out;
    }
    rc = weir_listen_tcp(&at, &fd, &h->port, err);
    if (rc != WEIR_OK) {
        goto out;
    }
    h->daemon = start_daemon(h, fd, &tls);
    if (!h->daemon) {
        (void)close(fd);
        rc = weir_fail_errno(err, "cannot start the HTTP server");
        goto out;
    }
    rc = attach(h, err);
out:
    if (rc != WEIR_OK) {
        weir_http_close(h);
        h = NULL;
    }
    *out = h;
    return rc;
}

int weir_http_port(const weir_http *h)
{
    return h->port;
}

size_t weir_http_pending(const weir_http *h)
{
    return h->npending;
}

void weir_http_stop_accepting(weir_http *h)
{
    if (h->stopping) {
        return;
    }
    h->stopping = true;
    MHD_socket fd = MHD_quiesce_daemon(h->daemon);
    if (fd != MHD_INVALID_SOCKET) {
        (void)close(fd);
    }
}

void weir_http_close(weir_http *h)
{
    if (!h) {
        return;
    }
    h->closing = true;
    while (h->pending) { /* suspended connections must be resumed before the daemon stops */
        weir_http_problem(h->pending, 503, NULL, "the service is stopping", NULL);
    }
    if (h->daemon) {
        drive(h);
        weir_loop_del(h->source);
        MHD_stop_daemon(h->daemon);
        weir_loop_off_turn(h->l, on_turn, h);
    }
    weir_loop_timer_free(h->tick);
    weir_loop_timer_free(h->release);
    weir_http_tls_fini(h);
    weir_http_pool_free(h);
    free(h);
}
