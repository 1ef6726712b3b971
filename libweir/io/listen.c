/* listen.c - listening sockets, made by us so that SO_REUSEPORT and error texts are ours. */
#include "libweir/io/listen.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libweir/base/slice.h"

static weir_rc listen_failed(const weir_listen *at, const char *what, weir_error *err)
{
    int e = errno;
    weir_rc rc = weir_fail_errno(err, "cannot %s on %s port %d", what, at->host, at->port);
    if (e == EADDRINUSE && err) {
        err->code = WEIR_E_CONFLICT;
        weir_error_wrap(err, "another process holds the port; stop it or configure another one");
    }
    return e == EADDRINUSE ? WEIR_E_CONFLICT : rc;
}

static weir_rc open_socket(const weir_listen *at, const struct addrinfo *ai, int *out,
                           weir_error *err)
{
    const int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    weir_rc rc = WEIR_OK;
    if (fd < 0) {
        return listen_failed(at, "open a socket", err);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (at->reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)) {
        rc = listen_failed(at, "set socket options", err);
        goto out;
    }
    if (ai->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0},
                         sizeof(int)); /* "::" serves IPv4 too where it can */
    }
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        rc = listen_failed(at, "bind", err);
        goto out;
    }
    if (listen(fd, 1024) != 0) {
        rc = listen_failed(at, "listen", err);
        goto out;
    }
    *out = fd;
    fd = -1;
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int bound_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    char port[16] = "";
    int value = 0;
    if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0 ||
        getnameinfo((struct sockaddr *)&ss, n, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) {
        return 0;
    }
    int64_t v = 0;
    if (weir_slice_i64(weir_slice_z(port), &v)) {
        value = (int)v;
    }
    return value;
}

weir_rc weir_listen_tcp(const weir_listen *at, int *fd, int *port, weir_error *err)
{
    if (at->port < 0 || at->port > 65535) {
        return weir_fail(err, WEIR_E_INPUT, 0, "port %d is not between 0 and 65535", at->port);
    }
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[16];
    (void)snprintf(service, sizeof service, "%d", at->port);
    int e = getaddrinfo(at->host && at->host[0] ? at->host : NULL, service, &hints, &ai);
    if (e != 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "cannot listen on \"%s\": %s", at->host,
                         gai_strerror(e));
    }
    weir_rc rc = open_socket(at, ai, fd, err);
    freeaddrinfo(ai);
    if (rc == WEIR_OK) {
        *port = bound_port(*fd);
    }
    return rc;
}

/* A socket file nobody listens on any more is left by a process that was killed. */
static bool stale(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof *sa) != 0 &&
                   errno == ECONNREFUSED;
    if (fd >= 0) {
        (void)close(fd);
    }
    return refused;
}

weir_rc weir_listen_unix(const char *path, int *out, weir_error *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the socket's path is longer than %zu bytes: %s",
                         sizeof sa.sun_path - 1, path);
    }
    memcpy(sa.sun_path, path, strlen(path));
    if (stale(&sa)) {
        (void)unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return weir_fail_errno(err, "cannot open a socket");
    }
    /* Nobody can connect before listen, so the mode is set in time. */
    if (bind(fd, (const struct sockaddr *)&sa, sizeof sa) != 0 || chmod(path, 0600) != 0 ||
        listen(fd, 1024) != 0) {
        bool taken = errno == EADDRINUSE;
        weir_rc rc = weir_fail_errno(err, "cannot listen on %s", path);
        (void)close(fd);
        if (taken && err) {
            err->code = WEIR_E_CONFLICT;
        }
        return taken ? WEIR_E_CONFLICT : rc;
    }
    *out = fd;
    return WEIR_OK;
}
