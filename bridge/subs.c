/* subs.c - durable subscribers. */
#include "bridge/subs.h"

#include <stdlib.h>

#include "libweir/base/log.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"

enum { MP_ARRAY5 = 0x95, MP_U64 = 0xcf, MP_U32 = 0xce, MP_TRUE = 0xc3, MP_FALSE = 0xc2 };

size_t brg_sub_encode(const brg_sub *sub, char out[BRG_SUB_VALUE_MAX])
{
    weir_buf b;
    weir_buf_init(&b, BRG_SUB_VALUE_MAX);
    weir_buf_u8(&b, MP_ARRAY5);
    weir_buf_u8(&b, MP_U64);
    weir_buf_u64(&b, sub->position.lsn);
    weir_buf_u8(&b, MP_U32);
    weir_buf_u32(&b, sub->position.sub);
    weir_buf_u8(&b, sub->lapsed ? MP_TRUE : MP_FALSE);
    weir_buf_u8(&b, MP_U64);
    weir_buf_u64(&b, (uint64_t)sub->created_us);
    weir_buf_u8(&b, MP_U64);
    weir_buf_u64(&b, (uint64_t)sub->seen_us);
    size_t n = b.n;
    memcpy(out, b.p, n);
    weir_buf_fini(&b);
    return n;
}

bool brg_sub_decode(weir_slice name, weir_slice value, brg_sub *out)
{
    memset(out, 0, sizeof *out);
    if (name.n == 0 || name.n >= sizeof out->name) {
        return false;
    }
    memcpy(out->name, name.p, name.n);
    weir_rd rd = weir_rd_of(value);
    bool good = weir_rd_u8(&rd) == MP_ARRAY5;
    good = weir_rd_u8(&rd) == MP_U64 && good;
    out->position.lsn = weir_rd_u64(&rd);
    good = weir_rd_u8(&rd) == MP_U32 && good;
    out->position.sub = weir_rd_u32(&rd);
    out->lapsed = weir_rd_u8(&rd) == MP_TRUE;
    good = weir_rd_u8(&rd) == MP_U64 && good;
    out->created_us = (int64_t)weir_rd_u64(&rd);
    good = weir_rd_u8(&rd) == MP_U64 && good;
    out->seen_us = (int64_t)weir_rd_u64(&rd);
    return weir_rd_finish(&rd) && good;
}

brg_sub *brg_subs_get(brg_subs *subs, weir_slice name)
{
    for (size_t i = 0; i < subs->n; i++) {
        if (weir_slice_eqz(name, subs->v[i].name)) {
            return &subs->v[i];
        }
    }
    return NULL;
}

brg_sub *brg_subs_put(brg_subs *subs, const brg_sub *sub)
{
    brg_sub *at = brg_subs_get(subs, weir_slice_z(sub->name));
    if (!at) {
        if (subs->n == BRG_SUBS_MAX) {
            return NULL;
        }
        if (subs->n == subs->cap) {
            subs->cap = subs->cap ? subs->cap * 2 : 8;
            subs->v = weir_xrealloc(subs->v, subs->cap * sizeof *subs->v);
        }
        at = &subs->v[subs->n++];
    }
    *at = *sub;
    return at;
}

void brg_subs_del(brg_subs *subs, weir_slice name)
{
    brg_sub *at = brg_subs_get(subs, name);
    if (at) {
        *at = subs->v[--subs->n];
    }
}

static void load_one(void *arg, weir_slice key, weir_slice value)
{
    brg_sub sub;
    if (!brg_sub_decode(key, value, &sub) || !brg_subs_put(arg, &sub)) {
        WEIR_WARN("BRG-SUB-BAD", "a stored subscriber makes no sense and is ignored");
    }
}

weir_rc brg_subs_load(brg_subs *subs, brg_store *store, weir_error *err)
{
    return brg_store_each(store, store->sub, load_one, subs, err);
}

void brg_subs_fini(brg_subs *subs)
{
    free(subs->v);
    memset(subs, 0, sizeof *subs);
}
