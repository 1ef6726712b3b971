/* part_rows.h - the rows of one transaction, as lines for COPY, each with where it came from. */
#ifndef WEIR_LAKE_PART_ROWS_H
#define WEIR_LAKE_PART_ROWS_H

#include "migrations/lake/load.h"

enum { LAKE_SETS_MAX = 200 };

/* Which columns a row has, in the table's order. */
typedef struct lake_set {
    size_t n;
    uint16_t *col;
} lake_set;

typedef struct lake_row {
    uint64_t line;
    size_t text, text_n; /* in text: the COPY line */
    size_t raw, raw_n;   /* in raw: as it stands in the file */
    uint16_t set;
    bool rejected;
    const char *why; /* rejected: why; lives until reset */
    char sqlstate[6];
} lake_row;

typedef struct lake_part_rows {
    const lake_table *table;
    const lake_files *how;
    weir_arena *a; /* sets */
    weir_buf text, raw;
    lake_row *rows;
    size_t n, cap;
    lake_set sets[LAKE_SETS_MAX];
    size_t nsets;
    /* CSV: column of the n-th field; -1: passed over */
    int *header;
    size_t nheader;
} lake_part_rows;

void lake_part_rows_init(lake_part_rows *p, const lake_table *t, const lake_files *how);
void lake_part_rows_fini(lake_part_rows *p);
void lake_part_rows_reset(lake_part_rows *p);
/* The names of the fields of a CSV file; WEIR_E_INPUT when they are not those of the table. */
WEIR_MUST_CHECK weir_rc lake_part_rows_header(lake_part_rows *p, const lake_record *rec,
                                              weir_error *err);
/* Adds the record, as rejected when it does not fit the table's columns. */
void lake_part_rows_add(lake_part_rows *p, const lake_record *rec);
void lake_part_rows_reject(lake_part_rows *p, size_t row, const char *sqlstate, const char *why);
/* No more: full by sets. */
bool lake_part_rows_full(const lake_part_rows *p);

#endif
