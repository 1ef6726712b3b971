/* pgrepl.h - a logical replication connection: slot, stream, feedback. The bytes of messages are
 * for codec/pgoutput.
 *
 * Wire (CopyData payload): 'w' start:u64 end:u64 sent_us:u64 bytes… | 'k' end:u64 sent_us:u64
 * reply:u8; feedback is 'r' written:u64 flushed:u64 applied:u64 now_us:u64 reply:u8. One thread.
 */
#ifndef WEIR_IO_PGREPL_H
#define WEIR_IO_PGREPL_H

#include "libweir/base/arena.h"

typedef struct weir_pgrepl weir_pgrepl;

typedef struct weir_pgrepl_system {
    char system_id[32];
    int64_t timeline;
    uint64_t flush_lsn;
} weir_pgrepl_system;

/* Same pinned settings as pg.h; adds replication=database. Needs role REPLICATION: WEIR_E_DENIED
 * says so. */
WEIR_MUST_CHECK weir_rc weir_pgrepl_open(weir_pgrepl **out, const char *uri,
                                         const char *application_name, weir_error *err);
void weir_pgrepl_close(weir_pgrepl *r);
WEIR_MUST_CHECK weir_rc weir_pgrepl_identify(weir_pgrepl *r, weir_pgrepl_system *out,
                                             weir_error *err);

/* Creates a permanent pgoutput slot and exports its snapshot, which lives until the next call on r.
 * Waits for running transactions: polls in steps of step_ms and calls progress(arg) between;
 * progress returning false gives up (WEIR_E_TIMEOUT, the slot is not created). */
WEIR_MUST_CHECK weir_rc weir_pgrepl_create_slot(weir_pgrepl *r, const char *slot, int64_t step_ms,
                                                bool (*progress)(void *arg), void *arg,
                                                uint64_t *consistent_lsn, char snapshot[64],
                                                weir_error *err);
/* proto_version 1, messages true. WEIR_E_STATE when the slot is lost or absent, WEIR_E_CONFLICT
 * when another process holds it. */
WEIR_MUST_CHECK weir_rc weir_pgrepl_start(weir_pgrepl *r, const char *slot, const char *publication,
                                          uint64_t start_lsn, weir_error *err);

typedef struct weir_pgrepl_msg {
    bool keepalive;
    bool reply_requested; /* keepalive only */
    uint64_t wal_end;     /* server's end of WAL sent so far */
    weir_slice data;      /* 'w': the pgoutput message; borrowed until the next call */
} weir_pgrepl_msg;
/* Does not wait. WEIR_E_AGAIN: nothing there, poll weir_pgrepl_fd for reading. WEIR_E_EOF: server
 * ended the stream. */
WEIR_MUST_CHECK weir_rc weir_pgrepl_next(weir_pgrepl *r, weir_pgrepl_msg *out, weir_error *err);
int weir_pgrepl_fd(const weir_pgrepl *r);
/* A TCP connection within this machine. Its receive buffer is kept small, so that a reader that
 * pauses makes the server's kernel collect rows instead of sending each. */
bool weir_pgrepl_loopback(const weir_pgrepl *r);
/* Does not wait for the network; flushed must be durable. */
WEIR_MUST_CHECK weir_rc weir_pgrepl_feedback(weir_pgrepl *r, uint64_t written, uint64_t flushed,
                                             bool request_reply, weir_error *err);

#endif
