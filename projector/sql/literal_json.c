/* literal_json.c - numeric and jsonb constants as PostgreSQL prints them. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "libweir/base/buf.h"
#include "libweir/base/str.h"
#include "projector/sql/literal.h"

enum { EXPONENT_MAX = 1000, JSON_DEPTH_MAX = 64 };

/* --- numeric
 * ----------------------------------------------------------------------------------------------------
 */

typedef struct number {
    bool negative;
    char *digits; /* integer and fraction together */
    int ndigits;
    int point; /* digits before the point; may be negative or beyond ndigits */
} number;

static bool read_exponent(weir_slice s, size_t at, int *e)
{
    int64_t v = 0;
    weir_slice rest = weir_slice_of(s.p + at, s.n - at);
    if (rest.n > 1 && rest.p[0] == '+' && rest.p[1] != '-') {
        rest.p++;
        rest.n--;
    }
    if (!weir_slice_i64(rest, &v) || v > EXPONENT_MAX || v < -EXPONENT_MAX) {
        return false;
    }
    *e = (int)v;
    return true;
}

static bool read_number(weir_slice s, weir_mem *m, number *out)
{
    size_t i = 0;
    bool point = false;
    *out = (number){.digits = WEIR_MEM_ARRAY(m, char, s.n + 1)};
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) {
        out->negative = s.p[i++] == '-';
    }
    for (; i < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
        } else if (s.p[i] >= '0' && s.p[i] <= '9') {
            out->digits[out->ndigits++] = s.p[i];
            out->point += !point;
        } else {
            break;
        }
    }
    if (out->ndigits == 0 || out->ndigits > 1000) {
        return false;
    }
    int e = 0;
    if (i < s.n) {
        if ((s.p[i] != 'e' && s.p[i] != 'E') || !read_exponent(s, i + 1, &e)) {
            return false;
        }
    }
    out->point += e;
    return true;
}

static weir_slice show_number(const number *x, weir_mem *m)
{
    int whole = x->point > 0 ? x->point : 0;
    int scale = x->ndigits > x->point ? x->ndigits - x->point : 0;
    char *p = WEIR_MEM_ARRAY(m, char, (size_t)whole + (size_t)scale + 4);
    size_t n = 0;
    bool zero = true;
    for (int i = 0; i < x->ndigits; i++) {
        zero &= x->digits[i] == '0';
    }
    if (x->negative && !zero) {
        p[n++] = '-';
    }
    size_t start = n;
    for (int i = 0; i < whole; i++) {
        char c = i < x->ndigits ? x->digits[i] : '0';
        if (n > start || c != '0') {
            p[n++] = c;
        }
    }
    if (n == start) {
        p[n++] = '0';
    }
    if (scale > 0) {
        p[n++] = '.';
        for (int i = x->ndigits - scale; i < x->ndigits; i++) {
            p[n++] = i >= 0 ? x->digits[i] : '0';
        }
    }
    return weir_slice_of(p, n);
}

bool weir_literal_numeric(weir_slice in, weir_mem *m, weir_slice *out, const char **why)
{
    number x;
    if (in.n == 3 && strncasecmp(in.p, "nan", 3) == 0) {
        *out = WEIR_SLICE_LIT("NaN");
        return true;
    }
    if (!read_number(in, m, &x)) {
        *why = "it is no number";
        return false;
    }
    *out = show_number(&x, m);
    return true;
}

/* --- jsonb
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct json {
    weir_mem *m;
    weir_slice s; /* what is left */
    int depth;
    bool ok;
} json;

typedef struct member {
    weir_slice key, text;
    int at; /* later duplicates win */
} member;

static weir_slice value(json *j);

static void space(json *j)
{
    while (j->s.n && strchr(" \t\r\n", j->s.p[0])) {
        j->s.p++;
        j->s.n--;
    }
}

static bool take(json *j, char c)
{
    space(j);
    if (j->ok && j->s.n && j->s.p[0] == c) {
        j->s.p++;
        j->s.n--;
        return true;
    }
    return false;
}

static bool hex4(json *j, uint32_t *v)
{
    *v = 0;
    if (j->s.n < 4) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        char c = j->s.p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) {
            return false;
        }
        *v = *v * 16 + (uint32_t)d;
    }
    j->s.p += 4;
    j->s.n -= 4;
    return true;
}

