/* value_time.c - dates and times between PostgreSQL's ISO text (time zone UTC) and numbers. */
#include "projector/engine/value_time.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "projector/engine/value_priv.h"

#define SECOND_US INT64_C(1000000)

/* Ranges of datetime.h: dates from 4714-11-24 BC to 5874897-12-31, timestamps to 294276-12-31. */
#define DATE_MIN INT64_C(-2451545)
#define DATE_END INT64_C(2145031949)
#define TS_MIN   INT64_C(-211813488000000000)
#define TS_END   INT64_C(9223371331200000000)

typedef struct moment {
    int64_t days; /* since 2000-01-01 */
    int64_t us;   /* of the day; may be past 24 h before normalising */
    int64_t zone_s;
    bool bc;
} moment;

static weir_rc bad_form(weir_error *err)
{
    return weir_value_fail(err, "22007", "invalid input syntax for a date or time (ISO form only)");
}

static weir_rc out_of_range(weir_error *err)
{
    return weir_value_fail(err, "22008", "date/time field value out of range");
}

/* Days since 2000-01-01 in the proleptic Gregorian calendar; year 0 is 1 BC. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 730425;
}

static void civil_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    int64_t z = days + 730425;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = yoe + era * 400 + (*m <= 2);
}

/* min … max digits at *i into *v; false when there are others. */
static bool number(weir_slice s, size_t *i, size_t min, size_t max, int64_t *v)
{
    size_t from = *i;
    *v = 0;
    while (*i < s.n && *i - from < max && s.p[*i] >= '0' && s.p[*i] <= '9') {
        *v = *v * 10 + (s.p[(*i)++] - '0');
    }
    return *i - from >= min;
}

static bool take(weir_slice s, size_t *i, char c)
{
    if (*i < s.n && s.p[*i] == c) {
        (*i)++;
        return true;
    }
    return false;
}

static int64_t month_days(int64_t y, int64_t m)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return days[m - 1] + (m == 2 && leap);
}

/* YYYY-MM-DD; the era is known only at the end of the text, so the caller looks first. */
static weir_rc parse_date(weir_slice s, size_t *i, moment *t, weir_error *err)
{
    int64_t y, m, d;
    if (!number(s, i, 4, 7, &y) || !take(s, i, '-') || !number(s, i, 1, 2, &m) ||
        !take(s, i, '-') || !number(s, i, 1, 2, &d)) {
        return bad_form(err);
    }
    if (y == 0) {
        return out_of_range(err);
    }
    y = t->bc ? 1 - y : y;
    if (m < 1 || m > 12 || d < 1 || d > month_days(y, m)) {
        return out_of_range(err);
    }
    t->days = days_of(y, m, d);
    return WEIR_OK;
}

/* ".123456" and longer, rounded to microseconds as PostgreSQL does: through a double. */
static int64_t parse_fraction(weir_slice s, size_t *i)
{
    char z[32] = "0.";
    size_t n = 2;
    while (*i < s.n && s.p[*i] >= '0' && s.p[*i] <= '9') {
        if (n < sizeof z - 1) {
            z[n++] = s.p[*i];
        }
        (*i)++;
    }
    z[n] = '\0';
    return (int64_t)rint(strtod(z, NULL) * 1000000);
}

/* HH:MM[:SS[.f]] */
static weir_rc parse_clock(weir_slice s, size_t *i, moment *t, weir_error *err)
{
    int64_t h, m, sec = 0, frac = 0;
    if (!number(s, i, 1, 2, &h) || !take(s, i, ':') || !number(s, i, 2, 2, &m)) {
        return bad_form(err);
    }
    if (take(s, i, ':')) {
        if (!number(s, i, 2, 2, &sec)) {
            return bad_form(err);
        }
        if (take(s, i, '.')) {
            frac = parse_fraction(s, i);
        }
    }
    if (h > 24 || m > 59 || sec > 60) {
        return out_of_range(err);
    }
    t->us = ((h * 60 + m) * 60 + sec) * SECOND_US + frac;
    return t->us > WEIR_DAY_US ? out_of_range(err) : WEIR_OK;
}

