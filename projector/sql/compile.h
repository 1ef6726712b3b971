/* compile.h - from a model's source and a catalog to a plan, or to refusals with place, reason and
 * rewrite. */
#ifndef WEIR_PROJECTOR_SQL_COMPILE_H
#define WEIR_PROJECTOR_SQL_COMPILE_H

#include "projector/sql/catalog.h"
#include "projector/sql/model.h"
#include "projector/sql/plan.h"

/* Plan in a. WEIR_E_INPUT with ds->errors > 0 when refused; WEIR_E_CONN… when the catalog could not
 * be read. */
WEIR_MUST_CHECK weir_rc weir_plan_compile(const weir_model_src *src, weir_catalog *cat,
                                          weir_arena *a, weir_plan **out, weir_diags *ds,
                                          weir_error *err);

/* PostgreSQL's own opinion: in a savepoint that is rolled back (or in a transaction of its own when
 * none is open) creates a temporary view of the SELECT, compares names, types, typmods with the
 * plan's outputs, and runs EXPLAIN on oracle_sql. PostgreSQL's refusal becomes a diag at its
 * position. */
WEIR_MUST_CHECK weir_rc weir_plan_crosscheck(weir_pg *pg, const weir_model_src *src,
                                             const weir_plan *plan, weir_diags *ds,
                                             weir_error *err);

/* Readable plan: class (incremental), key, tables with kept columns, indexes, edges with N:1/1:N,
 * blocks. */
void weir_plan_explain(const weir_plan *plan, weir_buf *out);
/* A stable fingerprint of everything that decides documents and state: a changed one means a new
 * build. */
uint64_t weir_plan_fingerprint(const weir_plan *plan);

#endif
