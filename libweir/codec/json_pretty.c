/* json_pretty.c - one pass over the text, strings verbatim, white space made anew. */
#include "libweir/codec/json_pretty.h"

enum { INDENT = 2, DEPTH_SHOWN_MAX = 64 };

static void line(weir_buf *out, size_t depth)
{
    size_t shown = depth > DEPTH_SHOWN_MAX ? DEPTH_SHOWN_MAX : depth;
    weir_buf_printf(out, "\n%*s", (int)(shown * INDENT), "");
}

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The offset behind the string that starts at i. */
static size_t string_end(weir_slice s, size_t i)
{
    for (i++; i < s.n && s.p[i] != '"'; i++) {
        i += s.p[i] == '\\';
    }
    return i < s.n ? i + 1 : s.n;
}

static size_t skip_blanks(weir_slice s, size_t i)
{
    while (i < s.n && blank(s.p[i])) {
        i++;
    }
    return i;
}

void weir_json_pretty(weir_buf *out, weir_slice text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.n;) {
        char c = text.p[i];
        if (c == '"') {
            size_t end = string_end(text, i);
            weir_buf_put(out, text.p + i, end - i);
            i = end;
            continue;
        }
        i++;
        if (c == '{' || c == '[') {
            size_t next = skip_blanks(text, i);
            weir_buf_u8(out, (uint8_t)c);
            if (next < text.n && (text.p[next] == '}' || text.p[next] == ']')) {
                weir_buf_u8(out, (uint8_t)text.p[next]);
                i = next + 1;
            } else {
                line(out, ++depth);
            }
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
            line(out, depth);
            weir_buf_u8(out, (uint8_t)c);
        } else if (c == ',') {
            weir_buf_u8(out, ',');
            line(out, depth);
        } else if (c == ':') {
            weir_buf_putz(out, ": ");
        } else if (!blank(c)) {
            weir_buf_u8(out, (uint8_t)c);
        }
    }
}
