/* analyze.h - the compiler's working state: what the passes from tree to plan share.
 *
 *   compile.c   parses, analyses block 0, numbers tables and columns, hands out the plan
 *   block.c     one SELECT: refusals of clauses, then from.c, scope.c, expr*.c, agg.c; root.c for
 * what only block 0 has bind.c      binding order, access paths, walk edges (edge.c) order.c makes
 * the order of jsonb_agg and string_agg total While the passes run, a column's number is its number
 * in the catalog's table; compile.c renumbers at the end.
 */
#ifndef WEIR_PROJECTOR_SQL_ANALYZE_H
#define WEIR_PROJECTOR_SQL_ANALYZE_H

#include "projector/sql/ast.h"
#include "projector/sql/catalog.h"
#include "projector/sql/plan.h"
#include "projector/sql/scan.h"
#include "projector/sql/types.h"

enum {
    WEIR_AN_OCCS_MAX = 64, /* sets of occurrences are bit masks */
    WEIR_AN_BLOCKS_MAX = 128,
    WEIR_AN_EXPR_SIZE_MAX =
        50000, /* nodes of one expression; BETWEEN and CASE share their operands */
};

/* How sure a text's collation is; the stronger one decides, as in PostgreSQL. */
typedef enum weir_coll { WEIR_COLL_NONE, WEIR_COLL_IMPLICIT, WEIR_COLL_EXPLICIT } weir_coll;

/* Every expression of the analysis is one of these; plan.h's part comes first. */
typedef struct weir_x {
    weir_expr e;
    weir_coll coll;
    bool nondeterministic;
    int size;
    uint32_t domain; /* PostgreSQL still has it as that domain: its modifier is not the type's */
} weir_x;

typedef struct weir_an_table {
    const weir_cat_table *cat;
    int key_index; /* into cat->indexes */
    bool *need;    /* by catalog column */
    int *renumber;
} weir_an_table;

typedef struct weir_an_block weir_an_block;

/* own column = column of another occurrence */
typedef struct weir_an_eq {
    int my_col;
    int occ, col;
    weir_expr *expr;
} weir_an_eq;

typedef struct weir_an_occ {
    weir_occ o;
    int index; /* in the plan */
    weir_an_table *table;
    int table_index;
    weir_an_block *block;
    int location;
    weir_ptrs on; /* LEFT: conjuncts of its ON */
    int neqs;     /* every equality with what was bound before it */
    weir_an_eq *eqs;
    uint64_t eq_occs; /* their other sides */
    bool fixed;       /* one row per root row (block 0) */
    int many;         /* the to-many occurrence it hangs from, or -1 */
} weir_an_occ;

typedef enum weir_an_clause {
    WEIR_AN_ON,
    WEIR_AN_WHERE,
    WEIR_AN_OUTPUT,
    WEIR_AN_GROUP,
    WEIR_AN_HAVING
} weir_an_clause;
typedef enum weir_an_kind { WEIR_AN_ROOT, WEIR_AN_SCALAR, WEIR_AN_EXISTS } weir_an_kind;

/* A column merged by USING: unqualified it means the left one. */
typedef struct weir_an_merged {
    weir_slice name;
    int left_occ, left_col, right_occ, right_col;
} weir_an_merged;

/* A column used outside aggregates where groups are formed. */
typedef struct weir_an_bare {
    int occ, col, location;
} weir_an_bare;

typedef struct weir_an_agg {
    weir_agg agg;
    int location; /* of the function's name */
    bool has_order;
} weir_an_agg;

struct weir_an_block {
    int index;
    weir_an_kind kind;
    weir_an_block *parent;
    int location;
    weir_an_clause clause;
    bool in_agg;
    int agg_own, agg_outer; /* columns seen inside the aggregate being read */
    bool grouped;
    weir_ptrs occs;   /* weir_an_occ, as written */
    weir_ptrs bound;  /* weir_an_occ, in binding order */
    int lo, hi;       /* the occurrences an ON may see */
    weir_ptrs merged; /* weir_an_merged */
    weir_ptrs where;  /* conjuncts, weir_expr */
    weir_ptrs aggs;   /* weir_an_agg */
    weir_ptrs bare;   /* weir_an_bare */
    weir_expr *having;
    weir_expr *value;
};

typedef struct weir_an_insert {
    int at; /* offset in the SELECT */
    const char *text;
} weir_an_insert;

typedef struct weir_an {
    weir_mem m;
    weir_catalog *cat;
    const weir_model_src *src;
    weir_diags *ds;
    weir_error *err;
    bool too_large;    /* an expression is beyond WEIR_AN_EXPR_SIZE_MAX */
    weir_rc fatal;     /* the catalog could not be read */
    weir_toks toks;    /* of the SELECT */
    weir_ptrs tables;  /* weir_an_table */
    weir_ptrs occs;    /* weir_an_occ, by plan index */
    weir_ptrs blocks;  /* weir_an_block */
    weir_ptrs cols;    /* every COL expression */
    weir_ptrs indexes; /* weir_plan_index, catalog columns */
    weir_ptrs inserts; /* weir_an_insert */
    weir_ptrs outputs; /* weir_output */
    int root;          /* occurrence, -1 until known */
    int nkey;
    int *key_cols;
    const weir_slice *key_names;
    int key_index;
} weir_an;

