/* exec.h - statements on the target in pipeline mode, each with the number of rows it must touch.
 */
#ifndef WEIR_MIGRATIONS_SYNC_EXEC_H
#define WEIR_MIGRATIONS_SYNC_EXEC_H

#include "libweir/io/pg.h"

typedef struct sync_exec {
    weir_pg *pg;
    bool piped;
    size_t out;      /* sent and not answered */
    int64_t *expect; /* ring of what was sent: rows, -1 any */
    size_t cap, first;
    bool mismatch;      /* a count was not what was expected */
    const char *what;   /* the statement at fault, borrowed from the sender; NULL none */
    const char **names; /* beside expect */
} sync_exec;

enum { SYNC_ANY = -1 };

void sync_exec_init(sync_exec *e);
void sync_exec_fini(sync_exec *e); /* closes the connection */
/* Queues a statement; text parameters are copied by libpq. what names the table for messages. */
WEIR_MUST_CHECK weir_rc sync_exec_send(sync_exec *e, const char *stmt, const char *sql, int nparams,
                                       const char *const *params, int64_t expect, const char *what,
                                       weir_error *err);
/* Sends all and takes every answer. last (may be NULL): the rows of the last statement. On a
 * server error the transaction is aborted; err names the table. A wrong count sets mismatch and is
 * no error. */
WEIR_MUST_CHECK weir_rc sync_exec_drain(sync_exec *e, weir_pg_rows **last, weir_error *err);
/* Drains and leaves pipeline mode: for COPY and for callbacks. */
WEIR_MUST_CHECK weir_rc sync_exec_plain(sync_exec *e, weir_error *err);

#endif
