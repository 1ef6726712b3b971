/* mapping.h - the mapping file of a migration: source, target, and per target table its source
 * table and one SQL expression per column.
 *
 *   [migration]            name, workers, chunk_rows, chunk_rows_per_s, source_keep_pct,
 * rejects_max, sequence_margin [source]               uri, feed [target]               uri [table
 * schema.name] from, where, key, create, columns, skip, unique, index, foreign_key and column NAME
 * [TYPE] = EXPRESSION     once per column [cutover]              fence, fence_sql, unfence_sql,
 * before, after, lock_timeout_ms, rejects [sequences]            target.sequence = source.sequence
 *
 * A line that begins with white space continues the value before it; # and ; begin a comment at the
 * start of a line. ${NAME} in a uri is an environment variable. Every value knows its place, so
 * that every problem can be shown with file, line and caret.
 */
#ifndef WEIR_MIGRATE_MAPPING_H
#define WEIR_MIGRATE_MAPPING_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

enum {
    MIG_FILE_MAX_BYTES = 4 << 20,
    MIG_PROBLEMS_MAX = 200,
    MIG_TABLES_MAX = 2000,
    MIG_COLUMNS_MAX = 1600,
    MIG_KEY_MAX = 32
};

/* Where something stands in the file: line and column count from 1 (column in bytes); line 0: the
 * file as a whole. */
typedef struct mig_place {
    int line, col, len;
} mig_place;

/* A value and the place of its first byte. Continued lines are joined by newlines. */
typedef struct mig_text {
    const char *z; /* NULL: not given */
    mig_place at;
} mig_text;

typedef struct mig_problem {
    mig_place at;
    bool warning;
    const char *text; /* what and why */
    const char *hint; /* what would work; NULL when the text says it all */
} mig_problem;

typedef struct mig_column {
    mig_text name; /* of the target */
    mig_text
        type; /* NULL: taken from the expression (tables made by the tool) or from the target */
    mig_text expr; /* over the source row */
    bool implied;  /* by `columns = *` */
} mig_column;

/* A line that may be given several times: index, unique, foreign_key. */
typedef struct mig_extra {
    enum { MIG_INDEX, MIG_UNIQUE, MIG_FOREIGN_KEY } kind;
    mig_text text;
    struct mig_extra *next;
} mig_extra;

typedef struct mig_table {
    mig_text schema, name; /* of the target */
    mig_text from;         /* source table as written */
    mig_text where, key, skip;
    bool create, star;
    mig_place star_at, at;
    int ncolumns;
    mig_column *columns; /* arena array of MIG_COLUMNS_MAX at most */
    int cap;
    mig_extra *extras;
} mig_table;

typedef struct mig_sequence {
    mig_text target, source;
} mig_sequence;

typedef enum mig_fence { MIG_FENCE_LOCK, MIG_FENCE_NONE } mig_fence;

typedef struct mig_mapping {
    weir_arena *a;
    const char *file;
    weir_slice text; /* the file */
    uint64_t hash;
    mig_text name, source_uri, source_feed, target_uri;
    int64_t workers, chunk_rows, chunk_rows_per_s, source_keep_pct, rejects_max, sequence_margin,
        lock_timeout_ms;
    mig_fence fence;
    bool rejects_accepted;
    mig_text fence_sql, unfence_sql, before, after;
    int ntables;
    mig_table *tables;
    int tables_cap;
    int nsequences;
    mig_sequence *sequences;
    int sequences_cap;
    int nproblems, nerrors;
    mig_problem problems[MIG_PROBLEMS_MAX];
} mig_mapping;

/* Parses text (kept, not copied); everything lives in a. Never fails: what is wrong is in problems.
 * path gives the default name. */
mig_mapping *mig_mapping_parse(weir_arena *a, const char *path, weir_slice text);
/* Reads and parses. An error only when the file cannot be read. */
WEIR_MUST_CHECK weir_rc mig_mapping_read(weir_arena *a, const char *path, mig_mapping **out,
                                         weir_error *err);

/* Adds a problem (dropped beyond the limit, but counted). hint may be NULL. Texts are copied. */
void mig_problem_add(mig_mapping *m, mig_place at, bool warning, const char *hint, const char *fmt,
                     ...) WEIR_PRINTF(5, 6);
/* The place `offset` bytes into a value that begins at t, over continued lines; len of the word
 * there. */
mig_place mig_place_in(const mig_mapping *m, const mig_text *t, int offset);
/* "file:line:col: error: text", the line, a caret, and the hint. */
void mig_problem_print(const mig_mapping *m, const mig_problem *p, weir_buf *out);
/* All of them, in the order of the file. */
void mig_problems_print(const mig_mapping *m, weir_buf *out);
void mig_problems_json(const mig_mapping *m, weir_buf *out);

/* "schema"."name" of a dotted name; quotes are allowed as in SQL, other letters are folded to lower
 * case. false: not one or two identifiers. schema is NULL when not given. */
bool mig_name_split(weir_arena *a, const char *z, const char **schema, const char **name);
/* Next identifier of a comma-separated list at *p; NULL at the end or, with *bad, where it is none.
 */
const char *mig_list_next(weir_arena *a, const char **p, bool *bad);

#endif
