/* crawl.c - drives the direct copy from the command line, for measurements and for tests that kill
 * it. Prints one line: rows, seconds of copying (keys included), seconds of the rest, peak memory.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "libweir/base/clock.h"
#include "libweir/base/log.h"
#include "libweir/base/thread.h"
#include "migrations/crawler/crawler.h"

enum { TABLES_MAX = 64, POLL_MS = 500 };

typedef struct drive {
    crw *c;
    weir_rc rc;
    weir_error err;
    weir_monitor *m;
    bool over;
} drive;

static int64_t number(const char *text)
{
    int64_t v = 0;
    if (!weir_slice_i64(weir_slice_z(text), &v)) {
        (void)fprintf(stderr, "crawl: %s is not a number\n", text);
        exit(2);
    }
    return v;
}

static void copy(void *arg)
{
    drive *d = arg;
    d->rc = crw_copy(d->c, &d->err);
    weir_monitor_lock(d->m);
    d->over = true;
    weir_monitor_wake(d->m);
    weir_monitor_unlock(d->m);
}

static void show(crw *c)
{
    crw_state s;
    crw_progress(c, &s);
    (void)fprintf(
        stderr, "rows %lld of %lld, %lld/s, eta %lld s, %lld of %lld tables, %lld chunks %s\n",
        (long long)s.rows, (long long)s.rows_total, (long long)s.rows_per_s, (long long)s.eta_s,
        (long long)s.tables_done, (long long)s.tables, (long long)s.chunks, s.waits);
}

static weir_rc run(drive *d, bool verbose)
{
    weir_thread *t = NULL;
    d->m = weir_monitor_new();
    weir_rc rc = weir_thread_start(&t, "copy", copy, d, &d->err);
    if (rc == WEIR_OK) {
        weir_monitor_lock(d->m);
        while (!d->over) {
            if (!weir_monitor_wait(d->m, POLL_MS) && verbose) {
                show(d->c);
            }
        }
        weir_monitor_unlock(d->m);
        weir_thread_join(t);
        rc = d->rc;
    }
    weir_monitor_free(d->m);
    return rc;
}

static void parse(int argc, char **argv, crw_conf *conf, crw_table *tables, bool *verbose)
{
    static const struct option options[] = {{"source", required_argument, NULL, 's'},
                                            {"target", required_argument, NULL, 't'},
                                            {"job", required_argument, NULL, 'j'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"chunk-rows", required_argument, NULL, 'r'},
                                            {"chunk-max", required_argument, NULL, 'm'},
                                            {"chunk-ms", required_argument, NULL, 'c'},
                                            {"rate", required_argument, NULL, 'R'},
                                            {"keep", required_argument, NULL, 'k'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 's': conf->source_uri = optarg; break;
        case 't': conf->target_uri = optarg; break;
        case 'j': conf->job = optarg; break;
        case 'w': conf->workers = (int)number(optarg); break;
        case 'r': conf->chunk_rows = number(optarg); break;
        case 'm': conf->chunk_rows_max = number(optarg); break;
        case 'c': conf->chunk_ms = number(optarg); break;
        case 'R': conf->rows_per_s = number(optarg); break;
        case 'k': conf->source_keep_pct = (int)number(optarg); break;
        case 'v': *verbose = true; break;
        default: exit(2);
        }
    }
    for (; optind < argc && conf->ntables < TABLES_MAX; optind++) {
        tables[conf->ntables++] =
            (crw_table){.source_schema = "public", .source_name = argv[optind]};
    }
}

int main(int argc, char **argv)
{
    crw_table tables[TABLES_MAX] = {{.source_schema = NULL}};
    crw_conf conf = {.job = "bench", .tables = tables};
    drive d = {.c = NULL};
    bool verbose = false;
    parse(argc, argv, &conf, tables, &verbose);
    int64_t began = weir_mono_ms();
    if (!weir_log_set_level(verbose ? "debug" : "warn")) {
        return 2;
    }
    weir_rc rc = crw_open(&d.c, &conf, &d.err);
    if (rc == WEIR_OK) {
        rc = crw_create(d.c, &d.err);
    }
    if (rc == WEIR_OK) {
        rc = run(&d, verbose);
    }
    int64_t copied = weir_mono_ms();
    if (rc == WEIR_OK) {
        rc = crw_finish(d.c, &d.err);
    }
    if (rc != WEIR_OK) {
        (void)fprintf(stderr, "crawl: %s\n", d.err.msg);
        crw_close(d.c);
        return 1;
    }
    crw_state s;
    crw_progress(d.c, &s);
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    (void)printf("%lld %.3f %.3f %ld\n", (long long)s.rows, (double)(copied - began) / 1000,
                 (double)(weir_mono_ms() - copied) / 1000, u.ru_maxrss);
    crw_close(d.c);
    return 0;
}
