/* exprgen_value.c - random values of every type, as PostgreSQL prints them, with the edges
 * over-represented. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libweir/base/buf.h"
#include "projector/engine/value_time.h"
#include "tests/support/check.h"
#include "tests/support/exprgen.h"

#define PICK(g, list) ((list)[exprgen_pick((g), sizeof(list) / sizeof(list)[0])])

uint64_t exprgen_pick(exprgen *g, uint64_t n)
{
    return weir_test_random(&g->rng) % n;
}

static weir_slice copy(exprgen *g, const char *z)
{
    return weir_slice_z(weir_arena_strdup(g->a, z));
}

static weir_slice value_int(exprgen *g, int bits)
{
    int64_t max = bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - 1)) - 1;
    int64_t v;
    switch (exprgen_pick(g, 6)) {
    case 0: v = max - (int64_t)exprgen_pick(g, 2); break;
    case 1: v = -max - (int64_t)exprgen_pick(g, 2); break;
    case 2: v = (int64_t)exprgen_pick(g, 5) - 2; break;
    case 3: v = (int64_t)(weir_test_random(&g->rng) >> (65 - bits)) - max / 2; break;
    default: v = (int64_t)exprgen_pick(g, 200) - 100; break;
    }
    return weir_slice_z(weir_arena_printf(g->a, "%lld", (long long)v));
}

static void put_digits(exprgen *g, weir_buf *b, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        weir_buf_u8(b, (uint8_t)('0' + exprgen_pick(g, 10)));
    }
}

static weir_slice value_numeric(exprgen *g, int scale)
{
    static const char *const special[] = {"NaN", "Infinity", "-Infinity"};
    weir_buf b;
    if (scale < 0 && exprgen_pick(g, 25) == 0) {
        return copy(g, PICK(g, special));
    }
    weir_buf_init(&b, 4096);
    uint64_t big = scale < 0 && exprgen_pick(g, 20) == 0;
    uint64_t ints = exprgen_pick(g, big ? 300 : 12);
    uint64_t fracs = scale >= 0           ? (uint64_t)scale
                     : exprgen_pick(g, 3) ? exprgen_pick(g, big ? 120 : 9)
                                          : 0;
    bool tiny = scale < 0 && exprgen_pick(g, 30) == 0;
    if (exprgen_pick(g, 3) == 0) {
        weir_buf_u8(&b, '-');
    }
    if (ints == 0 || tiny) {
        weir_buf_u8(&b, '0');
    } else {
        weir_buf_u8(&b, (uint8_t)('1' + exprgen_pick(g, 9)));
        put_digits(g, &b, ints - 1);
    }
    if (fracs > 0 || tiny) {
        weir_buf_u8(&b, '.');
        for (uint64_t i = tiny ? exprgen_pick(g, 60) : 0; i > 0; i--) {
            weir_buf_u8(&b, '0');
        }
        put_digits(g, &b, fracs ? fracs : 1);
    }
    bool zero = true;
    for (size_t i = 0; i < b.n; i++) {
        zero = zero && (b.p[i] < '1' || b.p[i] > '9');
    }
    size_t sign = b.p[0] == '-' && zero; /* PostgreSQL has no -0 */
    weir_slice s = weir_arena_dup(g->a, (weir_slice){b.p + sign, b.n - sign});
    weir_buf_fini(&b);
    return s;
}

/* Exactly between two floats: such a decimal reads back as one of them but PostgreSQL prints more
 * digits. */
static bool halfway(const char *z, bool single)
{
    long double x = strtold(z, NULL);
    double d = single ? (double)(float)x : (double)x;
    double up = single ? (double)nextafterf((float)d, INFINITY) : nextafter(d, INFINITY);
    double down = single ? (double)nextafterf((float)d, -INFINITY) : nextafter(d, -INFINITY);
    return x != d && (x - d == up - x || d - x == x - down);
}

/* Few enough digits that they are the shortest form, so that printf's %g is PostgreSQL's text. */
static weir_slice value_float(exprgen *g, int digits)
{
    static const char *const special[] = {"NaN", "Infinity", "-Infinity", "0",
                                          "-0",  "1e+15",    "1e-05",     "0.0001"};
    static const double powers[] = {1, 10, 1e3, 1e6, 1e12, 1e20, 1e-2, 1e-5, 1e-9, 1e-20, 1e30};
    char z[64];
    if (exprgen_pick(g, 8) == 0) {
        return copy(g, PICK(g, special));
    }
    uint64_t m = 1;
    for (uint64_t i = exprgen_pick(g, (uint64_t)digits) + 1; i > 0; i--) {
        m *= 10;
    }
    double v = (double)exprgen_pick(g, m) * PICK(g, powers) * (exprgen_pick(g, 3) ? 1 : -1);
    if (exprgen_pick(g, 4) == 0) {
        v = ((double)exprgen_pick(g, 2000) - 1000) / 2; /* halves, for rounding */
    }
    (void)snprintf(z, sizeof z, "%.*g", digits, v);
    return copy(g, strcmp(z, "-0") == 0 || halfway(z, digits == 6) ? "0" : z);
}

