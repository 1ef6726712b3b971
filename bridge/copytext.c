/* copytext.c - COPY text lines into values. */
#include "bridge/copytext.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* p points after the backslash; stores the character, returns what follows. */
static const char *unescape(const char *p, const char *end, char *out)
{
    static const char from[] = "bfnrtv";
    static const char to[] = "\b\f\n\r\t\v";
    char c = *p++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        *out = to[known - from];
    } else if (c >= '0' && c <= '7') {
        int v = c - '0';
        for (int i = 0; i < 2 && p < end && *p >= '0' && *p <= '7'; i++) {
            v = v * 8 + (*p++ - '0');
        }
        *out = (char)(unsigned char)v;
    } else if (c == 'x' && p < end && hex(*p) >= 0) {
        int v = hex(*p++);
        if (p < end && hex(*p) >= 0) {
            v = v * 16 + hex(*p++);
        }
        *out = (char)(unsigned char)v;
    } else {
        *out = c;
    }
    return p;
}

weir_rc brg_copytext(char *line, size_t len, uint16_t n, weir_tuple *out, weir_error *err)
{
    const char *p = line;
    const char *end = line + len;
    char *w = line;
    uint16_t i = 0;
    for (;;) {
        if (i == n) {
            return weir_fail(err, WEIR_E_PROTO, 0, "COPY sent more than %u columns", n);
        }
        char *start = w;
        bool null = end - p >= 2 && p[0] == '\\' && p[1] == 'N' && (end - p == 2 || p[2] == '\t');
        if (null) {
            p += 2;
        }
        while (p < end && *p != '\t') {
            if (*p == '\\' && p + 1 < end) {
                p = unescape(p + 1, end, w++);
            } else {
                *w++ = *p++;
            }
        }
        out->v[i++] = null ? (weir_val){WEIR_VAL_NULL, {NULL, 0}}
                           : (weir_val){WEIR_VAL_TEXT, {start, (size_t)(w - start)}};
        if (p == end) {
            break;
        }
        p++;
    }
    if (i != n) {
        return weir_fail(err, WEIR_E_PROTO, 0, "COPY sent %u columns instead of %u", i, n);
    }
    out->n = n;
    return WEIR_OK;
}
