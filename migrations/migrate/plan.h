/* plan.h - a mapping resolved against both databases: what is read, what is written, by which key.
 *
 * Made by mig_check, which reports every problem it finds on the way and writes nothing. A plan is
 * usable when the mapping has no errors. Read-only afterwards; everything lives in the mapping's
 * arena.
 */
#ifndef WEIR_MIGRATE_PLAN_H
#define WEIR_MIGRATE_PLAN_H

#include "migrations/migrate/catalog.h"
#include "migrations/migrate/mapping.h"

typedef struct mig_pcol {
    const char *name;    /* of the target */
    const char *quoted;  /* the same, quoted where needed */
    const char *expr;    /* over the source row, in parentheses */
    const char *type;    /* of the target, with its modifier */
    const char *collate; /* " COLLATE …" of a column the tool makes, or "" */
    const char *canon;   /* the value as the target would print it, over the source row */
    bool plain;          /* a source column and nothing else */
    int source_col;      /* that column; else -1 */
    bool not_null;
} mig_pcol;

typedef struct mig_ptable {
    const mig_table *map;
    mig_rel src, dst;     /* dst.found is false when the tool makes it */
    const char *src_sql;  /* "schema"."name" */
    const char *src_from; /* behind FROM: with its partitions, without the children of inheritance,
                             which are tables of their own */
    const char *dst_sql;
    const char *dst_from; /* the same of the target's */
    const char *label;    /* schema.name of the target, for messages and state */
    const char *where;    /* "TRUE" without a filter */
    int ncols;
    mig_pcol *cols;
    int nkey;
    int key[MIG_KEY_MAX]; /* of cols: the target's key */
    bool range;           /* the target's key is the source's, column by column: chunks by range */
} mig_ptable;

typedef struct mig_plan {
    mig_mapping *m;
    int ntables;
    mig_ptable *tables;
    bool replica_role; /* the target session may run without triggers and foreign keys */
    const char *publication;
} mig_plan;

typedef struct mig_check_opts {
    bool running; /* the migration has begun: its own tables, rows and publication are no problem */
    bool sample;  /* evaluate expressions on rows of the source */
} mig_check_opts;

/* Checks m against both databases; problems are added to m. An error only when a connection is lost
 * in the middle. Writes nothing: connect with default_transaction_read_only=on. */
WEIR_MUST_CHECK weir_rc mig_check(mig_mapping *m, weir_pg *source, weir_pg *target,
                                  const mig_check_opts *opts, mig_plan **out, weir_error *err);

/* Private to check*.c */
typedef struct mig_checker {
    mig_mapping *m;
    mig_plan *plan;
    weir_pg *source, *target;
    weir_arena *a;
    const mig_check_opts *opts;
} mig_checker;
WEIR_MUST_CHECK weir_rc mig_check_servers(mig_checker *c, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_check_expr(mig_checker *c, mig_ptable *t, const mig_text *expr,
                                       const char *what, uint32_t *type, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_check_column(mig_checker *c, mig_ptable *t, mig_column *mc,
                                         mig_pcol *out, weir_error *err);
/* Warns of values without a label when the column is of an enum. */
WEIR_MUST_CHECK weir_rc mig_check_labels(mig_checker *c, const mig_ptable *t, const mig_column *mc,
                                         const mig_pcol *col, const mig_attr *to, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_check_key(mig_checker *c, mig_ptable *t, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_check_extras(mig_checker *c, mig_ptable *t, weir_error *err);
WEIR_MUST_CHECK weir_rc mig_check_sequences(mig_checker *c, weir_error *err);

#endif
