/* buf.c - a growing byte buffer with a ceiling; writers are sticky. */
#include "libweir/base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

enum { FIRST_CAP = 256 };

void weir_buf_init(weir_buf *b, size_t max_bytes)
{
    /* Half of the address space at most, so that sums of sizes cannot overflow. */
    *b = (weir_buf){.max = max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4};
}

void weir_buf_fini(weir_buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = 0;
    b->cap = 0;
}

void weir_buf_reset(weir_buf *b)
{
    b->n = 0;
    b->failed = false;
}

/* One byte more than asked, so that printf's NUL fits also at the ceiling. */
static bool make_room(weir_buf *b, size_t n)
{
    if (b->failed || n > b->max - b->n) {
        b->failed = true;
        return false;
    }
    size_t need = b->n + n + 1;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap ? b->cap : FIRST_CAP;
    while (cap < need) {
        cap *= 2;
    }
    if (cap > b->max + 1) {
        cap = b->max + 1;
    }
    b->p = weir_xrealloc(b->p, cap);
    b->cap = cap;
    return true;
}

char *weir_buf_reserve(weir_buf *b, size_t n)
{
    return make_room(b, n) ? b->p + b->n : NULL;
}

void weir_buf_put(weir_buf *b, const void *p, size_t n)
{
    if (n && make_room(b, n)) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
}

void weir_buf_puts(weir_buf *b, weir_slice s)
{
    weir_buf_put(b, s.p, s.n);
}

void weir_buf_putz(weir_buf *b, const char *z)
{
    weir_buf_put(b, z, strlen(z));
}

static void put_be(weir_buf *b, uint64_t v, unsigned bytes)
{
    char out[8];
    for (unsigned i = 0; i < bytes; i++) {
        out[i] = (char)(unsigned char)(v >> (8 * (bytes - 1 - i)));
    }
    weir_buf_put(b, out, bytes);
}

void weir_buf_u8(weir_buf *b, uint8_t v)
{
    put_be(b, v, 1);
}

void weir_buf_u16(weir_buf *b, uint16_t v)
{
    put_be(b, v, 2);
}

void weir_buf_u32(weir_buf *b, uint32_t v)
{
    put_be(b, v, 4);
}

void weir_buf_u64(weir_buf *b, uint64_t v)
{
    put_be(b, v, 8);
}

void weir_buf_printf(weir_buf *b, const char *fmt, ...)
{
    va_list ap;
    if (b->failed) {
        return;
    }
    size_t room = b->cap - b->n;
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n >= room) {
        if (!make_room(b, (size_t)n)) {
            return;
        }
        va_start(ap, fmt);
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->n += (size_t)n;
}

char *weir_buf_take(weir_buf *b, size_t *n)
{
    char *p = b->p ? b->p : weir_xmalloc(1);
    if (n) {
        *n = b->n;
    }
    b->p = NULL;
    b->n = 0;
    b->cap = 0;
    return p;
}
