/* buf.h - a growing byte buffer with a ceiling; writers are sticky: test `failed` once, at the end.
 */
#ifndef WEIR_BASE_BUF_H
#define WEIR_BASE_BUF_H

#include <stdarg.h>

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max;  /* ceiling in bytes */
    bool failed; /* the ceiling was hit; content is truncated and must not be used */
} weir_buf;

void weir_buf_init(weir_buf *b, size_t max_bytes); /* allocates nothing yet */
void weir_buf_fini(weir_buf *b);
void weir_buf_reset(weir_buf *b); /* n = 0, failed = false, memory kept */

/* Room for n more bytes at p+n (uninitialised, n not advanced); NULL and failed at the ceiling. */
char *weir_buf_reserve(weir_buf *b, size_t n);
void weir_buf_put(weir_buf *b, const void *p, size_t n);
void weir_buf_puts(weir_buf *b, weir_slice s);
void weir_buf_putz(weir_buf *b, const char *z);
void weir_buf_u8(weir_buf *b, uint8_t v);
void weir_buf_u16(weir_buf *b, uint16_t v); /* big endian, as all multi-byte writers here */
void weir_buf_u32(weir_buf *b, uint32_t v);
void weir_buf_u64(weir_buf *b, uint64_t v);
void weir_buf_printf(weir_buf *b, const char *fmt, ...) WEIR_PRINTF(2, 3);
static inline weir_slice weir_buf_slice(const weir_buf *b)
{
    return (weir_slice){b->p, b->n};
}
/* Gives the malloc'd bytes to the caller (free()); the buffer is empty afterwards. */
char *weir_buf_take(weir_buf *b, size_t *n);

#endif
