/* literal.c - a quoted constant as PostgreSQL would print the value it stands for; only spellings
 * that leave no doubt. */
#include "projector/sql/literal.h"

#include <strings.h>

#include "projector/sql/types.h"

static bool word_is(weir_slice s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static bool lit_bool(weir_slice s, weir_slice *out, const char **why)
{
    static const char *const yes[] = {"t", "true", "y", "yes", "on", "1"};
    static const char *const no[] = {"f", "false", "n", "no", "off", "0"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (word_is(s, yes[i]) || word_is(s, no[i])) {
            *out = word_is(s, yes[i]) ? WEIR_SLICE_LIT("t") : WEIR_SLICE_LIT("f");
            return true;
        }
    }
    *why = "it is no boolean: write 'true' or 'false'";
    return false;
}

static bool lit_int(weir_slice s, weir_ty ty, weir_mem *m, weir_slice *out, const char **why)
{
    int64_t v = 0;
    int64_t max = ty == WEIR_TY_INT2 ? INT16_MAX : ty == WEIR_TY_INT4 ? INT32_MAX : INT64_MAX;
    if (!weir_slice_i64(s, &v) || v > max || v < -max - 1) {
        *why = "it is no integer of that size";
        return false;
    }
    *out = weir_slice_z(weir_mem_printf(m, "%lld", (long long)v));
    return true;
}

/* --- dates and times: "YYYY-MM-DD", "HH:MM[:SS[.ffffff]]", offset Z, +00 or none (sessions run in
 * UTC) ---------- */

static bool digits(weir_slice *s, int n, int *v)
{
    *v = 0;
    if ((int)s->n < n) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') {
            return false;
        }
        *v = *v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= (size_t)n;
    return true;
}

static bool skip(weir_slice *s, char c)
{
    if (s->n && s->p[0] == c) {
        s->p++;
        s->n--;
        return true;
    }
    return false;
}

static bool read_date(weir_slice *s, int *y, int *mo, int *d)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!digits(s, 4, y) || !skip(s, '-') || !digits(s, 2, mo) || !skip(s, '-') ||
        !digits(s, 2, d)) {
        return false;
    }
    bool leap = (*y % 4 == 0 && *y % 100 != 0) || *y % 400 == 0;
    return *y > 0 && *mo >= 1 && *mo <= 12 && *d >= 1 && *d <= days[*mo - 1] + (*mo == 2 && leap);
}

/* frac keeps its digits without trailing zeros. */
static bool read_time(weir_slice *s, int *h, int *mi, int *sec, weir_slice *frac)
{
    *sec = 0;
    *frac = WEIR_SLICE_LIT("");
    if (!digits(s, 2, h) || !skip(s, ':') || !digits(s, 2, mi) || *h > 23 || *mi > 59) {
        return false;
    }
    if (skip(s, ':')) {
        if (!digits(s, 2, sec) || *sec > 59) {
            return false;
        }
        if (skip(s, '.')) {
            *frac = weir_slice_of(s->p, 0);
            while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
                skip(s, s->p[0]);
                frac->n++;
            }
            if (frac->n == 0 || frac->n > 6) {
                return false;
            }
            while (frac->n && frac->p[frac->n - 1] == '0') {
                frac->n--;
            }
        }
    }
    return true;
}

static const char *show_time(weir_mem *m, int h, int mi, int sec, weir_slice frac)
{
    return weir_mem_printf(m, "%02d:%02d:%02d%s" WEIR_SLICE_FMT, h, mi, sec, frac.n ? "." : "",
                           WEIR_SLICE_ARG(frac));
}

static bool lit_date(weir_slice s, weir_mem *m, weir_slice *out, const char **why)
{
    int y = 0;
    int mo = 0;
    int d = 0;
    if (word_is(s, "infinity") || word_is(s, "-infinity")) {
        *out = s.p[0] == '-' ? WEIR_SLICE_LIT("-infinity") : WEIR_SLICE_LIT("infinity");
        return true;
    }
    if (!read_date(&s, &y, &mo, &d) || s.n) {
        *why = "write the date as 'YYYY-MM-DD'";
        return false;
    }
    *out = weir_slice_z(weir_mem_printf(m, "%04d-%02d-%02d", y, mo, d));
    return true;
}

