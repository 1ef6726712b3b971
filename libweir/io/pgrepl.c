/* pgrepl.c - the replication connection: IDENTIFY_SYSTEM, slot, COPY BOTH stream, feedback that
 * never waits. */
#include "libweir/io/pgrepl.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "libweir/base/buf.h"
#include "libweir/base/clock.h"
#include "libweir/base/rd.h"
#include "libweir/base/xalloc.h"
#include "libweir/io/loopback.h"
#include "libweir/io/pg_priv.h"

enum {
    COMMAND_MAX_MS = 30000,
    END_MAX_MS = 5000,
    FEEDBACK_BYTES = 34,
    COMMAND_MAX_BYTES = 4096,
    LOOPBACK_BUFFER_BYTES = 32 << 10
};

struct weir_pgrepl {
    PGconn *conn;
    char *row;    /* what next() lent out */
    bool unsent;  /* feedback bytes wait in libpq's buffer */
    bool flowing; /* START_REPLICATION was accepted */
    bool loopback;
};

/* On any other way the buffer is the kernel's to size: a small one would throttle a long way. */
static void narrow_loopback(weir_pgrepl *r)
{
    const int bytes = LOOPBACK_BUFFER_BYTES;
    const int fd = PQsocket(r->conn);
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    r->loopback = getpeername(fd, (struct sockaddr *)&ss, &n) == 0 &&
                  weir_is_loopback((const struct sockaddr *)&ss) &&
                  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) == 0;
}

weir_rc weir_pgrepl_open(weir_pgrepl **out, const char *uri, const char *application_name,
                         weir_error *err)
{
    *out = NULL;
    weir_pg_conf conf = {.uri = uri, .application_name = application_name};
    PGconn *conn = NULL;
    weir_rc rc = weir_pgconn_open(&conn, &conf, true, err);
    if (rc != WEIR_OK) {
        if (err && strcmp(err->sqlstate, "42501") == 0) {
            weir_error_wrap(err,
                            "the role needs the REPLICATION attribute (ALTER ROLE … REPLICATION)");
        }
        return rc;
    }
    weir_pgrepl *r = weir_xcalloc(1, sizeof *r);
    r->conn = conn;
    narrow_loopback(r);
    *out = r;
    return WEIR_OK;
}

void weir_pgrepl_close(weir_pgrepl *r)
{
    if (r) {
        PQfreemem(r->row);
        PQfinish(r->conn);
        free(r);
    }
}

/* Takes what is left of a finished command, so that the connection is ready for the next one. */
static weir_rc drain(weir_pgrepl *r, int64_t deadline_ms, weir_error *err)
{
    for (;;) {
        PGresult *res = NULL;
        weir_rc rc = weir_pgconn_result(r->conn, deadline_ms, &res, err);
        if (rc != WEIR_OK || !res) {
            return rc;
        }
        PQclear(res);
    }
}

static weir_rc send_command(weir_pgrepl *r, const char *command, weir_error *err)
{
    if (r->flowing) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the stream is running");
    }
    if (!PQsendQuery(r->conn, command)) {
        return weir_pgconn_lost(r->conn, err);
    }
    return weir_pgconn_flush(r->conn, weir_mono_ms() + COMMAND_MAX_MS, err);
}

/* The command's one row, which must have at least ncols columns. */
static weir_rc command_row(weir_pgrepl *r, const char *command, int ncols, PGresult **res,
                           weir_error *err)
{
    *res = NULL;
    int64_t deadline = weir_mono_ms() + COMMAND_MAX_MS;
    weir_rc rc = send_command(r, command, err);
    if (rc == WEIR_OK) {
        rc = weir_pgconn_result(r->conn, deadline, res, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (PQresultStatus(*res) != PGRES_TUPLES_OK) {
        rc = weir_pgres_fail(*res, err);
    } else if (PQntuples(*res) != 1 || PQnfields(*res) < ncols) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "unexpected answer to a replication command");
    }
    weir_error ignored;
    weir_rc left = drain(r, deadline, rc == WEIR_OK ? err : &ignored);
    rc = rc == WEIR_OK ? left : rc;
    if (rc != WEIR_OK) {
        PQclear(*res);
        *res = NULL;
    }
    return rc;
}

static bool parse_lsn(const char *text, uint64_t *out)
{
    char *end = NULL;
    uint64_t hi = strtoull(text, &end, 16);
    if (end == text || *end != '/' || hi > UINT32_MAX) {
        return false;
    }
    const char *low = end + 1;
    uint64_t lo = strtoull(low, &end, 16);
    if (end == low || *end != '\0' || lo > UINT32_MAX) {
        return false;
    }
    *out = hi << 32 | lo;
    return true;
}

static void copy_text(char *dst, size_t size, const char *src)
{
    size_t n = strnlen(src, size - 1);
    memcpy(dst, src, n);
    dst[n] = '\0';
}

