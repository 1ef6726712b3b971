/* pg.h - PostgreSQL by libpq: bounded waits, results copied out, pipelines for groups of commands.
 *
 * Every session pins datestyle=ISO, intervalstyle=postgres, extra_float_digits=1, timezone=UTC,
 * bytea_output=hex, lc_monetary=C, client_encoding=UTF8, so that texts compare equal with the
 * stream's, and standard_conforming_strings=on and the like, so that SQL means what it says. No
 * timeout of the role or database holds for it unless the URI or conf says so. One thread at a time
 * per connection.
 */
#ifndef WEIR_IO_PG_H
#define WEIR_IO_PG_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

typedef struct weir_pg weir_pg;
typedef struct weir_pg_rows weir_pg_rows;

typedef struct weir_pg_conf {
    const char *uri;
    const char *application_name;
    int64_t connect_timeout_ms; /* 0: 5000 */
    int64_t wait_max_ms;        /* 0: 60000; no answer for so long: the connection is given up */
    const char *options;        /* further "-c name=value" words, or NULL */
} weir_pg_conf;

/* WEIR_E_CONN|RETRY when it cannot be reached, WEIR_E_DENIED for authentication. err never contains
 * the password. */
WEIR_MUST_CHECK weir_rc weir_pg_open(weir_pg **out, const weir_pg_conf *conf, weir_error *err);
void weir_pg_close(weir_pg *pg); /* NULL is fine */
bool weir_pg_ok(const weir_pg *pg);
/* Looks at an idle connection (in pipeline mode: nothing outstanding) without waiting, reading what
 * came unasked: the server's farewell, or its end. false: it is gone, and every further call fails.
 */
bool weir_pg_alive(weir_pg *pg);
int weir_pg_pid(const weir_pg *pg);            /* backend's process id */
int weir_pg_server_version(const weir_pg *pg); /* 150020 */
enum { WEIR_PG_OLDEST_VERSION = 150000 };      /* Weir works with this one and newer ones */

/* One statement with text parameters (NULL entries are SQL NULL). rows may be NULL when nothing is
 * wanted. On a server error: err->sqlstate set; WEIR_EF_RETRY for classes 40, 53, 57P01-03, 55P03
 * and lost connections. */
WEIR_MUST_CHECK weir_rc weir_pg_query(weir_pg *pg, const char *sql, int nparams,
                                      const char *const *params, weir_pg_rows **rows,
                                      weir_error *err);
/* Several statements in one string, no parameters, results dropped: migrations. err->msg names the
 * line within sql. */
WEIR_MUST_CHECK weir_rc weir_pg_script(weir_pg *pg, const char *sql, weir_error *err);
/* Byte offset (0-based) of the last server error's position in the statement, or -1. */
int weir_pg_error_position(const weir_pg *pg);
/* Fuller texts of the last server error; "" when absent. Borrowed until the next call. */
const char *weir_pg_error_field(
    const weir_pg *pg,
    char field); /* 'D' detail, 'H' hint, 'n' constraint, 'c' column, 't' table, 'W' context */

int weir_pg_nrows(const weir_pg_rows *r);
int weir_pg_ncols(const weir_pg_rows *r);
const char *weir_pg_colname(const weir_pg_rows *r, int col);
uint32_t weir_pg_coltype(const weir_pg_rows *r, int col);
bool weir_pg_isnull(const weir_pg_rows *r, int row, int col);
weir_slice weir_pg_value(const weir_pg_rows *r, int row,
                         int col); /* {"",0} for NULL; NUL-terminated beyond n */
const char *weir_pg_valuez(const weir_pg_rows *r, int row, int col);
int64_t weir_pg_i64(const weir_pg_rows *r, int row, int col); /* 0 for NULL or non-numbers */
/* How many rows an INSERT, UPDATE, DELETE or SELECT touched; 0 for other statements. */
int64_t weir_pg_affected(const weir_pg_rows *r);
void weir_pg_rows_free(weir_pg_rows *r); /* NULL is fine */

/* Quoted for inclusion in SQL, in the arena. */
const char *weir_pg_ident(weir_arena *a, weir_slice name);
const char *weir_pg_literal(weir_arena *a, weir_slice text);

