/* assemble.h - turns the stream's messages into frames: transactions cut into parts, copied rows
 * into chunks.
 *
 * Pure: what it makes goes to a sink. It owns the head, the cursor after everything emitted:
 * transactions that end at or below it are skipped (the slot sends again what it was not told to be
 * durable). Reader thread only.
 */
#ifndef WEIR_BRIDGE_ASSEMBLE_H
#define WEIR_BRIDGE_ASSEMBLE_H

#include "bridge/frame_ref.h"
#include "bridge/relcat.h"
#include "bridge/windows.h"
#include "libweir/codec/pgoutput.h"

typedef struct brg_sink {
    /* Takes f's reference, also when it fails. */
    weir_rc (*frame)(void *arg, brg_frame *f, weir_error *err);
    /* A description that was never seen: must be durable when this returns, for its number is about
     * to be used. */
    weir_rc (*relation)(void *arg, const weir_relation *rel, weir_hash128 hash, weir_error *err);
    /* The head moved without a frame. */
    void (*moved)(void *arg, weir_cursor head);
    void *arg;
    /* Small changes to what is kept of a crawl (batch.h), durable no earlier than the frames before
     * and no later than those after. Takes batch. */
    weir_rc (*crawl)(void *arg, weir_buf *batch, weir_error *err);
} brg_sink;

typedef struct brg_assembler brg_assembler;

/* Borrows all. target_bytes: where a transaction is cut into parts. */
brg_assembler *brg_assembler_new(brg_relcat *relcat, brg_windows *windows, const brg_sink *sink,
                                 weir_cursor head, size_t target_bytes);
void brg_assembler_free(brg_assembler *s);

/* One message of the stream. WEIR_E_PROTO when the stream makes no sense; errors of the sink pass
 * through. */
WEIR_MUST_CHECK weir_rc brg_assembler_feed(brg_assembler *s, const weir_pgo *m, weir_error *err);
/* A keepalive with the server's position: true when the head moved (nothing was in flight). */
bool brg_assembler_idle(brg_assembler *s, uint64_t wal_end);
/* The connection was lost: an open transaction and the bindings of relations are forgotten. */
void brg_assembler_reset(brg_assembler *s);

bool brg_assembler_in_tx(const brg_assembler *s);
uint32_t brg_assembler_tx_events(
    const brg_assembler *s); /* of the open frame of the running transaction; 0: none runs */
weir_cursor brg_assembler_head(const brg_assembler *s);
uint64_t brg_assembler_rows(const brg_assembler *s);         /* events emitted so far */
uint64_t brg_assembler_transactions(const brg_assembler *s); /* transactions emitted so far */

/* Copied rows, between two transactions: any number of put (READ, RANGE, COPIED, TRUNCATE), then
 * end. Frames are cut by size; each is complete by itself and lies at the head. version: the number
 * for a description that did not come by the stream. */
WEIR_MUST_CHECK weir_rc brg_assembler_version(brg_assembler *s, const weir_relation *rel,
                                              uint32_t *version, weir_error *err);
WEIR_MUST_CHECK weir_rc brg_assembler_chunk_put(brg_assembler *s, const weir_ev *ev,
                                                weir_error *err);
WEIR_MUST_CHECK weir_rc brg_assembler_chunk_end(brg_assembler *s, weir_error *err);
/* Hands the batch to the sink, behind everything emitted so far. */
WEIR_MUST_CHECK weir_rc brg_assembler_crawl(brg_assembler *s, weir_buf *batch, weir_error *err);

#endif