static bool lit_time(weir_slice s, weir_mem *m, weir_slice *out, const char **why)
{
    int h = 0;
    int mi = 0;
    int sec = 0;
    weir_slice frac;
    if (!read_time(&s, &h, &mi, &sec, &frac) || s.n) {
        *why = "write the time as 'HH:MM:SS'";
        return false;
    }
    *out = weir_slice_z(show_time(m, h, mi, sec, frac));
    return true;
}

static bool read_utc(weir_slice *s)
{
    if (s->n == 0 || skip(s, 'Z')) {
        return true;
    }
    int v = 0;
    if (!skip(s, '+') || !digits(s, 2, &v) || v != 0) {
        return false;
    }
    return s->n == 0 || (skip(s, ':') && digits(s, 2, &v) && v == 0);
}

static bool lit_timestamp(weir_slice s, bool tz, weir_mem *m, weir_slice *out, const char **why)
{
    int y = 0;
    int mo = 0;
    int d = 0;
    int h = 0;
    int mi = 0;
    int sec = 0;
    weir_slice frac = WEIR_SLICE_LIT("");
    if (word_is(s, "infinity") || word_is(s, "-infinity")) {
        *out = s.p[0] == '-' ? WEIR_SLICE_LIT("-infinity") : WEIR_SLICE_LIT("infinity");
        return true;
    }
    bool ok = read_date(&s, &y, &mo, &d);
    if (ok && s.n && (skip(&s, ' ') || skip(&s, 'T'))) {
        ok = read_time(&s, &h, &mi, &sec, &frac);
    }
    ok = ok && (tz ? read_utc(&s) : true) && s.n == 0;
    if (!ok) {
        *why = tz ? "write the time in UTC as 'YYYY-MM-DD HH:MM:SS+00'"
                  : "write the time as 'YYYY-MM-DD HH:MM:SS'";
        return false;
    }
    *out = weir_slice_z(weir_mem_printf(m, "%04d-%02d-%02d %s%s", y, mo, d,
                                        show_time(m, h, mi, sec, frac), tz ? "+00" : ""));
    return true;
}

static bool lit_uuid(weir_slice s, weir_mem *m, weir_slice *out, const char **why)
{
    char *p = WEIR_MEM_ARRAY(m, char, 37);
    size_t n = 0;
    size_t i = 0;
    for (; i < s.n && n < 36; i++) {
        char c = s.p[i];
        bool dash_place = n == 8 || n == 13 || n == 18 || n == 23;
        if (dash_place) {
            p[n++] = '-';
            if (c == '-') {
                continue;
            }
        }
        c = (char)(c >= 'A' && c <= 'F' ? c + 32 : c);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            break;
        }
        p[n++] = c;
    }
    if (n != 36 || i != s.n) {
        *why = "it is no uuid";
        return false;
    }
    *out = weir_slice_of(p, n);
    return true;
}

bool weir_literal(weir_slice in, weir_type to, weir_mem *m, weir_slice *out, const char **why)
{
    weir_slice s = weir_slice_trim(in);
    switch (to.ty) {
    case WEIR_TY_BOOL: return lit_bool(s, out, why);
    case WEIR_TY_INT2:
    case WEIR_TY_INT4:
    case WEIR_TY_INT8: return lit_int(s, to.ty, m, out, why);
    case WEIR_TY_NUMERIC: return weir_literal_numeric(s, m, out, why);
    case WEIR_TY_TEXT:
    case WEIR_TY_BPCHAR:
    case WEIR_TY_ENUM: *out = in; return true;
    case WEIR_TY_DATE: return lit_date(s, m, out, why);
    case WEIR_TY_TIME: return lit_time(s, m, out, why);
    case WEIR_TY_TIMESTAMP: return lit_timestamp(s, false, m, out, why);
    case WEIR_TY_TIMESTAMPTZ: return lit_timestamp(s, true, m, out, why);
    case WEIR_TY_UUID: return lit_uuid(s, m, out, why);
    case WEIR_TY_JSONB: return weir_literal_jsonb(in, m, out, why);
    default:
        *why = weir_mem_printf(m, "constants of type %s are not understood", weir_type_show(to, m));
        return false;
    }
}
