/* key.c - canonical key bytes. */
#include "projector/engine/key.h"

#include "libweir/base/buf.h"
#include "libweir/base/hash.h"

static bool is_int(weir_ty ty)
{
    return ty == WEIR_TY_INT2 || ty == WEIR_TY_INT4 || ty == WEIR_TY_INT8;
}

static weir_slice numeric_text(weir_slice s)
{
    if (s.n == 0 || memchr(s.p, '.', s.n) == NULL) {
        return s;
    }
    while (s.n > 0 && s.p[s.n - 1] == '0') {
        s.n--;
    }
    if (s.n > 0 && s.p[s.n - 1] == '.') {
        s.n--;
    }
    return s;
}

static weir_slice canonical(weir_ty ty, weir_slice s)
{
    switch (ty) {
    case WEIR_TY_NUMERIC: return numeric_text(s);
    case WEIR_TY_BPCHAR:
        while (s.n > 0 && s.p[s.n - 1] == ' ') {
            s.n--;
        }
        return s;
    case WEIR_TY_FLOAT4:
    case WEIR_TY_FLOAT8: return weir_slice_eqz(s, "-0") ? WEIR_SLICE_LIT("0") : s;
    default: return s;
    }
}

static void put_int(unsigned char *b, int64_t v)
{
    uint64_t u = (uint64_t)v ^ (UINT64_C(1) << 63);
    for (int i = 7; i >= 0; i--) {
        b[i] = (unsigned char)u;
        u >>= 8;
    }
}

/* The way for keys that do not fit: the whole into a buffer, then cut and hashed. */
static weir_rc make_long(weir_key *k, size_t n, const weir_ty *types, const weir_val *vals,
                         weir_error *err)
{
    weir_buf whole;
    weir_buf_init(&whole, (size_t)1 << 31);
    for (size_t i = 0; i < n; i++) {
        if (is_int(types[i])) {
            int64_t v = 0;
            unsigned char b[8];
            if (!weir_slice_i64(vals[i].text, &v)) {
                weir_buf_fini(&whole);
                return weir_fail(err, WEIR_E_PROTO, 0, "a key column is no integer");
            }
            put_int(b, v);
            weir_buf_put(&whole, b, sizeof b);
        } else {
            weir_buf_puts(&whole, canonical(types[i], vals[i].text));
            weir_buf_u8(&whole, 0);
        }
    }
    if (whole.failed) {
        weir_buf_fini(&whole);
        return weir_fail(err, WEIR_E_LIMIT, 0, "a key is too long");
    }
    weir_hash128 h = weir_hash128_of(weir_buf_slice(&whole));
    memcpy(k->b, whole.p, WEIR_KEY_CUT);
    memcpy(k->b + WEIR_KEY_CUT, h.b, sizeof h.b);
    k->n = WEIR_KEY_MAX;
    weir_buf_fini(&whole);
    return WEIR_OK;
}

weir_rc weir_key_make(weir_key *k, size_t n, const weir_ty *types, const weir_val *vals,
                      weir_error *err)
{
    size_t at = 0;
    size_t need = 0;
    for (size_t i = 0; i < n; i++) {
        if (vals[i].kind != WEIR_VAL_TEXT) {
            return WEIR_E_NOTFOUND;
        }
        need += is_int(types[i]) ? 8 : canonical(types[i], vals[i].text).n + 1;
    }
    if (need > WEIR_KEY_CUT) {
        return make_long(k, n, types, vals, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (is_int(types[i])) {
            int64_t v = 0;
            if (!weir_slice_i64(vals[i].text, &v)) {
                return weir_fail(err, WEIR_E_PROTO, 0, "a key column is no integer");
            }
            put_int(k->b + at, v);
            at += 8;
        } else {
            weir_slice s = canonical(types[i], vals[i].text);
            if (s.n) {
                memcpy(k->b + at, s.p, s.n);
            }
            at += s.n;
            k->b[at++] = 0;
        }
    }
    k->n = (uint16_t)at;
    return WEIR_OK;
}
