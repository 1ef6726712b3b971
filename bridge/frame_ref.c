/* frame_ref.c - shared frames and their log keys. */
#include "bridge/frame_ref.h"

#include <stdlib.h>

#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"

brg_frame *brg_frame_new(char *p, size_t n)
{
    brg_frame *f = weir_xcalloc(1, sizeof *f);
    atomic_init(&f->refs, 1);
    f->p = p;
    f->n = n;
    return f;
}

brg_frame *brg_frame_ref(brg_frame *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void brg_frame_unref(brg_frame *f)
{
    if (f && atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1) {
        free(f->p);
        free(f);
    }
}

size_t brg_frame_bytes(const brg_frame *f)
{
    enum { ALLOCATOR = 16, ALLOCATIONS = 2 };
    return sizeof *f + f->n + (size_t)ALLOCATOR * ALLOCATIONS;
}

static char *put_be(char *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        *p++ = (char)(unsigned char)(v >> (8 * i));
    }
    return p;
}

weir_slice brg_key_put(char buf[BRG_KEY_BYTES], weir_cursor at, uint32_t part)
{
    char *p = put_be(buf, at.lsn, 8);
    p = put_be(p, at.sub, 4);
    (void)put_be(p, part, 4);
    return (weir_slice){buf, BRG_KEY_BYTES};
}

bool brg_key_get(weir_slice key, weir_cursor *at, uint32_t *part)
{
    weir_rd rd = weir_rd_of(key);
    at->lsn = weir_rd_u64(&rd);
    at->sub = weir_rd_u32(&rd);
    *part = weir_rd_u32(&rd);
    return weir_rd_finish(&rd);
}
