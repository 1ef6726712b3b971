/* fuzz_frame.c - a frame, and a relation description, from hostile bytes; what decodes is encoded
 * again. */
#include "libweir/codec/frame.h"

#include <stdlib.h>

#include "tests/fuzz/fuzz.h"

volatile unsigned fuzz_sink;

static void touch(const weir_ev *ev)
{
    fuzz_touch_row(&ev->old_row);
    fuzz_touch_row(&ev->new_row);
    fuzz_touch(weir_slice_of((const char *)ev->rels, ev->nrels * sizeof(uint32_t)));
    fuzz_touch(ev->a);
    fuzz_touch(ev->b);
    fuzz_touch(ev->copy_id);
}

static void frame(weir_slice s, weir_arena *a)
{
    weir_frame_head head, again;
    weir_frame_dec d;
    weir_frame_enc e;
    weir_error err;
    weir_ev ev;
    weir_rc rc;
    weir_buf b;
    if (weir_frame_open(&d, s, &head, &err) != WEIR_OK) {
        return;
    }
    weir_buf_init(&b, 1 << 24);
    weir_frame_begin(&e, &b, &head);
    while ((rc = weir_frame_next(&d, a, &ev, &err)) == WEIR_OK) {
        touch(&ev);
        weir_frame_put(&e, &ev);
    }
    weir_frame_finish(&e, head.last, head.end_lsn);
    if (rc == WEIR_E_EOF && !b.failed &&
        weir_frame_open(&d, weir_buf_slice(&b), &again, &err) != WEIR_OK) {
        abort();
    }
    weir_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weir_arena *a = weir_arena_new(1 << 20);
    weir_slice s = weir_slice_of((const char *)data, size);
    weir_relation rel;
    weir_error err;
    frame(s, a);
    weir_arena_reset(a);
    if (weir_relation_decode(s, a, &rel, &err) == WEIR_OK) {
        fuzz_touch_relation(&rel);
    }
    weir_arena_free(a);
    return 0;
}
