/* modelset.h - the random models of one database: made, compiled, asked of PostgreSQL, counted. */
#ifndef WEIR_TESTS_SUPPORT_MODELSET_H
#define WEIR_TESTS_SUPPORT_MODELSET_H

#include "projector/sql/catalog.h"
#include "projector/sql/plan.h"
#include "tests/support/gen.h"

enum { MS_MODELS_MAX = 400, MS_REASONS_MAX = 40 };

typedef struct ms_model {
    const char *name, *file;
    weir_plan *plan;
    uint64_t documents; /* compared */
} ms_model;

typedef struct modelset {
    weir_arena *a; /* the caller's; holds texts and plans */
    weir_pg *pg;
    const char *label;
    weir_catalog cat;
    int n;
    ms_model m[MS_MODELS_MAX];
    int refused, broken; /* not accepted; of them by mistake */
    int empty;           /* never had a document */
    uint64_t documents;
    int nreasons;
    struct ms_reason {
        const char *text;
        int n;
    } reasons[MS_REASONS_MAX];
} modelset;

int64_t ms_env_int(const char *name, int64_t otherwise);
/* The value of that variable, or the clock's. */
uint64_t ms_seed(const char *name);

void ms_init(modelset *s, const char *label, weir_pg *pg, weir_arena *a);
/* New models in place of the old ones; those that the compiler or PostgreSQL refuse are counted,
 * and printed unless docs/read-models.md lists the refusal. false: there are none. */
bool ms_make(modelset *s, uint64_t seed, int count);
/* Adds up what m[].documents say; before the next make, and before the report. */
void ms_count(modelset *s);
void ms_report(const modelset *s);

/* Runs a transaction, savepoints and all; what it says is appended to history. */
typedef struct ms_work {
    uint64_t tx, statements, failed;
    weir_buf history;
} ms_work;
void ms_sql(modelset *s, ms_work *w, const char *stmt, bool *ok);
void ms_execute(modelset *s, ms_work *w, const orc_tx *tx);
/* Inserts rows random rows into each table. */
void ms_fill(modelset *s, ms_work *w, orc_gen *g, int rows);
/* The history and the model's SELECT, as <kind>-<label>-<seed>.sql in the working directory. */
void ms_save(const modelset *s, const ms_work *w, const char *kind, uint64_t seed,
             const ms_model *m);

#endif
