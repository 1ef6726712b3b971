/* meters.c - the numbers of the read-service on /metrics. */
#include "read-service/meters.h"

#include <stdlib.h>

#include "libweir/base/xalloc.h"

rsvc_meters *rsvc_meters_new(void)
{
    static const char name[] = "weir_read_requests_total";
    static const char help[] = "Queries answered, by status.";
    rsvc_meters *ms = weir_xcalloc(1, sizeof *ms);
    weir_metrics *all = ms->all = weir_metrics_new();
    ms->seconds = weir_histogram(all, "weir_read_request_seconds",
                                 "Time from a whole query to its answer.", NULL);
    ms->found = weir_counter(all, name, help, "status=\"200\"");
    ms->not_modified = weir_counter(all, name, help, "status=\"304\"");
    ms->absent = weir_counter(all, name, help, "status=\"404\"");
    ms->bad = weir_counter(all, name, help, "status=\"400\"");
    ms->unavailable = weir_counter(all, name, help, "status=\"503\"");
    ms->timeout = weir_counter(all, name, help, "status=\"504\"");
    ms->other = weir_counter(all, name, help, "status=\"other\"");
    ms->waits = weir_counter(all, "weir_read_waits_total",
                             "Queries that had to wait for their min_position.", NULL);
    ms->waiting =
        weir_gauge(all, "weir_read_waiting", "Queries that wait for their min_position now.", NULL);
    ms->wait_seconds = weir_histogram(all, "weir_read_wait_seconds",
                                      "How long queries waited for their min_position.", NULL);
    ms->loops_ready = weir_gauge(all, "weir_read_loops_ready",
                                 "Loops that are connected to Redis and know the models.", NULL);
    ms->redis_outages =
        weir_counter(all, "weir_read_redis_outages_total", "Redis connections lost.", NULL);
    ms->notices = weir_counter(all, "weir_read_notices_total", "Change notices received.", NULL);
    ms->readings = weir_counter(all, "weir_read_catalog_readings_total",
                                "Readings of the list of models.", NULL);
    ms->switched = weir_counter(
        all, "weir_read_generation_retries_total",
        "Queries read again because their model changed its generation meanwhile.", NULL);
    return ms;
}

void rsvc_meters_free(rsvc_meters *ms)
{
    if (ms) {
        weir_metrics_free(ms->all);
        free(ms);
    }
}

void rsvc_meters_answer(rsvc_meters *ms, int status, int64_t took_us)
{
    weir_metric *m = ms->other;
    switch (status) {
    case 200: m = ms->found; break;
    case 304: m = ms->not_modified; break;
    case 400: m = ms->bad; break;
    case 404: m = ms->absent; break;
    case 503: m = ms->unavailable; break;
    case 504: m = ms->timeout; break;
    default: break;
    }
    weir_metric_add(m, 1);
    weir_metric_observe_us(ms->seconds, took_us);
}
