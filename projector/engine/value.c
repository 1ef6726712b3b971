/* value.c - a SQL value's forms: text as PostgreSQL sent it, integer, boolean, number; and their
 * order. */
#include "projector/engine/value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/engine/value_priv.h"
#include "projector/engine/value_time.h"

weir_rc weir_value_fail(weir_error *err, const char *sqlstate, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)weir_fail(err, WEIR_E_INPUT, 0, "%s", text);
    if (err) {
        memcpy(err->sqlstate, sqlstate, sizeof err->sqlstate);
    }
    return WEIR_E_INPUT;
}

weir_rc weir_value_full(weir_error *err)
{
    return weir_fail(err, WEIR_E_LIMIT, 0, "the document needs more memory than allowed");
}

weir_slice weir_value_strip(weir_slice s)
{
    while (s.n > 0 && weir_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && weir_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

weir_slice weir_value_rtrim(weir_slice s)
{
    while (s.n > 0 && s.p[s.n - 1] == ' ') {
        s.n--;
    }
    return s;
}

weir_rc weir_value_take(weir_buf *b, weir_arena *a, weir_slice *out, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    *out = WEIR_SLICE_LIT("");
    if (b->failed) {
        rc = weir_value_full(err);
    } else if (b->n > 0) {
        *out = weir_arena_dup(a, weir_buf_slice(b));
        rc = out->p ? WEIR_OK : weir_value_full(err);
    }
    weir_buf_fini(b);
    return rc;
}

weir_rc weir_value_int(const weir_value *v, int64_t *out, weir_error *err)
{
    switch (v->form) {
    case WEIR_FORM_INT:
    case WEIR_FORM_BOOL: *out = v->i; return WEIR_OK;
    case WEIR_FORM_NUM: return weir_num_to_int(v->num, out, err);
    case WEIR_FORM_TEXT:
        if (weir_slice_i64(v->text, out)) {
            return WEIR_OK;
        }
        break;
    case WEIR_FORM_NULL: break;
    }
    return weir_value_fail(err, "22P02", "invalid input syntax for type integer");
}

weir_rc weir_value_bool(const weir_value *v, bool *out, weir_error *err)
{
    if (v->form == WEIR_FORM_BOOL || v->form == WEIR_FORM_INT) {
        *out = v->i != 0;
        return WEIR_OK;
    }
    if (v->form == WEIR_FORM_TEXT && v->text.p && v->text.n == 1 &&
        (v->text.p[0] == 't' || v->text.p[0] == 'f')) {
        *out = v->text.p[0] == 't';
        return WEIR_OK;
    }
    return weir_value_fail(err, "22P02", "invalid input syntax for type boolean");
}

weir_rc weir_value_num(const weir_value *v, weir_arena *a, const weir_num **out, weir_error *err)
{
    switch (v->form) {
    case WEIR_FORM_NUM: *out = v->num; return WEIR_OK;
    case WEIR_FORM_INT: return weir_num_of_int(v->i, a, out, err);
    case WEIR_FORM_TEXT:
        return weir_num_parse(v->text.p ? v->text : WEIR_SLICE_LIT(""), a, out, err);
    default: return weir_value_fail(err, "22P02", "invalid input syntax for type numeric");
    }
}

weir_rc weir_value_text(const weir_value *v, weir_type type, weir_arena *a, weir_slice *out,
                        weir_error *err)
{
    char z[24];
    switch (v->form) {
    case WEIR_FORM_TEXT: *out = (weir_slice){v->text.p ? v->text.p : "", v->text.n}; return WEIR_OK;
    case WEIR_FORM_NUM: return weir_num_text(v->num, a, out, err);
    case WEIR_FORM_BOOL: *out = v->i ? WEIR_SLICE_LIT("t") : WEIR_SLICE_LIT("f"); return WEIR_OK;
    case WEIR_FORM_INT: break;
    default: return weir_fail(err, WEIR_E_INPUT, 0, "NULL of type %d has no text", (int)type.ty);
    }
    int n = snprintf(z, sizeof z, "%lld", (long long)v->i);
    *out = weir_arena_dup(a, (weir_slice){z, (size_t)n});
    return out->p ? WEIR_OK : weir_value_full(err);
}

weir_rc weir_value_int_fits(int64_t i, weir_ty ty, weir_error *err)
{
    if (ty == WEIR_TY_INT2 && (i < INT16_MIN || i > INT16_MAX)) {
        return weir_value_fail(err, "22003", "smallint out of range");
    }
    if (ty == WEIR_TY_INT4 && (i < INT32_MIN || i > INT32_MAX)) {
        return weir_value_fail(err, "22003", "integer out of range");
    }
    return WEIR_OK;
}

weir_rc weir_value_comparable(const weir_value *v, weir_type type, weir_arena *a, weir_value *out,
                              weir_error *err)
{
    weir_rc rc = WEIR_OK;
    bool b = false;
    *out = *v;
    if (v->form == WEIR_FORM_TEXT && !v->text.p) {
        out->text.p = "";
    }
    if (v->form == WEIR_FORM_INT && type.ty == WEIR_TY_NUMERIC) { /* an integer cast to numeric */
        out->form = WEIR_FORM_NUM;
        return weir_num_of_int(v->i, a, &out->num, err);
    }
    if (v->form != WEIR_FORM_TEXT) {
        return WEIR_OK;
    }
    switch (type.ty) {
    case WEIR_TY_BOOL:
        out->form = WEIR_FORM_BOOL;
        rc = weir_value_bool(v, &b, err);
        out->i = !rc && b;
        break;
    case WEIR_TY_INT2:
    case WEIR_TY_INT4:
    case WEIR_TY_INT8:
        out->form = WEIR_FORM_INT;
        rc = weir_value_int(v, &out->i, err);
        break;
    case WEIR_TY_NUMERIC:
        out->form = WEIR_FORM_NUM;
        rc = weir_num_parse(out->text, a, &out->num, err);
        break;
    case WEIR_TY_DATE:
    case WEIR_TY_TIME:
    case WEIR_TY_TIMESTAMP:
    case WEIR_TY_TIMESTAMPTZ:
        out->form = WEIR_FORM_INT;
        rc = weir_time_parse(out->text, type.ty, &out->i, NULL, err);
        break;
    case WEIR_TY_BPCHAR: out->text = weir_value_rtrim(out->text); break;
    default: break;
    }
    return rc;
}

/* NaN is the greatest and equal to itself. */
static int cmp_double(double x, double y)
{
    if (isnan(x) || isnan(y)) {
        return (isnan(x) != 0) - (isnan(y) != 0);
    }
    return (x > y) - (x < y);
}

static double to_double(weir_slice s)
{
    char z[64];
    size_t n = s.n < sizeof z - 1 ? s.n : sizeof z - 1;
    memcpy(z, s.p, n);
    z[n] = '\0';
    return strtod(z, NULL);
}

static weir_rc cmp_timetz(weir_slice x, weir_slice y, int *cmp, weir_error *err)
{
    int64_t ux, uy, zx = 0, zy = 0;
    weir_rc rc = weir_time_parse(x, WEIR_TY_TIMETZ, &ux, &zx, err);
    if (!rc) {
        rc = weir_time_parse(y, WEIR_TY_TIMETZ, &uy, &zy, err);
    }
    if (rc) {
        return rc;
    }
    /* The zone decides among equal moments; PostgreSQL counts it westwards. */
    *cmp = ux != uy ? (ux > uy) - (ux < uy) : (zy > zx) - (zy < zx);
    return WEIR_OK;
}

static weir_rc cmp_text(weir_slice x, weir_slice y, weir_type type, int *cmp, weir_error *err)
{
    switch (type.ty) {
    case WEIR_TY_FLOAT4:
    case WEIR_TY_FLOAT8: *cmp = cmp_double(to_double(x), to_double(y)); return WEIR_OK;
    case WEIR_TY_TIMETZ: return cmp_timetz(x, y, cmp, err);
    case WEIR_TY_JSONB:
    case WEIR_TY_ARRAY:
    case WEIR_TY_OTHER:
        /* Equal texts are equal values; different ones may be too (1.0 and 1.00, 1 mon and 30
         * days). */
        *cmp = 0;
        return weir_slice_eq(x, y)
                   ? WEIR_OK
                   : weir_value_fail(err, "0A000", "values of this type cannot be compared here");
    case WEIR_TY_BPCHAR: *cmp = weir_slice_cmp(weir_value_rtrim(x), weir_value_rtrim(y)); break;
    default: *cmp = weir_slice_cmp(x, y); break;
    }
    return WEIR_OK;
}

weir_rc weir_value_cmp_ready(const weir_value *x, const weir_value *y, weir_type type, int *cmp,
                             weir_error *err)
{
    if (x->form == WEIR_FORM_NUM && y->form == WEIR_FORM_NUM) {
        *cmp = weir_num_cmp(x->num, y->num);
        return WEIR_OK;
    }
    if (x->form == WEIR_FORM_TEXT && y->form == WEIR_FORM_TEXT) {
        return cmp_text(x->text, y->text, type, cmp, err);
    }
    if (x->form != y->form || x->form == WEIR_FORM_NULL) {
        return weir_fail(err, WEIR_E_INPUT, 0, "values of different types cannot be compared");
    }
    *cmp = (x->i > y->i) - (x->i < y->i);
    return WEIR_OK;
}

weir_rc weir_value_cmp(const weir_value *x, const weir_value *y, weir_type type, weir_arena *a,
                       int *cmp, weir_error *err)
{
    weir_value rx, ry;
    weir_rc rc = weir_value_comparable(x, type, a, &rx, err);
    if (!rc) {
        rc = weir_value_comparable(y, type, a, &ry, err);
    }
    return rc ? rc : weir_value_cmp_ready(&rx, &ry, type, cmp, err);
}
