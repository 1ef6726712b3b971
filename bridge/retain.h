/* retain.h - what the log may forget: acknowledged by all and old enough; past the size cap the
 * slowest subscriber lapses.
 *
 * Ages are told by samples of the head over time (taken about every second), not by commit
 * timestamps, which are not monotonic. Pure.
 */
#ifndef WEIR_BRIDGE_RETAIN_H
#define WEIR_BRIDGE_RETAIN_H

#include <stddef.h>

#include "libweir/codec/lsn.h"

enum { BRG_SAMPLES = 300 };

/* Head positions by time, about 256 over the time that counts, so memory is bounded whatever that
 * is. */
typedef struct brg_ages {
    struct {
        int64_t ms;
        weir_cursor head;
    } s[BRG_SAMPLES];
    size_t n;
} brg_ages;

void brg_ages_add(brg_ages *a, int64_t now_ms, int64_t keep_ms, weir_cursor head);
/* Everything below the result is older than keep_ms; (0, 0) when nothing is known to be. */
weir_cursor brg_ages_cut(const brg_ages *a, int64_t now_ms, int64_t keep_ms);

typedef struct brg_retain_in {
    const weir_cursor *subs; /* positions of the active subscribers */
    size_t n;
    weir_cursor old_enough; /* from brg_ages_cut */
    weir_cursor first;      /* the oldest thing in the log */
    weir_cursor end;        /* never cut past what is complete and durable */
    uint64_t used_bytes, max_bytes;
} brg_retain_in;

typedef struct brg_retain_out {
    weir_cursor cut; /* forget everything below */
    bool over;       /* the log is larger than the cap: cut only until it is not */
    bool lapse;      /* give up subs[slowest], then decide again */
    size_t slowest;
} brg_retain_out;

void brg_retain_decide(const brg_retain_in *in, brg_retain_out *out);

#endif
