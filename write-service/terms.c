/* terms.c - the terms of an asynchronous command, from its headers. */
#include "write-service/terms.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { LATER_MAX_DAYS = 366 };

bool wsvc_prefers_async(const char *prefer)
{
    static const char word[] = "respond-async";
    const char *p = prefer ? prefer : "";
    while (*p) {
        size_t n = strcspn(p, ",");
        weir_slice one = weir_slice_trim(weir_slice_of(p, strcspn(p, ",;")));
        if (one.n == sizeof word - 1 && strncasecmp(one.p, word, one.n) == 0) {
            return true;
        }
        p += n + (p[n] == ',');
    }
    return false;
}

const char *wsvc_terms_given(const wsvc_terms_text *in)
{
    return in->priority       ? "Weir-Priority"
           : in->not_before   ? "Weir-Not-Before"
           : in->deadline     ? "Weir-Deadline"
           : in->ordering_key ? "Weir-Ordering-Key"
           : in->callback     ? "Weir-Callback"
                              : NULL;
}

/* n digits at *p into *v, which then must not be above max. */
static bool digits(const char **p, int n, int max, int *v)
{
    *v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9') {
            return false;
        }
        *v = *v * 10 + (**p - '0');
    }
    return *v <= max;
}

static bool one_of(const char **p, const char *set)
{
    bool ok = **p && strchr(set, **p);
    *p += ok;
    return ok;
}

static bool zone(const char **p, int *offset_s)
{
    int h, m;
    *offset_s = 0;
    if (one_of(p, "Zz")) {
        return true;
    }
    int sign = **p == '-' ? -1 : 1;
    if (!one_of(p, "+-") || !digits(p, 2, 23, &h) || !one_of(p, ":") || !digits(p, 2, 59, &m)) {
        return false;
    }
    *offset_s = sign * (h * 3600 + m * 60);
    return true;
}

bool wsvc_instant_read(const char *text, int64_t *wall_us)
{
    const char *p = text;
    struct tm tm = {0};
    int us = 0, offset_s = 0;
    bool ok = digits(&p, 4, 9999, &tm.tm_year) && one_of(&p, "-") &&
              digits(&p, 2, 12, &tm.tm_mon) && one_of(&p, "-") && digits(&p, 2, 31, &tm.tm_mday) &&
              one_of(&p, "Tt ") && digits(&p, 2, 23, &tm.tm_hour) && one_of(&p, ":") &&
              digits(&p, 2, 59, &tm.tm_min) && one_of(&p, ":") && digits(&p, 2, 60, &tm.tm_sec);
    if (ok && one_of(&p, ".")) {
        int unit = 100000;
        ok = *p >= '0' && *p <= '9';
        for (; *p >= '0' && *p <= '9'; p++, unit /= 10) {
            us += (*p - '0') * unit;
        }
    }
    ok = ok && zone(&p, &offset_s) && *p == '\0' && tm.tm_year >= 1970 && tm.tm_mon >= 1 &&
         tm.tm_mday >= 1;
    if (!ok) {
        return false;
    }
    int day = tm.tm_mday;
    bool leap = tm.tm_sec == 60;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t s = timegm(&tm); /* normalises 31 February: not a date */
    *wall_us = ((int64_t)s - offset_s) * 1000000 + us;
    return tm.tm_mday == day || leap;
}

/* Microseconds from now; 0 when it is past. */
static weir_rc later(const char *name, const char *text, int64_t wall_us, int64_t *out,
                     weir_error *err)
{
    static const int64_t day_us = INT64_C(86400) * 1000000;
    int64_t ms = 0, at = 0;
    if (text[0] == '+' && weir_slice_i64(weir_slice_z(text + 1), &ms) && ms >= 0 &&
        ms <= LATER_MAX_DAYS * day_us / 1000) {
        *out = ms * 1000;
        return WEIR_OK;
    }
    if (text[0] == '+' || !wsvc_instant_read(text, &at) || at - wall_us > LATER_MAX_DAYS * day_us) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "%s must be an instant like 2026-11-21T14:00:00Z, or +milliseconds from "
                         "now, at most %d days ahead",
                         name, LATER_MAX_DAYS);
    }
    *out = at > wall_us ? at - wall_us : 0;
    return WEIR_OK;
}

static bool printable(const char *z, size_t max)
{
    size_t n = strnlen(z, max + 1);
    for (size_t i = 0; i < n; i++) {
        if (z[i] < 0x20 || z[i] > 0x7e) {
            return false;
        }
    }
    return n > 0 && n <= max;
}

weir_rc wsvc_terms_read(wsvc_terms *out, const wsvc_terms_text *in, int64_t wall_us,
                        weir_error *err)
{
    *out = (wsvc_terms){.priority = WSVC_PRIORITY_DEFAULT,
                        .ordering_key = in->ordering_key,
                        .callback = in->callback};
    if (in->priority) {
        if (in->priority[0] < '0' || in->priority[0] > '9' || in->priority[1]) {
            return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                             "Weir-Priority must be a digit, 0 to 9; 9 goes first");
        }
        out->priority = in->priority[0] - '0';
    }
    if (in->ordering_key && !printable(in->ordering_key, WSVC_KEY_MAX)) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "Weir-Ordering-Key must have 1 to %d printable ASCII characters",
                         WSVC_KEY_MAX);
    }
    if (in->callback && !printable(in->callback, WSVC_URL_MAX)) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                         "Weir-Callback must be a URL of at most %d characters", WSVC_URL_MAX);
    }
    weir_rc rc = WEIR_OK;
    if (in->not_before) {
        rc = later("Weir-Not-Before", in->not_before, wall_us, &out->delay_us, err);
    }
    if (rc == WEIR_OK && in->deadline) {
        rc = later("Weir-Deadline", in->deadline, wall_us, &out->deadline_us, err);
        if (rc == WEIR_OK && out->deadline_us <= out->delay_us) {
            rc = weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT,
                           "Weir-Deadline is past, or not after Weir-Not-Before");
        }
    }
    return rc;
}