static weir_slice value_text(exprgen *g, uint64_t max_chars, bool padded)
{
    static const char *const parts[] = {"a",  "b",    "Z",  " ",  "0", "9",  "é",    "😀",
                                        "\"", "\\",   "'",  "\n", "{", "}",  ",",    "\t",
                                        "/",  "\x01", "\b", "\f", "%", "\r", "\x7f", "null"};
    static const char *const words[] = {"NULL",
                                        "null",
                                        "12",
                                        "-7",
                                        " 42 ",
                                        "3.14",
                                        "true",
                                        "f",
                                        "1e5",
                                        "",
                                        "NaN",
                                        "on",
                                        "yes",
                                        "+5",
                                        "-0",
                                        "99999999999999999999",
                                        "12abc",
                                        "1.5e-3",
                                        ".5",
                                        "5.",
                                        "Infinity",
                                        "-inf",
                                        "off",
                                        "of",
                                        "o",
                                        "tru",
                                        "0x1f",
                                        "1 2",
                                        "-9223372036854775808",
                                        "-",
                                        "+",
                                        "00012",
                                        "\t7\n"};
    weir_buf b;
    uint64_t n = 0;
    if (!padded && exprgen_pick(g, 3) == 0) {
        return copy(g, PICK(g, words));
    }
    weir_buf_init(&b, 4096);
    for (uint64_t k = exprgen_pick(g, max_chars + 1); n < k; n++) {
        const char *p = PICK(g, parts);
        weir_buf_putz(&b, padded && p[0] == 'n' ? "x" : p);
    }
    for (; padded && n < max_chars; n++) {
        weir_buf_u8(&b, ' ');
    }
    weir_slice s = weir_arena_dup(g->a, (weir_slice){b.n ? b.p : "", b.n});
    weir_buf_fini(&b);
    return s.p ? s : WEIR_SLICE_LIT("");
}

static weir_slice value_time(exprgen *g, weir_ty ty)
{
    weir_slice s;
    weir_error err;
    int64_t day = (int64_t)exprgen_pick(g, 40000) - 20000, us;
    bool clock = ty == WEIR_TY_TIME || ty == WEIR_TY_TIMETZ;
    if (!clock && exprgen_pick(g, 12) == 0) {
        return copy(g, exprgen_pick(g, 2) ? "infinity" : "-infinity");
    }
    if (exprgen_pick(g, 6) == 0) { /* back to 4700 BC, on to 294000 */
        day = (int64_t)exprgen_pick(g, 109000000) - 2450000;
    }
    us = (int64_t)exprgen_pick(g, 86400) * 1000000;
    if (exprgen_pick(g, 2)) {
        us += (int64_t)exprgen_pick(g, 1000000);
    } else if (exprgen_pick(g, 3) == 0) {
        us += (int64_t)exprgen_pick(g, 10) * 100000;
    }
    int64_t v = clock ? us : ty == WEIR_TY_DATE ? day : day * WEIR_DAY_US + us;
    weir_ty shown = ty == WEIR_TY_TIMETZ ? WEIR_TY_TIME : ty;
    if (weir_time_text(v, shown, g->a, &s, &err) != WEIR_OK) {
        abort();
    }
    if (ty == WEIR_TY_TIMETZ) {
        static const char *const zones[] = {"+00", "+02", "-03:30", "-08", "+05:45", "-00:00:01"};
        return weir_slice_z(
            weir_arena_printf(g->a, WEIR_SLICE_FMT "%s", WEIR_SLICE_ARG(s), PICK(g, zones)));
    }
    return s;
}

static weir_slice value_hex(exprgen *g, bool uuid)
{
    static const char hex[] = "0123456789abcdef";
    char z[64];
    size_t n = 0;
    size_t digits = uuid ? 32 : 2 * exprgen_pick(g, 8);
    if (!uuid) {
        z[n++] = '\\';
        z[n++] = 'x';
    }
    for (size_t i = 0; i < digits; i++) {
        if (uuid && (i == 8 || i == 12 || i == 16 || i == 20)) {
            z[n++] = '-';
        }
        z[n++] = hex[exprgen_pick(g, 16)];
    }
    z[n] = '\0';
    return copy(g, z);
}

