/* value_cast.c - x::type, as PostgreSQL 15 does it with an explicit cast: one function per target.
 *
 * What is not here (to floats, to jsonb from text, to enums) fails with 0A000: the compiler refuses
 * it long before.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "projector/engine/value_priv.h"
#include "projector/engine/value_time.h"

typedef struct cast {
    const weir_value *x;
    weir_type from, to;
    weir_arena *a;
    weir_value *out;
    weir_error *err;
} cast;

enum { NAME_OID = 19, NAME_BYTES_MAX = 63 };

static weir_rc no_cast(const cast *c)
{
    return weir_value_fail(c->err, "0A000", "this cast cannot be evaluated here");
}

static bool is_text(weir_ty ty)
{
    return ty == WEIR_TY_TEXT || ty == WEIR_TY_BPCHAR;
}

static bool is_float(weir_ty ty)
{
    return ty == WEIR_TY_FLOAT4 || ty == WEIR_TY_FLOAT8;
}

static bool is_time(weir_ty ty)
{
    return ty == WEIR_TY_DATE || ty == WEIR_TY_TIME || ty == WEIR_TY_TIMETZ ||
           ty == WEIR_TY_TIMESTAMP || ty == WEIR_TY_TIMESTAMPTZ;
}

static weir_rc source_text(const cast *c, weir_slice *s)
{
    weir_rc rc = weir_value_text(c->x, c->from, c->a, s, c->err);
    if (!rc && c->from.ty == WEIR_TY_BPCHAR) {
        *s = weir_value_rtrim(*s);
    }
    return rc;
}

/* boolin: any unique prefix of true, false, yes, no, on, off; 1 and 0. */
static weir_rc bool_of_text(weir_slice s, bool *out, weir_error *err)
{
    static const struct {
        const char *word;
        size_t min;
        bool value;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    s = weir_value_strip(s);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (s.n >= words[i].min && s.n <= strlen(words[i].word) &&
            strncasecmp(s.p, words[i].word, s.n) == 0) {
            *out = words[i].value;
            return WEIR_OK;
        }
    }
    return weir_value_fail(err, "22P02", "invalid input syntax for type boolean");
}

/* A jsonb scalar's text as a number or boolean, or PostgreSQL's refusal. */
static weir_rc jsonb_scalar(const cast *c, bool want_bool, weir_slice *s)
{
    weir_rc rc = weir_value_text(c->x, c->from, c->a, s, c->err);
    if (rc) {
        return rc;
    }
    int first = s->n ? s->p[0] : 0;
    bool is_bool = first == 't' || first == 'f';
    bool is_num = first == '-' || (first >= '0' && first <= '9');
    if (want_bool ? is_bool : is_num) {
        return WEIR_OK;
    }
    return weir_value_fail(c->err, "22023", "cannot cast this jsonb value to the wanted type");
}

static weir_rc to_bool(const cast *c)
{
    weir_slice s;
    weir_rc rc;
    bool b = false;
    if (is_text(c->from.ty)) {
        rc = source_text(c, &s);
        rc = rc ? rc : bool_of_text(s, &b, c->err);
    } else if (c->from.ty == WEIR_TY_INT4) {
        int64_t i;
        rc = weir_value_int(c->x, &i, c->err);
        b = !rc && i != 0;
    } else if (c->from.ty == WEIR_TY_JSONB) {
        rc = jsonb_scalar(c, true, &s);
        b = !rc && s.p[0] == 't';
    } else {
        return no_cast(c);
    }
    *c->out = weir_value_of_bool(!rc && b);
    return rc;
}

/* int2in and friends: white space, sign, digits, white space. Too many digits are noticed before
 * what follows them. */