/* Z or +HH[:MM[:SS]] */
static weir_rc parse_zone(weir_slice s, size_t *i, moment *t, weir_error *err)
{
    if (take(s, i, 'Z') || take(s, i, 'z')) {
        return WEIR_OK;
    }
    bool west = take(s, i, '-');
    int64_t h, m = 0, sec = 0;
    if ((!west && !take(s, i, '+')) || !number(s, i, 1, 2, &h)) {
        return bad_form(err);
    }
    if (take(s, i, ':') && !number(s, i, 2, 2, &m)) {
        return bad_form(err);
    }
    if (take(s, i, ':') && !number(s, i, 2, 2, &sec)) {
        return bad_form(err);
    }
    if (h > 15 || m > 59 || sec > 59) {
        return out_of_range(err);
    }
    t->zone_s = ((h * 60 + m) * 60 + sec) * (west ? -1 : 1);
    return WEIR_OK;
}

static bool infinite(weir_slice s, int64_t *out)
{
    bool neg = s.n > 0 && s.p[0] == '-';
    if (neg || (s.n > 0 && s.p[0] == '+')) {
        s.p++;
        s.n--;
    }
    if (s.n != strlen("infinity") || strncasecmp(s.p, "infinity", s.n) != 0) {
        return false;
    }
    *out = neg ? WEIR_TIME_NINF : WEIR_TIME_PINF;
    return true;
}

static weir_rc combine(const moment *t, weir_ty ty, int64_t *out, weir_error *err)
{
    if (ty == WEIR_TY_DATE) {
        *out = t->days;
        return t->days < DATE_MIN || t->days >= DATE_END ? out_of_range(err) : WEIR_OK;
    }
    if (ty == WEIR_TY_TIME || ty == WEIR_TY_TIMETZ) {
        *out = t->us - t->zone_s * SECOND_US;
        return WEIR_OK;
    }
    int64_t clock_us = t->us - t->zone_s * SECOND_US;
    weir_int128 v = (weir_int128)t->days * WEIR_DAY_US + clock_us;
    if (v < TS_MIN || v >= TS_END) {
        return out_of_range(err);
    }
    *out = (int64_t)v;
    return WEIR_OK;
}

static weir_rc parse_moment(weir_slice s, weir_ty ty, moment *t, weir_error *err)
{
    size_t i = 0;
    weir_rc rc = WEIR_OK;
    bool clock = ty == WEIR_TY_TIME || ty == WEIR_TY_TIMETZ;
    if (!clock) {
        rc = parse_date(s, &i, t, err);
        clock = !rc && i < s.n;
        if (clock && !take(s, &i, ' ') && !take(s, &i, 'T')) {
            return bad_form(err);
        }
    }
    if (!rc && clock) {
        rc = parse_clock(s, &i, t, err);
    }
    if (!rc && i < s.n) {
        rc = parse_zone(s, &i, t, err);
    }
    if (!rc && i < s.n) {
        rc = bad_form(err);
    }
    return rc;
}

weir_rc weir_time_parse(weir_slice s, weir_ty ty, int64_t *out, int64_t *zone_s, weir_error *err)
{
    moment t = {0};
    s = weir_value_strip(s);
    if (ty != WEIR_TY_TIME && ty != WEIR_TY_TIMETZ && infinite(s, out)) {
        return WEIR_OK;
    }
    if (s.n > 3 && memcmp(s.p + s.n - 3, " BC", 3) == 0) {
        t.bc = true;
        s.n -= 3;
    }
    weir_rc rc = parse_moment(s, ty, &t, err);
    if (rc) {
        return rc;
    }
    if (ty == WEIR_TY_DATE || ty == WEIR_TY_TIMESTAMP || ty == WEIR_TY_TIME) {
        t.zone_s = 0; /* PostgreSQL reads a zone here and ignores it */
    }
    if (zone_s) {
        *zone_s = t.zone_s;
    }
    return combine(&t, ty, out, err);
}

static void put_date(weir_buf *b, int64_t days, bool *bc)
{
    int64_t y, m, d;
    civil_of(days, &y, &m, &d);
    *bc = y <= 0;
    weir_buf_printf(b, "%04lld-%02lld-%02lld", (long long)(*bc ? 1 - y : y), (long long)m,
                    (long long)d);
}

