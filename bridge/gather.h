/* gather.h - how long the reader lets input gather before it reads on.
 *
 * The server sends every row by itself. Read at once, each costs it a packet and us a wake-up; left
 * for a moment, many come with one. In a transaction of some size, or in a flood of any, none is of
 * use before the last: a short pause then saves a wake-up per row.
 *
 * On the loopback a longer pause saves more, for there both ends share the cores: once the receive
 * window (pgrepl.h keeps it small) is full, the server's kernel appends rows to what waits instead
 * of sending each as a packet, which costs it a third. That delays commits, so it is only for a
 * stream that is behind by much more than the pause, and the pause adapts so that no more than some
 * hundred kilobytes gather.
 *
 * While nobody fetches (a first copy is under way, subscribers are away) nothing is urgent: then a
 * quiet stream too is read in slices of time, and not at each commit. Few wide rows fill the window
 * without being a flood: the slices get shorter with what they bring, or the slot would fall
 * behind. Pure.
 */
#ifndef WEIR_BRIDGE_GATHER_H
#define WEIR_BRIDGE_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BRG_GATHER_NS = 200000,
    BRG_GATHER_LONG_NS = 10000000,    /* at most */
    BRG_GATHER_UNHEARD_NS = 10000000, /* at most */
    BRG_GATHER_UNHEARD_MS = 200,      /* so long after the last fetch */
    BRG_GATHER_BEHIND_US = 100000,    /* the transaction being read was committed so long ago */
    BRG_GATHER_EVENTS = 32,           /* of the open transaction */
    BRG_GATHER_FLOOD = 200,           /* messages in the last one to two slices of time */
    BRG_GATHER_SLICE_MS = 4
};

typedef struct brg_gather {
    int64_t slice_ms;
    unsigned slice, slice_before;
    uint64_t bytes;     /* since the last pause */
    int64_t pause_ns;   /* the next long one */
    int64_t unheard_ns; /* the next one while nobody fetches */
    int64_t commit_us;  /* of the transaction being read, since 2000-01-01 */
} brg_gather;

void brg_gather_init(brg_gather *g);
void brg_gather_began(brg_gather *g, int64_t commit_us);
void brg_gather_read(brg_gather *g, unsigned messages, size_t bytes, int64_t now_ms);
/* Everything that was there has been read: the pause before the next look, 0 for none. heard:
 * somebody fetches. now_us as commit_us. */
int64_t brg_gather_pause_ns(brg_gather *g, bool loopback, bool heard, size_t tx_events,
                            int64_t now_us);

#endif
