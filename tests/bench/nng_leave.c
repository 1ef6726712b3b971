/* nng_leave.c - how many connections NNG's REP socket does not give back when their clients leave
 * with answers under way: nng_leave [PORT]. Prints that number; 0 is what one wants. The reason why
 * libweir/io/sp.h is there: see its head.
 *
 *     cc -O2 -D_GNU_SOURCE -pthread nng_leave.c -lnng -o nng_leave && ./nng_leave
 */
#include <arpa/inet.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTEXTS = 256, CLIENTS = 4, ROUNDS = 200, IN_FLIGHT = 64, MESSAGE = 140, WAIT_S = 10 };

typedef struct work {
    nng_ctx ctx;
    nng_aio *aio;
    int sending;
} work;

static atomic_int added, removed;
static int port = 24567;

static void on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    (void)p;
    (void)arg;
    *(ev == NNG_PIPE_EV_ADD_POST ? &added : &removed) += 1;
}

/* Each request is its own answer. */
static void on_aio(void *arg)
{
    work *w = arg;
    int e = nng_aio_result(w->aio);
    if (e != 0 && w->sending) {
        nng_msg_free(nng_aio_get_msg(w->aio));
    }
    w->sending = e == 0 && !w->sending;
    if (w->sending) {
        nng_ctx_send(w->ctx, w->aio);
    } else {
        nng_ctx_recv(w->ctx, w->aio);
    }
}

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        perror("nng_leave");
        exit(1);
    }
    return fd;
}

static void *come_and_leave(void *arg)
{
    unsigned seed = (unsigned)(size_t)arg;
    static const char greeting[8] = "\0SP\0\0\x30\0\0";
    char theirs[8], requests[IN_FLIGHT * MESSAGE] = {0};
    for (int i = 0; i < IN_FLIGHT; i++) {
        char *m = requests + i * MESSAGE;
        m[7] = (char)(MESSAGE - 8);
        m[8] = (char)0x80;
        m[11] = (char)i;
    }
    for (int i = 0; i < ROUNDS; i++) {
        int fd = dial();
        (void)send(fd, greeting, sizeof greeting, MSG_NOSIGNAL);
        if (recv(fd, theirs, sizeof theirs, MSG_WAITALL) == sizeof theirs) {
            (void)send(fd, requests, sizeof requests, MSG_NOSIGNAL);
            nng_msleep((nng_duration)(rand_r(&seed) % 2));
        }
        (void)close(fd);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static work works[CONTEXTS];
    pthread_t clients[CLIENTS];
    nng_socket s;
    char url[64];
    port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : port;
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port);
    if (nng_rep0_open(&s) != 0 || nng_pipe_notify(s, NNG_PIPE_EV_ADD_POST, on_pipe, NULL) != 0 ||
        nng_pipe_notify(s, NNG_PIPE_EV_REM_POST, on_pipe, NULL) != 0 ||
        nng_listen(s, url, NULL, 0) != 0) {
        (void)fprintf(stderr, "nng_leave: cannot listen on %s\n", url);
        return 1;
    }
    for (int i = 0; i < CONTEXTS; i++) {
        if (nng_aio_alloc(&works[i].aio, on_aio, &works[i]) != 0 ||
            nng_ctx_open(&works[i].ctx, s) != 0) {
            return 1;
        }
        nng_ctx_recv(works[i].ctx, works[i].aio);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (pthread_create(&clients[i], NULL, come_and_leave, (void *)(i + 1)) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i], NULL);
    }
    for (int i = 0; i < WAIT_S && removed < added; i++) {
        nng_msleep(1000);
    }
    (void)printf("%d\n", added - removed);
    (void)fflush(stdout);
    _exit(0); /* closing the socket would wait for the reaper */
}
