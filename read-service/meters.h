/* meters.h - the numbers of the read-service on /metrics. Updates from any thread. */
#ifndef READ_SERVICE_METERS_H
#define READ_SERVICE_METERS_H

#include "libweir/base/metrics.h"

typedef struct rsvc_meters {
    weir_metrics *all;
    weir_metric *seconds;
    weir_metric *found, *not_modified, *absent, *bad, *unavailable, *timeout, *other;
    weir_metric *waits, *waiting, *wait_seconds;
    weir_metric *loops_ready, *redis_outages, *notices, *readings, *switched;
} rsvc_meters;

rsvc_meters *rsvc_meters_new(void);
void rsvc_meters_free(rsvc_meters *ms);
/* Counts an answered query. */
void rsvc_meters_answer(rsvc_meters *ms, int status, int64_t took_us);

#endif
