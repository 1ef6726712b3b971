/* nng.c - bench_order for random customers over NNG, so many in flight on one connection of one
 * thread: nng URL SECONDS IN_FLIGHT. Prints commands per second and p50, p99 and the longest in ms.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <weir/client.h>

enum { ARGS = 2000, ARGS_BYTES = 256, SAMPLES_MAX = 4000000, IN_FLIGHT_MAX = 4096 };

static char args[ARGS][ARGS_BYTES];
static float *samples;
static size_t nsamples;
static double until;
static weir_client *client;

typedef struct seat {
    size_t at;
    double start;
} seat;

static double now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int between(int low, int high)
{
    return low + (int)(random() % (high - low + 1));
}

static void make_args(void)
{
    for (size_t i = 0; i < ARGS; i++) {
        int n = snprintf(args[i], ARGS_BYTES, "{\"customer_id\":%d,\"lines\":[", between(1, 10000));
        for (int k = 1; k <= 3; k++) {
            n += snprintf(args[i] + n, ARGS_BYTES - (size_t)n,
                          "%s{\"sku\":\"SKU-%d\",\"qty\":%d,\"price\":%d.5}", k > 1 ? "," : "",
                          between(1000, 1999), k, k);
        }
        (void)snprintf(args[i] + n, ARGS_BYTES - (size_t)n, "]}");
    }
}

static void start_one(seat *s);

static void on_reply(void *arg, const weir_client_reply *r, const weir_client_error *err)
{
    seat *s = arg;
    double t = now();
    if (!r) {
        (void)fprintf(stderr, "nng: %s\n", err->detail);
        exit(1);
    }
    if (nsamples < SAMPLES_MAX) {
        samples[nsamples++] = (float)((t - s->start) * 1000);
    }
    if (t < until) {
        s->start = t;
        start_one(s);
    }
}

static void start_one(seat *s)
{
    weir_client_error err;
    const weir_client_command k = {.name = "bench_order", .args = args[s->at++ % ARGS]};
    if (weir_client_send_start(client, &k, on_reply, s, &err) != WEIR_CLIENT_OK) {
        (void)fprintf(stderr, "nng: %s\n", err.detail);
        exit(1);
    }
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static seat seats[IN_FLIGHT_MAX];
    weir_client_error err;
    size_t n = argc == 4 ? (size_t)strtoul(argv[3], NULL, 10) : 0;
    if (n < 1 || n > IN_FLIGHT_MAX) {
        (void)fprintf(stderr, "usage: nng URL SECONDS IN_FLIGHT\n");
        return 2;
    }
    const weir_client_conf conf = {.write_url = argv[1], .in_flight_max = IN_FLIGHT_MAX};
    samples = malloc(sizeof *samples * SAMPLES_MAX);
    srandom((unsigned)time(NULL));
    make_args();
    if (!samples || weir_client_open(&client, &conf, &err) != WEIR_CLIENT_OK) {
        (void)fprintf(stderr, "nng: %s\n", err.detail);
        return 1;
    }
    double from = now();
    until = from + strtod(argv[2], NULL);
    for (size_t i = 0; i < n; i++) {
        seats[i] = (seat){(size_t)between(0, ARGS - 1), now()};
        start_one(&seats[i]);
    }
    while (weir_client_run(client, 1000) > 0) {
    }
    double took = now() - from;
    qsort(samples, nsamples, sizeof *samples, by_size);
    (void)printf("%.0f\nlatency_ms %.2f %.2f %.2f\n", (double)nsamples / took,
                 (double)samples[nsamples / 2], (double)samples[nsamples * 99 / 100],
                 (double)samples[nsamples - 1]);
    weir_client_close(client);
    return 0;
}
