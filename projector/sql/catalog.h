/* catalog.h - what the compiler must know of the database: tables, columns, unique indexes,
 * identity. Data only, so that tests build one by hand; catalog_pg.c fills it from PostgreSQL. */
#ifndef WEIR_PROJECTOR_SQL_CATALOG_H
#define WEIR_PROJECTOR_SQL_CATALOG_H

#include "libweir/base/arena.h"
#include "libweir/io/pg.h"
#include "projector/sql/plan.h"

typedef struct weir_cat_col {
    weir_slice name;
    weir_type type;
    weir_slice type_name; /* as format_type prints it, for messages */
    bool not_null;
    bool generated;        /* stored generated: absent from the stream */
    bool nondeterministic; /* its collation */
    bool unpublished;      /* left out by the publication's column list */
    uint32_t domain;       /* its domain, which type is reduced from; 0: none */
} weir_cat_col;

typedef struct weir_cat_index {
    weir_slice name;
    bool primary;
    bool usable;     /* unique, not partial, no expressions, immediate or deferrable alike */
    bool deferrable; /* two rows may share a key until COMMIT: no identity for rows in the stream */
    int ncols;
    int *cols;
} weir_cat_index;

typedef struct weir_cat_table {
    weir_slice schema, name;
    uint32_t oid;
    char relkind;       /* r, p, v, m, f */
    char identity;      /* d, n, f, i */
    int identity_index; /* into indexes: what the stream uses as key: RI index or PK; -1 none */
    bool published;     /* with all its rows and every kind of change */
    bool partly;        /* in the publication all the same: it sends some of them */
    bool has_children;  /* by inheritance: a SELECT reads their rows, the stream sends them as other
                           tables' */
    int ncols;
    weir_cat_col *cols;
    int nindexes;
    weir_cat_index *indexes; /* unique ones only */
} weir_cat_table;

typedef struct weir_catalog {
    bool default_c_order; /* the database's default collation orders by bytes */
    int ntables;
    weir_cat_table **tables;
    /* Resolves a name as the session's search_path does; schema {NULL,0} when unqualified. NULL: no
     * such table. */
    const weir_cat_table *(*find)(struct weir_catalog *c, weir_slice schema, weir_slice name,
                                  weir_error *err);
    void *env;
    weir_arena *a;
} weir_catalog;

/* A catalog that reads tables from pg as they are asked for and remembers them. pg and a must
 * outlive it. publication (may be NULL) decides `published`. */
void weir_catalog_pg_init(weir_catalog *c, weir_pg *pg, const char *publication, weir_arena *a);

#endif
