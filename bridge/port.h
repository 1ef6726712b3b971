/* port.h - where copying threads and the reader meet: requests, one per thread at a time, answered
 * by the reader between two messages.
 *
 * A copying thread blocks (bounded) in brg_port_ask; the reader looks in with brg_port_serve. What
 * a request points to stays valid until it is answered.
 */
#ifndef WEIR_BRIDGE_PORT_H
#define WEIR_BRIDGE_PORT_H

#include "bridge/chunk.h"
#include "bridge/shared.h"

typedef enum brg_ask_kind {
    BRG_ASK_MARK,    /* a barrier begins: how many transactions were delivered so far, into mark */
    BRG_ASK_SETTLED, /* the barrier that began at mark is over */
    BRG_ASK_WATCH,   /* a table's copy begins */
    BRG_ASK_OPEN,    /* a chunk is about to be read: its window */
    BRG_ASK_CHUNK,   /* merge chunk */
    BRG_ASK_MOVED,   /* keys to read once more, into a */
    BRG_ASK_NOTE,    /* nothing but note */
    BRG_ASK_UNWATCH,
} brg_ask_kind;

typedef struct brg_ask {
    brg_ask_kind kind;
    unsigned window; /* the thread's own, see windows.h */
    const brg_table *table;
    brg_chunk *chunk;
    weir_arena *a;
    uint64_t mark;
    int crawl_table; /* WATCH: see windows.h; -1: none */
    /* What to keep of it in the log (batch.h), asked on the reader thread once it has been carried
     * out and cannot be answered with redo. May be NULL. */
    void (*note)(void *arg, const struct brg_ask *ask, weir_buf *batch);
    void *note_arg;
    /* answers */
    const char *redo;
    bool barrier; /* redo: a new barrier is needed */
    uint64_t emitted;
    weir_tuple *moved;
    size_t nmoved;
    uint64_t moved_below; /* the numbers of those, see window.h */
    bool overflow;
} brg_ask;

typedef struct brg_port brg_port;

enum { BRG_STREAM_WAIT_MS = 60000 };

brg_port *brg_port_new(brg_shared *s);
void brg_port_free(brg_port *p);

/* Copying thread: WEIR_E_TIMEOUT after wait_ms (the request is withdrawn), WEIR_E_EOF when
 * stopping.
 */
WEIR_MUST_CHECK weir_rc brg_port_ask(brg_port *p, brg_ask *ask, int64_t wait_ms, weir_error *err);
/* Reader: answers what can be answered now. *busy: a chunk waits for the stream to pass its
 * position. */
WEIR_MUST_CHECK weir_rc brg_port_serve(brg_port *p, brg_assembler *as, brg_windows *ws, bool *busy,
                                       weir_error *err);

#endif
