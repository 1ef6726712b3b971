/* http_listen.c - the listening socket, made by us so that SO_REUSEPORT and error texts are ours.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libweir/io/http_priv.h"

static weir_rc listen_failed(const weir_http_conf *conf, const char *what, weir_error *err)
{
    int e = errno;
    weir_rc rc = weir_fail_errno(err, "cannot %s on %s port %d", what, conf->listen, conf->port);
    if (e == EADDRINUSE && err) {
        err->code = WEIR_E_CONFLICT;
        weir_error_wrap(err, "another process holds the port; stop it or configure another one");
    }
    return e == EADDRINUSE ? WEIR_E_CONFLICT : rc;
}

static weir_rc open_socket(const weir_http_conf *conf, const struct addrinfo *ai, int *out,
                           weir_error *err)
{
    const int one = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    weir_rc rc = WEIR_OK;
    if (fd < 0) {
        return listen_failed(conf, "open a socket", err);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        (conf->reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0)) {
        rc = listen_failed(conf, "set socket options", err);
        goto out;
    }
    if (ai->ai_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0},
                         sizeof(int)); /* "::" serves IPv4 too where it can */
    }
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
        rc = listen_failed(conf, "bind", err);
        goto out;
    }
    if (listen(fd, 1024) != 0) {
        rc = listen_failed(conf, "listen", err);
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

weir_rc weir_http_listen(const weir_http_conf *conf, int *fd, int *port, weir_error *err)
{
    if (conf->port < 0 || conf->port > 65535) {
        return weir_fail(err, WEIR_E_INPUT, 0, "port %d is not between 0 and 65535", conf->port);
    }
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai = NULL;
    char service[16];
    (void)snprintf(service, sizeof service, "%d", conf->port);
    int e =
        getaddrinfo(conf->listen && conf->listen[0] ? conf->listen : NULL, service, &hints, &ai);
    if (e != 0) {
        return weir_fail(err, WEIR_E_INPUT, 0, "cannot listen on \"%s\": %s", conf->listen,
                         gai_strerror(e));
    }
    weir_rc rc = open_socket(conf, ai, fd, err);
    freeaddrinfo(ai);
    if (rc == WEIR_OK) {
        *port = bound_port(*fd);
    }
    return rc;
}