/* Row-at-a-time result (large SELECTs): start, then next until WEIR_E_EOF. Rows object is owned by
 * pg, valid until next. */
WEIR_MUST_CHECK weir_rc weir_pg_stream_start(weir_pg *pg, const char *sql, int nparams,
                                             const char *const *params, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_pg_stream_next(weir_pg *pg, const weir_pg_rows **row, weir_error *err);

/* COPY … TO STDOUT: one line (without the newline, COPY text format) per call until WEIR_E_EOF;
 * borrowed until next. */
WEIR_MUST_CHECK weir_rc weir_pg_copy_out_start(weir_pg *pg, const char *sql, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_pg_copy_out_next(weir_pg *pg, weir_slice *line, weir_error *err);
/* Appends what the server sends, byte for byte (any COPY format), until `into` holds `enough` bytes
 * or the COPY ends. *messages is advanced by one for each row. WEIR_E_EOF: it ended well and
 * nothing was appended. WEIR_E_LIMIT: a row is larger than the buffer's ceiling. */
WEIR_MUST_CHECK weir_rc weir_pg_copy_out_fill(weir_pg *pg, weir_buf *into, size_t enough,
                                              int64_t *messages, weir_error *err);
/* COPY … FROM STDIN: put whole lines with their newlines; end finishes, abort_text non-NULL fails
 * it. */
WEIR_MUST_CHECK weir_rc weir_pg_copy_in_start(weir_pg *pg, const char *sql, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_pg_copy_in_put(weir_pg *pg, weir_slice lines, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_pg_copy_in_end(weir_pg *pg, const char *abort_text, weir_error *err);

/* LISTEN/NOTIFY: waits up to wait_ms; WEIR_E_AGAIN when nothing came. payload is copied (truncated)
 * into buf. */
WEIR_MUST_CHECK weir_rc weir_pg_wait_notify(weir_pg *pg, int64_t wait_ms, char *payload,
                                            size_t payload_size, weir_error *err);

/* --- pipelines: what is queued leaves in few packets; results come in the order of sending
 * ---------------------------- */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_enter(weir_pg *pg, weir_error *err);
/* Prepares on first use per connection: stmt is a short unique name, sql its text. The prepare's
 * own result is hidden. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_send(weir_pg *pg, const char *stmt, const char *sql,
                                          int nparams, const char *const *params,
                                          const int *lengths, weir_error *err);
/* The same with every parameter in PostgreSQL's binary format. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_send_binary(weir_pg *pg, const char *stmt, const char *sql,
                                                 int nparams, const char *const *params,
                                                 const int *lengths, weir_error *err);
/* A text[] in that format: begin, then the bytes of n elements, each by put. */
void weir_pg_texts_begin(weir_buf *out, size_t n);
void weir_pg_texts_put(weir_buf *out, weir_slice element);
/* Asks the server to send what it has so far (Flush), and writes our side out. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_flush(weir_pg *pg, weir_error *err);
/* The same, but our side leaves with what is queued next. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_ask(weir_pg *pg, weir_error *err);
WEIR_MUST_CHECK weir_rc weir_pg_pipe_sync(weir_pg *pg, weir_error *err);

typedef enum weir_pg_pipe_kind {
    WEIR_PG_PIPE_ROWS,    /* *rows is set */
    WEIR_PG_PIPE_ERROR,   /* this statement failed: err has sqlstate and text */
    WEIR_PG_PIPE_ABORTED, /* skipped because an earlier one failed */
    WEIR_PG_PIPE_SYNC     /* a sync point was reached */
} weir_pg_pipe_kind;
/* The next result, waiting up to wait_ms. WEIR_E_CONN: connection lost. WEIR_E_TIMEOUT: nothing
 * yet. rows is the caller's. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_next(weir_pg *pg, int64_t wait_ms, weir_pg_pipe_kind *kind,
                                          weir_pg_rows **rows, weir_error *err);
/* Leaves pipeline mode; every result must have been taken. */
WEIR_MUST_CHECK weir_rc weir_pg_pipe_leave(weir_pg *pg, weir_error *err);

/* Best effort cancel of what runs now, from another thread. */
void weir_pg_cancel(weir_pg *pg);

#endif
