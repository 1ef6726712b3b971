/* conn.h - a lane's connection: how it is opened, what it must know about the server, and what
 * became of a lost transaction. */
#ifndef WEIR_WRITE_CONN_H
#define WEIR_WRITE_CONN_H

#include "libweir/io/pg.h"
#include "write-service/job.h"
#include "write-service/retry.h"

typedef struct wsvc_conn_conf {
    const char *uri;
    const char *application_name;
    int64_t statement_timeout_ms;
    int64_t lock_timeout_ms; /* of groups; 0: none */
} wsvc_conn_conf;

enum { WSVC_ROLE_BYTES = 64 };

/* What identifies the server's history at some moment; kept from before a transaction, compared
 * after its loss. */
typedef struct wsvc_history {
    char system_id[24];
    char timeline[12];
    char floor_lsn[WSVC_POSITION_BYTES]; /* everything sent later lies behind it in the WAL */
} wsvc_history;

typedef struct wsvc_conn {
    weir_pg *pg;       /* in pipeline mode */
    bool async_commit; /* synchronous_commit=off: only the insert LSN lies behind our commit */
    char roles[2 * WSVC_ROLE_BYTES]; /* current and session user, as the session began */
    wsvc_history history;
} wsvc_conn;

/* Opens, reads what must be known, enters pipeline mode. On failure nothing is left open. Owner
 * thread. */
WEIR_MUST_CHECK weir_rc wsvc_conn_open(wsvc_conn *c, const wsvc_conn_conf *conf, weir_error *err);
void wsvc_conn_close(wsvc_conn *c);
/* Asks about a transaction of an earlier connection. position: at or after its commit, when
 * committed. WEIR_E_CONN: this connection is lost too. */
WEIR_MUST_CHECK weir_rc wsvc_conn_ask(wsvc_conn *c, const char *xid, const wsvc_history *before,
                                      wsvc_fate *fate, char position[WSVC_POSITION_BYTES],
                                      weir_error *err);
/* The statement behind a COMMIT: gives the position of the reply and ends advisory locks, which
 * other sessions would meet. */
const char *wsvc_conn_end_sql(const wsvc_conn *c);
/* What of a session commands left behind, in words ("": nothing); $1 is conn.roles. thorough: looks
 * for prepared statements too, which costs more. */
const char *wsvc_conn_left_sql(bool thorough);

#endif
