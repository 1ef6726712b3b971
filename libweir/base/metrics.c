/* metrics.c - named counters, gauges and latency histograms in Prometheus text format. */
#include "libweir/base/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/clock.h"
#include "libweir/base/xalloc.h"

typedef enum kind { COUNTER, GAUGE, HISTOGRAM } kind;

static const char *const kind_names[] = {"counter", "gauge", "histogram"};
static const int64_t bounds_us[] = {50,     100,     250,     500,     1000,     2500,
                                    5000,   10000,   25000,   50000,   100000,   250000,
                                    500000, 1000000, 2500000, 5000000, 10000000, 30000000};
enum { BUCKETS = sizeof bounds_us / sizeof bounds_us[0] };

typedef struct histogram {
    atomic_int_least64_t
        in[BUCKETS + 1]; /* not cumulative; the last one is beyond the last bound */
    atomic_int_least64_t sum_us;
} histogram;

struct weir_metric {
    weir_metric *next; /* in order of registration */
    kind kind;
    char *name, *help, *labels; /* labels "" when there are none */
    atomic_int_least64_t value;
    histogram *h;
};

struct weir_metrics {
    weir_metric *first, *last;
    int64_t start_us;
};

weir_metrics *weir_metrics_new(void)
{
    weir_metrics *ms = weir_xcalloc(1, sizeof *ms);
    ms->start_us = weir_wall_us();
    return ms;
}

void weir_metrics_free(weir_metrics *ms)
{
    if (!ms) {
        return;
    }
    while (ms->first) {
        weir_metric *m = ms->first;
        ms->first = m->next;
        free(m->name);
        free(m->help);
        free(m->labels);
        free(m->h);
        free(m);
    }
    free(ms);
}

static weir_metric *add(weir_metrics *ms, kind k, const char *name, const char *help,
                        const char *labels)
{
    const char *want = labels ? labels : "";
    for (weir_metric *m = ms->first; m; m = m->next) {
        if (strcmp(m->name, name) == 0) {
            assert(m->kind == k && "one name, one kind");
            if (strcmp(m->labels, want) == 0) {
                return m;
            }
        }
    }
    weir_metric *m = weir_xcalloc(1, sizeof *m);
    m->kind = k;
    m->name = weir_xstrdup(name);
    m->help = weir_xstrdup(help);
    m->labels = weir_xstrdup(want);
    if (k == HISTOGRAM) {
        m->h = weir_xcalloc(1, sizeof *m->h);
    }
    if (ms->last) {
        ms->last->next = m;
    } else {
        ms->first = m;
    }
    ms->last = m;
    return m;
}

weir_metric *weir_counter(weir_metrics *ms, const char *name, const char *help, const char *labels)
{
    return add(ms, COUNTER, name, help, labels);
}

weir_metric *weir_gauge(weir_metrics *ms, const char *name, const char *help, const char *labels)
{
    return add(ms, GAUGE, name, help, labels);
}

weir_metric *weir_histogram(weir_metrics *ms, const char *name, const char *help,
                            const char *labels)
{
    return add(ms, HISTOGRAM, name, help, labels);
}

void weir_metric_add(weir_metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void weir_metric_set(weir_metric *m, int64_t v)
{
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

int64_t weir_metric_value(const weir_metric *m)
{
    return atomic_load_explicit(&m->value, memory_order_relaxed);
}

void weir_metric_observe_us(weir_metric *m, int64_t us)
{
    size_t i = 0;
    assert(m->h);
    while (i < BUCKETS && us > bounds_us[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&m->h->in[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->h->sum_us, us, memory_order_relaxed);
}

static void render_histogram(const weir_metric *m, weir_buf *out)
{
    const char *comma = m->labels[0] ? "," : "";
    const char *open = m->labels[0] ? "{" : "", *close = m->labels[0] ? "}" : "";
    int64_t n = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        n += atomic_load_explicit(&m->h->in[i], memory_order_relaxed);
        if (i < BUCKETS) {
            weir_buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %" PRId64 "\n", m->name, m->labels,
                            comma, (double)bounds_us[i] / 1e6, n);
        } else {
            weir_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRId64 "\n", m->name, m->labels,
                            comma, n);
        }
    }
    int64_t sum_us = atomic_load_explicit(&m->h->sum_us, memory_order_relaxed);
    weir_buf_printf(out, "%s_sum%s%s%s %.6f\n", m->name, open, m->labels, close,
                    (double)sum_us / 1e6);
    weir_buf_printf(out, "%s_count%s%s%s %" PRId64 "\n", m->name, open, m->labels, close, n);
}

static void render_series(const weir_metric *m, weir_buf *out)
{
    if (m->kind == HISTOGRAM) {
        render_histogram(m, out);
        return;
    }
    const char *open = m->labels[0] ? "{" : "", *close = m->labels[0] ? "}" : "";
    weir_buf_printf(out, "%s%s%s%s %" PRId64 "\n", m->name, open, m->labels, close,
                    weir_metric_value(m));
}

static bool is_first_of_name(const weir_metrics *ms, const weir_metric *m)
{
    for (const weir_metric *o = ms->first; o != m; o = o->next) {
        if (strcmp(o->name, m->name) == 0) {
            return false;
        }
    }
    return true;
}

static int64_t resident_bytes(void)
{
    char line[128] = "";
    int64_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        const char *got = fgets(line, sizeof line, f);
        /* "total resident shared ...", in pages */
        const char *second = got ? strchr(got, ' ') : NULL;
        weir_slice number = {second ? second + 1 : "", second ? strcspn(second + 1, " ") : 0};
        if (!weir_slice_i64(number, &pages)) {
            pages = 0;
        }
        (void)fclose(f);
    }
    return pages * sysconf(_SC_PAGESIZE);
}

static int64_t open_fds(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d) {
        return 0;
    }
    /* Only this function reads this DIR, which is what readdir asks for. */
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        n += e->d_name[0] != '.';
    }
    (void)closedir(d);
    return n - 1; /* not the one that was reading */
}

static void render_own(const weir_metrics *ms, weir_buf *out)
{
    weir_buf_putz(out,
                  "# HELP weir_build_info The version that runs.\n# TYPE weir_build_info gauge\n");
    weir_buf_putz(out, "weir_build_info{version=\"" WEIR_VERSION "\"} 1\n");
    weir_buf_putz(out, "# HELP process_resident_memory_bytes Resident memory.\n"
                       "# TYPE process_resident_memory_bytes gauge\n");
    weir_buf_printf(out, "process_resident_memory_bytes %" PRId64 "\n", resident_bytes());
    weir_buf_putz(out, "# HELP process_start_time_seconds Start of the process, Unix time.\n"
                       "# TYPE process_start_time_seconds gauge\n");
    weir_buf_printf(out, "process_start_time_seconds %.3f\n", (double)ms->start_us / 1e6);
    weir_buf_putz(
        out, "# HELP process_open_fds Open file descriptors.\n# TYPE process_open_fds gauge\n");
    weir_buf_printf(out, "process_open_fds %" PRId64 "\n", open_fds());
}

void weir_metrics_render(weir_metrics *ms, weir_buf *out)
{
    for (const weir_metric *m = ms->first; m; m = m->next) {
        if (!is_first_of_name(ms, m)) {
            continue;
        }
        /* The format wants all series of a name together. */
        weir_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                        kind_names[m->kind]);
        for (const weir_metric *s = m; s; s = s->next) {
            if (strcmp(s->name, m->name) == 0) {
                render_series(s, out);
            }
        }
    }
    render_own(ms, out);
}
