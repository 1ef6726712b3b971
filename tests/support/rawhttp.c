/* rawhttp.c - bytes on a socket of our own, for requests no client library would send. */
#include "tests/support/rawhttp.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int rawhttp_dial(int64_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {20, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    assert_int_equal(0, connect(fd, (struct sockaddr *)&to, sizeof to));
    return fd;
}

void rawhttp_say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = send(fd, p, n, MSG_NOSIGNAL);
        if (w <= 0) {
            return; /* the server had enough: its answer tells */
        }
        p += w;
        n -= (size_t)w;
    }
}

/* What comes until the end, or until `until` was seen. */
const char *rawhttp_hear(weir_arena *a, int fd, const char *until)
{
    char *text = weir_arena_zalloc(a, 65536);
    size_t n = 0;
    while (n < 65535 && !(until && strstr(text, until))) {
        ssize_t r = recv(fd, text + n, 65535 - n, 0);
        if (r <= 0) {
            break;
        }
        n += (size_t)r;
    }
    return text;
}

/* One connection: sends head and fill times "x", says what came back. */
const char *rawhttp_ask(weir_arena *a, int64_t port, const char *head, const char *fill,
                        size_t times)
{
    int fd = rawhttp_dial(port);
    rawhttp_say(fd, head, strlen(head));
    for (size_t i = 0; i < times; i++) {
        rawhttp_say(fd, fill, strlen(fill));
    }
    const char *answer = rawhttp_hear(a, fd, "\r\n\r\n");
    (void)close(fd);
    return answer;
}
