/* visible.c - how long after its answer a command's document is in Redis, at a steady rate of
 * commands.
 *
 * usage: visible WRITE_PORT REDIS_PORT KEY_PREFIX RATE SECONDS
 *
 * Eight clients share the rate. Every fifth command of each is watched: from the moment its answer
 * arrived (it is committed then) EXISTS is asked until the document is there. Prints "samples
 * p50_ms p99_ms max_ms"; fails when a command is refused or a document does not come within ten
 * seconds.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CLIENTS = 8,
    WATCH_EVERY = 5,
    POLL_US = 50,
    GIVE_UP_US = 10 * 1000 * 1000,
    CUSTOMERS = 10000,
    BUFFER_BYTES = 8192
};

typedef struct client {
    pthread_t thread;
    int number, write_port, redis_port;
    const char *prefix;
    int64_t period_us, until_us;
    int64_t *samples;
    size_t n, cap;
    const char *failed;
} client;

static int whole(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

static int64_t now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void sleep_us(int64_t us)
{
    struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    if (us > 0) {
        (void)nanosleep(&ts, NULL);
    }
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) {
            return false;
        }
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* One HTTP response into buf, NUL-terminated: headers and as many bytes as Content-Length says. */
static bool receive_http(int fd, char *buf)
{
    size_t n = 0;
    while (n < BUFFER_BYTES - 1) {
        ssize_t k = recv(fd, buf + n, BUFFER_BYTES - 1 - n, 0);
        if (k <= 0) {
            return false;
        }
        n += (size_t)k;
        buf[n] = '\0';
        const char *end = strstr(buf, "\r\n\r\n");
        const char *length = strcasestr(buf, "\r\nContent-Length:");
        if (end && length && length < end &&
            n >= (size_t)(end + 4 - buf) +
                     strtoul(length + strlen("\r\nContent-Length:"), NULL, 10)) {
            return true;
        }
    }
    return false;
}

/* Places an order; its id, or -1. */
static long long place_order(client *c, int fd, unsigned *rng)
{
    char body[256], request[640], buf[BUFFER_BYTES];
    int n = snprintf(body, sizeof body,
                     "{\"customer_id\":%d,\"lines\":[{\"sku\":\"SKU-%d\",\"qty\":1,\"price\":1.5},{"
                     "\"sku\":\"SKU-%d\",\"qty\":2,"
                     "\"price\":3},{\"sku\":\"SKU-%d\",\"qty\":3,\"price\":4.5}]}",
                     1 + rand_r(rng) % CUSTOMERS, 1000 + rand_r(rng) % 1000,
                     1000 + rand_r(rng) % 1000, 1000 + rand_r(rng) % 1000);
    int m = snprintf(
        request, sizeof request,
        "POST /commands/bench_order HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        "Content-Length: %d\r\n\r\n%s",
        n, body);
    if (!send_all(fd, request, (size_t)m) || !receive_http(fd, buf)) {
        c->failed = "the write-service closed the connection";
        return -1;
    }
    const char *result = strstr(buf, "\"result\":");
    if (strncmp(buf, "HTTP/1.1 200", 12) != 0 || !result) {
        (void)fprintf(stderr, "%s\n", buf);
        c->failed = "a command was refused";
        return -1;
    }
    return strtoll(result + strlen("\"result\":"), NULL, 10);
}

static void watch(client *c, int redis, long long id, int64_t from_us)
{
    char key[256], request[320], reply[64];
    int n = snprintf(key, sizeof key, "%s%lld", c->prefix, id);
    int m = snprintf(request, sizeof request, "*2\r\n$6\r\nEXISTS\r\n$%d\r\n%s\r\n", n, key);
    while (now_us() - from_us < GIVE_UP_US) {
        if (!send_all(redis, request, (size_t)m)) {
            break;
        }
        ssize_t k = recv(redis, reply, sizeof reply - 1, 0);
        if (k < 4 || reply[0] != ':') {
            break;
        }
        if (reply[1] == '1') {
            if (c->n < c->cap) {
                c->samples[c->n++] = now_us() - from_us;
            }
            return;
        }
        sleep_us(POLL_US);
    }
    c->failed = "a document did not come";
}

static void *run(void *arg)
{
    client *c = arg;
    unsigned rng = 4711U + (unsigned)c->number;
    int web = connect_to(c->write_port), redis = connect_to(c->redis_port);
    if (web < 0 || redis < 0) {
        c->failed = "cannot connect";
        return NULL;
    }
    int64_t next_us = now_us() + c->period_us * c->number / CLIENTS;
    for (unsigned i = (unsigned)c->number; !c->failed && next_us < c->until_us;
         i++, next_us += c->period_us) {
        sleep_us(next_us - now_us());
        long long id = place_order(c, web, &rng);
        if (id >= 0 && i % WATCH_EVERY == 0) {
            watch(c, redis, id, now_us());
        }
    }
    (void)close(web);
    (void)close(redis);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        (void)fprintf(stderr, "usage: visible WRITE_PORT REDIS_PORT KEY_PREFIX RATE SECONDS\n");
        return 2;
    }
    int rate = whole(argv[4]), seconds = whole(argv[5]);
    if (rate < CLIENTS || seconds < 1) {
        return 2;
    }
    static client clients[CLIENTS];
    size_t cap = (size_t)rate * (size_t)seconds / CLIENTS + 16, n = 0;
    int64_t *all = calloc(cap * CLIENTS, sizeof *all);
    int64_t until = now_us() + (int64_t)seconds * 1000000;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.number = i,
                              .write_port = whole(argv[1]),
                              .redis_port = whole(argv[2]),
                              .prefix = argv[3],
                              .period_us = INT64_C(1000000) * CLIENTS / rate,
                              .until_us = until,
                              .samples = calloc(cap, sizeof *all),
                              .cap = cap};
        if (!all || !clients[i].samples ||
            pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) {
            return 1;
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        if (clients[i].failed) {
            (void)fprintf(stderr, "visible: %s\n", clients[i].failed);
            return 1;
        }
        memcpy(all + n, clients[i].samples, clients[i].n * sizeof *all);
        n += clients[i].n;
        free(clients[i].samples);
    }
    if (n == 0) {
        return 1;
    }
    qsort(all, n, sizeof *all, by_value);
    (void)printf("%zu %.3f %.3f %.3f\n", n, (double)all[n / 2] / 1000,
                 (double)all[n * 99 / 100] / 1000, (double)all[n - 1] / 1000);
    free(all);
    return 0;
}