static void put_clock(weir_buf *b, int64_t us)
{
    int64_t s = us / SECOND_US, frac = us % SECOND_US;
    weir_buf_printf(b, "%02lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                    (long long)(s % 60));
    if (frac) {
        weir_buf_printf(b, ".%06lld", (long long)frac);
        while (b->n > 0 && b->p[b->n - 1] == '0') {
            b->n--;
        }
    }
}

static void split_day(int64_t v, int64_t *days, int64_t *us)
{
    *days = v / WEIR_DAY_US;
    *us = v % WEIR_DAY_US;
    if (*us < 0) {
        *us += WEIR_DAY_US;
        (*days)--;
    }
}

weir_rc weir_time_text(int64_t v, weir_ty ty, weir_arena *a, weir_slice *out, weir_error *err)
{
    bool clock = ty == WEIR_TY_TIME || ty == WEIR_TY_TIMETZ;
    if (!clock && (v == WEIR_TIME_NINF || v == WEIR_TIME_PINF)) {
        *out = v == WEIR_TIME_NINF ? WEIR_SLICE_LIT("-infinity") : WEIR_SLICE_LIT("infinity");
        return WEIR_OK;
    }
    weir_buf b;
    bool bc = false;
    weir_buf_init(&b, 64);
    if (clock) {
        put_clock(&b, v);
    } else if (ty == WEIR_TY_DATE) {
        put_date(&b, v, &bc);
    } else {
        int64_t days, us;
        split_day(v, &days, &us);
        put_date(&b, days, &bc);
        weir_buf_u8(&b, ' ');
        put_clock(&b, us);
    }
    if (ty == WEIR_TY_TIMESTAMPTZ || ty == WEIR_TY_TIMETZ) {
        weir_buf_putz(&b, "+00");
    }
    if (bc) {
        weir_buf_putz(&b, " BC");
    }
    return weir_value_take(&b, a, out, err);
}

/* timestamp(p): half away from zero at p digits. */
static weir_rc round_us(int64_t v, int32_t typmod, int64_t *out, weir_error *err)
{
    static const int64_t unit[] = {1000000, 100000, 10000, 1000, 100, 10};
    *out = v;
    if (typmod < 0 || typmod > 5) {
        return WEIR_OK;
    }
    int64_t u = unit[typmod];
    weir_int128 r =
        v >= 0 ? ((weir_int128)v + u / 2) / u * u : -((-(weir_int128)v + u / 2) / u * u);
    if (r < TS_MIN || r >= TS_END) {
        return out_of_range(err);
    }
    *out = (int64_t)r;
    return WEIR_OK;
}

static weir_rc to_date(int64_t v, weir_ty from, int64_t *out)
{
    int64_t us;
    if (from == WEIR_TY_DATE || v == WEIR_TIME_NINF || v == WEIR_TIME_PINF) {
        *out = v;
    } else {
        split_day(v, out, &us);
    }
    return WEIR_OK;
}

static weir_rc to_timestamp(int64_t v, weir_ty from, int32_t typmod, int64_t *out, weir_error *err)
{
    if (v == WEIR_TIME_NINF || v == WEIR_TIME_PINF) {
        *out = v;
        return WEIR_OK;
    }
    if (from != WEIR_TY_DATE) {
        return round_us(v, typmod, out, err);
    }
    weir_int128 us = (weir_int128)v * WEIR_DAY_US;
    if (us < TS_MIN || us >= TS_END) {
        return weir_value_fail(err, "22008", "date out of range for timestamp");
    }
    *out = (int64_t)us;
    return WEIR_OK;
}

weir_rc weir_time_cast(int64_t v, weir_ty from, weir_type to, int64_t *out, weir_error *err)
{
    if (to.ty == WEIR_TY_DATE) {
        return to_date(v, from, out);
    }
    if (to.ty == WEIR_TY_TIMESTAMP || to.ty == WEIR_TY_TIMESTAMPTZ) {
        return to_timestamp(v, from, to.typmod, out, err);
    }
    if (from == WEIR_TY_TIMESTAMP || from == WEIR_TY_TIMESTAMPTZ) {
        int64_t days;
        split_day(v, &days, &v);
    }
    return round_us(v, to.typmod, out, err);
}
