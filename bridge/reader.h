/* reader.h - the reader thread: replication connection, decoding, feedback, merging of chunks. It
 * never waits for readers.
 *
 * Sessions: guardian → (first copy) → stream, until the connection is lost; then again, with
 * backoff.
 */
#ifndef WEIR_BRIDGE_READER_H
#define WEIR_BRIDGE_READER_H

#include "bridge/gather.h"
#include "bridge/port.h"
#include "bridge/schedule.h"
#include "libweir/io/pgrepl.h"

typedef struct brg_reader {
    brg_shared *s;
    brg_port *port;
    brg_relcat *relcat;
    brg_windows *windows;
    brg_assembler *as;
    brg_schedule schedule;
    weir_pgrepl *repl; /* NULL: not connected */
    bool flowing;      /* the stream runs: feedback is possible */
    weir_arena *a;     /* one message */
    brg_gather gather;
    weir_cursor persisted; /* the last head handed to the writer, */
    int64_t persisted_ms;  /* and when an idle one was */
} brg_reader;

/* Borrows s, port and windows; loads known relations from the log. */
WEIR_MUST_CHECK weir_rc brg_reader_new(brg_reader **out, brg_shared *s, brg_port *port,
                                       brg_windows *windows, weir_error *err);
void brg_reader_free(brg_reader *rd);
void brg_reader_run(void *arg); /* brg_reader */

/* For the first copy: everything begins at `head`, with an empty tail. */
void brg_reader_start_at(brg_reader *rd, weir_cursor head);
/* Pushes to the log, waiting as long as it takes, with feedback between. WEIR_E_EOF when stopping.
 * Takes the item. */
WEIR_MUST_CHECK weir_rc brg_reader_push(brg_reader *rd, brg_item *item, weir_error *err);
/* Waits until everything pushed is durable, with feedback between. */
WEIR_MUST_CHECK weir_rc brg_reader_drain(brg_reader *rd, weir_error *err);
WEIR_MUST_CHECK weir_rc brg_reader_push_meta(brg_reader *rd, const char *name, const char *text,
                                             weir_error *err);

#endif
