/* plan.h - a compiled read model: what the SQL side hands to the engine. Data only, immutable, in
 * one arena.
 *
 * A plan is a tree of query blocks (the SELECT itself is block 0, every sub-select one more). Each
 * block binds table occurrences in order, each found from earlier ones by an equality (nested loops
 * over row keys and join indexes), then filters, then yields values or aggregates. For the walk
 * every occurrence but the root has one edge `up` towards the root:
 *
 *      orders o (root) <-- up -- customers c      c.id = o.customer_id : index on
 * orders(customer_id)
 *                      <-- up -- order_lines l    l.order_id = o.id    : row key of orders
 *                                     ^-- up -- products p             : index on
 * order_lines(product_id)
 *
 * From any image of a changed row, following the edges through the state reaches every root row
 * whose document it can touch (notes: dirty keys by both images through the post-state). Filters
 * never narrow the walk.
 */
#ifndef WEIR_PROJECTOR_SQL_PLAN_H
#define WEIR_PROJECTOR_SQL_PLAN_H

#include "libweir/base/slice.h"

typedef enum weir_ty {
    WEIR_TY_UNKNOWN, /* an untyped NULL that nothing has given a type */
    WEIR_TY_BOOL,
    WEIR_TY_INT2,
    WEIR_TY_INT4,
    WEIR_TY_INT8,
    WEIR_TY_NUMERIC,
    WEIR_TY_FLOAT4, /* pass-through, casts to numeric and text; no arithmetic */
    WEIR_TY_FLOAT8,
    WEIR_TY_TEXT, /* text, varchar; not name: text that meets it is cut to 63 bytes */
    WEIR_TY_BPCHAR,
    WEIR_TY_DATE,
    WEIR_TY_TIME,
    WEIR_TY_TIMETZ,
    WEIR_TY_TIMESTAMP,
    WEIR_TY_TIMESTAMPTZ,
    WEIR_TY_UUID,
    WEIR_TY_JSONB,
    WEIR_TY_BYTEA,
    WEIR_TY_ENUM,
    WEIR_TY_ARRAY, /* one-dimensional of elem, pass-through to a JSON array */
    WEIR_TY_OTHER, /* pass-through: a JSON string of its text */
} weir_ty;

typedef struct weir_type {
    weir_ty ty;
    weir_ty elem;   /* ARRAY */
    uint32_t oid;   /* as PostgreSQL resolves it, domains reduced to their base */
    int32_t typmod; /* -1: none. numeric: ((p << 16) | s) + 4; char/varchar(n): n + 4 */
    bool c_order;   /* text: comparison by bytes is PostgreSQL's own order (collation C, POSIX,
                       ucs_basic) */
} weir_type;

typedef enum weir_op {
    WEIR_OP_CONST,  /* text, or NULL */
    WEIR_OP_COL,    /* occ, col */
    WEIR_OP_AGG,    /* agg: result of block.aggs[agg] of the block this expression belongs to */
    WEIR_OP_SCALAR, /* block: the value of a scalar sub-select, NULL when it has no row */
    WEIR_OP_EXISTS, /* block */
    WEIR_OP_AND,    /* n arguments, three-valued */
    WEIR_OP_OR,
    WEIR_OP_NOT,
    WEIR_OP_IS_NULL,
    WEIR_OP_IS_NOT_NULL,
    WEIR_OP_IS_TRUE,
    WEIR_OP_IS_NOT_TRUE,
    WEIR_OP_IS_FALSE,
    WEIR_OP_IS_NOT_FALSE,
    WEIR_OP_EQ, /* both sides comparable: equal weir_ty, or both integers; numeric with integer
                   comes with a cast */
    WEIR_OP_NE,
    WEIR_OP_LT,
    WEIR_OP_LE,
    WEIR_OP_GT,
    WEIR_OP_GE,
    WEIR_OP_IS_DISTINCT,
    WEIR_OP_IS_NOT_DISTINCT,
    WEIR_OP_IN,  /* args[0] in args[1…], three-valued */
    WEIR_OP_ADD, /* the expression's own type says which arithmetic: INT2/4/8 with overflow error,
                    NUMERIC */
    WEIR_OP_SUB,
    WEIR_OP_MUL,
    WEIR_OP_DIV,
    WEIR_OP_MOD,
    WEIR_OP_NEG,
    WEIR_OP_CONCAT, /* text || text; NULL if either is */
    WEIR_OP_CASE,   /* when, then, when, then, …, else */
    WEIR_OP_COALESCE,
    WEIR_OP_NULLIF,
    WEIR_OP_GREATEST, /* NULLs ignored */
    WEIR_OP_LEAST,
    WEIR_OP_CAST,         /* args[0] to type */
    WEIR_OP_JSONB_OBJECT, /* keys[i] : args[i], already in jsonb's key order (length, then bytes),
                             duplicates removed */
    WEIR_OP_JSONB_ARRAY,  /* jsonb_build_array */
    WEIR_OP_TO_JSONB,
} weir_op;

