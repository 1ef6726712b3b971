/* lsn.c - positions: LSN text, cursors, and what a snapshot sees. */
#include "libweir/codec/lsn.h"

#include <stdio.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

static bool parse_hex32(weir_slice s, uint32_t *out)
{
    uint32_t v = 0;
    if (s.n < 1 || s.n > 8) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        int d = hex_digit(s.p[i]);
        if (d < 0) {
            return false;
        }
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

bool weir_lsn_parse(weir_slice s, uint64_t *out)
{
    uint32_t hi, lo;
    const char *slash = s.n ? memchr(s.p, '/', s.n) : NULL;
    if (!slash) {
        return false;
    }
    size_t left = (size_t)(slash - s.p);
    if (!parse_hex32(weir_slice_of(s.p, left), &hi) ||
        !parse_hex32(weir_slice_of(slash + 1, s.n - left - 1), &lo)) {
        return false;
    }
    *out = (uint64_t)hi << 32 | lo;
    return true;
}

const char *weir_lsn_print(uint64_t lsn, char buf[WEIR_LSN_TEXT_MAX])
{
    (void)snprintf(buf, WEIR_LSN_TEXT_MAX, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return buf;
}

int weir_cursor_cmp(weir_cursor a, weir_cursor b)
{
    if (a.lsn != b.lsn) {
        return a.lsn < b.lsn ? -1 : 1;
    }
    return a.sub == b.sub ? 0 : a.sub < b.sub ? -1 : 1;
}

/* Cuts s at the first `sep`; the whole of s when there is none. */
static weir_slice cut(weir_slice *s, char sep, bool *found)
{
    const char *at = s->n ? memchr(s->p, sep, s->n) : NULL;
    weir_slice head = *s;
    *found = at != NULL;
    if (at) {
        head.n = (size_t)(at - s->p);
        *s = weir_slice_of(at + 1, s->n - head.n - 1);
    } else {
        *s = weir_slice_of(s->p + s->n, 0);
    }
    return head;
}

bool weir_snapshot_parse(weir_slice s, uint64_t *storage, size_t n, weir_snapshot *out)
{
    bool more;
    *out = (weir_snapshot){.xip = storage};
    if (!s.p || !weir_slice_u64(cut(&s, ':', &more), &out->xmin) || !more ||
        !weir_slice_u64(cut(&s, ':', &more), &out->xmax) || !more || out->xmin > out->xmax) {
        return false;
    }
    more = s.n > 0;
    while (more) {
        uint64_t xid;
        if (out->nxip >= n || !weir_slice_u64(cut(&s, ',', &more), &xid) || xid < out->xmin ||
            xid >= out->xmax || (out->nxip > 0 && xid <= storage[out->nxip - 1])) {
            return false;
        }
        storage[out->nxip++] = xid;
    }
    return true;
}

bool weir_snapshot_sees(const weir_snapshot *s, uint32_t xid)
{
    /* The 64-bit id nearest to xmax that has these low bits; ids more than 2^31 away cannot be in
     * use. */
    int64_t distance = (int32_t)(xid - (uint32_t)s->xmax);
    if (distance >= 0 || (uint64_t)-distance > s->xmax) {
        return false;
    }
    uint64_t full = s->xmax - (uint64_t)-distance;
    if (full < s->xmin) {
        return true;
    }
    size_t lo = 0, hi = s->nxip;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->xip[mid] == full) {
            return false;
        }
        if (s->xip[mid] < full) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return true;
}
