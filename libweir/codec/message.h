/* message.h - what is said on the feed endpoint (NNG REQ/REP): msgpack maps, unknown keys are
 * ignored. */
/* clang-format off */
/* request: {"op": "subscribe", "name", "start": "earliest"|"now"|cursor}   earliest: the oldest the log still holds
 *          {"op": "fetch", "name"|"" , "after": cursor|nil, "max_bytes", "wait_ms", "known": highest relation version known}
 *              name "" is anonymous (weir tail): nothing is remembered, after nil means "from now"
 *          {"op": "ack", "name", "position": cursor}       everything below is durable at the subscriber
 *          {"op": "unsubscribe", "name"}  {"op": "list"}  {"op": "status"}
 *          {"op": "copy", "copy_id", "tables": [[schema, name]…]}   idempotent by copy_id; answers its state; done shows in the
 *              stream as event 10 per table
 *          {"op": "crawl", "action": "start"|"status"|"pause"|"resume"|"cancel"}   one crawl at a time; it is durable. For start also
 *              "copy_id" (idempotent by it), "tables": [[schema or "", name]…] (empty: all that are published), "where": SQL, "" for none,
 *              "rate": rows/s, 0 no limit, "parallel", "chunk_ms", "load_percent"
 * reply:   {"ok": true, …} or {"ok": false, "code": "lapsed"|"unknown"|"notready"|"input"|"busy"|"internal", "error": text with remedy}
 *   subscribe: "position": cursor, "head": cursor, "complete": bool (the log holds everything since the initial copy),
 *              "system_id": str
 *   fetch:     "frames": [bin…] (whole transactions or parts in order; a transaction's parts may be spread over replies),
 *              "relations": [bin…], "next": cursor to fetch after, "head": cursor (everything below it has been delivered once
 *              next == head; moves with idle keepalives)
 *   list:      "subscribers": [{"name","position","state","lag_bytes"}…]
 *   copy:      "state": "queued"|"running"|"done"|"failed", "rows": n, "tables_done": n
 *   crawl:     "status": a JSON object (internals.md)
 * cursor = [lsn:u64, sub:u32] ; within a fetch, "after" may also be [lsn, sub, part] to continue inside a transaction.
 */
/* clang-format on */
#ifndef WEIR_CODEC_MESSAGE_H
#define WEIR_CODEC_MESSAGE_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/codec/lsn.h"

enum {
    WEIR_FEED_NAME_MAX = 100,
    WEIR_FEED_TABLES_MAX = 10000,
    WEIR_CRAWL_WHERE_MAX = 10000,
    WEIR_CRAWL_PARALLEL_MAX = 8,
    WEIR_CRAWL_CHUNK_MS_MAX = 60000,
    WEIR_FEED_REPLY_MAX_BYTES = 1200 * 1024 * 1024
};

typedef enum weir_feed_op {
    WEIR_FEED_SUBSCRIBE = 1,
    WEIR_FEED_FETCH,
    WEIR_FEED_ACK,
    WEIR_FEED_UNSUBSCRIBE,
    WEIR_FEED_LIST,
    WEIR_FEED_STATUS,
    WEIR_FEED_COPY,
    WEIR_FEED_CRAWL,
} weir_feed_op;

typedef enum weir_feed_action {
    WEIR_CRAWL_START,
    WEIR_CRAWL_STATUS,
    WEIR_CRAWL_PAUSE,
    WEIR_CRAWL_RESUME,
    WEIR_CRAWL_CANCEL,
} weir_feed_action;

/* A place in the log down to the part; part 0 is the start. */
typedef struct weir_feed_pos {
    weir_cursor at;
    uint32_t part;
} weir_feed_pos;

typedef enum weir_feed_start { WEIR_START_EARLIEST, WEIR_START_NOW, WEIR_START_AT } weir_feed_start;

typedef struct weir_feed_table {
    weir_slice schema, name;
} weir_feed_table;

typedef struct weir_feed_req {
    weir_feed_op op;
    weir_slice name;
    weir_feed_start start;
    bool has_after;
    weir_feed_pos after; /* fetch; for subscribe (start at) and ack: .at */
    uint32_t max_bytes;
    uint32_t wait_ms;
    uint32_t known;
    weir_slice copy_id;
    size_t ntables;
    weir_feed_table *tables;
    weir_feed_action action; /* crawl; what follows is for start */
    weir_slice where;
    uint64_t rate; /* rows per second */
    uint32_t parallel, chunk_ms, load_percent;
} weir_feed_req;

void weir_feed_req_encode(weir_buf *out, const weir_feed_req *req);
/* Names longer than the limits, missing fields, wrong types: WEIR_E_INPUT with the field's name. */
WEIR_MUST_CHECK weir_rc weir_feed_req_decode(weir_slice s, weir_arena *a, weir_feed_req *out,
                                             weir_error *err);

typedef struct weir_feed_sub {
    weir_slice name, state; /* state: "active", "lapsed" */
    weir_cursor position;
    uint64_t lag_bytes;
} weir_feed_sub;

typedef struct weir_feed_reply {
    bool ok;
    weir_slice code, error;
    weir_feed_pos next;   /* fetch */
    weir_cursor position; /* subscribe */
    weir_cursor head;
    bool complete;
    weir_slice system_id;
    size_t nframes;
    weir_slice *frames;
    size_t nrelations;
    weir_slice *relations; /* encoded, see frame.h */
    size_t nsubs;
    weir_feed_sub *subs;
    weir_slice state; /* copy */
    uint64_t rows, tables_done;
    weir_slice status; /* status, crawl: a JSON object text */
} weir_feed_reply;

/* op decides which fields are written. */
void weir_feed_reply_encode(weir_buf *out, weir_feed_op op, const weir_feed_reply *r);
WEIR_MUST_CHECK weir_rc weir_feed_reply_decode(weir_slice s, weir_arena *a, weir_feed_reply *out,
                                               weir_error *err);

#endif
