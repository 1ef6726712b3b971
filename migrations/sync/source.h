/* source.h - a durable subscription to a bridge's feed, fetched ahead by a thread of its own.
 *
 * The fetch thread keeps at most SYNC_AHEAD replies; while they are not taken nothing more is
 * fetched: the bridge keeps the rest in its log. One thread (the flow's) calls everything here; the
 * fetch thread is inside.
 */
#ifndef WEIR_MIGRATIONS_SYNC_SOURCE_H
#define WEIR_MIGRATIONS_SYNC_SOURCE_H

#include "libweir/codec/frame.h"
#include "libweir/codec/message.h"

typedef struct sync_source sync_source;

typedef struct sync_source_conf {
    const char *feed;     /* NNG address of the bridge */
    const char *name;     /* the subscription's: one flow, one name */
    uint32_t batch_bytes; /* 0: 4 MiB */
} sync_source_conf;

/* What one fetch brought: frames in order, a transaction's parts perhaps over several batches. */
typedef struct sync_batch {
    size_t nframes;
    const weir_slice *frames;
    weir_cursor next; /* where a fetch after this batch goes on (inside a transaction: its begin) */
    weir_cursor head;
    bool caught_up; /* nothing more was there */
} sync_batch;

/* Starts the fetch thread; strings are copied. */
WEIR_MUST_CHECK weir_rc sync_source_open(sync_source **out, const sync_source_conf *conf,
                                         weir_error *err);
void sync_source_close(sync_source *s); /* NULL is fine */

/* Subscribes, or tells the bridge again from where, and begins to fetch there. at NULL: from what
 * comes after now. *position: where it begins. Replaces what was fetched before. Waits up to ms for
 * the bridge. WEIR_E_CONN|RETRY: it does not answer (yet); WEIR_E_STATE: the log no longer holds
 * that position (lapsed). */
WEIR_MUST_CHECK weir_rc sync_source_start(sync_source *s, const weir_cursor *at, int64_t ms,
                                          weir_cursor *position, weir_error *err);
/* The source's system id, once started; "" before. */
const char *sync_source_system_id(const sync_source *s);

/* The next batch, waiting up to wait_ms: WEIR_E_AGAIN when none came, WEIR_E_STATE when lapsed,
 * WEIR_E_CONN|RETRY when the bridge does not answer. Valid until release, which is called before
 * next. Relations told with it are known from then on. */
WEIR_MUST_CHECK weir_rc sync_source_next(sync_source *s, int64_t wait_ms, sync_batch *out,
                                         weir_error *err);
void sync_source_release(sync_source *s);
/* NULL: unknown version. Valid until the next start, or close. */
const weir_relation *sync_source_relation(const sync_source *s, uint32_t version);
/* Everything below at is durable at the destination. Does not wait. */
void sync_source_ack(sync_source *s, weir_cursor at);
/* The newest head the bridge told. */
weir_cursor sync_source_head(sync_source *s);
/* true, and why in text: nothing new can come now, although nothing has failed (pulse.h). Any
 * thread. */
bool sync_source_lost(sync_source *s, char *text, size_t size);
/* Asks the bridge for all rows of the tables; they come in the stream, COPIED last. A bridge that
 * was restarted has forgotten it: ask again, with the same id. */
WEIR_MUST_CHECK weir_rc sync_source_copy(const char *feed, const char *copy_id,
                                         weir_feed_table *tables, size_t n, weir_error *err);
/* Forgets the subscription at the bridge. */
WEIR_MUST_CHECK weir_rc sync_source_forget(const char *feed, const char *name, weir_error *err);

#endif
