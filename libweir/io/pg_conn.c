/* pg_conn.c - connecting, waiting and reading errors: the only places where a PostgreSQL connection
 * can make us wait. */
#include "libweir/io/pg_priv.h"

#include <poll.h>
#include <stdlib.h>

#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/log.h"

enum { CONNECT_DEFAULT_MS = 5000, PARAMS_MAX = 64, OPTIONS_MAX_BYTES = 16384 };

/* What a role or database may be set to for its people ends no session of ours; the URI and the
 * caller may say otherwise. */
static const char usual[] =
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";

/* The texts of values, and how SQL is read and written: the same here, there and in the stream. */
static const char pinned[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c timezone=UTC "
    "-c bytea_output=hex -c lc_monetary=C -c standard_conforming_strings=on "
    "-c transform_null_equals=off -c quote_all_identifiers=off -c array_nulls=on";

static void on_notice(void *arg, const PGresult *res)
{
    (void)arg;
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    WEIR_DEBUG("PG-NOTICE", "severity=%s text=%s", severity ? severity : "?", text ? text : "");
}

/* One line without trailing white space; what libpq appends after the first line (LOCATION, hints)
 * goes. */
static void first_line(char *dst, size_t size, const char *src)
{
    size_t n = strcspn(src, "\n");
    n = n < size - 1 ? n : size - 1;
    memcpy(dst, src, n);
    dst[n] = '\0';
}

static bool is_sqlstate(const char *p)
{
    for (int i = 0; i < 5; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z'))) {
            return false;
        }
    }
    return p[5] == ':' && p[6] == ' ';
}

/* While connecting libpq keeps no PGresult, only text. With PQERRORS_VERBOSE that text reads
 * "FATAL:  28P01: why", in any language; the code is cut out of it. */
static weir_rc connect_failed(PGconn *conn, weir_error *err)
{
    char text[400];
    first_line(text, sizeof text, PQerrorMessage(conn));
    char state[6] = "";
    for (char *p = strstr(text, ":  "); p; p = strstr(p + 1, ":  ")) {
        if (strlen(p) > 10 && is_sqlstate(p + 3)) {
            memcpy(state, p + 3, 5);
            memmove(p + 3, p + 10, strlen(p + 10) + 1);
            break;
        }
    }
    bool denied = strncmp(state, "28", 2) == 0 || strcmp(state, "42501") == 0 ||
                  (state[0] == '\0' && PQconnectionNeedsPassword(conn));
    bool nowhere = strcmp(state, "3D000") == 0; /* no such database */
    weir_rc rc = denied    ? weir_fail(err, WEIR_E_DENIED, 0, "%s", text)
                 : nowhere ? weir_fail(err, WEIR_E_NOTFOUND, 0, "%s", text)
                           : weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "%s",
                                       text[0] ? text : "cannot connect");
    if (err) {
        memcpy(err->sqlstate, state, sizeof state);
    }
    return rc;
}

typedef struct conn_params {
    const char *keys[PARAMS_MAX];
    const char *values[PARAMS_MAX];
    int n;
} conn_params;

static void set_param(conn_params *p, const char *key, const char *value)
{
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->keys[i], key) == 0) {
            p->values[i] = value;
            return;
        }
    }
    if (p->n < PARAMS_MAX - 1) {
        p->keys[p->n] = key;
        p->values[p->n++] = value;
        p->keys[p->n] = NULL;
        p->values[p->n] = NULL;
    }
}

static const char *get_param(const conn_params *p, const char *key)
{
    for (int i = 0; i < p->n; i++) {
        if (strcmp(p->keys[i], key) == 0) {
            return p->values[i];
        }
    }
    return "";
}

static weir_rc connect_poll(PGconn *conn, int64_t deadline_ms, weir_error *err)
{
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;
    for (;;) {
        int64_t left = deadline_ms - weir_mono_ms();
        if (left <= 0) {
            return weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY,
                             "no connection to PostgreSQL in time");
        }
        struct pollfd pf = {PQsocket(conn), st == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
        int k = poll(&pf, 1, (int)(left < 1000 ? left : 1000));
        if (k == 0) {
            continue;
        }
        st = PQconnectPoll(conn);
        if (st == PGRES_POLLING_OK) {
            return WEIR_OK;
        }
        if (st == PGRES_POLLING_FAILED) {
            return connect_failed(conn, err);
        }
    }
}