weir_rc weir_pgrepl_identify(weir_pgrepl *r, weir_pgrepl_system *out, weir_error *err)
{
    PGresult *res = NULL;
    weir_rc rc = command_row(r, "IDENTIFY_SYSTEM", 3, &res, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    copy_text(out->system_id, sizeof out->system_id, PQgetvalue(res, 0, 0));
    if (!weir_slice_i64(weir_slice_z(PQgetvalue(res, 0, 1)), &out->timeline) ||
        !parse_lsn(PQgetvalue(res, 0, 2), &out->flush_lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "IDENTIFY_SYSTEM gave no timeline or position");
    }
    PQclear(res);
    return rc;
}

/* PostgreSQL's own rule for slot names; it also keeps the name harmless inside a command. */
static bool slot_name_ok(const char *slot)
{
    size_t n = strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && n < 64 && slot[n] == '\0';
}

/* Waits in steps; progress may end the wait, then the command is cancelled and its (ephemeral) slot
 * vanishes with it. */
static weir_rc wait_slot(weir_pgrepl *r, int64_t step_ms, bool (*progress)(void *arg), void *arg,
                         weir_error *err)
{
    weir_error step;
    while (PQisBusy(r->conn)) {
        weir_rc rc = weir_pgconn_wait(r->conn, weir_mono_ms() + step_ms, &step);
        if (rc == WEIR_OK) {
            continue;
        }
        if (rc != WEIR_E_TIMEOUT) {
            return weir_pgconn_lost(r->conn, err);
        }
        if (progress && !progress(arg)) {
            char why[256];
            PGcancel *cancel = PQgetCancel(r->conn);
            if (cancel) {
                (void)PQcancel(cancel, why, sizeof why);
                PQfreeCancel(cancel);
            }
            weir_rc left = drain(r, weir_mono_ms() + END_MAX_MS, &step);
            return left == WEIR_E_CONN ? weir_pgconn_lost(r->conn, err)
                                       : weir_fail(err, WEIR_E_TIMEOUT, WEIR_EF_RETRY,
                                                   "the slot waits for running transactions; gave "
                                                   "up before it was created");
        }
    }
    return WEIR_OK;
}

weir_rc weir_pgrepl_create_slot(weir_pgrepl *r, const char *slot, int64_t step_ms,
                                bool (*progress)(void *arg), void *arg, uint64_t *consistent_lsn,
                                char snapshot[64], weir_error *err)
{
    if (!slot_name_ok(slot)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "a slot name has 1 to 63 of a-z, 0-9 and _");
    }
    char command[200];
    (void)snprintf(command, sizeof command,
                   "CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput (SNAPSHOT 'export')", slot);
    weir_rc rc = send_command(r, command, err);
    if (rc == WEIR_OK) {
        rc = wait_slot(r, step_ms, progress, arg, err);
    }
    PGresult *res = NULL;
    int64_t deadline = weir_mono_ms() + COMMAND_MAX_MS;
    if (rc == WEIR_OK) {
        rc = weir_pgconn_result(r->conn, deadline, &res, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        rc = weir_pgres_fail(res, err);
    } else if (PQntuples(res) != 1 || PQnfields(res) < 3 ||
               !parse_lsn(PQgetvalue(res, 0, 1), consistent_lsn)) {
        rc = weir_fail(err, WEIR_E_PROTO, 0, "CREATE_REPLICATION_SLOT gave no position");
    } else {
        copy_text(snapshot, 64, PQgetvalue(res, 0, 2));
    }
    PQclear(res);
    weir_error ignored;
    weir_rc left = drain(r, deadline, rc == WEIR_OK ? err : &ignored);
    return rc == WEIR_OK ? left : rc;
}

/* Quotes for a string literal that holds a list of identifiers: '"a""b"' . */
static void put_publication(weir_buf *b, const char *name)
{
    weir_buf_putz(b, "'\"");
    for (const char *p = name; *p; p++) {
        if (*p == '"' || *p == '\'') {
            weir_buf_u8(b, (uint8_t)*p);
        }
        weir_buf_u8(b, (uint8_t)*p);
    }
    weir_buf_putz(b, "\"'");
}

/* What the server said when it refused or ended the stream, in the terms of pgrepl.h. */
static weir_rc stream_refused(const PGresult *res, weir_error *err)
{
    weir_error own;
    err = err ? err : &own;
    weir_rc rc = weir_pgres_fail(res, err);
    if (rc == WEIR_E_NOTFOUND) { /* slot or publication is absent: waiting does not bring it back */
        rc = err->code = WEIR_E_STATE;
    }
    return rc;
}

weir_rc weir_pgrepl_start(weir_pgrepl *r, const char *slot, const char *publication,
                          uint64_t start_lsn, weir_error *err)
{
    if (!slot_name_ok(slot)) {
        return weir_fail(err, WEIR_E_INPUT, 0, "a slot name has 1 to 63 of a-z, 0-9 and _");
    }
    weir_buf b;
    weir_buf_init(&b, COMMAND_MAX_BYTES);
    weir_buf_printf(
        &b, "START_REPLICATION SLOT \"%s\" LOGICAL %X/%X (proto_version '1', publication_names ",
        slot, (unsigned)(start_lsn >> 32), (unsigned)start_lsn);
    put_publication(&b, publication);
    weir_buf_putz(&b, ", messages 'true')");
    weir_buf_u8(&b, 0);
    weir_rc rc = b.failed ? weir_fail(err, WEIR_E_INPUT, 0, "the publication name is too long")
                          : send_command(r, b.p, err);
    weir_buf_fini(&b);
    PGresult *res = NULL;
    int64_t deadline = weir_mono_ms() + COMMAND_MAX_MS;
    if (rc == WEIR_OK) {
        rc = weir_pgconn_result(r->conn, deadline, &res, err);
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    if (PQresultStatus(res) == PGRES_COPY_BOTH) {
        r->flowing = true;
        PQclear(res);
        return WEIR_OK;
    }
    rc = stream_refused(res, err);
    PQclear(res);
    weir_error ignored;
    weir_rc left = drain(r, deadline, &ignored);
    return left == WEIR_E_CONN ? weir_pgconn_lost(r->conn, err) : rc;
}

/* The lengths are checked before a single field is read; unknown kinds break the protocol. */
static weir_rc parse(const char *p, size_t n, weir_pgrepl_msg *out, weir_error *err)
{
    weir_rd rd = weir_rd_of((weir_slice){p, n});
    char kind = (char)weir_rd_u8(&rd);
    if (kind == 'w' && n >= 25) {
        (void)weir_rd_u64(&rd); /* start of this record: row positions say nothing about order */
        out->wal_end = weir_rd_u64(&rd);
        (void)weir_rd_u64(&rd);
        out->data = (weir_slice){rd.p, weir_rd_left(&rd)};
        return WEIR_OK;
    }
    if (kind == 'k' && n == 18) {
        out->keepalive = true;
        out->wal_end = weir_rd_u64(&rd);
        (void)weir_rd_u64(&rd);
        out->reply_requested = weir_rd_u8(&rd) != 0;
        return WEIR_OK;
    }
    return weir_fail(err, WEIR_E_PROTO, WEIR_EF_RETRY,
                     "replication message of kind 0x%02x and %zu bytes", (unsigned char)kind, n);
}

static weir_rc stream_ended(weir_pgrepl *r, weir_error *err)
{
    PGresult *res = NULL;
    weir_rc rc = weir_pgconn_result(r->conn, weir_mono_ms() + END_MAX_MS, &res, err);
    r->flowing = false;
    if (rc != WEIR_OK) {
        return rc;
    }
    ExecStatusType st = res ? PQresultStatus(res) : PGRES_COMMAND_OK;
    rc = st == PGRES_FATAL_ERROR ? stream_refused(res, err) : WEIR_E_EOF;
    PQclear(res);
    return rc;
}

weir_rc weir_pgrepl_next(weir_pgrepl *r, weir_pgrepl_msg *out, weir_error *err)
{
    memset(out, 0, sizeof *out);
    PQfreemem(r->row);
    r->row = NULL;
    if (!r->flowing) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the stream is not running");
    }
    int n = PQgetCopyData(r->conn, &r->row, 1);
    if (n == 0) {
        if (r->unsent) {
            int left = PQflush(r->conn);
            if (left < 0) {
                return weir_pgconn_lost(r->conn, err);
            }
            r->unsent = left > 0;
        }
        if (!PQconsumeInput(r->conn)) {
            return weir_pgconn_lost(r->conn, err);
        }
        n = PQgetCopyData(r->conn, &r->row, 1);
    }
    if (n > 0) {
        return parse(r->row, (size_t)n, out, err);
    }
    if (n == 0) {
        return WEIR_E_AGAIN;
    }
    return n == -1 ? stream_ended(r, err) : weir_pgconn_lost(r->conn, err);
}

int weir_pgrepl_fd(const weir_pgrepl *r)
{
    return PQsocket(r->conn);
}

bool weir_pgrepl_loopback(const weir_pgrepl *r)
{
    return r->loopback;
}

static char *put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        *p++ = (char)(unsigned char)(v >> (56 - 8 * i));
    }
    return p;
}

weir_rc weir_pgrepl_feedback(weir_pgrepl *r, uint64_t written, uint64_t flushed, bool request_reply,
                             weir_error *err)
{
    if (!r->flowing) {
        return weir_fail(err, WEIR_E_PROTO, 0, "the stream is not running");
    }
    char b[FEEDBACK_BYTES] = "r";
    char *p = put_u64(b + 1, written);
    p = put_u64(p, flushed);
    p = put_u64(p, flushed);
    p = put_u64(p, (uint64_t)(weir_wall_us() - WEIR_PG_EPOCH_US));
    *p = request_reply ? 1 : 0;
    int k = PQputCopyData(r->conn, b, sizeof b);
    if (k < 0) {
        return weir_pgconn_lost(r->conn, err);
    }
    /* k == 0: the buffer is full of feedback nobody reads; a newer one replaces it, so nothing is
     * lost by skipping. */
    int left = PQflush(r->conn);
    if (left < 0) {
        return weir_pgconn_lost(r->conn, err);
    }
    r->unsent = left > 0;
    return WEIR_OK;
}