static size_t put_utf8(char *p, uint32_t c)
{
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (char)(0xC0 | (c >> 6));
        p[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (char)(0xE0 | (c >> 12));
        p[1] = (char)(0x80 | ((c >> 6) & 0x3F));
        p[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    p[0] = (char)(0xF0 | (c >> 18));
    p[1] = (char)(0x80 | ((c >> 12) & 0x3F));
    p[2] = (char)(0x80 | ((c >> 6) & 0x3F));
    p[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* \uXXXX, a surrogate pair joined; 0 when malformed (and \u0000 is refused by jsonb too). */
static uint32_t unicode(json *j)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!hex4(j, &c)) {
        return 0;
    }
    if (c >= 0xD800 && c < 0xDC00) {
        if (j->s.n < 2 || j->s.p[0] != '\\' || j->s.p[1] != 'u') {
            return 0;
        }
        j->s.p += 2;
        j->s.n -= 2;
        if (!hex4(j, &low) || low < 0xDC00 || low > 0xDFFF) {
            return 0;
        }
        return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    return c >= 0xDC00 && c <= 0xDFFF ? 0 : c;
}

static size_t escape(json *j, char *p)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (j->s.n == 0) {
        j->ok = false;
        return 0;
    }
    char c = j->s.p[0];
    j->s.p++;
    j->s.n--;
    if (c == 'u') {
        uint32_t u = unicode(j);
        j->ok = j->ok && u != 0;
        return u ? put_utf8(p, u) : 0;
    }
    const char *at = c ? strchr(names, c) : NULL;
    j->ok = j->ok && at != NULL;
    *p = at ? values[at - names] : '?';
    return 1;
}

/* The unescaped text; the opening quote is taken already. */
static weir_slice string(json *j)
{
    size_t room = 0;
    while (room < j->s.n && j->s.p[room] != '"') {
        room += j->s.p[room] == '\\' ? 2 : 1;
    }
    char *p = WEIR_MEM_ARRAY(j->m, char, room + 4);
    size_t n = 0;
    while (j->ok && j->s.n && j->s.p[0] != '"') {
        char c = j->s.p[0];
        j->s.p++;
        j->s.n--;
        if (c == '\\') {
            n += escape(j, p + n);
        } else {
            j->ok = j->ok && (unsigned char)c >= 0x20;
            p[n++] = c;
        }
    }
    j->ok = j->ok && j->s.n > 0;
    if (j->ok) {
        j->s.p++;
        j->s.n--;
    }
    return weir_slice_of(p, n);
}

static weir_slice quoted(json *j, weir_slice s)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)8 << 20);
    weir_json_quote(&b, s);
    weir_slice out = weir_mem_dup(j->m, weir_buf_slice(&b));
    j->ok = j->ok && !b.failed;
    weir_buf_fini(&b);
    return out;
}

static int by_key(const void *a, const void *b)
{
    const member *x = *(member *const *)a;
    const member *y = *(member *const *)b;
    if (x->key.n != y->key.n) {
        return x->key.n < y->key.n ? -1 : 1;
    }
    int c = weir_slice_cmp(x->key, y->key);
    return c ? c : x->at - y->at;
}

static weir_slice join(json *j, const weir_ptrs *members, bool object)
{
    weir_buf b;
    weir_buf_init(&b, (size_t)8 << 20);
    weir_buf_putz(&b, object ? "{" : "[");
    bool first = true;
    for (int i = 0; i < members->n; i++) {
        const member *x = members->p[i];
        const member *next = i + 1 < members->n ? members->p[i + 1] : NULL;
        if (object && next && weir_slice_eq(x->key, next->key)) {
            continue;
        }
        weir_buf_putz(&b, first ? "" : ", ");
        first = false;
        if (object) {
            weir_buf_puts(&b, quoted(j, x->key));
            weir_buf_putz(&b, ": ");
        }
        weir_buf_puts(&b, x->text);
    }
    weir_buf_putz(&b, object ? "}" : "]");
    j->ok = j->ok && !b.failed;
    weir_slice out = weir_mem_dup(j->m, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

static weir_slice container(json *j, bool object)
{
    weir_ptrs members = {0};
    char close = object ? '}' : ']';
    if (++j->depth > JSON_DEPTH_MAX) {
        j->ok = false;
    }
    while (j->ok && !(members.n == 0 && take(j, close))) {
        member *x = WEIR_MEM_NEW(j->m, member);
        x->at = members.n;
        if (object) {
            j->ok = take(j, '"');
            x->key = j->ok ? string(j) : x->key;
            j->ok = j->ok && take(j, ':');
        }
        x->text = j->ok ? value(j) : x->text;
        weir_ptrs_push(j->m, &members, x);
        if (!j->ok || take(j, close)) {
            break;
        }
        j->ok = take(j, ',');
    }
    j->depth--;
    if (object && members.n > 1) {
        qsort(members.p, (size_t)members.n, sizeof(*members.p), by_key);
    }
    return join(j, &members, object);
}

/* JSON's own grammar is stricter than numeric_in's. */
static bool json_number_ok(weir_slice s)
{
    size_t i = s.n && s.p[0] == '-';
    if (i >= s.n || s.p[i] < '0' || s.p[i] > '9') {
        return false;
    }
    if (s.p[i] == '0' && i + 1 < s.n && s.p[i + 1] >= '0' && s.p[i + 1] <= '9') {
        return false;
    }
    for (; i < s.n; i++) {
        if (s.p[i] == '.' && (i + 1 >= s.n || s.p[i + 1] < '0' || s.p[i + 1] > '9')) {
            return false;
        }
    }
    return true;
}

static weir_slice word(json *j)
{
    size_t n = 0;
    while (n < j->s.n && !strchr(" \t\r\n,:]}[{\"", j->s.p[n])) {
        n++;
    }
    weir_slice s = weir_slice_of(j->s.p, n);
    j->s.p += n;
    j->s.n -= n;
    if (weir_slice_eqz(s, "true") || weir_slice_eqz(s, "false") || weir_slice_eqz(s, "null")) {
        return s;
    }
    const char *why = NULL;
    weir_slice out = WEIR_SLICE_LIT("null");
    j->ok = j->ok && json_number_ok(s) && weir_literal_numeric(s, j->m, &out, &why);
    return out;
}

static weir_slice value(json *j)
{
    if (take(j, '{')) {
        return container(j, true);
    }
    if (take(j, '[')) {
        return container(j, false);
    }
    if (take(j, '"')) {
        return quoted(j, string(j));
    }
    return word(j);
}

bool weir_literal_jsonb(weir_slice in, weir_mem *m, weir_slice *out, const char **why)
{
    json j = {.m = m, .s = in, .ok = true};
    *out = value(&j);
    space(&j);
    if (!j.ok || j.s.n) {
        *why = "it is no JSON that jsonb accepts";
        return false;
    }
    return true;
}
