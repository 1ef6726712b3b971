/* message_mp.h - positions in feed messages, shared by requests (message.c) and replies
 * (message_reply.c). */
#ifndef WEIR_CODEC_MESSAGE_MP_H
#define WEIR_CODEC_MESSAGE_MP_H

#include "libweir/codec/message.h"
#include "libweir/codec/mp.h"

static inline void weir_mp_put_pos(msgpack_packer *pk, weir_feed_pos pos)
{
    (void)msgpack_pack_array(pk, pos.part ? 3 : 2);
    (void)msgpack_pack_uint64(pk, pos.at.lsn);
    (void)msgpack_pack_uint32(pk, pos.at.sub);
    if (pos.part) {
        (void)msgpack_pack_uint32(pk, pos.part);
    }
}

static inline void weir_mp_put_cursor(msgpack_packer *pk, weir_cursor c)
{
    weir_mp_put_pos(pk, (weir_feed_pos){.at = c});
}

/* [lsn, sub] or [lsn, sub, part]. */
static inline weir_feed_pos weir_mp_pos(weir_mp *mp)
{
    uint32_t n = weir_mp_array(mp);
    weir_feed_pos pos = {{0, 0}, 0};
    if (n != 2 && n != 3) {
        mp->bad = true;
        return pos;
    }
    pos.at.lsn = weir_mp_uint(mp);
    pos.at.sub = weir_mp_u32(mp);
    pos.part = n == 3 ? weir_mp_u32(mp) : 0;
    return pos;
}

static inline weir_cursor weir_mp_cursor(weir_mp *mp)
{
    weir_feed_pos pos = weir_mp_pos(mp);
    if (pos.part) {
        mp->bad = true;
    }
    return pos.at;
}

#endif
