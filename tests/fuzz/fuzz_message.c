/* fuzz_message.c - feed requests and replies from hostile bytes. */
#include "libweir/codec/message.h"
#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static void touch_request(const weir_feed_req *r)
{
    fuzz_touch(r->name);
    fuzz_touch(r->copy_id);
    fuzz_touch(r->where);
    for (size_t i = 0; i < r->ntables; i++) {
        fuzz_touch(r->tables[i].schema);
        fuzz_touch(r->tables[i].name);
    }
}

static void touch_reply(const weir_feed_reply *r)
{
    const weir_slice one[] = {r->code, r->error, r->system_id, r->state, r->status};
    for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
        fuzz_touch(one[i]);
    }
    for (size_t i = 0; i < r->nframes; i++) {
        fuzz_touch(r->frames[i]);
    }
    for (size_t i = 0; i < r->nrelations; i++) {
        fuzz_touch(r->relations[i]);
    }
    for (size_t i = 0; i < r->nsubs; i++) {
        fuzz_touch(r->subs[i].name);
        fuzz_touch(r->subs[i].state);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 22);
    weir_slice s = weir_slice_of((const char *)data, size);
    weir_feed_req req;
    weir_feed_reply reply;
    weir_error err;
    weir_buf b;
    weir_buf_init(&b, 1 << 22);
    if (weir_feed_req_decode(s, a, &req, &err) == WEIR_OK) {
        touch_request(&req);
        weir_feed_req_encode(&b, &req);
    }
    if (weir_feed_reply_decode(s, a, &reply, &err) == WEIR_OK) {
        touch_reply(&reply);
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    return 0;
}
