/* copy_source.h - the database side of copying threads: their connection, the barrier, and reading
 * the rows of one chunk in one snapshot. */
#ifndef WEIR_BRIDGE_COPY_SOURCE_H
#define WEIR_BRIDGE_COPY_SOURCE_H

#include "bridge/port.h"

typedef struct brg_source {
    brg_shared *s;
    brg_port *port;
    unsigned window; /* the thread's own, see windows.h */
    weir_pg *pg;     /* opened and reopened here; closed by brg_source_close */
    void (*connected)(void *arg, weir_pg *pg); /* the connection changed (NULL: none) */
    /* The barrier waits for these transactions (text; NULL: no longer). May be NULL. */
    void (*waits)(void *arg, const char *who);
    bool (*stop)(void *arg); /* give up waiting. May be NULL */
    void *arg;
} brg_source;

WEIR_MUST_CHECK weir_rc brg_source_connect(brg_source *src, weir_error *err);
void brg_source_close(brg_source *src);

/* Waits until every transaction that began before now is over: so none of them wrote before the
 * table was published, and what was delivered before now is visible to SELECT. WEIR_E_EOF:
 * stopping.
 */
WEIR_MUST_CHECK weir_rc brg_source_barrier(brg_source *src, weir_error *err);

/* A position behind everything that was delivered so far. */
WEIR_MUST_CHECK weir_rc brg_source_lsn(brg_source *src, uint64_t *lsn, weir_error *err);

/* One reading of rows. */
typedef struct brg_read {
    const brg_table *table;
    const char *sql;
    weir_tuple lo;   /* its parameters; n = 0: none */
    int64_t limit;   /* rows; 0: all, and then also all bytes */
    bool marked;     /* a last column tells whether the row is wanted */
    weir_arena *a;   /* for last */
    weir_tuple last; /* out: key values of the last row, wanted or not; n = 0: there was none */
    uint64_t seen;   /* out: rows, wanted or not */
    bool whole;      /* out: nothing is left behind them */
    int64_t ms;      /* out: how long the server was at it */
} brg_read;

/* Fills ch: rows, snapshot, passed_lsn. */
WEIR_MUST_CHECK weir_rc brg_source_read(brg_source *src, brg_read *r, brg_chunk *ch,
                                        weir_error *err);

#endif
