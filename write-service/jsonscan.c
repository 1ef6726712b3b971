/* jsonscan.c - a strict, allocation-free look at a JSON object. */
#include "write-service/jsonscan.h"

#include "libweir/base/str.h"

/* Keys of all open objects; more, or more in one object, is for the real parser. */
enum { KEYS_MAX = 128, SAME_MAX = 32, LEVELS_MAX = 64, NUMBER_MAX_BYTES = 64 };

typedef struct scan {
    const char *p, *end;
    weir_slice keys[KEYS_MAX];
    size_t nkeys;
    struct {
        bool object;
        size_t first_key;
    } level[LEVELS_MAX];
    int depth, depth_max;
} scan;

static void skip_space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) {
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

static bool take_word(scan *s, const char *word, size_t n)
{
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) {
        return false;
    }
    s->p += n;
    return true;
}

/* Without \u: surrogates and NUL are for the real parser. */
static bool take_escape(scan *s)
{
    if (s->p >= s->end || *s->p == '\0' || !strchr("\"\\/bfnrt", *s->p)) {
        return false;
    }
    s->p++;
    return true;
}

static bool take_string(scan *s, weir_slice *raw, bool *escaped)
{
    *escaped = false;
    if (!take(s, '"')) {
        return false;
    }
    const char *from = s->p;
    bool ascii = true;
    while (s->p < s->end && *s->p != '"') {
        unsigned char c = (unsigned char)*s->p++;
        if (c < 0x20) {
            return false;
        }
        ascii = ascii && c < 0x80;
        if (c == '\\') {
            *escaped = true;
            if (!take_escape(s)) {
                return false;
            }
        }
    }
    *raw = weir_slice_of(from, (size_t)(s->p - from));
    return take(s, '"') && (ascii || weir_utf8_ok(*raw));
}

static size_t take_digits(scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }
    return (size_t)(s->p - from);
}

/* Exponents and long numbers can overflow what the real parser takes: its decision. */
static bool take_number(scan *s)
{
    const char *from = s->p;
    (void)take(s, '-');
    bool zero = s->p < s->end && *s->p == '0';
    size_t n = take_digits(s);
    if (n == 0 || (zero && n > 1)) {
        return false;
    }
    if (take(s, '.') && take_digits(s) == 0) {
        return false;
    }
    bool exponent = s->p < s->end && (*s->p == 'e' || *s->p == 'E');
    return !exponent && s->p - from <= NUMBER_MAX_BYTES;
}

/* "key" : with its like in this object compared. */
static bool take_key(scan *s)
{
    weir_slice key;
    bool escaped;
    size_t first = s->level[s->depth - 1].first_key;
    if (!take_string(s, &key, &escaped) || escaped || s->nkeys == KEYS_MAX ||
        s->nkeys - first >= SAME_MAX) {
        return false;
    }
    for (size_t i = first; i < s->nkeys; i++) {
        if (weir_slice_eq(s->keys[i], key)) {
            return false;
        }
    }
    s->keys[s->nkeys++] = key;
    skip_space(s);
    return take(s, ':');
}

static bool open_level(scan *s, bool object)
{
    if (s->depth >= s->depth_max || s->depth >= LEVELS_MAX) {
        return false;
    }
    s->level[s->depth].object = object;
    s->level[s->depth].first_key = s->nkeys;
    s->depth++;
    return true;
}

static bool take_scalar(scan *s)
{
    weir_slice raw;
    bool escaped;
    switch (s->p < s->end ? *s->p : '\0') {
    case '"': return take_string(s, &raw, &escaped);
    case 't': return take_word(s, "true", 4);
    case 'f': return take_word(s, "false", 5);
    case 'n': return take_word(s, "null", 4);
    default: return take_number(s);
    }
}

/* One value, or the opening of one. *opened: a level with something in it begins. */
static bool take_value(scan *s, bool *opened)
{
    *opened = false;
    skip_space(s);
    bool object = s->p < s->end && *s->p == '{';
    if (!object && !(s->p < s->end && *s->p == '[')) {
        return take_scalar(s);
    }
    s->p++;
    if (!open_level(s, object)) {
        return false;
    }
    skip_space(s);
    if (take(s, object ? '}' : ']')) {
        s->depth--;
        return true;
    }
    *opened = true;
    return true;
}

/* Behind a value: the end of its level and of those around it, or a comma. */
static bool close_levels(scan *s)
{
    for (skip_space(s); s->depth > 0; skip_space(s)) {
        bool object = s->level[s->depth - 1].object;
        if (take(s, ',')) {
            return true;
        }
        if (!take(s, object ? '}' : ']')) {
            return false;
        }
        s->depth--;
        s->nkeys = s->level[s->depth].first_key;
    }
    return true;
}

bool wsvc_json_surely_object(weir_slice text, int depth_max)
{
    scan s;
    s.p = text.p;
    s.end = text.p + text.n;
    s.nkeys = 0;
    s.depth = 0;
    s.depth_max = depth_max;
    skip_space(&s);
    if (s.p >= s.end || *s.p != '{') {
        return false;
    }
    bool opened;
    if (!take_value(&s, &opened)) {
        return false;
    }
    while (s.depth > 0) {
        skip_space(&s);
        if (s.level[s.depth - 1].object && !take_key(&s)) {
            return false;
        }
        if (!take_value(&s, &opened) || (!opened && !close_levels(&s))) {
            return false;
        }
    }
    skip_space(&s);
    return s.p == s.end;
}
