/* tail.h - the newest frames in memory: what live subscribers read, before the log has synced it.
 *
 * Holds everything at and above `from`. A frame is visible when its transaction is complete and no
 * copied row before it still waits to be durable. Older frames are let go when the size passes the
 * bound; readers below `from` use the log. Not locked: the owner (feed state) locks around it.
 */
#ifndef WEIR_BRIDGE_TAIL_H
#define WEIR_BRIDGE_TAIL_H

#include "bridge/frame_ref.h"

typedef struct brg_tail brg_tail;

/* Starts empty at `from`: nothing at or above it exists yet. */
brg_tail *brg_tail_new(size_t max_bytes, weir_cursor from);
void brg_tail_free(brg_tail *t);

void brg_tail_add(brg_tail *t, brg_frame *f); /* takes a reference of its own; in log order */
/* The head moved without a frame (idle keepalive, empty transaction). */
void brg_tail_move(brg_tail *t, weir_cursor head);
/* The connection was lost: parts of a transaction that is not complete are forgotten (they will
 * come again). */
void brg_tail_drop_open(brg_tail *t);
/* Everything below is durable: copied rows below it become visible. */
void brg_tail_durable(brg_tail *t, weir_cursor below);

weir_cursor brg_tail_from(const brg_tail *t);
weir_cursor brg_tail_head(const brg_tail *t); /* everything visible lies below it */
size_t brg_tail_bytes(const brg_tail *t);
/* The index of the first frame at or after (at, part), for brg_tail_get. Only sensible when at >=
 * from. */
size_t brg_tail_find(const brg_tail *t, weir_cursor at, uint32_t part);
/* NULL past the end or when not visible (yet). Borrowed. */
brg_frame *brg_tail_get(const brg_tail *t, size_t i);

#endif
