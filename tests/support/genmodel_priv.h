/* genmodel_priv.h - what the parts of the model generator share. */
#ifndef WEIR_TESTS_SUPPORT_GENMODEL_PRIV_H
#define WEIR_TESTS_SUPPORT_GENMODEL_PRIV_H

#include "libweir/base/buf.h"
#include "projector/sql/catalog.h"
#include "projector/sql/types.h"
#include "tests/support/genmodel.h"

enum {
    GM_SCOPE_OCCS = 8,
    GM_TABLES_MAX = 64,
    GM_MODEL_OCCS = 40, /* the compiler takes 64 */
    GM_LABELS_MAX = 32
};

/* Axes of variation and how many values each has. */
enum {
    GM_ROOT,  /* plain, grouped, grouped with HAVING */
    GM_JOIN,  /* none, inner, left, chain, one table twice, RIGHT or USING */
    GM_DEPTH, /* of nested jsonb_agg: 0 … 3 */
    GM_AGG,   /* none, then the aggregates */
    GM_MOD,   /* plain, FILTER, DISTINCT */
    GM_WHERE, /* none, then the predicates */
    GM_ORDER, /* direction × NULLs, with and without a unique last column */
    GM_EXPR,  /* kind of expression */
    GM_KEY,   /* primary key, other unique key, columns in other order */
    GM_LINK,  /* sub-selects over one table, over a join, over a chain */
    GM_AXES
};
enum { GM_VALUES_MAX = 13 };

typedef struct gm_occ {
    const char *alias; /* quoted where needed */
    const weir_cat_table *t;
    bool optional;
} gm_occ;

/* The tables of one SELECT. */
typedef struct gm_scope {
    struct gm_scope *outer;
    int n;
    int visible; /* how many of occ an expression may name; in the outputs of a grouped SELECT only
                    the root */
    gm_occ occ[GM_SCOPE_OCCS];
} gm_scope;

typedef struct gm_label {
    uint32_t oid;
    const char *literal;
} gm_label;

struct gm {
    weir_arena *a;
    uint64_t rng;
    int ntables;
    const weir_cat_table *t[GM_TABLES_MAX];
    int nlabels;
    gm_label labels[GM_LABELS_MAX];
    weir_catalog cat;
    /* the model being made */
    int occs;  /* occurrences so far */
    int names; /* aliases so far */
    int subs;  /* sub-selects it may still open */
    int vec[GM_AXES];
    const gm_scope *watch; /* columns of this scope are counted */
    int hits;
    bool own; /* name columns of the innermost scope only */
    /* pairs covered: [axis][value][axis][value] */
    bool pair[GM_AXES][GM_VALUES_MAX][GM_AXES][GM_VALUES_MAX];
};

typedef struct gm_expr {
    const char *sql;
    weir_type type;
    double bound; /* of numbers: their absolute value is not larger */
} gm_expr;

uint64_t gm_random(gm *g, uint64_t below);
bool gm_chance(gm *g, unsigned percent);
#define GM_PICK(g, pool) pool[gm_random((g), sizeof(pool) / sizeof *(pool))]
const char *gm_alias(gm *g, const char *prefix);
const char *gm_ident(gm *g, weir_slice name);
static inline const char *gm_table(gm *g, const weir_cat_table *t)
{
    return weir_arena_printf(g->a, "%s.%s", gm_ident(g, t->schema), gm_ident(g, t->name));
}

/* --- genmodel_from.c: tables and joins */
bool gm_joinable(weir_type a, weir_type b);
gm_occ *gm_add(gm *g, gm_scope *s, const weir_cat_table *t);
/* JOIN (or LEFT JOIN) of a table by one of its unique keys, written to b; false: nothing fits. */
bool gm_join_one(gm *g, gm_scope *s, weir_buf *b, bool left);
/* A JOIN of rows that point to the newest table: a chain of two to-many tables. */
bool gm_join_many(gm *g, gm_scope *s, weir_buf *b, bool left);
/* "T alias RIGHT JOIN " (or JOIN) to stand before the first table. */
bool gm_join_before(gm *g, gm_scope *s, bool right, weir_buf *before, weir_buf *on);
bool gm_join_using(gm *g, gm_scope *s, weir_buf *b);
/* Adds a table with rows that belong to a row of the outer scope; *cond ties them. unique: at most
 * one. */
bool gm_child(gm *g, gm_scope *s, bool unique, const char **cond);

/* --- genmodel_value.c: expressions of a type */
bool gm_column(gm *g, const gm_scope *s, bool (*fits)(weir_type t, weir_type want), weir_type want,
               gm_expr *out);
bool gm_same_class(weir_type t, weir_type want);
gm_expr gm_value(gm *g, gm_scope *s, weir_type want, int depth);
/* A value of any type that has columns here; only types fits takes. */
gm_expr gm_any(gm *g, gm_scope *s, bool (*fits)(weir_type t, weir_type want), int depth);
gm_expr gm_flavour(gm *g, gm_scope *s, int flavour);
const char *gm_literal(gm *g, weir_type t);
bool gm_comparable(weir_type t, weir_type unused);
bool gm_sortable(weir_type t, weir_type unused);
bool gm_anything(weir_type t, weir_type unused);

/* --- genmodel_bool.c */
const char *gm_bool(gm *g, gm_scope *s, int depth);
/* A predicate of kind 1 … 8 of axis GM_WHERE. */
const char *gm_predicate(gm *g, gm_scope *s, int kind);

/* --- genmodel_sub.c: sub-selects and aggregates */
/* kind: values of axis GM_AGG. Names columns of s only. */
gm_expr gm_aggregate(gm *g, gm_scope *s, int kind, int mod, int depth);
/* An expression over aggregates. */
gm_expr gm_over(gm *g, gm_scope *s, gm_expr e);
/* (SELECT aggregate FROM children …) */
bool gm_sub_aggregate(gm *g, gm_scope *s, int kind, int mod, gm_expr *out);
bool gm_sub_nested(gm *g, gm_scope *s, int depth, gm_expr *out);
bool gm_sub_one(gm *g, gm_scope *s, gm_expr *out);
/* The same of that type. */
bool gm_sub_value(gm *g, gm_scope *s, weir_type want, gm_expr *out);
const char *gm_sub_exists(gm *g, gm_scope *s); /* NULL: nothing fits */
/* jsonb_build_object(…), jsonb_build_array(…) or a bare value; depth: nested arrays inside. */
gm_expr gm_element(gm *g, gm_scope *s, int depth);

#endif
