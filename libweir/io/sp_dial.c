/* sp_dial.c - non-blocking connections to a URL. */
#include "libweir/io/sp_dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void because(weir_sp_dial *d, const char *why)
{
    (void)snprintf(d->why, sizeof d->why, "%s", why);
}

static int open_to(weir_sp_dial *d, const struct sockaddr *sa, socklen_t n)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        because(d, strerror(errno));
        return -1;
    }
    if (connect(fd, sa, n) != 0 && errno != EINPROGRESS) {
        because(d, strerror(errno));
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int open_ipc(weir_sp_dial *d)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(d->url->path);
    if (n >= sizeof un.sun_path) {
        because(d, "the socket's path is too long");
        return -1;
    }
    memcpy(un.sun_path, d->url->path, n);
    return open_to(d, (const struct sockaddr *)&un, sizeof un);
}

void weir_sp_dial_begin(weir_sp_dial *d, const weir_sp_url *url)
{
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    weir_sp_dial_end(d);
    d->url = url;
    d->ipc_left = url->ipc;
    if (url->ipc) {
        return;
    }
    (void)snprintf(port, sizeof port, "%d", url->port);
    int e = getaddrinfo(url->host, port, &hints, &d->all);
    if (e != 0) {
        d->all = NULL;
        because(d, gai_strerror(e));
    }
    d->left = d->all;
}

int weir_sp_dial_next(weir_sp_dial *d)
{
    const int one = 1;
    if (d->ipc_left) {
        d->ipc_left = false;
        return open_ipc(d);
    }
    while (d->left) {
        const struct addrinfo *ai = d->left;
        d->left = ai->ai_next;
        int fd = open_to(d, ai->ai_addr, ai->ai_addrlen);
        if (fd >= 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
            return fd;
        }
    }
    return -1;
}

bool weir_sp_dial_failed(weir_sp_dial *d, int fd)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) {
        e = errno;
    }
    if (e != 0) {
        because(d, strerror(e));
    }
    return e != 0;
}

void weir_sp_dial_end(weir_sp_dial *d)
{
    if (d->all) {
        freeaddrinfo(d->all);
    }
    d->all = d->left = NULL;
    d->ipc_left = false;
}
