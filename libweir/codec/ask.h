/* ask.h - what is said on the endpoints of the write- and the read-service over NNG: msgpack maps,
 * the same in meaning as HTTP. docs/protocol.md is made of this. */
/* clang-format off */
/* request: {"op": "command",  "name", "args": JSON text, "idempotency_key", "if_match", "correlation_id", "traceparent", "deadline_ms",
 *                             "async": bool, "priority", "not_before_ms", "ordering_key", "callback", "credentials"}
 *          {"op": "commands", "args": JSON text of an array, "atomic": bool, "correlation_id", "traceparent", "credentials"}
 *          {"op": "status",   "id", "wait_ms", "credentials"}
 *          {"op": "query",    "model", "key": text or number or array of these, "min_position", "wait_ms", "etag", "credentials"}
 *          Everything but op and what names the thing may be left out; a field an op does not have is refused: a misspelt
 *          "idempotency_key" must not pass in silence.
 * answer:  {"ok": true, "status": 200…, "body": JSON text, …} or {"ok": false, "status": 400…, "problem": JSON text, …}
 *          with "position", "correlation_id", "location", "etag", "model_state", "retry_after_s", "replayed" where there is one.
 *          body and problem are byte for byte the bodies of HTTP.
 */
/* clang-format on */
#ifndef WEIR_CODEC_ASK_H
#define WEIR_CODEC_ASK_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

enum { WEIR_ASK_KEY_PARTS_MAX = 16, WEIR_ASK_FIELD_MAX_BYTES = 8192 };

typedef enum weir_ask_op {
    WEIR_ASK_COMMAND = 1,
    WEIR_ASK_COMMANDS,
    WEIR_ASK_STATUS,
    WEIR_ASK_QUERY
} weir_ask_op;

/* Texts are {NULL, 0} when absent, numbers -1. */
typedef struct weir_ask {
    weir_ask_op op;
    weir_slice name, args, idempotency_key, if_match, correlation_id, traceparent, ordering_key,
        callback, credentials, id, model, min_position, etag;
    bool async, atomic;
    int64_t deadline_ms, priority, not_before_ms, wait_ms;
    size_t nkey;
    weir_slice key[WEIR_ASK_KEY_PARTS_MAX];
} weir_ask;

/* An ask with nothing in it. */
weir_ask weir_ask_of(weir_ask_op op);
void weir_ask_encode(weir_buf *out, const weir_ask *ask);
/* Slices borrow from s, or from a. WEIR_E_INPUT says what is wrong with which field: texts longer
 * than WEIR_ASK_FIELD_MAX_BYTES (but args) or with a NUL, numbers below 0, unknown fields, a
 * missing name. */
WEIR_MUST_CHECK weir_rc weir_ask_decode(weir_slice s, weir_arena *a, weir_ask *out,
                                        weir_error *err);

typedef struct weir_answer {
    int status;
    weir_slice body; /* the problem when status is 400 or more; may be empty */
    weir_slice position, correlation_id, location, etag, model_state;
    int64_t retry_after_s; /* -1: not said */
    bool replayed;
} weir_answer;

static inline bool weir_answer_ok(const weir_answer *r)
{
    return r->status < 400;
}

void weir_answer_encode(weir_buf *out, const weir_answer *r);
/* Slices borrow from s; unknown keys are passed over. */
WEIR_MUST_CHECK weir_rc weir_answer_decode(weir_slice s, weir_answer *out, weir_error *err);

#endif
