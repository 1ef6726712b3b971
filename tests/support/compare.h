/* compare.h - the oracle: every document in Redis against the SELECT in PostgreSQL, byte for byte,
 * both ways. */
#ifndef WEIR_TESTS_SUPPORT_COMPARE_H
#define WEIR_TESTS_SUPPORT_COMPARE_H

#include "libweir/base/map.h"
#include "projector/sql/plan.h"
#include "tests/support/app.h"

/* Compiles the deployed models and compares all of them while nobody writes. Returns the number of
 * differences (printed up to a few), -1 when it could not compare. *documents is increased by what
 * was compared. */
int orc_compare(orc_app *app, uint64_t *documents, bool quiet);
/* The documents of a plan by PostgreSQL: key text -> weir_slice* in a. false: the SELECT fails,
 * said so. */
bool orc_documents(weir_pg *pg, const weir_plan *plan, weir_arena *a, weir_map *out);
/* Redis's documents of a plan against these (emptied), and nothing else. */
int orc_compare_docs(orc_app *app, const weir_plan *plan, weir_map *docs, uint64_t *documents);
/* One model whose plan the caller has. */
int orc_compare_plan(orc_app *app, const weir_plan *plan, uint64_t *documents, bool quiet);

#endif
