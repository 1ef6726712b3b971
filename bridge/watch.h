/* watch.h - the watch thread: the slot's figures once a second, warnings, and the heartbeat on a
 * connection of its own. */
#ifndef WEIR_BRIDGE_WATCH_H
#define WEIR_BRIDGE_WATCH_H

#include "bridge/shared.h"

void brg_watch_run(void *arg); /* brg_shared */

/* Pure: seconds until the slot is lost at the present rate of growth; -1: never, or not known yet.
 */
int64_t brg_full_in_s(int64_t safe_bytes, int64_t grown_bytes, int64_t over_ms);

#endif