static weir_rc int_of_text(weir_slice s, weir_ty ty, int64_t *out, weir_error *err)
{
    s = weir_value_strip(s);
    bool neg = s.n > 0 && s.p[0] == '-';
    size_t from = s.n > 0 && (neg || s.p[0] == '+'), i = from;
    int64_t v = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        int d = s.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, d, &v) ||
            weir_value_int_fits(v, ty, NULL) != WEIR_OK) {
            return weir_value_fail(err, "22003", "value is out of range for the integer type");
        }
    }
    if (i == from || i < s.n) {
        return weir_value_fail(err, "22P02", "invalid input syntax for type integer");
    }
    if (!neg && __builtin_sub_overflow(INT64_C(0), v, &v)) {
        return weir_value_fail(err, "22003", "value is out of range for type bigint");
    }
    *out = v;
    return weir_value_int_fits(v, ty, err);
}

static double float_of_text(weir_slice s, weir_ty ty)
{
    char z[64];
    size_t n = s.n < sizeof z - 1 ? s.n : sizeof z - 1;
    memcpy(z, s.p, n);
    z[n] = '\0';
    return ty == WEIR_TY_FLOAT4 ? (double)strtof(z, NULL) : strtod(z, NULL);
}

/* Half to even, unlike numeric. */
static weir_rc int_of_float(weir_slice s, weir_ty ty, int64_t *out, weir_error *err)
{
    double d = rint(float_of_text(s, ty));
    if (isnan(d) || d < -0x1p63 || d >= 0x1p63) {
        return weir_value_fail(err, "22003", "bigint out of range");
    }
    *out = (int64_t)d;
    return WEIR_OK;
}

static weir_rc source_int(const cast *c, int64_t *i)
{
    weir_slice s;
    const weir_num *n;
    weir_rc rc;
    if (weir_value_ty_int(c->from.ty) || (c->from.ty == WEIR_TY_BOOL && c->to.ty == WEIR_TY_INT4)) {
        bool b;
        if (c->from.ty != WEIR_TY_BOOL) {
            return weir_value_int(c->x, i, c->err);
        }
        rc = weir_value_bool(c->x, &b, c->err);
        *i = !rc && b;
        return rc;
    }
    if (c->from.ty == WEIR_TY_NUMERIC) {
        rc = weir_value_num(c->x, c->a, &n, c->err);
        return rc ? rc : weir_num_to_int(n, i, c->err);
    }
    if (c->from.ty == WEIR_TY_JSONB) {
        rc = jsonb_scalar(c, false, &s);
        rc = rc ? rc : weir_num_parse(s, c->a, &n, c->err);
        return rc ? rc : weir_num_to_int(n, i, c->err);
    }
    if (!is_text(c->from.ty) && !is_float(c->from.ty)) {
        return no_cast(c);
    }
    rc = source_text(c, &s);
    if (rc) {
        return rc;
    }
    return is_float(c->from.ty) ? int_of_float(s, c->from.ty, i, c->err)
                                : int_of_text(s, c->to.ty, i, c->err);
}

static weir_rc to_int(const cast *c)
{
    int64_t i = 0;
    weir_rc rc = source_int(c, &i);
    if (!rc) {
        rc = weir_value_int_fits(i, c->to.ty, c->err);
    }
    *c->out = weir_value_of_int(i);
    return rc;
}

/* %.6g and %.15g of the value: what float4_numeric and float8_numeric go through. */
static weir_rc num_of_float(const cast *c, const weir_num **out)
{
    weir_slice s;
    char z[64];
    weir_rc rc = weir_value_text(c->x, c->from, c->a, &s, c->err);
    if (rc) {
        return rc;
    }
    double d = float_of_text(s, c->from.ty);
    if (isnan(d) || isinf(d)) {
        return weir_num_parse(s, c->a, out, c->err);
    }
    int n = snprintf(z, sizeof z, "%.*g", c->from.ty == WEIR_TY_FLOAT4 ? 6 : 15, d);
    return weir_num_parse((weir_slice){z, (size_t)n}, c->a, out, c->err);
}

