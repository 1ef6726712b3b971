/* gen.h - random transactions for any schema: reads the tables from the catalog, keeps every domain
 * small so that keys meet. */
#ifndef WEIR_TESTS_SUPPORT_GEN_H
#define WEIR_TESTS_SUPPORT_GEN_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "libweir/io/pg.h"

typedef struct orc_gen orc_gen;

typedef struct orc_tx {
    int n;
    const char *stmt[64]; /* without semicolon */
    bool guard;           /* each statement in a savepoint: a failing one undoes only itself */
    bool rollback;        /* ends with ROLLBACK */
} orc_tx;

/* Learns the user tables of the database. Memory lives in a. */
WEIR_MUST_CHECK weir_rc orc_gen_new(orc_gen **out, weir_pg *pg, uint64_t seed, weir_arena *a,
                                    weir_error *err);
/* The next transaction; its texts live in a until the caller resets it. */
void orc_gen_next(orc_gen *g, weir_arena *a, orc_tx *tx);
/* A statement that inserts one random row, or NULL when there is no such table number. */
const char *orc_gen_fill(orc_gen *g, weir_arena *a, int table);
int orc_gen_tables(const orc_gen *g);
uint64_t orc_gen_random(orc_gen *g, uint64_t below);

#endif