static weir_rc start(PGconn **out, const conn_params *p, int64_t timeout_ms, weir_error *err)
{
    PGconn *conn = PQconnectStartParams(p->keys, p->values, 0);
    if (!conn) {
        return weir_fail(err, WEIR_E_SYS, 0, "out of memory for a connection");
    }
    PQsetNoticeReceiver(conn, on_notice, NULL);
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    weir_rc rc = PQstatus(conn) == CONNECTION_BAD
                     ? connect_failed(conn, err)
                     : connect_poll(conn, weir_mono_ms() + timeout_ms, err);
    if (rc == WEIR_OK && PQsetnonblocking(conn, 1) != 0) {
        rc = weir_fail(err, WEIR_E_SYS, 0, "cannot make the connection non-blocking");
    }
    if (rc != WEIR_OK) {
        PQfinish(conn);
        return rc;
    }
    PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
    *out = conn;
    return WEIR_OK;
}

weir_rc weir_pgconn_open(PGconn **out, const weir_pg_conf *conf, bool replication, weir_error *err)
{
    /* The parser's own message quotes the string, password included: it is never shown. */
    PQconninfoOption *opts = PQconninfoParse(conf->uri, NULL);
    if (!opts) {
        return weir_fail(
            err, WEIR_E_INPUT, 0,
            "the PostgreSQL URI is malformed; write postgresql://user:password@host:port/database");
    }
    conn_params p = {.n = 0};
    for (PQconninfoOption *o = opts; o->keyword; o++) {
        if (o->val) {
            set_param(&p, o->keyword, o->val);
        }
    }
    weir_buf options;
    weir_buf_init(&options, OPTIONS_MAX_BYTES);
    weir_buf_printf(&options, "%s %s %s %s", usual, get_param(&p, "options"),
                    conf->options ? conf->options : "", pinned);
    weir_buf_u8(&options, 0);
    set_param(&p, "options", options.p);
    set_param(&p, "client_encoding", "UTF8");
    if (conf->application_name) {
        set_param(&p, "application_name", conf->application_name);
    }
    if (replication) {
        set_param(&p, "replication", "database");
    }
    weir_rc rc =
        options.failed
            ? weir_fail(err, WEIR_E_LIMIT, 0, "the connection options are too long")
            : start(out, &p,
                    conf->connect_timeout_ms ? conf->connect_timeout_ms : CONNECT_DEFAULT_MS, err);
    weir_buf_fini(&options);
    PQconninfoFree(opts);
    return rc;
}

weir_rc weir_pgconn_lost(PGconn *conn, weir_error *err)
{
    char text[400];
    first_line(text, sizeof text, PQerrorMessage(conn));
    return weir_fail(err, WEIR_E_CONN, WEIR_EF_RETRY, "%s",
                     text[0] ? text : "connection to PostgreSQL lost");
}

/* One poll: for reading, and for writing when `out`. Takes in what came, so that a server that
 * waits for us to read can go on. */
static weir_rc poll_once(PGconn *conn, bool out, int64_t deadline_ms, weir_error *err)
{
    int64_t left = deadline_ms - weir_mono_ms();
    struct pollfd pf = {PQsocket(conn), (short)(POLLIN | (out ? POLLOUT : 0)), 0};
    int k = poll(&pf, 1, left <= 0 ? 0 : (int)(left < 60000 ? left : 60000));
    if (k > 0 && (pf.revents & (POLLIN | POLLHUP | POLLERR)) && !PQconsumeInput(conn)) {
        return weir_pgconn_lost(conn, err);
    }
    if (k == 0 && weir_mono_ms() >= deadline_ms) {
        return weir_fail(err, WEIR_E_TIMEOUT, WEIR_EF_RETRY, "no answer from PostgreSQL in time");
    }
    return WEIR_OK;
}

weir_rc weir_pgconn_wait(PGconn *conn, int64_t deadline_ms, weir_error *err)
{
    int unsent = PQsocket(conn) < 0 ? -1 : PQflush(conn);
    if (unsent < 0) {
        return weir_pgconn_lost(conn, err);
    }
    return poll_once(conn, unsent > 0, deadline_ms, err);
}

