/* limits.c - what a schema refuses of its type's values. */
#include "migrations/deploy/limits.h"

#include <stdio.h>

/* An end of a range; of whole numbers always one that belongs to it. */
typedef struct bound {
    bool there, excluded;
    double at;
} bound;

/* The smallest whole number above; at is one of at most 15 digits before the point. */
static double next_whole(double at)
{
    double whole = (double)(int64_t)at;
    return whole > at ? whole : whole + 1;
}

static bound bound_of(const weir_json *schema, bool lower)
{
    double in = 0, out = 0;
    weir_slice type;
    bool has_in = weir_json_double(schema, lower ? "minimum" : "maximum", &in);
    bool has_out = weir_json_double(schema, lower ? "exclusiveMinimum" : "exclusiveMaximum", &out);
    if (has_out && weir_json_str(schema, "type", &type) && weir_slice_eqz(type, "integer")) {
        out = lower ? next_whole(out) : -next_whole(-out);
        bool tighter = !has_in || (lower ? out > in : out < in);
        return (bound){true, false, tighter ? out : in};
    }
    bool excluded = has_out && (!has_in || (lower ? out >= in : out <= in));
    return (bound){has_in || has_out, excluded, excluded ? out : in};
}

static void put_bound(const bound *b, char text[40])
{
    if (b->there) {
        (void)snprintf(text, 40, "%.15g%s", b->at, b->excluded ? " (excluded)" : "");
    } else {
        (void)snprintf(text, 40, "none");
    }
}

static bool bounds_allow(const weir_json *wide, const weir_json *narrow, bool lower,
                         char text[DEP_LIMIT_TEXT_BYTES])
{
    bound w = bound_of(wide, lower), n = bound_of(narrow, lower);
    double beyond = lower ? w.at - n.at : n.at - w.at;
    char one[40], other[40];
    if (!w.there || (n.there && (beyond < 0 || (beyond <= 0 && (n.excluded || !w.excluded))))) {
        return true;
    }
    put_bound(&w, one);
    put_bound(&n, other);
    (void)snprintf(text, DEP_LIMIT_TEXT_BYTES, "%s %s, not %s", lower ? "minimum" : "maximum", one,
                   other);
    return false;
}

/* sign: 1 for what must not be less in wide, -1 for what must not be more. */
static bool number_allows(const weir_json *wide, const weir_json *narrow, const char *key, int sign,
                          const char *name, char text[DEP_LIMIT_TEXT_BYTES])
{
    int64_t w = 0, n = 0;
    char other[24] = "any";
    if (!weir_json_i64(wide, key, &w)) {
        return true;
    }
    if (weir_json_i64(narrow, key, &n)) {
        if (sign * w >= sign * n) {
            return true;
        }
        (void)snprintf(other, sizeof other, "%lld", (long long)n);
    }
    (void)snprintf(text, DEP_LIMIT_TEXT_BYTES, "%s %lld, not %s", name, (long long)w, other);
    return false;
}

static bool holds(const weir_json *checks, weir_slice check)
{
    weir_slice s;
    for (size_t i = 0; i < weir_json_len(checks); i++) {
        if (weir_json_text(weir_json_at(checks, i), &s) && weir_slice_eq(s, check)) {
            return true;
        }
    }
    return false;
}

static bool checks_allow(const weir_json *wide, const weir_json *narrow,
                         char text[DEP_LIMIT_TEXT_BYTES])
{
    const weir_json *outer = weir_json_get(wide, "x-checks");
    weir_slice s;
    for (size_t i = 0; i < weir_json_len(outer); i++) {
        if (weir_json_text(weir_json_at(outer, i), &s) &&
            !holds(weir_json_get(narrow, "x-checks"), s)) {
            (void)snprintf(text, DEP_LIMIT_TEXT_BYTES, "%.*s", WEIR_SLICE_ARG(s));
            return false;
        }
    }
    return true;
}

/* numeric(p, s), null, and modifiers of other types. */
static bool rules_allow(const weir_json *wide, const weir_json *narrow,
                        char text[DEP_LIMIT_TEXT_BYTES])
{
    weir_slice w, n;
    if (!number_allows(wide, narrow, "x-digits", 1, "digits before the point", text) ||
        !number_allows(wide, narrow, "x-scale", 1, "digits behind the point", text) ||
        !checks_allow(wide, narrow, text)) {
        return false;
    }
    if (weir_json_get(wide, "x-not-null") && !weir_json_get(narrow, "x-not-null")) {
        (void)snprintf(text, DEP_LIMIT_TEXT_BYTES, "never null");
        return false;
    }
    if (weir_json_str(wide, "x-type", &w) &&
        !(weir_json_str(narrow, "x-type", &n) && weir_slice_eq(w, n))) {
        (void)snprintf(text, DEP_LIMIT_TEXT_BYTES, "%.*s", WEIR_SLICE_ARG(w));
        return false;
    }
    return true;
}

bool dep_limits_allow(const weir_json *wide, const weir_json *narrow, bool with_rules,
                      char text[DEP_LIMIT_TEXT_BYTES])
{
    return bounds_allow(wide, narrow, true, text) && bounds_allow(wide, narrow, false, text) &&
           number_allows(wide, narrow, "minLength", -1, "at least so long:", text) &&
           number_allows(wide, narrow, "maxLength", 1, "at most so long:", text) &&
           (!with_rules || rules_allow(wide, narrow, text));
}
