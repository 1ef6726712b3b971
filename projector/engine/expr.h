/* expr.h - evaluates a plan's expressions and aggregates over bound rows. Pure: no state, no clock,
 * no I/O.
 *
 * Run-time errors are PostgreSQL's: WEIR_E_INPUT with its SQLSTATE (22003 overflow, 22012 division
 * by zero, …): the document is parked with that reason. WEIR_E_LIMIT: the arena's ceiling.
 */
#ifndef WEIR_PROJECTOR_ENGINE_EXPR_H
#define WEIR_PROJECTOR_ENGINE_EXPR_H

#include "libweir/codec/tuple.h"
#include "projector/engine/value.h"

typedef struct weir_eval weir_eval;
struct weir_eval {
    weir_arena *a;           /* lives for one document */
    const weir_tuple **rows; /* by occurrence number: values in the order of the plan table's cols;
                                NULL pointer: null-extended */
    const weir_value *aggs;  /* results of the block being finished, for WEIR_OP_AGG */
    /* Evaluates WEIR_OP_SCALAR and WEIR_OP_EXISTS (the render's business: it knows the state). */
    weir_rc (*sub)(weir_eval *ev, const weir_expr *e, weir_value *out, weir_error *err);
    void *env;
};

WEIR_MUST_CHECK weir_rc weir_expr_eval(weir_eval *ev, const weir_expr *e, weir_value *out,
                                       weir_error *err);
/* For WHERE, ON, HAVING and FILTER: NULL counts as false; e NULL is true. */
WEIR_MUST_CHECK weir_rc weir_expr_true(weir_eval *ev, const weir_expr *e, bool *out,
                                       weir_error *err);

/* Appends to_jsonb(e): nested builders write straight into out, with no copy in between. */
WEIR_MUST_CHECK weir_rc weir_expr_jsonb(weir_eval *ev, const weir_expr *e, weir_buf *out,
                                        weir_error *err);

/* An aggregate being built: one per weir_agg and group, in ev->a. */
typedef struct weir_acc weir_acc;
weir_acc *weir_acc_new(const weir_agg *agg, weir_arena *a); /* NULL: arena full */
/* Adds the tuple bound in ev (evaluates filter, argument, sort keys). Values that must outlive the
 * binding are copied to ev->a. */
WEIR_MUST_CHECK weir_rc weir_acc_step(weir_acc *acc, weir_eval *ev, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_acc_finish(weir_acc *acc, weir_eval *ev, weir_value *out,
                                        weir_error *err);

#endif
