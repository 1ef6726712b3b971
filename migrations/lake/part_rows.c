/* part_rows.c - records become lines for COPY. */
#include "migrations/lake/part_rows.h"

#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/xalloc.h"

#define BUFFER_MAX_BYTES ((size_t)3 << 30)

void lake_part_rows_init(lake_part_rows *p, const lake_table *t, const lake_files *how)
{
    *p = (lake_part_rows){.table = t, .how = how, .a = weir_arena_new(0)};
    weir_buf_init(&p->text, BUFFER_MAX_BYTES);
    weir_buf_init(&p->raw, BUFFER_MAX_BYTES);
}

void lake_part_rows_fini(lake_part_rows *p)
{
    weir_buf_fini(&p->text);
    weir_buf_fini(&p->raw);
    weir_arena_free(p->a);
    free(p->rows);
    free(p->header);
}

void lake_part_rows_reset(lake_part_rows *p)
{
    weir_buf_reset(&p->text);
    weir_buf_reset(&p->raw);
    weir_arena_reset(p->a);
    p->n = 0;
    p->nsets = 0;
}

bool lake_part_rows_full(const lake_part_rows *p)
{
    return p->nsets == LAKE_SETS_MAX;
}

static int column_of(const lake_table *t, weir_slice name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (weir_slice_eqz(name, t->cols[i].name)) {
            return (int)i;
        }
    }
    return -1;
}

weir_rc lake_part_rows_header(lake_part_rows *p, const lake_record *rec, weir_error *err)
{
    size_t taken = 0;
    if (rec->bad) {
        return weir_fail(err, WEIR_E_INPUT, 0, "the header: %s", rec->bad);
    }
    free(p->header);
    p->header = weir_xcalloc(rec->n + 1, sizeof *p->header);
    p->nheader = rec->n;
    for (size_t i = 0; i < rec->n; i++) {
        weir_slice name = weir_slice_trim(rec->fields[i].text);
        int c = column_of(p->table, name);
        if (c < 0 && !p->how->ignore_unknown) {
            return weir_fail(
                err, WEIR_E_INPUT, 0,
                "the header's \"%.*s\" is no column of %s; rename it, or set ignore_unknown = yes",
                WEIR_SLICE_ARG(name), p->table->quoted);
        }
        if (c >= 0 && !p->table->cols[c].writable) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "column \"%.*s\" of %s is generated; leave it out",
                             WEIR_SLICE_ARG(name), p->table->quoted);
        }
        for (size_t k = 0; k < i && c >= 0; k++) {
            if (p->header[k] == c) {
                return weir_fail(err, WEIR_E_INPUT, 0, "the header names \"%.*s\" twice",
                                 WEIR_SLICE_ARG(name));
            }
        }
        p->header[i] = c;
        taken += c >= 0;
    }
    return taken ? WEIR_OK
                 : weir_fail(err, WEIR_E_INPUT, 0, "the header names no column of %s",
                             p->table->quoted);
}

static uint16_t set_of(lake_part_rows *p, const uint16_t *cols, size_t n)
{
    for (size_t i = p->nsets; i > 0; i--) {
        const lake_set *s = &p->sets[i - 1];
        if (s->n == n && memcmp(s->col, cols, n * sizeof *cols) == 0) {
            return (uint16_t)(i - 1);
        }
    }
    lake_set *s = &p->sets[p->nsets++];
    s->n = n;
    s->col = WEIR_ARENA_ARRAY(p->a, uint16_t, n + 1);
    memcpy(s->col, cols, n * sizeof *cols);
    return (uint16_t)(p->nsets - 1);
}

static void put_text(weir_buf *out, weir_slice s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '\\' && c != '\n' && c != '\r' && c != '\t') {
            continue;
        }
        weir_buf_put(out, s.p + from, i - from);
        weir_buf_u8(out, '\\');
        weir_buf_u8(out, (uint8_t)(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : c));
        from = i + 1;
    }
    weir_buf_put(out, s.p + from, s.n - from);
}

