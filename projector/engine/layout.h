/* layout.h - what the state keeps: the union over all models of tables, columns and join indexes,
 * with ids that never change their meaning; and how one model's plan is bound to it.
 *
 * A table is known by its oid and its row key (columns with their types); another key, another oid
 * or another type of a key column is another table with another id. A column is known by its name,
 * type and modifier; it is appended, never moved. Loop thread only.
 */
#ifndef WEIR_PROJECTOR_ENGINE_LAYOUT_H
#define WEIR_PROJECTOR_ENGINE_LAYOUT_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"
#include "projector/engine/key.h"

typedef struct weir_lcol {
    weir_slice name;
    weir_ty ty;
    uint32_t oid;
    int32_t typmod;
    uint32_t wire_oid; /* type as the stream tells it (a domain as itself); 0: not told yet */
    int32_t wire_typmod;
    bool lost; /* dropped, renamed or of another type since: not used again, not even by its name */
} weir_lcol;

struct weir_lindex;

typedef struct weir_ltable {
    uint32_t id;
    uint32_t oid;
    weir_slice schema, name;
    int ncols, cap;
    weir_lcol *cols;
    int nkey;
    int *key;
    int ncomplete;    /* columns [0, ncomplete) are there in every row of the table */
    char copy_id[33]; /* the copy that will complete it; "" none asked for yet */
    int copy_cols;    /* how many columns that copy covers */
    bool dropped;     /* no model needs it: not maintained, its rows are being removed */
    bool used;        /* scratch of weir_layout_mark */
    uint8_t crawl;    /* scratch of range.c */
    bool fresh;       /* made by the binding that runs: it has no rows yet */
    int nindexes;
    struct weir_lindex **indexes; /* live ones of this table */
} weir_ltable;

typedef struct weir_lindex {
    uint32_t id;
    weir_ltable *table;
    int ncols;
    int *cols;
    weir_ty *types;
    bool built;   /* holds an entry for every row */
    bool dropped; /* as for tables */
    bool used;
} weir_lindex;

typedef struct weir_layout {
    weir_arena *a; /* names and arrays; lives as long as the layout */
    uint32_t next_id;
    int ntables;
    weir_ltable **tables;
    int nindexes;
    weir_lindex **indexes;
} weir_layout;

void weir_layout_init(weir_layout *l);
void weir_layout_fini(weir_layout *l);

/* The persisted form and back. Malformed: WEIR_E_PROTO. */
void weir_layout_save(const weir_layout *l, weir_buf *out);
WEIR_MUST_CHECK weir_rc weir_layout_load(weir_layout *l, weir_slice s, weir_error *err);

/* A plan bound to the layout: arrays by the plan's table, index and column numbers. */
typedef struct weir_bound {
    uint32_t id; /* of the model's build, part of emit and dirty keys */
    const weir_plan *plan;
    weir_ltable **tables;
    weir_lindex **indexes;
    int **to_plan;         /* per plan table: layout column -> plan column, -1 not needed */
    int *nto;              /* per plan table: length of to_plan */
    int **to_layout;       /* per plan table: plan column -> layout column */
    weir_tuple *rows;      /* per occurrence: storage for the row bound by render */
    weir_tuple *walk_rows; /* per occurrence: the same for the walk */
    weir_slice *labels;    /* per output: `"name": ` as it stands in the document */
} weir_bound;

/* Adds what the plan needs and binds it; memory in a, which must outlive the binding (and hold the
 * plan). WEIR_E_LIMIT when a key has too many columns. */
WEIR_MUST_CHECK weir_rc weir_layout_bind(weir_layout *l, const weir_plan *plan, uint32_t id,
                                         weir_arena *a, weir_bound *out, weir_error *err);
/* The stream no longer tells this column as it was: who needs its name gets a new one, to be
 * copied. */
void weir_layout_lose(weir_ltable *t, int col);
/* Does the binding keep that column of t? col -1: anything of t. */
bool weir_bound_uses(const weir_bound *b, const weir_ltable *t, int col);
/* Everything the model needs is complete: columns copied, indexes built. */
bool weir_bound_ready(const weir_bound *b);

/* The same but for the indexes. */
bool weir_bound_copied(const weir_bound *b);

/* Garbage: unmark everything, mark each binding in use, then drop what is unmarked. Returns how
 * many were dropped. */
void weir_layout_unmark(weir_layout *l);
void weir_layout_mark(const weir_bound *b);
int weir_layout_drop_unmarked(weir_layout *l);
/* Forgets a dropped table or index whose entries are gone. */
void weir_layout_forget_table(weir_layout *l, weir_ltable *t);
void weir_layout_forget_index(weir_layout *l, weir_lindex *x);

#endif
