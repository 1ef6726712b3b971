/* mp.h - msgpack for the codecs: a sticky reader over borrowed bytes, and msgpack-c's packers
 * writing into a weir_buf.
 *
 * The reader is written by hand because frames are decoded at several hundred thousand rows a
 * second and every value stays where it is. Past the end, or at a value of another type, it gives 0
 * and stays bad. A count of elements is refused unless that many bytes remain, so it may size an
 * allocation. Internal to libweir/codec.
 */
#ifndef WEIR_CODEC_MP_H
#define WEIR_CODEC_MP_H

#include <msgpack.h>

#include "libweir/base/buf.h"

enum {
    WEIR_MP_NIL = 0xc0,
    WEIR_MP_FALSE = 0xc2,
    WEIR_MP_TRUE = 0xc3,
    WEIR_MP_ARRAY32 = 0xdd,
};

typedef struct weir_mp {
    const unsigned char *p;
    const unsigned char *end;
    bool bad;
} weir_mp;

static inline weir_mp weir_mp_of(weir_slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return (weir_mp){p, p ? p + s.n : p, false};
}
static inline size_t weir_mp_left(const weir_mp *mp)
{
    return mp->bad ? 0 : (size_t)(mp->end - mp->p);
}
static inline weir_slice weir_mp_rest(const weir_mp *mp)
{
    return (weir_slice){(const char *)mp->p, weir_mp_left(mp)};
}
static inline bool weir_mp_fail(weir_mp *mp)
{
    mp->bad = true;
    return false;
}

/* The next lead byte without consuming it; 0xc1 (which msgpack never uses) at the end. */
static inline unsigned weir_mp_peek(const weir_mp *mp)
{
    return weir_mp_left(mp) ? *mp->p : 0xc1;
}
/* Consumes a nil if one comes next. */
static inline bool weir_mp_nil(weir_mp *mp)
{
    if (weir_mp_peek(mp) != WEIR_MP_NIL) {
        return false;
    }
    mp->p++;
    return true;
}
uint64_t weir_mp_uint(weir_mp *mp);
uint32_t weir_mp_u32(weir_mp *mp); /* bad when larger */
int64_t weir_mp_int(weir_mp *mp);
bool weir_mp_bool(weir_mp *mp);
weir_slice weir_mp_str(weir_mp *mp);
weir_slice weir_mp_bin(weir_mp *mp);
uint32_t weir_mp_array(weir_mp *mp); /* number of elements */
uint32_t weir_mp_map(weir_mp *mp);   /* number of pairs */
void weir_mp_skip(weir_mp *mp);      /* one value with everything in it */

static inline int weir_mp_write(void *buf, const char *p, size_t n)
{
    weir_buf_put(buf, p, n);
    return 0; /* failure is sticky in the buffer */
}
static inline msgpack_packer weir_mp_packer(weir_buf *out)
{
    return (msgpack_packer){.data = out, .callback = weir_mp_write};
}
static inline void weir_mp_put_str(msgpack_packer *pk, weir_slice s)
{
    (void)msgpack_pack_str_with_body(pk, s.p ? s.p : "", s.n);
}
static inline void weir_mp_put_bin(msgpack_packer *pk, weir_slice s)
{
    (void)msgpack_pack_bin_with_body(pk, s.p ? s.p : "", s.n);
}
static inline void weir_mp_put_bool(msgpack_packer *pk, bool v)
{
    (void)(v ? msgpack_pack_true(pk) : msgpack_pack_false(pk));
}
/* A map key. */
static inline void weir_mp_put_key(msgpack_packer *pk, const char *key)
{
    weir_mp_put_str(pk, weir_slice_z(key));
}

#endif
