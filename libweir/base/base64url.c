/* base64url.c - base64url without padding. */
#include "libweir/base/base64url.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '-') {
        return 62;
    }
    return c == '_' ? 63 : -1;
}

bool weir_base64url_decode(weir_slice text, weir_arena *a, weir_slice *out)
{
    char *p = text.n % 4 == 1 ? NULL : weir_arena_alloc(a, text.n / 4 * 3 + 3);
    uint32_t bits = 0;
    unsigned held = 0;
    size_t n = 0;
    if (!p) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        int v = value_of(text.p[i]);
        if (v < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)v) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            p[n++] = (char)(unsigned char)(bits >> held);
        }
    }
    *out = weir_slice_of(p, n);
    return (bits & ((1U << held) - 1)) == 0;
}

void weir_base64url_put(weir_buf *out, weir_slice bytes)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        bits = (bits << 8 | (unsigned char)bytes.p[i]) & 0xffffff;
        for (held += 8; held >= 6;) {
            held -= 6;
            weir_buf_u8(out, (uint8_t)digits[bits >> held & 63]);
        }
    }
    if (held) {
        weir_buf_u8(out, (uint8_t)digits[bits << (6 - held) & 63]);
    }
}
