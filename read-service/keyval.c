/* keyval.c - the values of a key in the one spelling that documents are kept under. */
#include "read-service/keyval.h"

#include <stdio.h>
#include <strings.h>

#include "libweir/base/buf.h"
#include "libweir/codec/dockey.h"
#include "read-service/keytime.h"
#include "read-service/target.h"

enum { EXPONENT_MAX = 20000, NUMERIC_DIGITS_MAX = 1000, SURE_INT8 = 18 };

static const char *const NAMES[RSVC_KEY_KINDS] = {
    [RSVC_KEY_TEXT] = "text",           [RSVC_KEY_BOOL] = "boolean",
    [RSVC_KEY_INT2] = "smallint",       [RSVC_KEY_INT4] = "integer",
    [RSVC_KEY_INT8] = "bigint",         [RSVC_KEY_NUMERIC] = "numeric",
    [RSVC_KEY_UUID] = "uuid",           [RSVC_KEY_DATE] = "date",
    [RSVC_KEY_TIMESTAMP] = "timestamp", [RSVC_KEY_TIMESTAMPTZ] = "timestamptz",
    [RSVC_KEY_CHAR] = "char",
};

rsvc_key_type rsvc_key_type_of(weir_slice name)
{
    rsvc_key_type t = {.kind = RSVC_KEY_TEXT};
    char z[64];
    if (name.n == 0 || name.n >= sizeof z) {
        return t;
    }
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    if (sscanf(z, "numeric(%d,%d)", &t.size, &t.scale) == 2) {
        t.kind = RSVC_KEY_NUMERIC;
    } else if (sscanf(z, "char(%d)", &t.size) == 1) {
        t.kind = RSVC_KEY_CHAR;
    } else {
        for (int i = 0; i < RSVC_KEY_KINDS; i++) {
            bool sized = i == RSVC_KEY_NUMERIC || i == RSVC_KEY_CHAR;
            t.kind = !sized && strcmp(z, NAMES[i]) == 0 ? (rsvc_key_kind)i : t.kind;
        }
    }
    return t;
}

const char *rsvc_key_expected(rsvc_key_type t, weir_arena *a)
{
    switch (t.kind) {
    case RSVC_KEY_BOOL: return "a boolean: true or false";
    case RSVC_KEY_INT2:
    case RSVC_KEY_INT4:
    case RSVC_KEY_INT8:
        return weir_arena_printf(a, "a whole number that fits into a %s, like 42", NAMES[t.kind]);
    case RSVC_KEY_NUMERIC:
        return weir_arena_printf(a, "a number that fits into numeric(%d,%d), like %.*f", t.size,
                                 t.scale, t.scale > 0 ? t.scale : 0, 1.5);
    case RSVC_KEY_UUID: return "a uuid, like 8c1f5a3e-0d6b-4f57-9a51-2f3f0c9a7b11";
    case RSVC_KEY_DATE: return "a date, like 2024-02-29";
    case RSVC_KEY_TIMESTAMP: return "a timestamp, like 2024-02-29T12:00:00.5";
    case RSVC_KEY_TIMESTAMPTZ: return "a timestamp, like 2024-02-29T12:00:00.5+00:00";
    case RSVC_KEY_CHAR: return weir_arena_printf(a, "a text of at most %d characters", t.size);
    default: return "a text";
    }
}

/* --- quickly: is it spelled right already? ------------------------------------------------------
 */

static size_t digits_at(weir_slice s, size_t i)
{
    size_t n = 0;
    while (i + n < s.n && s.p[i + n] >= '0' && s.p[i + n] <= '9') {
        n++;
    }
    return n;
}

/* As many digits as surely fit; what has more is looked at closely. */
static bool plain_int(weir_slice s, rsvc_key_kind kind)
{
    size_t from = s.n && s.p[0] == '-';
    size_t n = digits_at(s, from);
    size_t most = kind == RSVC_KEY_INT2 ? 4 : kind == RSVC_KEY_INT4 ? 9 : SURE_INT8;
    return n > 0 && n <= most && from + n == s.n && (s.p[from] != '0' || s.n == 1);
}

