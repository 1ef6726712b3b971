/* pg_writers.h - who keeps a copy or a slot waiting: transactions that have written and are open.
 */
#ifndef WEIR_IO_PG_WRITERS_H
#define WEIR_IO_PG_WRITERS_H

#include "libweir/io/pg.h"

enum { WEIR_PG_WRITERS_BYTES = 200 };

/* The oldest of them, sessions and prepared transactions, as "pid 7 (app, open for 12 s), prepared
 * transaction 'x' of database y"; never "". xid: only those up to this xid8; NULL: all. */
WEIR_MUST_CHECK weir_rc weir_pg_writers(weir_pg *pg, const char *xid,
                                        char text[WEIR_PG_WRITERS_BYTES], weir_error *err);

#endif