/* A refusal at offset location of the SELECT. Returns false. */
bool weir_an_refuse(weir_an *an, int location, const char *hint, const char *fmt, ...)
    WEIR_PRINTF(4, 5);
static inline weir_x *weir_x_of(weir_expr *e)
{
    return (weir_x *)e;
}
static inline weir_an_occ *weir_an_occ_at(const weir_an *an, int i)
{
    return an->occs.p[i];
}
static inline const weir_cat_col *weir_an_col(const weir_an_occ *o, int col)
{
    return &o->table->cat->cols[col];
}

/* --- scope.c: names
 * ---------------------------------------------------------------------------------------------- */
weir_expr *weir_an_column(weir_an *an, weir_an_block *b, const weir_ast *x);
/* A reference to a column that is known already; registered for renumbering. NULL: the column
 * cannot be used, said so. */
weir_expr *weir_an_column_ref(weir_an *an, weir_an_block *b, int occ, int col, int location);
/* --- from.c
 * ------------------------------------------------------------------------------------------------------
 */
bool weir_an_from(weir_an *an, weir_an_block *b, const weir_ast_select *s);
weir_an_table *weir_an_table_use(weir_an *an, const weir_cat_table *t, int location, int *index);
/* --- expr.c, expr_op.c, expr_func.c: NULL is a refusal that was said
 * ----------------------------------------------- */
weir_expr *weir_an_expr(weir_an *an, weir_an_block *b, const weir_ast *x);
weir_expr *weir_an_bool(weir_an *an, weir_an_block *b, const weir_ast *x, const char *what);
weir_expr *weir_an_mk(weir_an *an, weir_op op, weir_type type, int location, weir_expr **args,
                      int nargs);
weir_expr *weir_an_mk2(weir_an *an, weir_op op, weir_type type, int location, weir_expr *l,
                       weir_expr *r);
weir_expr *weir_an_const(weir_an *an, weir_type type, weir_slice text, int location);
weir_expr *weir_an_operator(weir_an *an, weir_an_block *b, const weir_ast *x);
weir_expr *weir_an_compare(weir_an *an, weir_op op, weir_expr *l, weir_expr *r, int location);
/* The values can be compared for order as PostgreSQL does it. */
bool weir_an_orderable(weir_an *an, weir_expr *e, int location, const char *what);
bool weir_an_equatable(weir_an *an, weir_expr *e, int location, const char *what);
weir_expr *weir_an_func(weir_an *an, weir_an_block *b, const weir_ast *x);
weir_expr *weir_an_aggregate(weir_an *an, weir_an_block *b, const weir_ast *x, weir_agg_kind kind);
bool weir_an_agg_kind(weir_slice name, bool star, weir_agg_kind *out);
weir_expr *weir_an_subselect(weir_an *an, weir_an_block *b, const weir_ast *x);
/* Splits at AND. */
void weir_an_conjuncts(weir_an *an, weir_expr *e, weir_ptrs *out);
weir_expr *weir_an_conjunction(weir_an *an, const weir_ptrs *conjuncts);
/* --- coerce.c
 * ----------------------------------------------------------------------------------------------------
 */
weir_expr *weir_an_coerce(weir_an *an, weir_expr *e, weir_type to, const char *what);
bool weir_an_common(weir_an *an, weir_expr **v, int n, int location, const char *what,
                    weir_type *out);
bool weir_an_coerce_all(weir_an *an, weir_expr **v, int n, int location, const char *what,
                        weir_type *out);
weir_expr *weir_an_cast(weir_an *an, weir_expr *e, const weir_ast_type *to, int location);
weir_expr *weir_an_to_text(weir_an *an, weir_expr *e, int location);
/* An untyped constant becomes text, as an output or argument of "any" does. */
weir_expr *weir_an_settle(weir_an *an, weir_expr *e);
/* --- block.c, root.c
 * ------------------------------------------------------------------------------------------------
 */
weir_an_block *weir_an_block_new(weir_an *an, weir_an_block *parent, weir_an_kind kind,
                                 int location);
bool weir_an_block_sub(weir_an *an, weir_an_block *b, const weir_ast_select *s);
bool weir_an_block_root(weir_an *an, weir_an_block *b, const weir_ast_select *s);
bool weir_an_clauses(weir_an *an, const weir_an_block *b, const weir_ast_select *s);
bool weir_an_where(weir_an *an, weir_an_block *b, const weir_ast_select *s);
/* Finds the root by @key, or by the first table's primary key. */
bool weir_an_root(weir_an *an, weir_an_block *b);
bool weir_an_group(weir_an *an, weir_an_block *b, const weir_ast_select *s);
bool weir_an_bare_ok(weir_an *an, weir_an_block *b);
/* --- bind.c, edge.c
 * --------------------------------------------------------------------------------------------------
 */
bool weir_an_bind(weir_an *an, weir_an_block *b);
bool weir_an_shape(weir_an *an, weir_an_block *b);
void weir_an_edge(weir_an *an, weir_an_occ *o);
int weir_an_index(weir_an *an, int table, const int *cols, int ncols);
/* The columns (a list without duplicates) hold every column of a usable unique index. */
bool weir_an_covers_unique(const weir_cat_table *t, const int *cols, int ncols);
/* --- order.c
 * ---------------------------------------------------------------------------------------------------------
 */
void weir_an_order(weir_an *an, weir_an_block *b);
weir_slice weir_an_oracle_sql(weir_an *an);

#endif
