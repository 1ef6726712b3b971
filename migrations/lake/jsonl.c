/* jsonl.c - one line of JSON Lines into the members of its object: strict (RFC 8259), numbers stay
 * the digits they are. */
#include "libweir/base/str.h"
#include "migrations/lake/record.h"

enum { DEPTH_MAX = 200 };

typedef struct scan {
    const char *p, *end;
    weir_arena *a;
    const char *bad;
} scan;

static bool fail(scan *s, const char *why)
{
    s->bad = s->bad ? s->bad : why;
    return false;
}

static void space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n')) {
        s->p++;
    }
}

static bool take(scan *s, char c)
{
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    return false;
}

static bool word(scan *s, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n) != 0) {
        return fail(s, "not JSON: an unknown word");
    }
    s->p += n;
    return true;
}

static bool hex4(scan *s, uint32_t *out)
{
    uint32_t v = 0;
    if (s->end - s->p < 4) {
        return fail(s, "not JSON: a \\u escape is cut short");
    }
    for (int i = 0; i < 4; i++) {
        char c = *s->p++;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                            : 16;
        if (d == 16) {
            return fail(s, "not JSON: a \\u escape without four hex digits");
        }
        v = v * 16 + d;
    }
    *out = v;
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | (c >> 6));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | (c >> 12));
        *to++ = (char)(0x80 | ((c >> 6) & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | (c >> 18));
        *to++ = (char)(0x80 | ((c >> 12) & 0x3f));
        *to++ = (char)(0x80 | ((c >> 6) & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

static bool unicode(scan *s, char **to)
{
    uint32_t hi, lo;
    if (!hex4(s, &hi)) {
        return false;
    }
    if (hi >= 0xdc00 && hi <= 0xdfff) {
        return fail(s, "a \\u escape is half of a pair");
    }
    if (hi >= 0xd800 && hi <= 0xdbff) {
        if (!take(s, '\\') || !take(s, 'u') || !hex4(s, &lo) || lo < 0xdc00 || lo > 0xdfff) {
            return fail(s, "a \\u escape is half of a pair");
        }
        hi = 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
    }
    if (hi == 0) {
        return fail(s, "\\u0000: PostgreSQL's texts cannot hold it");
    }
    *to = put_utf8(*to, hi);
    return true;
}

static bool escape(scan *s, char **to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (s->p >= s->end) {
        return fail(s, "not JSON: a string is never closed");
    }
    char c = *s->p++;
    const char *k = c ? strchr(from, c) : NULL;
    if (k) {
        *(*to)++ = into[k - from];
        return true;
    }
    return c == 'u' ? unicode(s, to) : fail(s, "not JSON: an unknown escape");
}

/* p is behind the opening quote. An escape is never shorter than what it stands for. */
static bool string(scan *s, weir_slice *out)
{
    const char *close = s->p;
    while (close < s->end && *close != '"') {
        close += *close == '\\' ? 2 : 1;
    }
    if (close >= s->end) {
        return fail(s, "not JSON: a string is never closed");
    }
    char *to = weir_arena_alloc(s->a, (size_t)(close - s->p) + 1), *at = to;
    if (!to) {
        return fail(s, "the record needs too much memory");
    }
    while (s->p < close) {
        unsigned char c = (unsigned char)*s->p++;
        if (c < 0x20) {
            return fail(s, "not JSON: a control character in a string");
        }
        if (c != '\\') {
            *at++ = (char)c;
        } else if (!escape(s, &at)) {
            return false;
        }
    }
    s->p = close + 1;
    *out = weir_slice_of(to, (size_t)(at - to));
    return true;
}

static size_t digits(scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }
    return (size_t)(s->p - from);
}

static bool number(scan *s, weir_slice *out)
{
    const char *from = s->p;
    (void)take(s, '-');
    bool zero = s->p < s->end && *s->p == '0';
    size_t n = digits(s);
    if (n == 0 || (zero && n > 1)) {
        return fail(s, "not JSON: a value is expected");
    }
    if (take(s, '.') && digits(s) == 0) {
        return fail(s, "not JSON: a number ends in its point");
    }
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+')) {
            (void)take(s, '-');
        }
        if (digits(s) == 0) {
            return fail(s, "not JSON: a number without exponent");
        }
    }
    *out = weir_slice_of(from, (size_t)(s->p - from));
    return true;
}

static bool scalar(scan *s, lake_field *f)
{
    const char *from = s->p;
    f->kind = LAKE_TEXT;
    switch (s->p < s->end ? *s->p : '\0') {
    case '"':
        s->p++;
        f->kind = LAKE_QUOTED;
        return string(s, &f->text);
    case 't': f->text = weir_slice_of(from, 4); return word(s, "true");
    case 'f': f->text = weir_slice_of(from, 5); return word(s, "false");
    case 'n': f->kind = LAKE_NULL; return word(s, "null");
    default: return number(s, &f->text);
    }
}

/* "key": of an object that was opened. */
static bool key(scan *s, weir_slice *name)
{
    space(s);
    if (!take(s, '"') || !string(s, name)) {
        return fail(s, "not JSON: a member's name is expected");
    }
    space(s);
    return take(s, ':') || fail(s, "not JSON: ':' is expected");
}

