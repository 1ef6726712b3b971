/* redis_reply.c - reading replies: our type is hiredis' redisReply under another name. */
#include <hiredis/hiredis.h>

#include "libweir/io/redis.h"

/* What is not there reads as nil: an answer shorter than expected is then refused like a malformed
 * one. */
static const redisReply *raw(const weir_redis_reply *r)
{
    static const redisReply none = {.type = REDIS_REPLY_NIL};
    return r ? (const redisReply *)(const void *)r : &none;
}

weir_redis_type weir_redis_reply_type(const weir_redis_reply *r)
{
    switch (raw(r)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS: return WEIR_REDIS_STRING;
    case REDIS_REPLY_INTEGER: return WEIR_REDIS_INT;
    case REDIS_REPLY_ARRAY: return WEIR_REDIS_ARRAY;
    case REDIS_REPLY_ERROR: return WEIR_REDIS_ERROR;
    default: return WEIR_REDIS_NIL;
    }
}

weir_slice weir_redis_reply_str(const weir_redis_reply *r)
{
    int type = raw(r)->type;
    if (type != REDIS_REPLY_STRING && type != REDIS_REPLY_STATUS && type != REDIS_REPLY_ERROR) {
        return (weir_slice){NULL, 0};
    }
    return (weir_slice){raw(r)->str, raw(r)->len};
}

int64_t weir_redis_reply_int(const weir_redis_reply *r)
{
    return raw(r)->type == REDIS_REPLY_INTEGER ? raw(r)->integer : 0;
}

size_t weir_redis_reply_len(const weir_redis_reply *r)
{
    return raw(r)->type == REDIS_REPLY_ARRAY ? raw(r)->elements : 0;
}

const weir_redis_reply *weir_redis_reply_at(const weir_redis_reply *r, size_t i)
{
    return i < weir_redis_reply_len(r) ? (const weir_redis_reply *)(const void *)raw(r)->element[i]
                                       : NULL;
}
