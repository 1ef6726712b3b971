/* genmodel.h - random read models inside the accepted grammar, over whatever tables a database has.
 */
#ifndef WEIR_TESTS_SUPPORT_GENMODEL_H
#define WEIR_TESTS_SUPPORT_GENMODEL_H

#include "libweir/base/arena.h"
#include "libweir/io/pg.h"

typedef struct gm gm;

/* Reads the user tables of the database. Everything lives in a. */
WEIR_MUST_CHECK weir_rc gm_new(gm **out, weir_pg *pg, uint64_t seed, weir_arena *a,
                               weir_error *err);
/* The text of one model's file. Its axes (kind of root, joins, depth, aggregate, order, …) are
 * chosen so that pairs of their values that no model had yet come first. */
const char *gm_next(gm *g, const char *name);
/* Pairs of axis values that the models so far had, of those there are. */
void gm_coverage(const gm *g, int *covered, int *all);

#endif
