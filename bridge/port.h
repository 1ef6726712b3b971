/* port.h - where the copier and the reader meet: one request at a time, answered by the reader
 * between two messages.
 *
 * The copier blocks (bounded) in brg_port_ask; the reader looks in with brg_port_serve. What a
 * request points to stays valid until it is answered.
 */
#ifndef WEIR_BRIDGE_PORT_H
#define WEIR_BRIDGE_PORT_H

#include "bridge/chunk.h"
#include "bridge/shared.h"

typedef enum brg_ask_kind {
    BRG_ASK_WATCH, /* a table's copy begins; opens the first window */
    BRG_ASK_OPEN,  /* the next window */
    BRG_ASK_CHUNK, /* merge chunk */
    BRG_ASK_MOVED, /* keys to read once more, into a */
    BRG_ASK_UNWATCH,
} brg_ask_kind;

typedef struct brg_ask {
    brg_ask_kind kind;
    const brg_table *table;
    brg_chunk *chunk;
    weir_arena *a;
    /* answers */
    const char *redo;
    uint64_t emitted;
    weir_tuple *moved;
    size_t nmoved;
    bool overflow;
} brg_ask;

typedef struct brg_port brg_port;

brg_port *brg_port_new(brg_shared *s);
void brg_port_free(brg_port *p);

/* Copier: WEIR_E_TIMEOUT after wait_ms (the request is withdrawn), WEIR_E_EOF when stopping. */
WEIR_MUST_CHECK weir_rc brg_port_ask(brg_port *p, brg_ask *ask, int64_t wait_ms, weir_error *err);
/* Reader: answers what can be answered now. *busy: a chunk waits for the stream to pass its
 * position. */
WEIR_MUST_CHECK weir_rc brg_port_serve(brg_port *p, brg_assembler *as, brg_window *w, bool *busy,
                                       weir_error *err);

#endif