static bool plain_uuid(weir_slice s)
{
    if (s.n != 36) {
        return false;
    }
    for (size_t i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        char c = s.p[i];
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

static bool is_plain(rsvc_key_type t, weir_slice s)
{
    switch (t.kind) {
    case RSVC_KEY_TEXT: return true;
    case RSVC_KEY_INT2:
    case RSVC_KEY_INT4:
    case RSVC_KEY_INT8: return plain_int(s, t.kind);
    case RSVC_KEY_UUID: return plain_uuid(s);
    default: return false;
    }
}

static bool all_plain(const rsvc_key_type *types, size_t n, weir_slice key)
{
    for (size_t i = 0; i < n; i++) {
        const char *slash = i + 1 < n ? memchr(key.p, '/', key.n) : NULL;
        size_t len = slash ? (size_t)(slash - key.p) : key.n;
        if (!is_plain(types[i], weir_slice_of(key.p, len))) {
            return false;
        }
        key = slash ? weir_slice_of(slash + 1, key.n - len - 1) : key;
    }
    return true;
}

/* --- closely ------------------------------------------------------------------------------------
 */

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static weir_slice without_blanks(weir_slice s)
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

static bool begins(weir_slice s, size_t least, const char *word)
{
    return s.n >= least && s.n <= strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* boolin: what begins true, false, yes, no, on or off and no other of them. */
static weir_rc spell_bool(weir_slice s, weir_slice *out)
{
    if (begins(s, 1, "true") || begins(s, 1, "yes") || begins(s, 2, "on") ||
        weir_slice_eqz(s, "1")) {
        return rsvc_key_said("t", out);
    }
    bool no = begins(s, 1, "false") || begins(s, 1, "no") || begins(s, 2, "off") ||
              weir_slice_eqz(s, "0");
    return no ? rsvc_key_said("f", out) : WEIR_E_INPUT;
}

static weir_rc spell_int(rsvc_key_kind kind, weir_slice s, weir_arena *a, weir_slice *out)
{
    bool minus = s.n && s.p[0] == '-';
    size_t at = s.n && (minus || s.p[0] == '+');
    size_t n = digits_at(s, at);
    uint64_t most = kind == RSVC_KEY_INT2   ? INT16_MAX
                    : kind == RSVC_KEY_INT4 ? INT32_MAX
                                            : INT64_MAX;
    if (n == 0 || at + n != s.n) {
        return WEIR_E_INPUT;
    }
    for (; n > 1 && s.p[at] == '0'; n--) {
        at++;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n && n <= SURE_INT8 + 1; i++) {
        v = v * 10 + (uint64_t)(s.p[at + i] - '0');
    }
    if (n > SURE_INT8 + 1 || v > most + minus) {
        return WEIR_E_INPUT;
    }
    return rsvc_key_said(
        weir_arena_printf(a, "%s%llu", minus && v ? "-" : "", (unsigned long long)v), out);
}

typedef struct decimal {
    bool minus;
    weir_slice whole, fraction; /* of the text */
    int64_t exponent;
} decimal;

static bool read_decimal(weir_slice s, decimal *d)
{
    d->minus = s.n && s.p[0] == '-';
    size_t at = s.n && (d->minus || s.p[0] == '+');
    d->whole = weir_slice_of(s.p + at, digits_at(s, at));
    at += d->whole.n;
    d->fraction = weir_slice_of(s.p + at, 0);
    if (at < s.n && s.p[at] == '.') {
        d->fraction = weir_slice_of(s.p + at + 1, digits_at(s, at + 1));
        at += 1 + d->fraction.n;
    }
    if (d->whole.n + d->fraction.n == 0) {
        return false;
    }
    d->exponent = 0;
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        bool down = at + 1 < s.n && s.p[at + 1] == '-';
        at += 1 + (at + 1 < s.n && (down || s.p[at + 1] == '+'));
        size_t n = digits_at(s, at);
        for (size_t i = 0; i < n && d->exponent <= EXPONENT_MAX; i++) {
            d->exponent = d->exponent * 10 + (s.p[at + i] - '0');
        }
        d->exponent = down ? -d->exponent : d->exponent;
        at += n;
        return n > 0 && at == s.n && d->exponent <= EXPONENT_MAX && d->exponent >= -EXPONENT_MAX;
    }
    return at == s.n;
}

static char digit_of(const decimal *d, int64_t i)
{
    int64_t whole = (int64_t)d->whole.n;
    if (i < 0 || i >= whole + (int64_t)d->fraction.n) {
        return '0';
    }
    return i < whole ? d->whole.p[i] : d->fraction.p[i - whole];
}

/* With the column's scale. More digits than that are kept: PostgreSQL would round them away where a
 * value is stored, but such a key equals none. */
static weir_rc spell_numeric(rsvc_key_type t, weir_slice s, weir_arena *a, weir_slice *out)
{
    decimal d;
    if (s.n == 3 && strncasecmp(s.p, "nan", 3) == 0) {
        return rsvc_key_said("NaN", out);
    }
    if (!read_decimal(s, &d)) {
        return WEIR_E_INPUT;
    }
    int64_t first = 0, all = (int64_t)(d.whole.n + d.fraction.n), end = all;
    for (; first < all && digit_of(&d, first) == '0'; first++) {
    }
    for (; end > first && digit_of(&d, end - 1) == '0'; end--) {
    }
    int64_t point = first == all ? 0 : (int64_t)d.whole.n + d.exponent; /* digits before it */
    int64_t from = point <= first || first == all ? point - 1 : first;
    int64_t scale = t.scale > 0 ? t.scale : 0; /* digits behind it */
    scale = end - point > scale && first < all ? end - point : scale;
    bool fits = first == all || point - first <= t.size - t.scale;
    if (!fits || scale > NUMERIC_DIGITS_MAX + EXPONENT_MAX) {
        return WEIR_E_INPUT;
    }
    weir_buf b;
    weir_buf_init(&b, 64 << 10);
    weir_buf_putz(&b, d.minus && first < all ? "-" : "");
    for (int64_t i = from; i < point + scale; i++) {
        weir_buf_putz(&b, i == point ? "." : "");
        weir_buf_u8(&b, (uint8_t)(first == all ? '0' : digit_of(&d, i)));
    }
    *out = weir_arena_dup(a, weir_buf_slice(&b));
    bool ok = !b.failed && out->p;
    weir_buf_fini(&b);
    return ok ? WEIR_OK : WEIR_E_LIMIT;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* uuid_in: braces around it, and a dash after any four digits. */
static weir_rc spell_uuid(weir_slice s, weir_arena *a, weir_slice *out)
{
    static const char hex[] = "0123456789abcdef";
    char text[37];
    size_t n = 0, digits = 0, i = 0;
    if (s.n > 1 && s.p[0] == '{' && s.p[s.n - 1] == '}') {
        s = weir_slice_of(s.p + 1, s.n - 2);
    }
    for (; i < s.n && digits < 32; i++) {
        int v = hex_digit(s.p[i]);
        if (s.p[i] == '-' && digits && digits % 4 == 0 && s.p[i - 1] != '-') {
            continue;
        }
        if (v < 0) {
            return WEIR_E_INPUT;
        }
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20) {
            text[n++] = '-';
        }
        text[n++] = hex[v];
        digits++;
    }
    text[n] = '\0';
    return digits == 32 && i == s.n ? rsvc_key_said(weir_arena_strdup(a, text), out) : WEIR_E_INPUT;
}

/* bpchar_in: filled up with blanks, and blanks beyond its length are cut. */
static weir_rc spell_char(rsvc_key_type t, weir_slice s, weir_arena *a, weir_slice *out)
{
    size_t size = (size_t)t.size, chars = 0;
    while (s.n && s.p[s.n - 1] == ' ') {
        s.n--;
    }
    for (size_t i = 0; i < s.n; i++) {
        chars += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    }
    if (chars > size) {
        return WEIR_E_INPUT;
    }
    char *p = weir_arena_alloc(a, s.n + size - chars + 1);
    if (!p) {
        return WEIR_E_LIMIT;
    }
    memcpy(p, s.n ? s.p : "", s.n);
    memset(p + s.n, ' ', size - chars);
    *out = weir_slice_of(p, s.n + size - chars);
    return WEIR_OK;
}

static weir_rc spell(rsvc_key_type t, weir_slice s, weir_arena *a, weir_slice *out)
{
    switch (t.kind) {
    case RSVC_KEY_BOOL: return spell_bool(without_blanks(s), out);
    case RSVC_KEY_INT2:
    case RSVC_KEY_INT4:
    case RSVC_KEY_INT8: return spell_int(t.kind, without_blanks(s), a, out);
    case RSVC_KEY_NUMERIC: return spell_numeric(t, without_blanks(s), a, out);
    case RSVC_KEY_UUID: return spell_uuid(s, a, out);
    case RSVC_KEY_DATE:
    case RSVC_KEY_TIMESTAMP:
    case RSVC_KEY_TIMESTAMPTZ: return rsvc_keytime_spell(t.kind, without_blanks(s), a, out);
    case RSVC_KEY_CHAR: return spell_char(t, s, a, out);
    default: *out = s; return WEIR_OK;
    }
}

weir_rc rsvc_key_spell(const rsvc_key_type *types, size_t n, weir_slice key, weir_arena *a,
                       weir_slice *out, size_t *bad)
{
    weir_slice parts[RSVC_KEY_PARTS_MAX];
    size_t found = RSVC_KEY_PARTS_MAX;
    *out = key;
    if (all_plain(types, n, key)) {
        return WEIR_OK;
    }
    *bad = 0;
    if (!weir_dockey_parse(key, a, parts, &found) || found != n) {
        return WEIR_E_LIMIT; /* the path was read: it is the memory */
    }
    size_t room = 0;
    for (size_t i = 0; i < n; i++) {
        weir_rc rc = spell(types[i], parts[i], a, &parts[i]);
        if (rc != WEIR_OK) {
            *bad = i;
            return rc;
        }
        room += 3 * parts[i].n + 2;
    }
    weir_buf b;
    weir_buf_init(&b, room + 1);
    weir_dockey_text(&b, parts, n);
    *out = weir_arena_dup(a, weir_buf_slice(&b));
    bool ok = !b.failed && out->p;
    weir_buf_fini(&b);
    return ok ? WEIR_OK : WEIR_E_LIMIT;
}
