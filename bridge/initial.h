/* initial.h - the first copy: a new slot's exported snapshot, one COPY per published table, into
 * the log as READ events. */
#ifndef WEIR_BRIDGE_INITIAL_H
#define WEIR_BRIDGE_INITIAL_H

#include "bridge/reader.h"

/* Empties the log, creates the slot, copies, and marks the log as streaming at the slot's
 * consistent point. While it runs the log says `copying`: after a crash all of it starts over.
 * Reader thread. */
WEIR_MUST_CHECK weir_rc brg_initial_copy(brg_reader *rd, weir_error *err);

#endif
