/* frame.h - one frame of the change log: a transaction (or a part of it), a chunk of copied rows, a
 * message. */
/* clang-format off */
/* msgpack, positional; the header has fixed-size fields so that what is known late can be patched in place:
 *   frame  = [ kind:u8, last:bool, part:u32, xid:u32, commit_lsn:u64, end_lsn:u64, commit_us:i64, events: array32 ]
 *            (integers in the header are always written in their full width; end_lsn is 0 unless last; of copied rows
 *             commit_lsn and xid are LSN and sub of their place)
 *   event  = [ 1, rel, new ]                        insert
 *          | [ 2, rel, old_kind, old|nil, new ]     update; old_kind 0, 1 = key columns only, 2 = whole row
 *          | [ 3, rel, old_kind, old ]              delete
 *          | [ 4, flags, [rel…] ]                   truncate
 *          | [ 5, transactional, lsn, prefix, content(bin) ]   logical message
 *          | [ 6, lsn, name ]                       origin
 *          | [ 7, oid, schema, name ]               type
 *          | [ 8, rel, row ]                        read: the row's state at this place in the stream
 *          | [ 9, rel, copy_id, lo|nil, hi|nil ]    range (lo, hi] of the key is complete here (nil: open)
 *          | [ 10, rel|0, copy_id, schema, name ]   the copy `copy_id` of that table is complete here
 *   row    = array of str (text) | nil (NULL) | false (unchanged TOAST)
 * rel is the relation version number (see message.h for its description). Golden files: tests/golden.
 * Pure; encoder and decoder are each used by one thread at a time.
 */
/* clang-format on */
#ifndef WEIR_CODEC_FRAME_H
#define WEIR_CODEC_FRAME_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/codec/tuple.h"

enum {
    WEIR_FRAME_TARGET_BYTES = 256 * 1024,     /* a part is closed when it passes this */
    WEIR_FRAME_MAX_BYTES = 1100 * 1024 * 1024 /* one row may be as large as PostgreSQL allows */
};

typedef enum weir_frame_kind {
    WEIR_FRAME_TX = 1,
    WEIR_FRAME_CHUNK = 2,
    WEIR_FRAME_MESSAGE = 3
} weir_frame_kind;

typedef enum weir_ev_kind {
    WEIR_EV_INSERT = 1,
    WEIR_EV_UPDATE,
    WEIR_EV_DELETE,
    WEIR_EV_TRUNCATE,
    WEIR_EV_MESSAGE,
    WEIR_EV_ORIGIN,
    WEIR_EV_TYPE,
    WEIR_EV_READ,
    WEIR_EV_RANGE,
    WEIR_EV_COPIED,
} weir_ev_kind;

/* "insert", "update", …; "other" for what is no change of rows. */
const char *weir_ev_op(weir_ev_kind kind);

typedef struct weir_frame_head {
    weir_frame_kind kind;
    bool last;
    uint32_t part;
    uint32_t xid;
    uint64_t commit_lsn;
    uint64_t end_lsn;
    int64_t commit_us; /* since 2000-01-01, as in the WAL */
} weir_frame_head;

typedef enum weir_old_kind { WEIR_OLD_NONE = 0, WEIR_OLD_KEY = 1, WEIR_OLD_ROW = 2 } weir_old_kind;

typedef struct weir_ev {
    weir_ev_kind kind;
    uint32_t rel;           /* INSERT…DELETE, READ, RANGE, COPIED */
    weir_old_kind old_kind; /* UPDATE, DELETE */
    weir_tuple old_row;     /* RANGE: lo, n = 0 when open */
    weir_tuple new_row;     /* RANGE: hi, n = 0 when open */
    uint8_t flags;          /* TRUNCATE */
    uint32_t nrels;         /* TRUNCATE */
    const uint32_t *rels;
    bool transactional; /* MESSAGE */
    uint64_t lsn;       /* MESSAGE, ORIGIN */
    uint32_t oid;       /* TYPE */
    weir_slice a,
        b; /* MESSAGE: prefix, content; ORIGIN: name; TYPE: schema, name; COPIED: schema, name */
    weir_slice copy_id; /* RANGE, COPIED */
} weir_ev;

/* Encoder over a buffer the caller owns: begin, any number of put, finish. */
typedef struct weir_frame_enc {
    weir_buf *out;
    size_t start;
    uint32_t events;
} weir_frame_enc;

void weir_frame_begin(weir_frame_enc *e, weir_buf *out, const weir_frame_head *head);
void weir_frame_put(weir_frame_enc *e, const weir_ev *ev);
static inline size_t weir_frame_bytes(const weir_frame_enc *e)
{
    return e->out->n - e->start;
}
/* Patches last, end_lsn and the event count. Failure shows in out->failed. */
void weir_frame_finish(weir_frame_enc *e, bool last, uint64_t end_lsn);

/* Decoder: head first, then events until WEIR_E_EOF. What it gives borrows from frame or from a.
 * Never trusts a count; malformed input is WEIR_E_PROTO. */
typedef struct weir_frame_dec {
    weir_slice rest;
    uint32_t left;
} weir_frame_dec;
WEIR_MUST_CHECK weir_rc weir_frame_open(weir_frame_dec *d, weir_slice frame, weir_frame_head *head,
                                        weir_error *err);
WEIR_MUST_CHECK weir_rc weir_frame_next(weir_frame_dec *d, weir_arena *a, weir_ev *ev,
                                        weir_error *err);

/* A relation description as stored in the log and sent in fetch replies:
 * [version, oid, schema, name, identity(str1), [[name, type_oid, typmod, key:bool]…]] */
void weir_relation_encode(weir_buf *out, const weir_relation *rel);
WEIR_MUST_CHECK weir_rc weir_relation_decode(weir_slice s, weir_arena *a, weir_relation *out,
                                             weir_error *err);

#endif