static void put_element(weir_buf *b, weir_slice s)
{
    bool quote = s.n == 0 || weir_slice_eqz(s, "NULL") || weir_slice_eqz(s, "null");
    for (size_t i = 0; i < s.n; i++) {
        quote = quote || strchr("{}\",\\ \t\n\r\v\f", s.p[i]);
    }
    if (!quote) {
        weir_buf_puts(b, s);
        return;
    }
    weir_buf_u8(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            weir_buf_u8(b, '\\');
        }
        weir_buf_put(b, s.p + i, 1);
    }
    weir_buf_u8(b, '"');
}

static void put_row(exprgen *g, weir_buf *b, gkind elem, uint64_t n)
{
    weir_buf_u8(b, '{');
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0) {
            weir_buf_u8(b, ',');
        }
        weir_slice s = exprgen_value(g, elem, -1, true);
        if (s.p) {
            put_element(b, s);
        } else {
            weir_buf_putz(b, "NULL");
        }
    }
    weir_buf_u8(b, '}');
}

static weir_slice value_array(exprgen *g, gkind elem)
{
    weir_buf b;
    weir_buf_init(&b, 1 << 16);
    uint64_t n = exprgen_pick(g, 4);
    if (n > 0 && exprgen_pick(g, 4) == 0) { /* two dimensions */
        weir_buf_u8(&b, '{');
        put_row(g, &b, elem, n);
        weir_buf_u8(&b, ',');
        put_row(g, &b, elem, n);
        weir_buf_u8(&b, '}');
    } else {
        if (n > 0 && exprgen_pick(g, 6) == 0) {
            weir_buf_printf(&b, "[0:%d]=", (int)n - 1);
        }
        put_row(g, &b, elem, n);
    }
    weir_slice s = weir_arena_dup(g->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return s;
}

static weir_slice value_listed(exprgen *g, gkind k)
{
    static const char *const jsonb[] = {"{}",
                                        "[]",
                                        "null",
                                        "true",
                                        "false",
                                        "\"x\"",
                                        "1.50",
                                        "-7",
                                        "99999999999",
                                        "{\"a\": 1, \"bb\": [1, null, \"q\\\"é\"]}",
                                        "[1, [2.0, {\"k\": \"\\u0001\"}], false]"};
    static const char *const moods[] = {"sad", "ok", "very \"happy\""};
    static const char *const spans[] = {
        "1 day",      "01:02:03",  "-1 years", "1 year 2 mons 3 days",
        "00:00:01.5", "-04:00:00", "00:00:00"};
    if (k == G_JSONB) {
        return copy(g, PICK(g, jsonb));
    }
    return k == G_ENUM ? copy(g, PICK(g, moods)) : copy(g, PICK(g, spans));
}

weir_slice exprgen_value(exprgen *g, gkind k, int scale, bool nulls)
{
    if (nulls && exprgen_pick(g, 9) == 0) {
        return (weir_slice){NULL, 0};
    }
    switch (k) {
    case G_BOOL: return copy(g, exprgen_pick(g, 2) ? "t" : "f");
    case G_INT2: return value_int(g, 16);
    case G_INT4: return value_int(g, 32);
    case G_INT8: return value_int(g, 64);
    case G_NUMERIC: return value_numeric(g, scale);
    case G_FLOAT4: return value_float(g, 6);
    case G_FLOAT8: return value_float(g, 15);
    case G_TEXT: return value_text(g, 8, false);
    case G_BPCHAR: return value_text(g, 6, true);
    case G_DATE: return value_time(g, WEIR_TY_DATE);
    case G_TIME: return value_time(g, WEIR_TY_TIME);
    case G_TIMETZ: return value_time(g, WEIR_TY_TIMETZ);
    case G_TIMESTAMP: return value_time(g, WEIR_TY_TIMESTAMP);
    case G_TIMESTAMPTZ: return value_time(g, WEIR_TY_TIMESTAMPTZ);
    case G_UUID: return value_hex(g, true);
    case G_BYTEA: return value_hex(g, false);
    case G_INT_ARRAY: return value_array(g, G_INT4);
    case G_TEXT_ARRAY: return value_array(g, G_TEXT);
    case G_NUM_ARRAY: return value_array(g, G_NUMERIC);
    case G_STAMP_ARRAY: return value_array(g, G_TIMESTAMPTZ);
    default: return value_listed(g, k);
    }
}
