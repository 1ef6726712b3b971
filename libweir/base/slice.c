/* slice.c - borrowed bytes: compare, trim, numbers. */
#include "libweir/base/slice.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

int weir_slice_cmp(weir_slice a, weir_slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n ? memcmp(a.p, b.p, n) : 0;
    if (r) {
        return r < 0 ? -1 : 1;
    }
    if (a.n == b.n) {
        return 0;
    }
    return a.n < b.n ? -1 : 1;
}

bool weir_slice_starts(weir_slice s, weir_slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

weir_slice weir_slice_trim(weir_slice s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

static bool digits(weir_slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        uint64_t d = (uint64_t)(s.p[i] - '0');
        if (v > (UINT64_MAX - d) / 10) {
            return false;
        }
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool weir_slice_i64(weir_slice s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
        s.p++;
        s.n--;
    }
    if (!digits(s, &v) || v > (uint64_t)INT64_MAX + (minus ? 1 : 0)) {
        return false;
    }
    /* -(v - 1) - 1 keeps INT64_MIN inside the type at every step. */
    *out = minus && v ? -(int64_t)(v - 1) - 1 : (int64_t)v;
    return true;
}

bool weir_slice_u64(weir_slice s, uint64_t *out)
{
    if (s.n > 0 && s.p[0] == '+') {
        s.p++;
        s.n--;
    }
    return digits(s, out);
}
