/* fuzz_command.c - what a client sends to the write-service: bodies, batches, and the headers of
 * asynchronous commands, from hostile bytes. */
#include <assert.h>

#include "libweir/base/arena.h"
#include "tests/fuzz/fuzz.h"
#include "write-service/body.h"
#include "write-service/split.h"
#include "write-service/terms.h"

volatile unsigned fuzz_sink;

static void try_batch(weir_slice body)
{
    wsvc_part parts[WSVC_BATCH_MAX];
    size_t n = 0;
    weir_error err;
    if (wsvc_batch_split(body, parts, &n, &err) != WEIR_OK) {
        return;
    }
    assert(n >= 1 && n <= WSVC_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        fuzz_touch(parts[i].name);
        fuzz_touch(parts[i].arguments);
        /* What was cut out is what a command alone would have been given. */
        assert(wsvc_body_check(parts[i].arguments, &err) == WEIR_OK);
    }
}

static void try_headers(weir_slice bytes, weir_arena *a)
{
    const char *z = weir_arena_dupz(a, bytes);
    weir_error err;
    wsvc_terms t;
    int64_t us = 0;
    wsvc_terms_text in = {.priority = z, .not_before = z, .deadline = z, .ordering_key = z};
    fuzz_sink += wsvc_prefers_async(z) + wsvc_instant_read(z, &us) + wsvc_traceparent_ok(z) +
                 wsvc_correlation_ok(z) + wsvc_media_type_ok(z);
    fuzz_sink += wsvc_terms_read(&t, &in, 1, &err);
    in = (wsvc_terms_text){.deadline = z};
    if (wsvc_terms_read(&t, &in, 1, &err) == WEIR_OK) {
        assert(t.deadline_us > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(0);
    weir_slice s = weir_slice_of((const char *)data, size);
    weir_error err;
    fuzz_sink += wsvc_body_check(s, &err);
    try_batch(s);
    try_headers(s, a);
    weir_arena_free(a);
    return 0;
}
