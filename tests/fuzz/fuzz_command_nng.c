/* fuzz_command_nng.c - what a client sends to the NNG endpoints: the stream's framing, the message,
 * and the request made of it; and what a client may be answered. */
#include <assert.h>
#include <stdlib.h>

#include "libweir/base/sp.h"
#include "libweir/endpoint/request.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static void touch_z(const char *z)
{
    fuzz_touch(weir_slice_z(z));
}

static void try_message(weir_slice message, weir_arena *a)
{
    weir_ask ask;
    weir_error err = {0};
    weir_http_foreign f;
    if (weir_ask_decode(message, a, &ask, &err) != WEIR_OK) {
        assert(err.msg[0]);
        return;
    }
    if (weir_endpoint_request(&ask, a, &f, &err) == WEIR_OK) {
        touch_z(f.method);
        touch_z(f.path);
        assert(f.path[0] == '/');
        for (size_t i = 0; i < f.nheaders; i++) {
            touch_z(f.headers[i].value);
        }
        for (size_t i = 0; i < f.nquery; i++) {
            touch_z(f.query[i].value);
        }
    }
    fuzz_touch(ask.args);
    /* What was understood can be said again, and means the same. */
    weir_buf b, again;
    weir_ask second;
    weir_buf_init(&b, 1 << 24);
    weir_buf_init(&again, 1 << 24);
    weir_ask_encode(&b, &ask);
    weir_rc rc = weir_ask_decode(weir_buf_slice(&b), a, &second, &err);
    assert(rc == WEIR_OK || rc == WEIR_E_LIMIT);
    if (rc == WEIR_OK) {
        weir_ask_encode(&again, &second);
        assert(weir_slice_eq(weir_buf_slice(&b), weir_buf_slice(&again)));
    }
    weir_buf_fini(&b);
    weir_buf_fini(&again);
}

static void try_stream(const char *p, size_t n, weir_arena *a)
{
    bool ipc = n > 0 && p[0] == 1;
    size_t at = 0, body_at, body_n;
    while (weir_sp_look(p + at, n - at, ipc, 1 << 20, &body_at, &body_n) == WEIR_SP_WHOLE) {
        const char *body = p + at + body_at;
        size_t ids = weir_sp_ids(body, body_n);
        if (ids) {
            try_message(weir_slice_of(body + ids, body_n - ids), a);
        }
        at += body_at + body_n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 22);
    weir_slice s = weir_slice_of((const char *)data, size);
    weir_answer answer;
    weir_error err;
    try_stream(s.p, s.n, a);
    try_message(s, a);
    if (weir_answer_decode(s, &answer, &err) == WEIR_OK) {
        fuzz_touch(answer.body);
        fuzz_touch(answer.position);
    }
    weir_arena_free(a);
    return 0;
}