static weir_rc to_numeric(const cast *c)
{
    const weir_num *n = NULL;
    weir_slice s;
    weir_rc rc;
    if (weir_value_ty_int(c->from.ty) && c->to.typmod < 4) {
        int64_t i;
        rc = weir_value_int(c->x, &i, c->err);
        *c->out = weir_value_of_int(i); /* scale 0: the integer form serves */
        return rc;
    }
    if (weir_value_ty_int(c->from.ty) || c->from.ty == WEIR_TY_NUMERIC) {
        rc = weir_value_num(c->x, c->a, &n, c->err);
    } else if (is_float(c->from.ty)) {
        rc = num_of_float(c, &n);
    } else if (is_text(c->from.ty)) {
        rc = source_text(c, &s);
        rc = rc ? rc : weir_num_parse(s, c->a, &n, c->err);
    } else if (c->from.ty == WEIR_TY_JSONB) {
        rc = jsonb_scalar(c, false, &s);
        rc = rc ? rc : weir_num_parse(s, c->a, &n, c->err);
    } else {
        return no_cast(c);
    }
    if (!rc) {
        rc = weir_num_typmod(n, c->to.typmod, c->a, &n, c->err);
    }
    *c->out = weir_value_of_num(n);
    return rc;
}

/* Bytes of the first `chars` UTF-8 characters; *have is how many there are. */
static size_t clip(weir_slice s, size_t chars, size_t *have)
{
    size_t i = 0, n = 0;
    while (i < s.n && n < chars) {
        i++;
        while (i < s.n && ((unsigned char)s.p[i] & 0xc0) == 0x80) {
            i++;
        }
        n++;
    }
    *have = n;
    return i;
}

static weir_rc pad(weir_slice s, size_t blanks, weir_arena *a, weir_slice *out, weir_error *err)
{
    char *p = weir_arena_alloc(a, s.n + blanks);
    if (!p) {
        return weir_value_full(err);
    }
    memcpy(p, s.p, s.n);
    memset(p + s.n, ' ', blanks);
    *out = (weir_slice){p, s.n + blanks};
    return WEIR_OK;
}

static weir_rc to_text(const cast *c)
{
    weir_slice s;
    size_t have;
    weir_rc rc;
    bool blank = c->to.ty == WEIR_TY_BPCHAR;
    if (c->from.ty == WEIR_TY_BOOL) {
        bool b;
        rc = weir_value_bool(c->x, &b, c->err);
        s = !rc && b ? WEIR_SLICE_LIT("true") : WEIR_SLICE_LIT("false");
    } else if (blank && c->from.ty == WEIR_TY_BPCHAR) {
        rc = weir_value_text(c->x, c->from, c->a, &s, c->err); /* keeps its padding */
    } else {
        rc = source_text(c, &s);
    }
    if (!rc && c->to.oid == NAME_OID && s.n > NAME_BYTES_MAX) {
        s.n = NAME_BYTES_MAX;
        while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) {
            s.n--;
        }
    }
    if (!rc && c->to.typmod >= 4) {
        size_t max = (size_t)c->to.typmod - 4;
        s.n = clip(s, max, &have);
        if (blank && have < max) {
            rc = pad(s, max - have, c->a, &s, c->err);
        }
    }
    *c->out = weir_value_of_text(s);
    return rc;
}

static bool time_cast_exists(weir_ty from, weir_ty to)
{
    bool from_ts = from == WEIR_TY_TIMESTAMP || from == WEIR_TY_TIMESTAMPTZ;
    switch (to) {
    case WEIR_TY_DATE: return from_ts;
    case WEIR_TY_TIMESTAMP:
    case WEIR_TY_TIMESTAMPTZ: return from_ts || from == WEIR_TY_DATE;
    case WEIR_TY_TIME: return from_ts || from == WEIR_TY_TIME;
    case WEIR_TY_TIMETZ: return from == WEIR_TY_TIMESTAMPTZ || from == WEIR_TY_TIME;
    default: return false;
    }
}

