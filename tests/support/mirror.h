/* mirror.h - the projector's engine alone, in this process: it is told what changed in the tables
 * since last time, renders what its walk finds, and its documents are compared with PostgreSQL's.
 */
#ifndef WEIR_TESTS_SUPPORT_MIRROR_H
#define WEIR_TESTS_SUPPORT_MIRROR_H

#include "projector/sql/catalog.h"
#include "projector/sql/plan.h"
#include "tests/support/gen.h"

typedef struct mirror mirror;

/* A fresh state in a folder of its own. Aborts on errors of its own surroundings, as all of these
 * do. */
mirror *mirror_new(weir_pg *pg, uint64_t seed);
void mirror_free(mirror *m);
/* From here on the documents of that plan are kept. Every model must be added before mirror_step.
 * The plan must outlive the mirror. */
void mirror_add(mirror *m, const weir_plan *plan);
/* Reads every table the models use, feeds the differences, walks, renders. */
void mirror_step(mirror *m);
/* The number of documents of model number i that differ from PostgreSQL's, the first ones printed;
 * -1: the SELECT fails. A parked document counts as a difference. */
int mirror_compare(mirror *m, int i, uint64_t *documents);

#endif
