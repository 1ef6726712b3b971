/* receiver.h - an HTTP receiver of callbacks on a thread of its own, that refuses some of them, and
 * remembers what it acknowledged. */
#ifndef WEIR_SUPPORT_RECEIVER_H
#define WEIR_SUPPORT_RECEIVER_H

#include <stdatomic.h>

#include "libweir/base/map.h"
#include "libweir/base/thread.h"
#include "libweir/io/http.h"

typedef struct receiver {
    int port;
    const char *secret;
    int fail_percent; /* answered 500 */
    atomic_int got, acknowledged;
    /* The receiver's own until stopped. */
    uint64_t random;
    weir_map *acks; /* command id → times acknowledged */
    weir_map *last; /* ordering key → n of the last one acknowledged, plus 1 */
    int bad_signature, out_of_order, malformed;
    weir_loop *loop;
    weir_http *http;
    weir_thread *thread;
} receiver;

/* Listens when this returns; the results of the commands it hears of are {"key","n"}. */
void receiver_start(receiver *r, const char *secret, int fail_percent, uint64_t seed);
void receiver_stop(receiver *r); /* joins; the maps stay */
void receiver_free(receiver *r);
int receiver_acks(const receiver *r, const char *id);

#endif
