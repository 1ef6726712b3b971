/* load.h - one file into one table: parts, each a transaction with the place it reaches. */
#ifndef WEIR_LAKE_LOAD_H
#define WEIR_LAKE_LOAD_H

#include "libweir/io/pg.h"
#include "migrations/lake/folder.h"

typedef enum lake_coltype { LAKE_COL_PLAIN, LAKE_COL_ARRAY, LAKE_COL_JSON } lake_coltype;

typedef struct lake_column {
    const char *name;
    lake_coltype type;
    bool writable;
    int key; /* place in the primary key, from 1; 0: not in it */
} lake_column;

typedef struct lake_table {
    const char *quoted; /* schema.table for SQL */
    size_t n;
    lake_column *cols;
} lake_table;

/* The table's columns, in a. WEIR_E_INPUT when there is no such table. */
WEIR_MUST_CHECK weir_rc lake_table_read(weir_pg *pg, const char *schema, const char *name,
                                        weir_arena *a, lake_table *out, weir_error *err);

typedef struct lake_job {
    const lake_folder_conf *conf;
    const lake_files *how;
    const lake_table *table;
    lake_folder_counts *counts;
    atomic_bool *stop;
    int fd;
    const char *name; /* below the folder */
    uint64_t size;
    char hash[33];
    const char *stamp;
} lake_job;

/* The stamp of an open file: what changes when it does. Returns out. */
const char *lake_stamp_of(int fd, uint64_t *size, char out[120]);

/* Loads what is not loaded. WEIR_OK: the whole file is. WEIR_E_EOF: stopped. WEIR_E_INPUT,
 * WEIR_E_LIMIT: the file cannot be loaded; the reason is recorded. Others: of the connection. */
WEIR_MUST_CHECK weir_rc lake_load(weir_pg *pg, const lake_job *job, weir_error *err);

#endif
