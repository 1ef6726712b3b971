/* dockey.c - the keys of read models in Redis. */
#include "libweir/codec/dockey.h"

static bool must_escape(unsigned char c)
{
    return c < 0x21 || c == 0x7f || c == '%' || c == '/';
}

static void put_part(weir_buf *out, weir_slice part)
{
    static const char hex[] = "0123456789ABCDEF";
    if (part.n == 0) {
        weir_buf_u8(out, '%');
        return;
    }
    size_t from = 0;
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (!must_escape(c)) {
            continue;
        }
        char esc[3] = {'%', hex[c >> 4], hex[c & 15]};
        weir_buf_put(out, part.p + from, i - from);
        weir_buf_put(out, esc, sizeof esc);
        from = i + 1;
    }
    weir_buf_put(out, part.p + from, part.n - from);
}

void weir_dockey_text(weir_buf *out, const weir_slice *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i) {
            weir_buf_u8(out, '/');
        }
        put_part(out, parts[i]);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_part(weir_slice s, weir_arena *a, weir_slice *out)
{
    if (weir_slice_eqz(s, "%")) {
        *out = WEIR_SLICE_LIT("");
        return true;
    }
    char *p = s.n ? weir_arena_alloc(a, s.n) : NULL;
    size_t n = 0;
    if (!p) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int lo = s.n - i > 2 ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return false;
            }
            c = (char)(unsigned char)(hi << 4 | lo);
            i += 2;
        } else if (must_escape((unsigned char)c)) {
            return false;
        }
        p[n++] = c;
    }
    *out = weir_slice_of(p, n);
    return true;
}

bool weir_dockey_parse(weir_slice key, weir_arena *a, weir_slice *parts, size_t *n)
{
    size_t cap = *n;
    *n = 0;
    for (;;) {
        const char *slash = key.n ? memchr(key.p, '/', key.n) : NULL;
        size_t len = slash ? (size_t)(slash - key.p) : key.n;
        if (*n >= cap || !parse_part(weir_slice_of(key.p, len), a, &parts[*n])) {
            return false;
        }
        ++*n;
        if (!slash) {
            return true;
        }
        key = weir_slice_of(slash + 1, key.n - len - 1);
    }
}

static weir_slice text(char *z)
{
    return weir_slice_z(z);
}

weir_slice weir_dockey_doc(weir_arena *a, const char *ns, weir_slice model, uint32_t generation,
                           weir_slice key)
{
    /* Keys come from columns and may be longer than printf's int lengths; so they are copied, not
     * printed. */
    char gen[16];
    size_t gn = 0;
    do {
        gen[sizeof gen - ++gn] = (char)('0' + generation % 10);
        generation /= 10;
    } while (generation);
    weir_slice bits[] = {weir_slice_z(ns), model, {gen + sizeof gen - gn, gn}, key};
    size_t total = 3;
    for (size_t i = 0; i < 4; i++) {
        total += bits[i].n;
    }
    char *p = weir_arena_alloc(a, total);
    if (!p) {
        return (weir_slice){NULL, 0};
    }
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i) {
            p[at++] = ':';
        }
        if (bits[i].n) {
            memcpy(p + at, bits[i].p, bits[i].n);
        }
        at += bits[i].n;
    }
    return weir_slice_of(p, total);
}

weir_slice weir_dockey_position(weir_arena *a, const char *ns)
{
    return text(weir_arena_printf(a, "%s:position", ns));
}

weir_slice weir_dockey_epoch(weir_arena *a, const char *ns)
{
    return text(weir_arena_printf(a, "%s:epoch", ns));
}

weir_slice weir_dockey_models(weir_arena *a, const char *ns)
{
    return text(weir_arena_printf(a, "%s:models", ns));
}

weir_slice weir_dockey_notice(weir_arena *a, const char *ns)
{
    return text(weir_arena_printf(a, "%s:notice", ns));
}
