/* diag.c - findings of a compile, and how they are shown: file:line:col, the line, a caret, the
 * hint. */
#include <stdio.h>

#include "projector/sql/model.h"

enum { LINE_SHOWN_BYTES = 160 };

void weir_diags_init(weir_diags *ds, weir_arena *a)
{
    memset(ds, 0, sizeof(*ds));
    ds->a = a;
}

static bool already_said(const weir_diags *ds, int location, const char *msg)
{
    for (int i = 0; i < ds->n; i++) {
        if (ds->d[i].location == location && strcmp(ds->d[i].msg, msg) == 0) {
            return true;
        }
    }
    return false;
}

void weir_diag_add(weir_diags *ds, bool warning, int location, const char *hint, const char *fmt,
                   ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (already_said(ds, location, text)) {
        return;
    }
    if (!warning) {
        ds->errors++;
    }
    if (ds->n == WEIR_DIAGS_MAX) {
        return;
    }
    const char *msg = weir_arena_strdup(ds->a, text);
    ds->d[ds->n++] = (weir_diag){
        .warning = warning,
        .location = location,
        .msg = msg ? msg : "refused (no memory left for the message)",
        .hint = hint ? weir_arena_strdup(ds->a, hint) : NULL,
    };
}

/* The byte range of the line that holds at, and its number. */
static void find_line(weir_slice text, size_t at, size_t *from, size_t *to, int *number)
{
    *from = 0;
    *number = 1;
    for (size_t i = 0; i < at; i++) {
        if (text.p[i] == '\n') {
            *from = i + 1;
            (*number)++;
        }
    }
    *to = at;
    while (*to < text.n && text.p[*to] != '\n') {
        (*to)++;
    }
}

static bool starts_char(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

static int count_chars(weir_slice text, size_t from, size_t to)
{
    int n = 0;
    for (size_t i = from; i < to; i++) {
        n += starts_char(text.p[i]);
    }
    return n;
}

/* Control characters of a hostile file must not reach a terminal. */
static void put_shown(weir_buf *out, weir_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        weir_buf_u8(out, c == '\t' ? ' ' : (c < 0x20 || c == 0x7f) ? '?' : c);
    }
}

static void put_excerpt(weir_slice text, size_t at, size_t from, size_t to, weir_buf *out)
{
    if (at - from > LINE_SHOWN_BYTES / 2) {
        from = at - LINE_SHOWN_BYTES / 2;
        while (from < at && !starts_char(text.p[from])) {
            from++;
        }
    }
    if (to - from > LINE_SHOWN_BYTES) {
        to = from + LINE_SHOWN_BYTES;
        while (to > at && !starts_char(text.p[to])) {
            to--;
        }
    }
    weir_buf_putz(out, "  ");
    put_shown(out, weir_slice_of(text.p + from, to - from));
    weir_buf_printf(out, "\n  %*s^\n", count_chars(text, from, at), "");
}

static void print_one(const weir_diag *d, const char *file, weir_slice text, bool colour,
                      weir_buf *out)
{
    const char *what = d->warning ? "warning" : "error";
    const char *on = !colour ? "" : d->warning ? "\033[1;35m" : "\033[1;31m";
    const char *off = colour ? "\033[0m" : "";
    size_t from = 0;
    size_t to = 0;
    int line = 0;
    bool placed = d->location >= 0 && text.p && (size_t)d->location <= text.n;
    if (placed) {
        find_line(text, (size_t)d->location, &from, &to, &line);
        int column = count_chars(text, from, (size_t)d->location) + 1;
        weir_buf_printf(out, "%s:%d:%d: %s%s:%s ", file, line, column, on, what, off);
    } else {
        weir_buf_printf(out, "%s: %s%s:%s ", file, on, what, off);
    }
    put_shown(out, weir_slice_z(d->msg));
    weir_buf_putz(out, "\n");
    if (placed) {
        put_excerpt(text, (size_t)d->location, from, to, out);
    }
    if (d->hint) {
        weir_buf_printf(out, "  %shint:%s ", colour ? "\033[1;36m" : "", off);
        put_shown(out, weir_slice_z(d->hint));
        weir_buf_putz(out, "\n");
    }
}

void weir_diags_print(const weir_diags *ds, const char *file, weir_slice text, bool colour,
                      weir_buf *out)
{
    for (int i = 0; i < ds->n; i++) {
        print_one(&ds->d[i], file, text, colour, out);
    }
}
