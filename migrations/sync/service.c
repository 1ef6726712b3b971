/* service.c - weir-sync as a process. */
#include "migrations/sync/service.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/io/health.h"
#include "migrations/sync/job.h"

enum { REFRESH_MS = 250 };

typedef struct flags {
    const char *config, *state, *feed, *back_feed, *port;
} flags;

typedef struct service {
    weir_loop *loop;
    sync_job *job;
    weir_health *health;
} service;

static void usage(FILE *f)
{
    (void)fprintf(f,
                  "usage: weir-sync --config SYNC.ini --state DIR [--feed URL] [--back-feed URL] "
                  "[--port N] | --help | --version\n");
}

static void help(void)
{
    (void)printf("weir-sync - brings the changes of one PostgreSQL database into another\n\n");
    usage(stdout);
    (void)printf("\n  --config FILE    the SYNC.ini, see docs/sync.md\n"
                 "  --state DIR      its state folder; a file `paused` in it pauses the flows\n"
                 "  --feed URL       feed of the source's bridge (not for a folder)\n"
                 "  --back-feed URL  feed of the target's bridge (ways = both)\n"
                 "  --port N         of healthz, readyz, status and metrics; wins over the file\n\n"
                 "`weir sync SYNC.ini` starts it together with the bridges it needs.\n");
}

/* 0 go on, else the exit code + 1. */
static int parse(int argc, char **argv, flags *f)
{
    static const char *const names[] = {"--config", "--state", "--feed", "--back-feed", "--port"};
    const char **const places[] = {&f->config, &f->state, &f->feed, &f->back_feed, &f->port};
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help();
            return 1;
        }
        if (strcmp(argv[i], "--version") == 0) {
            (void)printf("weir-sync %s\n", WEIR_VERSION);
            return 1;
        }
        while (k < 5 && strcmp(argv[i], names[k]) != 0) {
            k++;
        }
        if (k == 5 || i + 1 == argc) {
            (void)fprintf(stderr, "weir-sync: %s %s\n",
                          k == 5 ? "unknown argument" : "a value is missing after", argv[i]);
            usage(stderr);
            return 3;
        }
        *places[k] = argv[++i];
    }
    if (!f->config || !f->state) {
        usage(stderr);
        return 3;
    }
    return 0;
}

static void on_signal(void *arg)
{
    service *s = arg;
    WEIR_INFO("SYNC-STOP", "finishing what was begun");
    weir_loop_stop(s->loop);
}

static void refresh(void *arg)
{
    service *s = arg;
    char text[600];
    weir_health_wait(s->health, "sync", sync_job_waits(s->job, text, sizeof text));
}

static weir_rc serve(service *s, const sync_conf *c, int port, weir_http **http, weir_error *err)
{
    weir_rc rc = weir_loop_new(&s->loop, err);
    if (rc == WEIR_OK) {
        rc = weir_loop_signals(s->loop, on_signal, s, err);
    }
    if (rc == WEIR_OK) {
        weir_health_status_fn(s->health, sync_job_status, s->job);
        weir_health_wait(s->health, "sync", "starting");
        rc = weir_health_serve(s->health, s->loop, c->listen, port, http, err);
    }
    if (rc == WEIR_OK) {
        rc = sync_job_start(s->job, err);
    }
    return rc;
}

static int run(const flags *f, const sync_conf *c)
{
    weir_error err = {.code = WEIR_OK};
    weir_http *http = NULL;
    weir_loop_timer *timer = NULL;
    weir_metrics *metrics = weir_metrics_new();
    sync_job_conf jc = {
        .conf = c, .state_dir = f->state, .feed = f->feed, .back_feed = f->back_feed};
    service s = {.job = sync_job_new(&jc), .health = weir_health_new(metrics)};
    int port = f->port ? (int)strtol(f->port, NULL, 10) : c->port;
    weir_rc rc = serve(&s, c, port, &http, &err);
    if (rc == WEIR_OK) {
        timer = weir_loop_timer_new(s.loop, refresh, &s);
        weir_loop_timer_arm(timer, REFRESH_MS, true);
        WEIR_INFO("SYNC-READY", "name=%s port=%d", c->name, port);
        weir_loop_run(s.loop);
    } else {
        WEIR_ERROR("SYNC-FATAL", "%s", err.msg);
    }
    sync_job_stop(s.job);
    if (timer) {
        weir_loop_timer_free(timer);
    }
    if (http) {
        weir_http_close(http);
    }
    sync_job_free(s.job);
    weir_health_free(s.health);
    weir_metrics_free(metrics);
    if (s.loop) {
        weir_loop_free(s.loop);
    }
    return rc == WEIR_OK ? 0 : 1;
}

int sync_service_main(int argc, char **argv)
{
    flags f = {NULL, NULL, NULL, NULL, NULL};
    sync_conf c;
    weir_error err = {.code = WEIR_OK};
    int early = parse(argc, argv, &f);
    if (early) {
        return early - 1;
    }
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = sync_conf_load(&c, f.config, a, &err);
    if (rc == WEIR_OK && !weir_log_set_level(c.log_level)) {
        rc =
            weir_fail(&err, WEIR_E_INPUT, 0, "log_level = %s: there is no such level", c.log_level);
    }
    if (rc == WEIR_OK && !c.folder && !f.feed) {
        rc = weir_fail(&err, WEIR_E_INPUT, 0, "a source database needs --feed");
    }
    if (rc == WEIR_OK && c.both && !f.back_feed) {
        rc = weir_fail(&err, WEIR_E_INPUT, 0, "ways = both needs --back-feed");
    }
    int code = 1;
    if (rc == WEIR_OK) {
        code = run(&f, &c);
    } else {
        WEIR_ERROR("SYNC-CONFIG", "%s", err.msg);
    }
    weir_arena_free(a);
    return code;
}
