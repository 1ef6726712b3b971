/* fakefeed.h - a bridge's feed made by a test: a list of frames, served over NNG on a thread of its
 * own, long polls included.
 *
 * Everything is delivered in the order it was added; positions are chosen by the test. Any thread.
 */
#ifndef WEIR_TESTS_FAKEFEED_H
#define WEIR_TESTS_FAKEFEED_H

#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"

typedef struct fakefeed fakefeed;

fakefeed *fakefeed_open(const char *url,
                        const char *system_id); /* never NULL; aborts when it cannot */
void fakefeed_close(fakefeed *f);
/* Relation versions count from 1 in the order of calls. */
uint32_t fakefeed_relation(fakefeed *f, const weir_relation *rel);

/* A frame of events: end 0 for a part that is not the last. Chunks: end is where they stand. */
void fakefeed_add(fakefeed *f, weir_frame_kind kind, uint32_t part, uint64_t commit, uint64_t end,
                  const weir_ev *evs, size_t n);
/* The head moves without frames, as keepalives move it. */
void fakefeed_head(fakefeed *f, uint64_t lsn);
/* From now on fetches are answered "lapsed" until the next subscribe. */
void fakefeed_lapse(fakefeed *f);
uint64_t fakefeed_acked(fakefeed *f);
/* Did the subscriber ever come back and ask for what it had acknowledged before? Then a bridge
 * would not have had it any more. */
bool fakefeed_broke_its_word(fakefeed *f);
int fakefeed_copies(fakefeed *f); /* how many different copies were asked for */
/* The last copy asked for; its id is copied into id (at least 64 bytes). false: none yet. */
bool fakefeed_copy(fakefeed *f, char *id, char *table, size_t size);
int fakefeed_subscribed(fakefeed *f); /* how often */

#endif
