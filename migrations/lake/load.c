/* load.c - one file into one table: parts, each a transaction with the place it reaches. */
#include "migrations/lake/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libweir/base/str.h"
#include "migrations/lake/copy.h"
#include "migrations/lake/part_rows.h"

extern const char weir_sql_lake_target[];

enum { SOURCE_TEXT_MAX = 8192, PARAMS = 8 };

typedef struct load {
    weir_pg *pg;
    const lake_job *job;
    lake_reader *reader;
    lake_part_rows part;
    weir_arena *a; /* of the record */
    uint64_t pos, line;
    int64_t rows, rejects;
    bool eof;
} load;

const char *lake_stamp_of(int fd, uint64_t *size, char out[120])
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        *size = 0;
        (void)snprintf(out, 120, "gone");
        return out;
    }
    *size = (uint64_t)st.st_size;
    (void)snprintf(out, 120, "%ju:%ju:%jd.%09ld:%jd.%09ld", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino, (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                   (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    return out;
}

weir_rc lake_table_read(weir_pg *pg, const char *schema, const char *name, weir_arena *a,
                        lake_table *out, weir_error *err)
{
    const char *params[] = {schema, name};
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, weir_sql_lake_target, 2, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    out->n = (size_t)weir_pg_nrows(rows);
    out->cols = WEIR_ARENA_ARRAY(a, lake_column, out->n + 1);
    for (size_t i = 0; i < out->n; i++) {
        const char *type = weir_pg_valuez(rows, (int)i, 1);
        lake_column *c = &out->cols[i];
        c->name = weir_arena_strdup(a, weir_pg_valuez(rows, (int)i, 0));
        c->type = type[0] == 'a' ? LAKE_COL_ARRAY : type[0] == 'j' ? LAKE_COL_JSON : LAKE_COL_PLAIN;
        c->writable = weir_slice_eqz(weir_pg_value(rows, (int)i, 2), "t");
        c->key = (int)weir_pg_i64(rows, (int)i, 3);
        out->quoted = weir_arena_strdup(a, weir_pg_valuez(rows, (int)i, 4));
    }
    weir_pg_rows_free(rows);
    return out->n
               ? WEIR_OK
               : weir_fail(err, WEIR_E_INPUT, 0,
                           "there is no table %s.%s in the target; create it first", schema, name);
}

static void step(const load *l, const char *name)
{
    if (l->job->conf->step) {
        l->job->conf->step(l->job->conf->step_arg, name);
    }
}

/* --- the record of the file ------------------------------------------------------------------- */

static const char *number(weir_arena *a, uint64_t n)
{
    return weir_arena_printf(a, "%" PRIu64, n);
}

/* Makes the record, or finds where it stands. */
static weir_rc find(load *l, bool *done, weir_error *err)
{
    const lake_job *j = l->job;
    const char *params[] = {j->conf->flow, j->name,  number(l->a, j->size),
                            j->hash,       j->stamp, j->table->quoted};
    weir_pg_rows *rows = NULL;
    /* The stamp and the error are of this look, also when the file was loaded long ago. */
    weir_rc rc =
        weir_pg_query(l->pg,
                      "INSERT INTO weir_sync.file AS f (flow, name, size, hash, stamp, target)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (flow, name, size, hash)"
                      " DO UPDATE SET stamp = excluded.stamp, error = NULL"
                      " RETURNING done_at IS NOT NULL, pos, line, rows, rejects",
                      6, params, &rows, err);
    if (rc == WEIR_OK) {
        *done = weir_slice_eqz(weir_pg_value(rows, 0, 0), "t");
        l->pos = (uint64_t)weir_pg_i64(rows, 0, 1);
        l->line = (uint64_t)weir_pg_i64(rows, 0, 2);
        l->rows = weir_pg_i64(rows, 0, 3);
        l->rejects = weir_pg_i64(rows, 0, 4);
        weir_pg_rows_free(rows);
    }
    return rc;
}

static weir_rc note_error(load *l, const weir_error *why)
{
    const lake_job *j = l->job;
    weir_error ignored;
    const char *params[] = {j->conf->flow, j->name, number(l->a, j->size), j->hash, why->msg};
    return weir_pg_query(l->pg,
                         "UPDATE weir_sync.file SET error = $5 WHERE flow = $1 AND name = $2"
                         " AND size = $3 AND hash = $4",
                         5, params, NULL, &ignored);
}

static weir_rc advance(load *l, int64_t rows, int64_t rejects, weir_error *err)
{
    const lake_job *j = l->job;
    const char *params[] = {j->conf->flow,
                            j->name,
                            number(l->a, j->size),
                            j->hash,
                            number(l->a, lake_reader_offset(l->reader)),
                            number(l->a, lake_reader_line(l->reader)),
                            number(l->a, (uint64_t)(l->rows + rows)),
                            number(l->a, (uint64_t)(l->rejects + rejects)),
                            l->eof ? "t" : "f",
                            number(l->a, l->pos)};
    weir_pg_rows *got = NULL;
    /* pos: nobody else may have moved it since we read it. */
    weir_rc rc =
        weir_pg_query(l->pg,
                      "UPDATE weir_sync.file SET pos = $5, line = $6, rows = $7, rejects = $8,"
                      " done_at = CASE WHEN $9::boolean THEN clock_timestamp() END"
                      " WHERE flow = $1 AND name = $2 AND size = $3 AND hash = $4 AND pos = $10 "
                      "AND done_at IS NULL"
                      " RETURNING 1",
                      10, params, &got, err);
    if (rc == WEIR_OK && weir_pg_nrows(got) != 1) {
        rc = weir_fail(err, WEIR_E_CONFLICT, 0,
                       "weir_sync.file was changed by somebody else while %s was loaded", j->name);
    }
    weir_pg_rows_free(got);
    return rc;
}

/* --- rejects ---------------------------------------------------------------------------------- */

/* What PostgreSQL's text can hold: other bytes as \xNN; not more than a page or two. */
static const char *source_text(weir_arena *a, weir_slice raw)
{
    weir_buf b;
    bool cut = raw.n > SOURCE_TEXT_MAX;
    raw.n = cut ? SOURCE_TEXT_MAX : raw.n;
    while (cut && raw.n && ((unsigned char)raw.p[raw.n] & 0xc0) == 0x80) {
        raw.n--;
    }
    weir_buf_init(&b, 5 * SOURCE_TEXT_MAX + 16);
    if (weir_utf8_ok(raw)) {
        weir_buf_puts(&b, raw);
    } else {
        for (size_t i = 0; i < raw.n; i++) {
            unsigned char c = (unsigned char)raw.p[i];
            if (c >= ' ' && c < 0x7f) {
                weir_buf_u8(&b, c);
            } else {
                weir_buf_printf(&b, "\\x%02x", c);
            }
        }
    }
    if (cut) {
        weir_buf_putz(&b, "...");
    }
    const char *out = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return out;
}

static weir_rc put_rejects(load *l, int64_t *n, weir_error *err)
{
    const lake_job *j = l->job;
    weir_rc rc = WEIR_OK;
    *n = 0;
    for (size_t i = 0; i < l->part.n && rc == WEIR_OK; i++) {
        const lake_row *r = &l->part.rows[i];
        if (!r->rejected) {
            continue;
        }
        weir_arena_reset(l->a);
        const char *params[] = {j->conf->flow,
                                j->table->quoted,
                                r->sqlstate,
                                r->why,
                                j->name,
                                number(l->a, r->line),
                                source_text(l->a, weir_slice_of(l->part.raw.p + r->raw, r->raw_n))};
        rc = weir_pg_query(
            l->pg,
            "INSERT INTO weir_sync.reject (job, tab, sqlstate, reason, file, line, source_text)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            7, params, NULL, err);
        ++*n;
    }
    return rc;
}

/* --- parts ------------------------------------------------------------------------------------ */

static weir_rc changed(const load *l, weir_error *err)
{
    char now[120];
    uint64_t size;
    if (strcmp(lake_stamp_of(l->job->fd, &size, now), l->job->stamp) == 0) {
        return WEIR_OK;
    }
    return weir_fail(
        err, WEIR_E_INPUT, 0,
        "it changed while it was loaded; write files elsewhere and rename them into the folder");
}

static weir_rc read_part(load *l, weir_error *err)
{
    const lake_folder_conf *c = l->job->conf;
    size_t bytes = c->part_bytes ? (size_t)c->part_bytes : 4 << 20;
    size_t rows = c->part_rows ? (size_t)c->part_rows : 20000;
    lake_part_rows_reset(&l->part);
    while (l->part.n < rows && l->part.raw.n < bytes && !lake_part_rows_full(&l->part)) {
        lake_record rec;
        weir_arena_reset(l->a);
        weir_rc rc = lake_reader_next(l->reader, l->a, &rec, err);
        if (rc == WEIR_E_EOF) {
            l->eof = true;
            break;
        }
        if (rc != WEIR_OK) {
            return rc;
        }
        lake_part_rows_add(&l->part, &rec);
    }
    return l->part.text.failed || l->part.raw.failed
               ? weir_fail(err, WEIR_E_LIMIT, 0,
                           "a part does not fit into memory; lower part_bytes")
               : changed(l, err);
}

static int64_t rejects_left(const load *l)
{
    int64_t max = l->job->conf->rejects_max;
    if (max < 0) {
        return -1;
    }
    max = max ? max : 1000;
    return max > l->rejects ? max - l->rejects : 0;
}

static weir_rc put_part(load *l, weir_error *err)
{
    int64_t rejects = 0;
    weir_rc rc = weir_pg_query(l->pg, "BEGIN", 0, NULL, NULL, err);
    if (rc == WEIR_OK) {
        rc = weir_pg_query(l->pg, "SET CONSTRAINTS ALL IMMEDIATE", 0, NULL, NULL, err);
    }
    if (rc == WEIR_OK) {
        rc = lake_copy_rows(l->pg, &l->part, rejects_left(l), err);
    }
    step(l, "copied");
    if (rc == WEIR_OK) {
        rc = put_rejects(l, &rejects, err);
    }
    weir_arena_reset(l->a);
    int64_t rows = (int64_t)l->part.n - rejects;
    if (rc == WEIR_OK) {
        rc = advance(l, rows, rejects, err);
    }
    if (rc == WEIR_OK) {
        rc = changed(l, err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(l->pg, "COMMIT", 0, NULL, NULL, err);
    }
    if (rc != WEIR_OK) {
        weir_error ignored;
        weir_rc back = weir_pg_ok(l->pg) ? weir_pg_query(l->pg, "ROLLBACK", 0, NULL, NULL, &ignored)
                                         : WEIR_E_CONN;
        (void)back; /* a connection that cannot even do that is given up by the next call */
        return rc;
    }
    step(l, "committed");
    atomic_fetch_add(&l->job->counts->rows, (unsigned long long)rows);
    atomic_fetch_add(&l->job->counts->rejects, (unsigned long long)rejects);
    atomic_fetch_add(&l->job->counts->bytes, lake_reader_offset(l->reader) - l->pos);
    l->rows += rows;
    l->rejects += rejects;
    l->pos = lake_reader_offset(l->reader);
    l->line = lake_reader_line(l->reader);
    return WEIR_OK;
}

static lake_format format_of(const lake_job *j)
{
    if (j->how->format != LAKE_FORMAT_AUTO) {
        return j->how->format;
    }
    static const char *const ends[] = {".jsonl", ".ndjson", ".json"};
    size_t n = strlen(j->name);
    for (size_t i = 0; i < 3; i++) {
        size_t k = strlen(ends[i]);
        if (n > k && strcmp(j->name + n - k, ends[i]) == 0) {
            return LAKE_JSONL;
        }
    }
    return LAKE_CSV;
}

static char delimiter_of(const lake_job *j)
{
    size_t n = strlen(j->name);
    if (j->how->delimiter) {
        return j->how->delimiter;
    }
    return n > 4 && strcmp(j->name + n - 4, ".tsv") == 0 ? '\t' : ',';
}

static lake_reader *reader_at(const load *l, uint64_t pos, uint64_t line)
{
    size_t max = l->job->conf->row_max_bytes ? (size_t)l->job->conf->row_max_bytes : 16 << 20;
    return lake_reader_new(l->job->fd, format_of(l->job), delimiter_of(l->job), max, pos, line);
}

/* The header is read at every start; rows begin behind it. */
static weir_rc read_header(load *l, weir_error *err)
{
    lake_record rec;
    weir_rc rc;
    if (l->job->how->columns) {
        rec = (lake_record){.line = 1};
        if (!lake_csv_split(weir_slice_z(l->job->how->columns), ',', l->a, &rec)) {
            return weir_fail(err, WEIR_E_INPUT, 0, "columns: %s", rec.bad);
        }
        return lake_part_rows_header(&l->part, &rec, err);
    }
    lake_reader *r = reader_at(l, 0, 1);
    rc = lake_reader_next(r, l->a, &rec, err);
    if (rc == WEIR_OK) {
        rc = lake_part_rows_header(&l->part, &rec, err);
    }
    if (rc == WEIR_OK && l->pos == 0) {
        lake_reader_free(l->reader);
        l->reader = r;
        return WEIR_OK;
    }
    lake_reader_free(r);
    return rc; /* WEIR_E_EOF: an empty file has no rows either */
}

static weir_rc run(load *l, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    l->reader = reader_at(l, l->pos, l->line);
    if (format_of(l->job) == LAKE_CSV) {
        rc = read_header(l, err);
        rc = rc == WEIR_E_EOF ? WEIR_OK : rc;
    }
    while (rc == WEIR_OK && !l->eof) {
        if (atomic_load(l->job->stop)) {
            return weir_fail(err, WEIR_E_EOF, 0, "stopping");
        }
        rc = read_part(l, err);
        if (rc == WEIR_OK) {
            rc = put_part(l, err);
        }
    }
    return rc;
}

weir_rc lake_load(weir_pg *pg, const lake_job *job, weir_error *err)
{
    load l = {.pg = pg, .job = job, .a = weir_arena_new(0)};
    bool done = false;
    lake_part_rows_init(&l.part, job->table, job->how);
    weir_rc rc = find(&l, &done, err);
    if (rc == WEIR_OK && !done) {
        rc = run(&l, err);
        bool of_file = rc == WEIR_E_INPUT || rc == WEIR_E_LIMIT || rc == WEIR_E_SYS;
        if (of_file && weir_pg_ok(pg) && !(err->flags & WEIR_EF_RETRY)) {
            weir_rc noted = note_error(&l, err);
            (void)noted; /* the log tells it too */
        }
    }
    lake_reader_free(l.reader);
    lake_part_rows_fini(&l.part);
    weir_arena_free(l.a);
    return rc;
}
