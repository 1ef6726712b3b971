/* rd.h - a sticky big-endian reader over borrowed bytes: past the end it gives 0 and stays bad.
 *
 * Test weir_rd_ok before a value becomes a loop bound or a size; weir_rd_finish at the end also
 * refuses leftovers.
 */
#ifndef WEIR_BASE_RD_H
#define WEIR_BASE_RD_H

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

typedef struct weir_rd {
    const char *p;
    const char *end;
    bool bad;
} weir_rd;

static inline weir_rd weir_rd_of(weir_slice s)
{
    return (weir_rd){s.p, s.p ? s.p + s.n : s.p, false};
}
static inline bool weir_rd_ok(const weir_rd *rd)
{
    return !rd->bad;
}
static inline size_t weir_rd_left(const weir_rd *rd)
{
    return rd->bad ? 0 : (size_t)(rd->end - rd->p);
}
uint8_t weir_rd_u8(weir_rd *rd);
uint16_t weir_rd_u16(weir_rd *rd);
uint32_t weir_rd_u32(weir_rd *rd);
uint64_t weir_rd_u64(weir_rd *rd);
weir_slice weir_rd_bytes(weir_rd *rd, size_t n); /* borrowed; {NULL,0} and bad when fewer remain */
weir_slice weir_rd_cstr(weir_rd *rd); /* up to NUL, which is consumed; bad when there is none */
WEIR_MUST_CHECK bool weir_rd_finish(const weir_rd *rd); /* ok and nothing left */

#endif
