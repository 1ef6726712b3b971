/* relation.c - a relation description as the log stores it; the layout is drawn in frame.h. */
#include "libweir/codec/frame.h"
#include "libweir/codec/mp.h"

enum { RELATION_FIELDS = 6, COLUMN_FIELDS = 4, MIN_COLUMN_BYTES = 5 };

void weir_relation_encode(weir_buf *out, const weir_relation *rel)
{
    msgpack_packer pk = weir_mp_packer(out);
    (void)msgpack_pack_array(&pk, RELATION_FIELDS);
    (void)msgpack_pack_uint32(&pk, rel->version);
    (void)msgpack_pack_uint32(&pk, rel->oid);
    weir_mp_put_str(&pk, rel->schema);
    weir_mp_put_str(&pk, rel->name);
    weir_mp_put_str(&pk, weir_slice_of(&rel->identity, 1));
    (void)msgpack_pack_array(&pk, rel->n);
    for (uint16_t i = 0; i < rel->n; i++) {
        const weir_column *c = &rel->cols[i];
        (void)msgpack_pack_array(&pk, COLUMN_FIELDS);
        weir_mp_put_str(&pk, c->name);
        (void)msgpack_pack_uint32(&pk, c->type_oid);
        (void)msgpack_pack_int32(&pk, c->typmod);
        weir_mp_put_bool(&pk, c->key);
    }
}

static weir_rc bad(weir_error *err, const char *what)
{
    return weir_fail(err, WEIR_E_PROTO, 0, "relation description: %s", what);
}

static bool get_column(weir_mp *mp, weir_column *c)
{
    if (weir_mp_array(mp) != COLUMN_FIELDS) {
        return weir_mp_fail(mp);
    }
    c->name = weir_mp_str(mp);
    c->type_oid = weir_mp_u32(mp);
    int64_t typmod = weir_mp_int(mp);
    c->key = weir_mp_bool(mp);
    if (typmod < INT32_MIN || typmod > INT32_MAX) {
        return weir_mp_fail(mp);
    }
    c->typmod = (int32_t)typmod;
    return !mp->bad;
}

weir_rc weir_relation_decode(weir_slice s, weir_arena *a, weir_relation *out, weir_error *err)
{
    weir_mp mp = weir_mp_of(s);
    memset(out, 0, sizeof *out);
    if (weir_mp_array(&mp) != RELATION_FIELDS) {
        return bad(err, "not one");
    }
    out->version = weir_mp_u32(&mp);
    out->oid = weir_mp_u32(&mp);
    out->schema = weir_mp_str(&mp);
    out->name = weir_mp_str(&mp);
    weir_slice identity = weir_mp_str(&mp);
    uint32_t n = weir_mp_array(&mp);
    if (mp.bad) {
        return bad(err, "truncated or malformed");
    }
    if (identity.n != 1 || !memchr("dnfi", identity.p[0], 4)) {
        return bad(err, "unknown replica identity");
    }
    if (n > WEIR_COLUMNS_MAX || n > weir_mp_left(&mp) / MIN_COLUMN_BYTES) {
        return bad(err, "a column count that cannot be");
    }
    out->identity = identity.p[0];
    out->cols = WEIR_ARENA_ARRAY(a, weir_column, n);
    if (!out->cols) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "relation description: over the memory limit");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!get_column(&mp, &out->cols[i])) {
            return bad(err, "malformed column");
        }
    }
    out->n = (uint16_t)n;
    return weir_mp_left(&mp) ? bad(err, "bytes left over") : WEIR_OK;
}
