/* rd.c - a sticky big-endian reader over borrowed bytes. */
#include "libweir/base/rd.h"

static uint64_t take_be(weir_rd *rd, size_t bytes)
{
    uint64_t v = 0;
    if (weir_rd_left(rd) < bytes) {
        rd->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        v = v << 8 | (unsigned char)rd->p[i];
    }
    rd->p += bytes;
    return v;
}

uint8_t weir_rd_u8(weir_rd *rd)
{
    return (uint8_t)take_be(rd, 1);
}

uint16_t weir_rd_u16(weir_rd *rd)
{
    return (uint16_t)take_be(rd, 2);
}

uint32_t weir_rd_u32(weir_rd *rd)
{
    return (uint32_t)take_be(rd, 4);
}

uint64_t weir_rd_u64(weir_rd *rd)
{
    return take_be(rd, 8);
}

weir_slice weir_rd_bytes(weir_rd *rd, size_t n)
{
    if (rd->bad || weir_rd_left(rd) < n) {
        rd->bad = true;
        return (weir_slice){NULL, 0};
    }
    weir_slice s = {rd->p, n};
    if (n) {
        rd->p += n;
    }
    return s;
}

weir_slice weir_rd_cstr(weir_rd *rd)
{
    size_t left = weir_rd_left(rd);
    const char *nul = left ? memchr(rd->p, '\0', left) : NULL;
    if (!nul) {
        rd->bad = true;
        return (weir_slice){NULL, 0};
    }
    weir_slice s = {rd->p, (size_t)(nul - rd->p)};
    rd->p = nul + 1;
    return s;
}

bool weir_rd_finish(const weir_rd *rd)
{
    return !rd->bad && rd->p == rd->end;
}