/* Flushes once per turn: a second PQflush before the poll could send the rest, and the poll would
 * then wait for an answer that nobody owes us. */
weir_rc weir_pgconn_flush(PGconn *conn, int64_t deadline_ms, weir_error *err)
{
    for (;;) {
        int unsent = PQsocket(conn) < 0 ? -1 : PQflush(conn);
        if (unsent < 0) {
            return weir_pgconn_lost(conn, err);
        }
        if (unsent == 0) {
            return WEIR_OK;
        }
        weir_rc rc = poll_once(conn, true, deadline_ms, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
}

weir_rc weir_pgconn_result(PGconn *conn, int64_t deadline_ms, PGresult **res, weir_error *err)
{
    *res = NULL;
    while (PQisBusy(conn)) {
        weir_rc rc = weir_pgconn_wait(conn, deadline_ms, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    *res = PQgetResult(conn);
    if (PQstatus(conn) == CONNECTION_BAD) {
        weir_rc rc = weir_pgconn_lost(conn, err);
        PQclear(*res);
        *res = NULL;
        return rc;
    }
    return WEIR_OK;
}

static weir_rc code_of(const char *s, unsigned *flags)
{
    static const struct {
        const char *prefix;
        weir_rc code;
        unsigned flags;
    } table[] = {
        {"08", WEIR_E_CONN, WEIR_EF_RETRY},
        {"28", WEIR_E_DENIED, 0},
        {"40", WEIR_E_CONFLICT, WEIR_EF_RETRY},
        {"53", WEIR_E_LIMIT, WEIR_EF_RETRY},
        {"57P01", WEIR_E_CONN, WEIR_EF_RETRY},
        {"57P02", WEIR_E_CONN, WEIR_EF_RETRY},
        {"57P03", WEIR_E_CONN, WEIR_EF_RETRY},
        {"55P03", WEIR_E_CONFLICT, WEIR_EF_RETRY},
        {"57014", WEIR_E_TIMEOUT, 0},
        {"55006", WEIR_E_CONFLICT, WEIR_EF_RETRY},
        {"55", WEIR_E_STATE, 0},
        {"23", WEIR_E_CONFLICT, 0},
        {"42710", WEIR_E_CONFLICT, 0},
        {"42P07", WEIR_E_CONFLICT, 0},
        {"42P06", WEIR_E_CONFLICT, 0},
        {"42501", WEIR_E_DENIED, 0},
        {"42P01", WEIR_E_NOTFOUND, 0},
        {"42704", WEIR_E_NOTFOUND, 0},
        {"3D", WEIR_E_NOTFOUND, 0},
        {"3F", WEIR_E_NOTFOUND, 0},
        {"26", WEIR_E_CONFLICT, WEIR_EF_RETRY},
        {"XX", WEIR_E_SYS, 0},
        {"58", WEIR_E_SYS, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strncmp(s, table[i].prefix, strlen(table[i].prefix)) == 0) {
            *flags = table[i].flags;
            return table[i].code;
        }
    }
    *flags = 0;
    return WEIR_E_INPUT;
}

/* Where PostgreSQL's own words leave open what to do. This one comes only with row_security = off:
 * whole tables are read or nothing. */
static const char *next_step(const char *sqlstate, const char *text)
{
    bool veiled = strcmp(sqlstate, "42501") == 0 &&
                  strncmp(text, "query would be affected by row-level security", 45) == 0;
    return veiled ? "; the whole table is needed: ALTER ROLE … BYPASSRLS" : "";
}

weir_rc weir_pgres_fail(const PGresult *res, weir_error *err)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (!state) {
        char line[400];
        first_line(line, sizeof line, PQresultErrorMessage(res));
        return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY, "%s",
                         line[0] ? line : "unexpected answer from PostgreSQL");
    }
    unsigned flags = 0;
    weir_rc code = code_of(state, &flags);
    char line[400];
    first_line(line, sizeof line, text ? text : "error without text");
    (void)weir_fail(err, code, flags, "%s%s", line, next_step(state, line));
    if (err) {
        memcpy(err->sqlstate, state, strnlen(state, 5));
        err->sqlstate[strnlen(state, 5)] = '\0';
    }
    return code;
}
