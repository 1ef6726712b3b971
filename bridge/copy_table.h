/* copy_table.h - copying one table into the running stream, chunk by chunk. Copier thread. */
#ifndef WEIR_BRIDGE_COPY_TABLE_H
#define WEIR_BRIDGE_COPY_TABLE_H

#include "bridge/port.h"

typedef struct brg_table_copy {
    brg_shared *s;
    brg_port *port;
    weir_pg *pg; /* opened and reopened here; the caller closes */
    weir_slice copy_id;
    const char *schema, *name;
    void (*progress)(void *arg, uint64_t rows); /* rows emitted since the last call */
    void *arg;
    void (*connected)(void *arg, weir_pg *pg); /* the connection changed (NULL: none) */
} brg_table_copy;

/* Waits until every transaction that began before now is over, so that none of them wrote before
 * the table was published. */
WEIR_MUST_CHECK weir_rc brg_copy_barrier(brg_table_copy *c, weir_error *err);
/* WEIR_E_NOTFOUND: not in the publication. WEIR_E_EOF: stopping. */
WEIR_MUST_CHECK weir_rc brg_copy_table(brg_table_copy *c, weir_error *err);

#endif
