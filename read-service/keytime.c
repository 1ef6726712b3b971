/* keytime.c - dates and times in a key, as PostgreSQL prints them in a session in UTC. */
#include "read-service/keytime.h"

#include <stdio.h>
#include <strings.h>

enum {
    DATE_YEAR_MAX = 5874897,
    TIME_YEAR_MAX = 294276,
    YEAR_MIN = -4712, /* 4713 BC; the year 0 is 1 BC */
    DAY_S = 86400,
    ZONE_MAX_S = 16 * 3600 - 1
};

typedef struct moment {
    int64_t year;
    int month, day;
    int64_t second; /* of the day; may be beyond it until it is settled */
    int us;
    int64_t zone_s; /* east of UTC */
} moment;

static bool take(weir_slice *s, char c)
{
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    s->p++;
    s->n--;
    return true;
}

/* least to most digits. */
static bool number(weir_slice *s, size_t least, size_t most, int64_t *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < s->n && n < most && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        *out = *out * 10 + (s->p[n] - '0');
    }
    s->p += n;
    s->n -= n;
    return n >= least;
}

static bool leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_of(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

static bool read_date(weir_slice *s, moment *m)
{
    int64_t month = 0, day = 0;
    if (!number(s, 4, 7, &m->year) || !take(s, '-') || !number(s, 1, 2, &month) || !take(s, '-') ||
        !number(s, 1, 2, &day) || month < 1 || month > 12 || m->year < 1) {
        return false;
    }
    m->month = (int)month;
    m->day = (int)day;
    return true;
}

static bool read_fraction(weir_slice *s, int *us)
{
    int digits = 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; digits++) {
        if (digits >= 6 && s->p[0] != '0') {
            return false; /* PostgreSQL rounds: it would be another moment */
        }
        *us = digits < 6 ? *us * 10 + (s->p[0] - '0') : *us;
        s->p++;
        s->n--;
    }
    for (int i = digits; i < 6; i++) {
        *us *= 10;
    }
    return true;
}

static bool read_time(weir_slice *s, moment *m)
{
    int64_t h = 0, min = 0, sec = 0;
    if (!number(s, 1, 2, &h) || !take(s, ':') || !number(s, 2, 2, &min) || min > 59 || h > 24) {
        return false;
    }
    if (take(s, ':')) { /* a fraction without seconds would make minutes of the hours */
        if (!number(s, 2, 2, &sec) || sec > 59 || (take(s, '.') && !read_fraction(s, &m->us))) {
            return false;
        }
    }
    m->second = h * 3600 + min * 60 + sec;
    return m->second < DAY_S || (m->second == DAY_S && m->us == 0);
}

/* Z, +05, +0530, +05:30, +05:30:15 or nothing. */
static bool read_zone(weir_slice *s, moment *m)
{
    if (take(s, 'Z') || take(s, 'z')) {
        return true;
    }
    bool west = s->n && s->p[0] == '-';
    if (!take(s, '+') && !take(s, '-')) {
        return true;
    }
    int64_t h = 0, min = 0, sec = 0;
    if (!number(s, 1, 2, &h)) {
        return false;
    }
    bool colon = take(s, ':');
    if ((colon || (s->n && s->p[0] >= '0' && s->p[0] <= '9')) && !number(s, 2, 2, &min)) {
        return false;
    }
    if (colon && take(s, ':') && !number(s, 2, 2, &sec)) {
        return false;
    }
    int64_t zone = h * 3600 + min * 60 + sec;
    m->zone_s = west ? -zone : zone;
    return min <= 59 && sec <= 59 && zone <= ZONE_MAX_S;
}

static bool read_era(weir_slice *s, moment *m)
{
    if (s->n == 3 && strncasecmp(s->p, " BC", 3) == 0) {
        m->year = 1 - m->year;
        s->n = 0;
    }
    return s->n == 0;
}

static void one_day(moment *m, bool later)
{
    m->day += later ? 1 : -1;
    if (m->day == 0) {
        m->month = m->month == 1 ? 12 : m->month - 1;
        m->year -= m->month == 12;
        m->day = days_of(m->year, m->month);
    } else if (m->day > days_of(m->year, m->month)) {
        m->day = 1;
        m->month = m->month == 12 ? 1 : m->month + 1;
        m->year += m->month == 1;
    }
}

/* Into UTC. */
static void settle(moment *m, bool zoned)
{
    m->second -= zoned ? m->zone_s : 0;
    if (m->second < 0 || m->second >= DAY_S) {
        bool later = m->second >= DAY_S;
        m->second += later ? -DAY_S : DAY_S;
        one_day(m, later);
    }
}

weir_rc rsvc_key_said(const char *z, weir_slice *out)
{
    *out = z ? weir_slice_z(z) : (weir_slice){NULL, 0};
    return z ? WEIR_OK : WEIR_E_LIMIT;
}

static const char *show(const moment *m, rsvc_key_kind kind, weir_arena *a)
{
    bool bc = m->year <= 0;
    long long year = bc ? 1 - m->year : m->year;
    const char *era = bc ? " BC" : "";
    if (kind == RSVC_KEY_DATE) {
        return weir_arena_printf(a, "%04lld-%02d-%02d%s", year, m->month, m->day, era);
    }
    char us[16] = "";
    int digits = 6, rest = m->us;
    for (; digits > 0 && rest % 10 == 0; digits--) {
        rest /= 10;
    }
    if (digits) {
        (void)snprintf(us, sizeof us, ".%0*d", digits, rest);
    }
    return weir_arena_printf(a, "%04lld-%02d-%02d %02d:%02d:%02d%s%s%s", year, m->month, m->day,
                             (int)(m->second / 3600), (int)(m->second / 60 % 60),
                             (int)(m->second % 60), us, kind == RSVC_KEY_TIMESTAMPTZ ? "+00" : "",
                             era);
}

static bool is_word(weir_slice s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

weir_rc rsvc_keytime_spell(rsvc_key_kind kind, weir_slice s, weir_arena *a, weir_slice *out)
{
    moment m = {.year = 0};
    if (is_word(s, "infinity") || is_word(s, "-infinity")) {
        return rsvc_key_said(s.p[0] == '-' ? "-infinity" : "infinity", out);
    }
    bool ok = read_date(&s, &m);
    if (ok && kind != RSVC_KEY_DATE && s.n && (take(&s, 'T') || (s.n > 3 && take(&s, ' ')))) {
        ok = read_time(&s, &m);
        if (ok && s.n > 3 && s.p[0] == ' ' && (s.p[1] == '+' || s.p[1] == '-')) {
            (void)take(&s, ' ');
        }
        ok = ok && read_zone(&s, &m);
    }
    ok = ok && read_era(&s, &m) && m.day >= 1 && m.day <= days_of(m.year, m.month);
    if (ok) {
        settle(&m, kind == RSVC_KEY_TIMESTAMPTZ);
    }
    int64_t most = kind == RSVC_KEY_DATE ? DATE_YEAR_MAX : TIME_YEAR_MAX;
    bool there = ok && m.year >= YEAR_MIN && m.year <= most;
    return there ? rsvc_key_said(show(&m, kind, a), out) : WEIR_E_INPUT;
}
