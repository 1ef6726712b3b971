/* literal.c - quoting for arrays and COPY. */
#include "migrations/sync/literal.h"

/* Digits and a few marks need no quotes in an array; this is most of the bytes there are. */
static bool plain(weir_slice s)
{
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':')) {
            return false;
        }
    }
    return true;
}

void sync_put_element(weir_buf *b, const weir_val *v)
{
    if (v->kind != WEIR_VAL_TEXT) {
        weir_buf_put(b, "NULL", 4);
        return;
    }
    weir_slice s = v->text;
    if (plain(s)) {
        weir_buf_puts(b, s);
        return;
    }
    char *p = weir_buf_reserve(b, s.n * 2 + 2);
    if (!p) {
        return;
    }
    char *q = p;
    *q++ = '"';
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            *q++ = '\\';
        }
        *q++ = s.p[i];
    }
    *q++ = '"';
    b->n += (size_t)(q - p);
}

void sync_put_copy(weir_buf *b, const weir_val *v)
{
    if (v->kind != WEIR_VAL_TEXT) {
        weir_buf_put(b, "\\N", 2);
        return;
    }
    weir_slice s = v->text;
    char *p = weir_buf_reserve(b, s.n * 2);
    if (!p) {
        return;
    }
    char *q = p;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        switch (c) {
        case '\\': *q++ = '\\'; break;
        case '\n':
            *q++ = '\\';
            c = 'n';
            break;
        case '\r':
            *q++ = '\\';
            c = 'r';
            break;
        case '\t':
            *q++ = '\\';
            c = 't';
            break;
        default: break;
        }
        *q++ = c;
    }
    b->n += (size_t)(q - p);
}
