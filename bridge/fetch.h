/* fetch.h - which frames go into a reply, and where the subscriber goes on from.
 *
 * Frames are offered in log order; the first is always taken, further ones while they fit. Pure.
 */
#ifndef WEIR_BRIDGE_FETCH_H
#define WEIR_BRIDGE_FETCH_H

#include "bridge/tail.h"
#include "libweir/codec/message.h"

enum { BRG_FETCH_FRAMES_MAX = 4096, BRG_FORGET_BYTES = 32 * 1024 };

typedef struct brg_fetch {
    weir_feed_pos next;
    size_t max_bytes, bytes;
    size_t n;
    weir_slice frames[BRG_FETCH_FRAMES_MAX];
    brg_frame
        *refs[BRG_FETCH_FRAMES_MAX]; /* held until release; NULL for frames that lie in the log */
} brg_fetch;

void brg_fetch_init(brg_fetch *f, weir_feed_pos after, size_t max_bytes);
/* Offers the frame at its log key. false: it was not taken, the reply is full. last: it completes
 * what it belongs to, and end is the cursor after that. */
bool brg_fetch_take(brg_fetch *f, weir_feed_pos at, bool last, weir_cursor end, weir_slice frame);
/* Everything below head was offered and taken. */
void brg_fetch_exhausted(brg_fetch *f, weir_cursor head);
/* All of it from the tail; after must not lie below its `from`. Frames are referenced until
 * release. */
void brg_fetch_tail(brg_fetch *f, const brg_tail *t);
void brg_fetch_release(brg_fetch *f);

#endif
