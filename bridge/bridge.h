/* bridge.h - the whole bridge: opened, run until stopped, closed. main.c and tests start here. */
#ifndef WEIR_BRIDGE_BRIDGE_H
#define WEIR_BRIDGE_BRIDGE_H

#include "libweir/base/settings.h"

/* Returns when SIGTERM or SIGINT came and everything received is durable and confirmed. settings
 * must outlive it. */
WEIR_MUST_CHECK weir_rc brg_bridge_run(const weir_settings *settings, weir_error *err);

#endif
