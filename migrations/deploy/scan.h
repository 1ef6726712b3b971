/* scan.h - finds the top-level statements of an SQL file: enough lexing to tell what each begins
 * with. Pure. */
#ifndef WEIR_MIGRATIONS_DEPLOY_SCAN_H
#define WEIR_MIGRATIONS_DEPLOY_SCAN_H

#include "libweir/base/slice.h"

typedef struct dep_scan {
    weir_slice rest;
    int line; /* of rest, from 1 */
} dep_scan;

typedef struct dep_stmt {
    weir_slice text;   /* without the semicolon */
    int line;          /* of its first word */
    char words[2][16]; /* the first two, upper case, cut; "" when absent */
} dep_stmt;

dep_scan dep_scan_of(weir_slice text);
/* The next statement that is not empty. false at the end. */
bool dep_scan_next(dep_scan *s, dep_stmt *out);
/* The statement that would begin or end a transaction, if there is one. */
bool dep_scan_transaction(weir_slice text, dep_stmt *out);

#endif
