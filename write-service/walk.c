/* walk.c - the scalars of a JSON object with the paths that lead to them. */
#include "write-service/walk.h"

enum { LEVELS_MAX = 80 };

typedef struct walk {
    const char *p, *end;
    char path[WSVC_PATH_BYTES];
    size_t path_n;             /* more than fits: path is not whole */
    size_t before[LEVELS_MAX]; /* path_n outside of each open object or array */
    bool array[LEVELS_MAX];
    int depth;
    wsvc_walk_fn *fn;
    void *arg;
} walk;

static void append(walk *w, weir_slice s)
{
    for (size_t i = 0; i < s.n; i++, w->path_n++) {
        if (w->path_n < sizeof w->path) {
            w->path[w->path_n] = s.p[i];
        }
    }
}

static weir_slice string(walk *w)
{
    const char *from = ++w->p;
    while (w->p < w->end && *w->p != '"') {
        w->p += *w->p == '\\' ? 2 : 1;
    }
    const char *to = w->p < w->end ? w->p : w->end;
    w->p = to < w->end ? to + 1 : to;
    return weir_slice_of(from, (size_t)(to - from));
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The innermost open thing is where the path goes on from. */
static size_t base(const walk *w)
{
    return w->depth > 0 ? w->before[w->depth - 1] : 0;
}

static bool give(walk *w, weir_slice value)
{
    return w->path_n > sizeof w->path || w->fn(w->arg, weir_slice_of(w->path, w->path_n), value);
}

/* A string is a key when a colon follows. */
static bool on_string(walk *w)
{
    weir_slice s = string(w);
    const char *p = w->p;
    while (p < w->end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }
    bool in_object = w->depth > 0 && !w->array[w->depth - 1];
    if (!in_object || p >= w->end || *p != ':') {
        return give(w, s);
    }
    w->p = p + 1;
    w->path_n = base(w);
    if (w->path_n > 0) {
        append(w, WEIR_SLICE_LIT("."));
    }
    append(w, s);
    return true;
}

static bool open_level(walk *w, bool array)
{
    if (w->depth == LEVELS_MAX) {
        return false;
    }
    if (array) {
        append(w, WEIR_SLICE_LIT("[]"));
    }
    w->before[w->depth] = w->path_n;
    w->array[w->depth] = array;
    w->depth++;
    return true;
}

static void close_level(walk *w)
{
    if (w->depth > 0) {
        w->depth--;
        w->path_n = base(w);
    }
}

void wsvc_walk(weir_slice body, wsvc_walk_fn *fn, void *arg)
{
    walk w = {.p = body.p, .end = body.p + body.n, .fn = fn, .arg = arg};
    bool more = true;
    while (more && w.p < w.end) {
        char c = *w.p;
        if (c == '"') {
            more = on_string(&w);
        } else if (c == '{' || c == '[') {
            more = open_level(&w, c == '[');
            w.p++;
        } else if (c == '}' || c == ']') {
            close_level(&w);
            w.p++;
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            const char *from = w.p;
            while (w.p < w.end && in_number(*w.p)) {
                w.p++;
            }
            more = give(&w, weir_slice_of(from, (size_t)(w.p - from)));
        } else {
            w.p++;
        }
    }
}
