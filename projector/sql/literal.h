/* literal.h - a quoted constant as PostgreSQL would print the value it stands for. */
#ifndef WEIR_PROJECTOR_SQL_LITERAL_H
#define WEIR_PROJECTOR_SQL_LITERAL_H

#include "projector/sql/mem.h"
#include "projector/sql/plan.h"

/* PostgreSQL's output text of 'in'::to. false: *why says what is wrong or which spelling is
 * understood. */
WEIR_MUST_CHECK bool weir_literal(weir_slice in, weir_type to, weir_mem *m, weir_slice *out,
                                  const char **why);
/* A jsonb constant, as jsonb prints it: keys by length then bytes, last duplicate wins, numbers in
 * full. */
WEIR_MUST_CHECK bool weir_literal_jsonb(weir_slice in, weir_mem *m, weir_slice *out,
                                        const char **why);
/* numeric_in without modifier: leading zeros gone, exponent expanded, scale kept. */
WEIR_MUST_CHECK bool weir_literal_numeric(weir_slice in, weir_mem *m, weir_slice *out,
                                          const char **why);

#endif