static weir_rc to_time(const cast *c)
{
    weir_slice s;
    int64_t v;
    weir_ty from = is_text(c->from.ty) ? c->to.ty : c->from.ty;
    if (is_text(c->from.ty) ? c->to.ty == WEIR_TY_TIMETZ : !time_cast_exists(from, c->to.ty)) {
        return no_cast(c);
    }
    weir_rc rc = source_text(c, &s);
    if (!rc) {
        rc = weir_time_parse(s, from, &v, NULL, c->err);
    }
    if (!rc && from != c->to.ty && (c->to.ty == WEIR_TY_TIME || c->to.ty == WEIR_TY_TIMETZ) &&
        (v == WEIR_TIME_NINF || v == WEIR_TIME_PINF)) {
        *c->out = weir_value_null(); /* infinity has no time of day: PostgreSQL gives NULL */
        return WEIR_OK;
    }
    if (!rc) {
        rc = weir_time_cast(v, from, c->to, &v, c->err);
    }
    if (rc) {
        return rc;
    }
    rc = weir_time_text(v, c->to.ty, c->a, &s, c->err);
    *c->out = weir_value_of_text(s);
    return rc;
}

/* uuid_in: 32 hex digits, hyphens allowed after every four, braces around. Comes out canonical. */
static weir_rc to_uuid(const cast *c)
{
    weir_slice s;
    char z[36];
    size_t n = 0;
    if (!is_text(c->from.ty)) {
        return no_cast(c);
    }
    weir_rc rc = source_text(c, &s);
    if (rc) {
        return rc;
    }
    bool braces = s.n > 1 && s.p[0] == '{' && s.p[s.n - 1] == '}';
    size_t end = s.n - braces, digits = 0;
    for (size_t i = braces; i < end; i++) {
        if (s.p[i] == '-' && digits % 4 == 0 && digits > 0 && i + 1 < end && s.p[i - 1] != '-') {
            continue;
        }
        if (digits >= 32 || !isxdigit((unsigned char)s.p[i])) {
            digits = 0;
            break;
        }
        if (digits == 8 || digits == 12 || digits == 16 || digits == 20) {
            z[n++] = '-';
        }
        z[n++] = (char)tolower((unsigned char)s.p[i]);
        digits++;
    }
    if (digits != 32) {
        return weir_value_fail(c->err, "22P02", "invalid input syntax for type uuid");
    }
    s = weir_arena_dup(c->a, (weir_slice){z, n});
    *c->out = weir_value_of_text(s);
    return s.p ? WEIR_OK : weir_value_full(c->err);
}

static bool same(weir_type x, weir_type y)
{
    if (x.ty != y.ty || (x.ty == WEIR_TY_ARRAY && x.elem != y.elem)) {
        return false;
    }
    bool typed = x.ty == WEIR_TY_OTHER || x.ty == WEIR_TY_ENUM;
    return !typed || x.oid == y.oid;
}

weir_rc weir_value_cast(const weir_value *x, weir_type from, weir_type to, weir_arena *a,
                        weir_value *out, weir_error *err)
{
    weir_value v = *x; /* out may be x */
    cast c = {&v, from, to, a, out, err};
    if (x->form == WEIR_FORM_NULL || (same(from, to) && to.typmod < 0)) {
        *out = v;
        return WEIR_OK;
    }
    switch (to.ty) {
    case WEIR_TY_TEXT:
    case WEIR_TY_BPCHAR: return to_text(&c);
    case WEIR_TY_NUMERIC: return to_numeric(&c);
    case WEIR_TY_INT2:
    case WEIR_TY_INT4:
    case WEIR_TY_INT8: return to_int(&c);
    case WEIR_TY_BOOL: return to_bool(&c);
    case WEIR_TY_DATE:
    case WEIR_TY_TIME:
    case WEIR_TY_TIMETZ:
    case WEIR_TY_TIMESTAMP:
    case WEIR_TY_TIMESTAMPTZ: return to_time(&c);
    case WEIR_TY_UUID: return to_uuid(&c);
    default: break;
    }
    if (same(from, to) && !is_time(to.ty)) {
        *out = v;
        return WEIR_OK;
    }
    return no_cast(&c);
}
