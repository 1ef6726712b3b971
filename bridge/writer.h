/* writer.h - the log writer thread: the only LMDB writer. One commit with sync per turn, however
 * much or little waited. */
#ifndef WEIR_BRIDGE_WRITER_H
#define WEIR_BRIDGE_WRITER_H

#include "bridge/shared.h"

/* Runs until the ring is closed and empty. A full disk or map stops it from taking more; it tries
 * again every second, and the slot holds what waits. arg: brg_shared. */
void brg_writer_run(void *arg);

#endif
