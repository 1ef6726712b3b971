/* service.c - the read-service: one worker per core on one port. */
#include "read-service/service.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/thread.h"
#include "libweir/base/xalloc.h"
#include "libweir/gate/gate.h"
#include "read-service/worker.h"

typedef struct seat {
    rsvc_worker *worker;
    weir_loop *loop;
    weir_thread *thread; /* NULL for the first */
} seat;

struct rsvc_service {
    rsvc_meters *meters;
    weir_auth *auth;
    weir_tls *tls;
    weir_redis_outage outage;
    seat *seats;
    unsigned n;
    int port;
};

static unsigned cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (unsigned)n : 1;
}

static void never_called(void *arg, weir_http_req *req)
{
    (void)arg;
    weir_http_problem(req, 503, NULL, "starting", NULL);
}

/* With SO_REUSEPORT a second weir-read would get the port too, in silence. So it is taken once
 * without, which also tells the number when any free port will do. */
static weir_rc probe_port(rsvc_service *s, const weir_settings *settings, weir_loop *l,
                          weir_error *err)
{
    weir_http *probe = NULL;
    weir_http_conf conf = {.listen = settings->read_listen,
                           .port = (int)settings->read_port,
                           .connections_max = 1,
                           .tls = s->tls,
                           .handler = never_called};
    weir_rc rc = weir_gate_listen(s->auth, "read.listen", &conf, err);
    if (rc == WEIR_OK) {
        rc = weir_http_open(&probe, l, &conf, err);
    }
    if (rc == WEIR_OK) {
        s->port = weir_http_port(probe);
        weir_http_close(probe);
    }
    return rc;
}

static void run_loop(void *arg)
{
    weir_loop_run(arg);
}

static weir_rc open_seat(rsvc_service *s, unsigned i, const weir_settings *settings,
                         weir_loop *main_loop, weir_error *err)
{
    seat *k = &s->seats[i];
    weir_rc rc = WEIR_OK;
    k->loop = main_loop;
    if (i > 0) {
        k->loop = NULL;
        rc = weir_loop_new(&k->loop, err);
    }
    if (rc == WEIR_OK) {
        const rsvc_worker_conf conf = {.settings = settings,
                                       .outage = &s->outage,
                                       .meters = s->meters,
                                       .auth = s->auth,
                                       .tls = s->tls,
                                       .loop = k->loop,
                                       .port = s->port,
                                       .shared_port = s->n > 1,
                                       .index = i,
                                       .loops = s->n};
        rc = rsvc_worker_open(&k->worker, &conf, err);
    }
    return rc;
}

weir_rc rsvc_service_open(rsvc_service **out, const weir_settings *settings, weir_loop *main_loop,
                          weir_error *err)
{
    *out = NULL;
    rsvc_service *s = weir_xcalloc(1, sizeof *s);
    s->meters = rsvc_meters_new();
    s->n = settings->read_threads > 0 ? (unsigned)settings->read_threads : cores();
    s->seats = weir_xcalloc(s->n, sizeof *s->seats);
    weir_rc rc = weir_auth_open(&s->auth, settings, s->meters->all, err);
    if (rc == WEIR_OK) {
        rc = weir_gate_certificate(&s->tls, settings, s->meters->all, err);
    }
    if (rc == WEIR_OK) {
        rc = probe_port(s, settings, main_loop, err);
    }
    for (unsigned i = 0; i < s->n && rc == WEIR_OK; i++) {
        rc = open_seat(s, i, settings, main_loop, err);
    }
    for (unsigned i = 1; i < s->n && rc == WEIR_OK; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "read-%u", i % 10000);
        rc = weir_thread_start(&s->seats[i].thread, name, run_loop, s->seats[i].loop, err);
    }
    if (rc != WEIR_OK) {
        rsvc_service_close(s);
        return rc;
    }
    *out = s;
    return WEIR_OK;
}

int rsvc_service_port(const rsvc_service *s)
{
    return s->port;
}

unsigned rsvc_service_threads(const rsvc_service *s)
{
    return s->n;
}

void rsvc_service_reload(rsvc_service *s)
{
    weir_auth_reload(s->auth, true);
    weir_tls_look(s->tls, true);
}

static void stop_worker(void *worker)
{
    rsvc_worker_stop(worker);
}

void rsvc_service_stop(rsvc_service *s)
{
    for (unsigned i = 1; i < s->n; i++) {
        (void)!weir_loop_post(s->seats[i].loop, stop_worker, s->seats[i].worker);
    }
    rsvc_worker_stop(s->seats[0].worker);
}

void rsvc_service_close(rsvc_service *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 1; i < s->n; i++) {
        if (s->seats[i].thread) { /* when opening failed half-way nobody has told it to stop */
            (void)!weir_loop_post(s->seats[i].loop, stop_worker, s->seats[i].worker);
            weir_thread_join(s->seats[i].thread);
        }
    }
    for (unsigned i = 0; i < s->n; i++) {
        rsvc_worker_close(s->seats[i].worker);
        if (i > 0) {
            weir_loop_free(s->seats[i].loop);
        }
    }
    weir_tls_close(s->tls);
    weir_auth_close(s->auth);
    rsvc_meters_free(s->meters);
    free(s->seats);
    free(s);
}
