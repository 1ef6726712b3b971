/* mp.c - the sticky msgpack reader. */
#include "libweir/codec/mp.h"

/* Big endian, `bytes` of them after the lead byte; consumes both. */
static uint64_t take(weir_mp *mp, size_t bytes)
{
    uint64_t v = 0;
    if (weir_mp_left(mp) < bytes + 1) {
        mp->bad = true;
        return 0;
    }
    for (size_t i = 1; i <= bytes; i++) {
        v = v << 8 | mp->p[i];
    }
    mp->p += bytes + 1;
    return v;
}

int64_t weir_mp_int(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead <= 0x7f) {
        return (int64_t)take(mp, 0) + (int64_t)lead;
    }
    if (lead >= 0xe0) {
        (void)take(mp, 0);
        return (int64_t)lead - 256;
    }
    switch (lead) {
    case 0xcc: return (int64_t)take(mp, 1);
    case 0xcd: return (int64_t)take(mp, 2);
    case 0xce: return (int64_t)take(mp, 4);
    case 0xcf: {
        uint64_t v = take(mp, 8);
        if (v > INT64_MAX) {
            mp->bad = true;
            return 0;
        }
        return (int64_t)v;
    }
    case 0xd0: return (int8_t)take(mp, 1);
    case 0xd1: return (int16_t)take(mp, 2);
    case 0xd2: return (int32_t)take(mp, 4);
    case 0xd3: return (int64_t)take(mp, 8);
    default: mp->bad = true; return 0;
    }
}

uint64_t weir_mp_uint(weir_mp *mp)
{
    if (weir_mp_peek(mp) == 0xcf) {
        return take(mp, 8);
    }
    int64_t v = weir_mp_int(mp);
    if (v < 0) {
        mp->bad = true;
        return 0;
    }
    return (uint64_t)v;
}

uint32_t weir_mp_u32(weir_mp *mp)
{
    uint64_t v = weir_mp_uint(mp);
    if (v > UINT32_MAX) {
        mp->bad = true;
        return 0;
    }
    return (uint32_t)v;
}

bool weir_mp_bool(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead != WEIR_MP_TRUE && lead != WEIR_MP_FALSE) {
        return weir_mp_fail(mp);
    }
    mp->p++;
    return lead == WEIR_MP_TRUE;
}

static weir_slice body(weir_mp *mp, uint64_t n)
{
    if (n > weir_mp_left(mp)) {
        mp->bad = true;
        return (weir_slice){NULL, 0};
    }
    weir_slice s = {(const char *)mp->p, (size_t)n};
    mp->p += n;
    return s;
}

weir_slice weir_mp_str(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead >= 0xa0 && lead <= 0xbf) {
        mp->p++;
        return body(mp, lead & 0x1f);
    }
    if (lead >= 0xd9 && lead <= 0xdb) {
        return body(mp, take(mp, (size_t)1 << (lead - 0xd9)));
    }
    mp->bad = true;
    return (weir_slice){NULL, 0};
}

weir_slice weir_mp_bin(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead >= 0xc4 && lead <= 0xc6) {
        return body(mp, take(mp, (size_t)1 << (lead - 0xc4)));
    }
    mp->bad = true;
    return (weir_slice){NULL, 0};
}

static uint32_t count(weir_mp *mp, uint64_t n, size_t min_bytes_each)
{
    if (n > weir_mp_left(mp) / min_bytes_each) {
        mp->bad = true;
        return 0;
    }
    return (uint32_t)n;
}

uint32_t weir_mp_array(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead >= 0x90 && lead <= 0x9f) {
        mp->p++;
        return count(mp, lead & 0x0f, 1);
    }
    if (lead == 0xdc || lead == WEIR_MP_ARRAY32) {
        return count(mp, take(mp, lead == 0xdc ? 2 : 4), 1);
    }
    mp->bad = true;
    return 0;
}

uint32_t weir_mp_map(weir_mp *mp)
{
    unsigned lead = weir_mp_peek(mp);
    if (lead >= 0x80 && lead <= 0x8f) {
        mp->p++;
        return count(mp, lead & 0x0f, 2);
    }
    if (lead == 0xde || lead == 0xdf) {
        return count(mp, take(mp, lead == 0xde ? 2 : 4), 2);
    }
    mp->bad = true;
    return 0;
}

/* A value without children. */
static void skip_scalar(weir_mp *mp)
{
    static const unsigned char ext_bytes[] = {1, 2, 4, 8, 16};
    unsigned lead = weir_mp_peek(mp);
    if (lead == WEIR_MP_NIL || lead == WEIR_MP_FALSE || lead == WEIR_MP_TRUE) {
        (void)take(mp, 0);
    } else if (lead >= 0xc4 && lead <= 0xc6) {
        (void)weir_mp_bin(mp);
    } else if (lead >= 0xc7 && lead <= 0xc9) { /* ext: length, type byte, body */
        uint64_t n = take(mp, (size_t)1 << (lead - 0xc7));
        (void)body(mp, n + 1);
    } else if (lead == 0xca || lead == 0xcb) { /* float, double */
        (void)take(mp, lead == 0xca ? 4 : 8);
    } else if (lead >= 0xd4 && lead <= 0xd8) { /* fixext */
        mp->p++;
        (void)body(mp, 1U + ext_bytes[lead - 0xd4]);
    } else if (lead == 0xcf) {
        (void)weir_mp_uint(mp);
    } else if ((lead >= 0xa0 && lead <= 0xbf) || (lead >= 0xd9 && lead <= 0xdb)) {
        (void)weir_mp_str(mp);
    } else {
        (void)weir_mp_int(mp);
    }
}

void weir_mp_skip(weir_mp *mp)
{
    /* No recursion: every turn consumes a byte or turns bad, so hostile nesting costs nothing. */
    uint64_t todo = 1;
    while (todo > 0 && !mp->bad) {
        unsigned lead = weir_mp_peek(mp);
        todo--;
        if ((lead >= 0x90 && lead <= 0x9f) || lead == 0xdc || lead == WEIR_MP_ARRAY32) {
            todo += weir_mp_array(mp);
        } else if ((lead >= 0x80 && lead <= 0x8f) || lead == 0xde || lead == 0xdf) {
            todo += 2ULL * weir_mp_map(mp);
        } else {
            skip_scalar(mp);
        }
    }
}
