/* pg_priv.h - what the pg*.c files share; nobody else may include it (it shows libpq). */
#ifndef WEIR_IO_PG_PRIV_H
#define WEIR_IO_PG_PRIV_H

#include <libpq-fe.h>

#include "libweir/base/map.h"
#include "libweir/io/pg.h"

/* One queued pipeline entry; results come back in the order of sending. */
typedef struct weir_pg_sent {
    enum { SENT_PREPARE, SENT_QUERY, SENT_SYNC } kind;
    char stmt[64]; /* PREPARE, QUERY: the statement, to forget it when its prepare did not happen */
} weir_pg_sent;

struct weir_pg_rows {
    PGresult *res;
};

typedef enum weir_pg_mode { PG_IDLE, PG_STREAM, PG_COPY_OUT, PG_COPY_IN, PG_PIPE } weir_pg_mode;

struct weir_pg {
    PGconn *conn;
    PGcancel *cancel; /* made at open: another thread may use it while conn is busy */
    PGresult *last_error;
    int error_byte;
    int64_t wait_max_ms;
    bool broken; /* given up: every call fails until close */
    weir_pg_mode mode;
    weir_pg_rows stream_row;
    char *copy_line;
    bool copy_ended;    /* a filled COPY has ended, and the caller is still to be told */
    weir_map *prepared; /* statement name -> (void *)1 */
    weir_pg_sent *sent; /* ring of cap entries */
    size_t sent_cap, sent_at, sent_n;
    bool swallow_aborted; /* the prepare's error stood for its query: hide the query's own "aborted"
                           */
};

/* Connects with the pinned settings. replication: also replication=database. Deadline from conf. */
WEIR_MUST_CHECK weir_rc weir_pgconn_open(PGconn **out, const weir_pg_conf *conf, bool replication,
                                         weir_error *err);

/* Waits until conn can be read (or written, when something is left to flush); reads what is there.
 * WEIR_E_TIMEOUT at deadline_ms (weir_mono_ms), WEIR_E_CONN when the connection is gone. */
WEIR_MUST_CHECK weir_rc weir_pgconn_wait(PGconn *conn, int64_t deadline_ms, weir_error *err);
/* Writes everything out, reading meanwhile so that neither side can block the other. */
WEIR_MUST_CHECK weir_rc weir_pgconn_flush(PGconn *conn, int64_t deadline_ms, weir_error *err);
/* The next result without waiting past the deadline; *res NULL: the command is complete. */
WEIR_MUST_CHECK weir_rc weir_pgconn_result(PGconn *conn, int64_t deadline_ms, PGresult **res,
                                           weir_error *err);
/* err from the connection's own text: lost. */
weir_rc weir_pgconn_lost(PGconn *conn, weir_error *err);
/* err from a server error result: code by SQLSTATE, retry flag, primary text in one line. */
weir_rc weir_pgres_fail(const PGresult *res, weir_error *err);

/* Common ground of every call on a connection in ordinary mode: usable, nothing left over from a
 * stream or copy. */
WEIR_MUST_CHECK weir_rc weir_pg_ready(weir_pg *pg, weir_error *err);
/* rc came from a wait: on timeout or loss the connection is given up. Returns rc. */
weir_rc weir_pg_gave_up(weir_pg *pg, weir_rc rc);
/* Takes res, remembers it for weir_pg_error_field, fills err. sql (may be NULL) turns the position
 * into bytes. */
weir_rc weir_pg_keep_error(weir_pg *pg, PGresult *res, const char *sql, weir_error *err);
/* Results until the command is complete. The first error wins and is taken, the last good result
 * goes to *last (may be NULL). done (may be NULL) counts statements that ended well. */
WEIR_MUST_CHECK weir_rc weir_pg_drain(weir_pg *pg, const char *sql, PGresult **last, int *done,
                                      weir_error *err);
int64_t weir_pg_deadline(const weir_pg *pg);
void weir_pg_pipe_fini(weir_pg *pg);

#endif