static bool is_null(const lake_part_rows *p, const lake_field *f)
{
    return f->kind == LAKE_NULL || (p->header && f->kind == LAKE_TEXT && p->how->null_text &&
                                    weir_slice_eqz(f->text, p->how->null_text));
}

static void put_field(lake_part_rows *p, const lake_column *col, const lake_field *f)
{
    weir_buf b;
    if (is_null(p, f)) {
        weir_buf_putz(&p->text, "\\N");
        return;
    }
    if (col->type == LAKE_COL_JSON && f->raw.n) {
        put_text(&p->text, f->raw);
        return;
    }
    weir_buf_init(&b, BUFFER_MAX_BYTES);
    bool array =
        col->type == LAKE_COL_ARRAY && f->kind == LAKE_ARRAY && lake_json_array(f->raw, &b);
    put_text(&p->text, array ? weir_buf_slice(&b) : f->text);
    weir_buf_fini(&b);
}

static lake_row *new_row(lake_part_rows *p, const lake_record *rec)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->rows = weir_xrealloc(p->rows, p->cap * sizeof *p->rows);
    }
    lake_row *r = &p->rows[p->n++];
    *r = (lake_row){.line = rec->line, .text = p->text.n, .raw = p->raw.n, .raw_n = rec->raw.n};
    weir_buf_puts(&p->raw, rec->raw);
    return r;
}

void lake_part_rows_reject(lake_part_rows *p, size_t row, const char *sqlstate, const char *why)
{
    lake_row *r = &p->rows[row];
    r->rejected = true;
    r->why = weir_arena_strdup(p->a, why);
    (void)snprintf(r->sqlstate, sizeof r->sqlstate, "%s", sqlstate);
}

/* The last row, for what we see ourselves. */
static void reject(lake_part_rows *p, const char *why)
{
    lake_part_rows_reject(p, p->n - 1, "22000", why);
}

/* The field of each of the table's columns, or NULL. false: the row was rejected. */
static bool arrange(lake_part_rows *p, const lake_record *rec,
                    const lake_field *of[LAKE_FIELDS_MAX])
{
    char why[300];
    if (p->header && rec->n != p->nheader) {
        (void)snprintf(why, sizeof why, "%zu fields, the header has %zu", rec->n, p->nheader);
        reject(p, why);
        return false;
    }
    for (size_t i = 0; i < rec->n; i++) {
        const lake_field *f = &rec->fields[i];
        int c = p->header ? p->header[i] : column_of(p->table, f->name);
        if (c < 0 && !p->header && !p->how->ignore_unknown) {
            (void)snprintf(why, sizeof why, "no column \"%.*s\" in %.80s",
                           (int)(f->name.n < 80 ? f->name.n : 80), f->name.p, p->table->quoted);
            reject(p, why);
            return false;
        }
        if (c >= 0 && !p->table->cols[c].writable) {
            reject(p, "a generated column is given");
            return false;
        }
        if (c >= 0 && of[c]) {
            reject(p, "a member is there twice");
            return false;
        }
        if (c >= 0) {
            of[c] = f;
        }
    }
    return true;
}

void lake_part_rows_add(lake_part_rows *p, const lake_record *rec)
{
    const lake_field *of[LAKE_FIELDS_MAX] = {0};
    uint16_t cols[LAKE_FIELDS_MAX];
    size_t n = 0;
    lake_row *r = new_row(p, rec);
    if (rec->bad) {
        reject(p, rec->bad);
        return;
    }
    if (!arrange(p, rec, of)) {
        return;
    }
    for (size_t i = 0; i < p->table->n; i++) {
        if (of[i]) {
            if (n) {
                weir_buf_u8(&p->text, '\t');
            }
            put_field(p, &p->table->cols[i], of[i]);
            cols[n++] = (uint16_t)i;
        }
    }
    if (n == 0) {
        reject(p, "it has no column of the table");
        return;
    }
    weir_buf_u8(&p->text, '\n');
    r->text_n = p->text.n - r->text;
    r->set = set_of(p, cols, n);
}
