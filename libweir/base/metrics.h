/* metrics.h - named counters, gauges and latency histograms, printed in Prometheus text format
 * 0.0.4.
 *
 * Registration happens at start (one thread); updates are atomic from any thread; render from any
 * thread.
 */
#ifndef WEIR_BASE_METRICS_H
#define WEIR_BASE_METRICS_H

#include "libweir/base/buf.h"

typedef struct weir_metrics weir_metrics;
typedef struct weir_metric weir_metric;

weir_metrics *weir_metrics_new(void);
void weir_metrics_free(weir_metrics *ms);
/* name like weir_bridge_frames_total; help one line; labels like `lane="0"` or NULL. Strings are
 * copied. Registering the same name with other labels adds a series. */
weir_metric *weir_counter(weir_metrics *ms, const char *name, const char *help, const char *labels);
weir_metric *weir_gauge(weir_metrics *ms, const char *name, const char *help, const char *labels);
/* Seconds; buckets from 50 us to 30 s. */
weir_metric *weir_histogram(weir_metrics *ms, const char *name, const char *help,
                            const char *labels);

void weir_metric_add(weir_metric *m, int64_t n); /* counters and gauges */
void weir_metric_set(weir_metric *m, int64_t v); /* gauges (and counters mirrored from elsewhere) */
int64_t weir_metric_value(const weir_metric *m);
void weir_metric_observe_us(weir_metric *m, int64_t us);

/* Adds weir_build_info and process_* (resident bytes, start time, open fds) of its own. */
void weir_metrics_render(weir_metrics *ms, weir_buf *out);

#endif
