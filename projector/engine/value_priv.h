/* value_priv.h - what the value, expression and aggregate files share. */
#ifndef WEIR_PROJECTOR_ENGINE_VALUE_PRIV_H
#define WEIR_PROJECTOR_ENGINE_VALUE_PRIV_H

#include "projector/engine/numeric.h"
#include "projector/engine/value.h"

enum { WEIR_TEXT_MAX = 256 << 20 }; /* a jsonb can be no larger either */

/* WEIR_E_INPUT with PostgreSQL's SQLSTATE. Messages never quote the data. */
weir_rc weir_value_fail(weir_error *err, const char *sqlstate, const char *fmt, ...)
    WEIR_PRINTF(3, 4);
weir_rc weir_value_full(weir_error *err); /* WEIR_E_LIMIT: the arena's ceiling */

static inline weir_value weir_value_null(void)
{
    return (weir_value){.form = WEIR_FORM_NULL};
}
static inline weir_value weir_value_of_int(int64_t i)
{
    return (weir_value){.form = WEIR_FORM_INT, .i = i};
}
static inline weir_value weir_value_of_bool(bool b)
{
    return (weir_value){.form = WEIR_FORM_BOOL, .i = b};
}
static inline weir_value weir_value_of_text(weir_slice s)
{
    /* Never a NULL pointer: the C library wants one even for no bytes. */
    return (weir_value){.form = WEIR_FORM_TEXT, .text = {s.p ? s.p : "", s.n}};
}
static inline weir_value weir_value_of_num(const weir_num *n)
{
    return (weir_value){.form = WEIR_FORM_NUM, .num = n};
}
static inline bool weir_value_ty_int(weir_ty ty)
{
    return ty == WEIR_TY_INT2 || ty == WEIR_TY_INT4 || ty == WEIR_TY_INT8;
}
static inline bool weir_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
weir_slice
weir_value_strip(weir_slice s); /* without white space at both ends, as the input functions do */
weir_slice weir_value_rtrim(weir_slice s); /* bpchar without its padding */

/* 22003 when i is outside the integer type. */
WEIR_MUST_CHECK weir_rc weir_value_int_fits(int64_t i, weir_ty ty, weir_error *err);
/* The form in which comparing is cheapest (dates become numbers): for comparing only, its text is
 * not the value's. */
WEIR_MUST_CHECK weir_rc weir_value_comparable(const weir_value *v, weir_type type, weir_arena *a,
                                              weir_value *out, weir_error *err);
/* Order of two values made by weir_value_comparable, or of one type's text. */
WEIR_MUST_CHECK weir_rc weir_value_cmp_ready(const weir_value *x, const weir_value *y,
                                             weir_type type, int *cmp, weir_error *err);
/* Text appended to and finished as a slice in the arena; frees b. */
WEIR_MUST_CHECK weir_rc weir_value_take(weir_buf *b, weir_arena *a, weir_slice *out,
                                        weir_error *err);

#endif
