/* row.c - a stored row. */
#include "projector/engine/row.h"

static void put_varint(weir_buf *out, size_t v)
{
    char b[10];
    size_t n = 0;
    while (v >= 0x80) {
        b[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    b[n++] = (char)v;
    weir_buf_put(out, b, n);
}

static bool get_varint(const char **p, const char *end, size_t *out)
{
    size_t v = 0;
    for (unsigned shift = 0; shift < 56; shift += 7) {
        if (*p == end) {
            return false;
        }
        unsigned char c = (unsigned char)*(*p)++;
        v |= (size_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

void weir_row_encode(weir_buf *out, const weir_val *vals, size_t n)
{
    put_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        switch (vals[i].kind) {
        case WEIR_VAL_NULL: weir_buf_u8(out, 0); break;
        case WEIR_VAL_UNCHANGED: weir_buf_u8(out, 1); break;
        case WEIR_VAL_TEXT:
            put_varint(out, vals[i].text.n + 2);
            weir_buf_puts(out, vals[i].text);
            break;
        }
    }
}

static bool get_val(const char **p, const char *end, weir_val *v)
{
    size_t k = 0;
    if (!get_varint(p, end, &k)) {
        return false;
    }
    if (k < 2) {
        v->kind = k == 0 ? WEIR_VAL_NULL : WEIR_VAL_UNCHANGED;
        v->text = (weir_slice){NULL, 0};
        return true;
    }
    k -= 2;
    if (k > (size_t)(end - *p)) {
        return false;
    }
    v->kind = WEIR_VAL_TEXT;
    v->text = (weir_slice){*p, k};
    *p += k;
    return true;
}

static void absent(weir_val *vals, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++) {
        vals[i] = (weir_val){WEIR_VAL_UNCHANGED, {NULL, 0}};
    }
}

bool weir_row_decode(weir_slice row, weir_val *vals, size_t n)
{
    const char *p = row.p;
    const char *end = row.p + row.n;
    size_t count = 0;
    if (!get_varint(&p, end, &count)) {
        return false;
    }
    size_t take = count < n ? count : n;
    for (size_t i = 0; i < take; i++) {
        if (!get_val(&p, end, &vals[i])) {
            return false;
        }
    }
    absent(vals, take, n);
    return true;
}

bool weir_row_pick(weir_slice row, const int *to, size_t nto, weir_val *vals, size_t nvals)
{
    const char *p = row.p;
    const char *end = row.p + row.n;
    size_t count = 0;
    absent(vals, 0, nvals);
    if (!get_varint(&p, end, &count)) {
        return false;
    }
    size_t take = count < nto ? count : nto;
    for (size_t i = 0; i < take; i++) {
        weir_val v;
        if (!get_val(&p, end, &v)) {
            return false;
        }
        if (to[i] >= 0) {
            vals[to[i]] = v;
        }
    }
    return true;
}
