/* status.h - what the bridge says of itself: /status members, conditions of /readyz, /metrics. Loop
 * thread. */
#ifndef WEIR_BRIDGE_STATUS_H
#define WEIR_BRIDGE_STATUS_H

#include "bridge/feed.h"
#include "libweir/io/health.h"

typedef struct brg_status {
    brg_shared *s;
    brg_feed *feed;
    weir_health *health;
    weir_metrics *metrics;
    weir_http *http;
    weir_loop_timer *timer;
    weir_metric *m[24];
} brg_status;

WEIR_MUST_CHECK weir_rc brg_status_open(brg_status **out, brg_shared *s, brg_feed *feed,
                                        weir_error *err);
void brg_status_close(brg_status *st);

#endif
