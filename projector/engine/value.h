/* value.h - one SQL value while a document is made: NULL, or a text with the form in which it was
 * last computed.
 *
 * The static type is the expression's. A column's value starts as text exactly as PostgreSQL sent
 * it and is turned into an integer or a number only when arithmetic or comparison asks.
 */
#ifndef WEIR_PROJECTOR_ENGINE_VALUE_H
#define WEIR_PROJECTOR_ENGINE_VALUE_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "projector/sql/plan.h"

typedef struct weir_num weir_num; /* numeric: GMP integer and scale, NaN, infinities; memory from
                                     the arena (numeric.h) */

typedef enum weir_form {
    WEIR_FORM_NULL,
    WEIR_FORM_TEXT,
    WEIR_FORM_INT,
    WEIR_FORM_BOOL,
    WEIR_FORM_NUM
} weir_form;

typedef struct weir_value {
    weir_form form;
    weir_slice text;     /* TEXT: output-function text; bool is "t"/"f" in this form */
    int64_t i;           /* INT; BOOL: 0 or 1 */
    const weir_num *num; /* NUM */
} weir_value;

/* Converters between forms. WEIR_E_INPUT: the text is no value of that type (a broken stream or
 * catalog). */
WEIR_MUST_CHECK weir_rc weir_value_int(const weir_value *v, int64_t *out, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_value_bool(const weir_value *v, bool *out, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_value_num(const weir_value *v, weir_arena *a, const weir_num **out,
                                       weir_error *err);
/* The value's output-function text (bool "t"/"f"), borrowed or in a. WEIR_E_LIMIT when the arena is
 * full. */
WEIR_MUST_CHECK weir_rc weir_value_text(const weir_value *v, weir_type type, weir_arena *a,
                                        weir_slice *out, weir_error *err);

/* Total order of PostgreSQL for the type (text by bytes); NULLs are the caller's business. *cmp <
 * 0, 0, > 0. */
WEIR_MUST_CHECK weir_rc weir_value_cmp(const weir_value *x, const weir_value *y, weir_type type,
                                       weir_arena *a, int *cmp, weir_error *err);
/* Appends what to_jsonb(value) prints, byte for byte; NULL gives null. */
WEIR_MUST_CHECK weir_rc weir_value_jsonb(const weir_value *v, weir_type type, weir_arena *a,
                                         weir_buf *out, weir_error *err);
/* x::to, as PostgreSQL 15 does it (assignment of typmods included). Run-time errors: WEIR_E_INPUT
 * with sqlstate (22003, 22P02…). */
WEIR_MUST_CHECK weir_rc weir_value_cast(const weir_value *x, weir_type from, weir_type to,
                                        weir_arena *a, weir_value *out, weir_error *err);

#endif
