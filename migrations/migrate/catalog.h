/* catalog.h - what a database says about one table: kind, key, columns. */
#ifndef WEIR_MIGRATE_CATALOG_H
#define WEIR_MIGRATE_CATALOG_H

#include "libweir/io/pg.h"

typedef struct mig_attr {
    const char *name, *type; /* type as format_type writes it, with its modifier */
    uint32_t type_oid;       /* of the base type for a domain */
    int32_t typmod;
    const char *base; /* the base type's name, without modifier */
    bool not_null, has_default, generated, identity;
    bool builtin;          /* the type exists in every PostgreSQL */
    const char *collation; /* quoted, when it is not the type's own; else "" */
    const char *declared;  /* the type without modifier; a domain's own name */
    bool in_key;
} mig_attr;

typedef struct mig_rel {
    bool found;
    uint32_t oid;
    const char *schema, *name;
    const char *quoted; /* "schema"."name" where quotes are needed */
    char kind, identity, persistence;
    bool can_select, can_write, owned, row_security, has_triggers, empty, partition;
    const char *odd_partition; /* of a partitioned table: one that cannot be followed; else "" */
    int64_t rows;              /* estimate */
    int n;
    mig_attr *cols;
    int nkey;
    int key[32]; /* columns of the row's key, in its order; 0: none */
    const char *why_no_key;
} mig_rel;

/* Finds a table by schema (NULL: the search path) and name. out->found tells whether there is one.
 * source: the key is the one change events carry (replica identity); else the primary key. */
WEIR_MUST_CHECK weir_rc mig_rel_read(weir_pg *pg, weir_arena *a, const char *schema,
                                     const char *name, bool source, mig_rel *out, weir_error *err);
/* The existing table or column whose name is nearest, for "did you mean"; NULL: none. */
const char *mig_rel_near(weir_pg *pg, weir_arena *a, const char *schema, const char *name);
const char *mig_attr_near(const mig_rel *r, const char *name);
int mig_attr_find(const mig_rel *r, const char *name); /* -1: none */

const char *mig_ident(weir_arena *a, const char *name);
const char *mig_qualified(weir_arena *a, const char *schema, const char *name);
/* First column of the first row, in a; "" for NULL or no row. */
WEIR_MUST_CHECK weir_rc mig_value(weir_pg *pg, weir_arena *a, const char *sql, const char *param,
                                  const char **out, weir_error *err);

#endif
