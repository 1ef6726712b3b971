/* http_path.c - a request path as decoded segments. */
#include "libweir/io/http.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes into p, which has room for raw.n bytes. A NUL byte is refused: nothing behind us expects
 * one. */
static bool decode(weir_slice raw, char *p, size_t *n)
{
    size_t k = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            if (raw.n - i < 3 || hex_digit(raw.p[i + 1]) < 0 || hex_digit(raw.p[i + 2]) < 0) {
                return false;
            }
            c = (char)(hex_digit(raw.p[i + 1]) * 16 + hex_digit(raw.p[i + 2]));
            i += 2;
        }
        if (c == '\0') {
            return false;
        }
        p[k++] = c;
    }
    *n = k;
    return true;
}

bool weir_http_segments(weir_http_req *req, weir_slice *out, size_t max, size_t *n)
{
    weir_slice rest = weir_slice_z(weir_http_path(req));
    *n = 0;
    if (rest.n == 0 || rest.p[0] != '/') {
        return false;
    }
    while (rest.n > 0 && !(rest.n == 1 && *n == 0)) { /* "/" alone has no segments */
        rest.p++;
        rest.n--;
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        weir_slice raw = {rest.p, slash ? (size_t)(slash - rest.p) : rest.n};
        char *p = *n < max ? weir_arena_alloc(weir_http_arena(req), raw.n) : NULL;
        if (!p || !decode(raw, p, &out[*n].n)) {
            return false;
        }
        out[(*n)++].p = p;
        rest.p += raw.n;
        rest.n -= raw.n;
    }
    return true;
}