/* An array or object at p, checked and passed. Without recursion: a bit per level says which. */
static bool container(scan *s)
{
    bool object[DEPTH_MAX];
    int depth = 0;
    weir_slice ignored;
    lake_field f;
    do {
        space(s);
        bool opens = s->p < s->end && (*s->p == '{' || *s->p == '[');
        if (opens) {
            if (depth == DEPTH_MAX) {
                return fail(s, "JSON that is nested too deep");
            }
            object[depth++] = *s->p++ == '{';
            space(s);
            if (take(s, object[depth - 1] ? '}' : ']')) {
                depth--;
            } else {
                if (object[depth - 1] && !key(s, &ignored)) {
                    return false;
                }
                continue;
            }
        } else if (!scalar(s, &f)) {
            return false;
        }
        while (depth > 0) {
            space(s);
            if (take(s, ',')) {
                if (object[depth - 1] && !key(s, &ignored)) {
                    return false;
                }
                break;
            }
            if (!take(s, object[depth - 1] ? '}' : ']')) {
                return fail(s, "not JSON: ',' or the end of an object or array is expected");
            }
            depth--;
        }
    } while (depth > 0);
    return true;
}

static bool value(scan *s, lake_field *f)
{
    space(s);
    const char *from = s->p;
    bool object = s->p < s->end && *s->p == '{';
    bool nested = object || (s->p < s->end && *s->p == '[');
    if (nested ? !container(s) : !scalar(s, f)) {
        return false;
    }
    f->raw = weir_slice_of(from, (size_t)(s->p - from));
    if (nested) {
        f->kind = object ? LAKE_OBJECT : LAKE_ARRAY;
        f->text = f->raw;
    }
    return true;
}

static bool members(scan *s, lake_record *rec)
{
    size_t cap = 0;
    space(s);
    if (!take(s, '{')) {
        return fail(s, "not a JSON object");
    }
    space(s);
    for (bool more = !take(s, '}'); more;) {
        if (rec->n == cap) {
            cap = cap ? 2 * cap : 16;
            lake_field *f = WEIR_ARENA_ARRAY(s->a, lake_field, cap);
            if (!f || cap > 2 * LAKE_FIELDS_MAX) {
                return fail(s, "more members than a table can have columns");
            }
            if (rec->n) {
                memcpy(f, rec->fields, rec->n * sizeof *f);
            }
            rec->fields = f;
        }
        lake_field *f = &rec->fields[rec->n];
        if (!key(s, &f->name) || !value(s, f)) {
            return false;
        }
        rec->n++;
        space(s);
        more = take(s, ',');
        if (!more && !take(s, '}')) {
            return fail(s, "not JSON: ',' or '}' is expected");
        }
    }
    space(s);
    return s->p == s->end || fail(s, "something follows the object");
}

bool lake_json_split(weir_slice raw, weir_arena *a, lake_record *rec)
{
    scan s = {.p = raw.p, .end = raw.p + raw.n, .a = a};
    rec->n = 0;
    rec->fields = NULL;
    if (!weir_utf8_ok(raw)) {
        rec->bad = "not UTF-8, or a byte 0";
        return false;
    }
    if (!members(&s, rec)) {
        rec->bad = s.bad ? s.bad : "not JSON";
        return false;
    }
    return true;
}

/* Quoted whenever it could be taken for something else. */
static void put_element(weir_buf *out, const lake_field *f)
{
    if (f->kind == LAKE_NULL) {
        weir_buf_putz(out, "NULL");
        return;
    }
    weir_buf_u8(out, '"');
    for (size_t i = 0; i < f->text.n; i++) {
        if (f->text.p[i] == '"' || f->text.p[i] == '\\') {
            weir_buf_u8(out, '\\');
        }
        weir_buf_u8(out, (uint8_t)f->text.p[i]);
    }
    weir_buf_u8(out, '"');
}

/* json was checked before: objects in it become texts. */
bool lake_json_array(weir_slice json, weir_buf *out)
{
    scan s = {.p = json.p, .end = json.p + json.n, .a = weir_arena_new(4 * json.n + 65536)};
    int depth = 0;
    bool ok = true;
    do {
        lake_field f = {.kind = LAKE_NULL};
        space(&s);
        if (take(&s, '[')) {
            depth++;
            weir_buf_u8(out, '{');
            space(&s);
            if (!take(&s, ']')) {
                continue;
            }
            depth--;
            weir_buf_u8(out, '}');
        } else if (depth > 0 && value(&s, &f)) {
            put_element(out, &f);
        } else {
            ok = false;
            break;
        }
        for (space(&s); depth > 0; space(&s)) {
            if (take(&s, ',')) {
                weir_buf_u8(out, ',');
                break;
            }
            if (!take(&s, ']')) {
                ok = false;
                depth = 0;
                break;
            }
            depth--;
            weir_buf_u8(out, '}');
        }
    } while (depth > 0);
    weir_arena_free(s.a);
    return ok && s.p == s.end;
}