typedef struct weir_expr {
    weir_op op;
    weir_type type;
    int location; /* byte offset in the SELECT, -1 unknown */
    int occ, col; /* COL: occurrence and index into its table's cols */
    int agg;
    int block;
    bool null;       /* CONST: NULL */
    weir_slice text; /* CONST: PostgreSQL's output text of the value in `type` */
    int nargs;
    struct weir_expr **args;
    weir_slice *keys; /* JSONB_OBJECT */
} weir_expr;

typedef enum weir_agg_kind {
    WEIR_AGG_COUNT_STAR,
    WEIR_AGG_COUNT,
    WEIR_AGG_SUM, /* of INT2/INT4 -> INT8, INT8 -> NUMERIC, NUMERIC -> NUMERIC */
    WEIR_AGG_AVG, /* integers and NUMERIC -> NUMERIC */
    WEIR_AGG_MIN,
    WEIR_AGG_MAX,
    WEIR_AGG_BOOL_AND,
    WEIR_AGG_BOOL_OR,
    WEIR_AGG_JSONB,  /* jsonb_agg */
    WEIR_AGG_STRING, /* string_agg(arg, delimiter constant in `delim`) */
} weir_agg_kind;

typedef struct weir_sort {
    weir_expr *expr;
    bool desc;
    bool nulls_first; /* resolved: PostgreSQL's default is first for desc, last for asc */
} weir_sort;

typedef struct weir_agg {
    weir_agg_kind kind;
    weir_type type;
    bool distinct;     /* count(DISTINCT x) and the like */
    weir_expr *arg;    /* NULL for COUNT_STAR */
    weir_expr *filter; /* or NULL */
    weir_slice delim;
    int nsort;
    weir_sort *sort; /* total: ends with row-key columns where the SQL's own order could tie (a
                        warning said so) */
} weir_agg;

typedef struct weir_plan_col {
    weir_slice name;
    weir_type type;
    bool not_null;
} weir_plan_col;

typedef struct weir_plan_table {
    weir_slice schema, name;
    uint32_t oid;
    int ncols;
    weir_plan_col *cols; /* only what this model needs, row-key columns included, in table order */
    int nkey;
    int *key; /* indexes into cols: the row's identity in the state, in key order: the replica
                 identity index, else the PK */
} weir_plan_table;

/* A join index the state must keep: rows of a table by some of its columns (rows with a NULL among
 * them are not in it). */
typedef struct weir_plan_index {
    int table;
    int ncols;
    int *cols; /* into tables[table].cols */
} weir_plan_index;

typedef enum weir_join { WEIR_JOIN_ROOT, WEIR_JOIN_INNER, WEIR_JOIN_LEFT } weir_join;

enum {
    WEIR_BY_ROWKEY = -1
}; /* in place of an index number: the columns are exactly the table's row key, in its order */

typedef struct weir_colref {
    int occ, col;
} weir_colref;

typedef struct weir_occ {
    int table;
    int block;
    weir_slice alias;
    weir_join join;
    /* How it is found from what is already bound. ROOT: by the model's key. nfrom columns, in the
     * index's column order. */
    int access; /* index number, or WEIR_BY_ROWKEY */
    int nfrom;
    weir_colref *from;
    weir_expr *on; /* further ON condition, evaluated once it is bound; NULL: none */
    /* The walk: rows of occurrence up whose up_index columns equal my_cols of this row. up = -1 at
     * the root. */
    int up;
    int up_index; /* index on the table of `up`, or WEIR_BY_ROWKEY */
    int nup;
    int *my_cols; /* into this table's cols */
    bool unique;  /* N:1: at most one row per binding of the earlier ones */
} weir_occ;

typedef struct weir_output {
    weir_slice name;
    weir_expr *expr;
} weir_output;

typedef struct weir_block {
    int parent; /* -1: block 0 */
    int nocc;
    int *occs;        /* in binding order */
    weir_expr *where; /* NULL: none. Evaluated with all occurrences bound */
    int naggs;
    weir_agg
        *aggs; /* aggregated block: exactly one result row (for block 0: grouped by the root row) */
    bool grouped;      /* block 0 with GROUP BY: no row at all when no tuple passed WHERE */
    weir_expr *having; /* or NULL */
    weir_expr *value;  /* sub-selects: the one output; NULL for EXISTS */
} weir_block;

typedef struct weir_plan {
    weir_slice model;
    weir_slice sql;        /* the SELECT as written */
    weir_slice oracle_sql; /* the SELECT with every aggregate order made total; equals sql when it
                              was total already */
    int ntables;
    weir_plan_table *tables;
    int nindexes;
    weir_plan_index *indexes;
    int nocc;
    weir_occ *occs;
    int nblocks;
    weir_block *blocks;
    int noutputs;
    weir_output
        *outputs; /* already in jsonb key order (length, then bytes): the document's members */
    int root;     /* occurrence */
    int nkey;
    int *key_cols; /* columns of the root's table that make the document's key, in @key order; each
                      NOT NULL */
    weir_slice *key_names; /* the output names said in @key */
    int key_index;         /* index number on key_cols, or WEIR_BY_ROWKEY */
} weir_plan;

#endif
