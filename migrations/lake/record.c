/* record.c - finding where records end, through a window over the file.
 *
 *   window:  [ done | record … | not looked at yet ]
 *            0      from       scan               n        at: file offset of window[0]
 */
#include "migrations/lake/record.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "libweir/base/xalloc.h"

enum { BLOCK_BYTES = 256 * 1024 };

typedef enum place { FIELD_START, PLAIN, QUOTED, QUOTE_SEEN } place;

struct lake_reader {
    int fd;
    lake_format format;
    char delimiter;
    size_t row_max;
    char *p;
    size_t n, cap, from, scan;
    uint64_t at;
    uint64_t line; /* of from */
    bool eof;
    place state; /* CSV: at scan */
};

lake_reader *lake_reader_new(int fd, lake_format format, char delimiter, size_t row_max_bytes,
                             uint64_t offset, uint64_t line)
{
    lake_reader *r = weir_xcalloc(1, sizeof *r);
    r->fd = fd;
    r->format = format;
    r->delimiter = delimiter;
    r->row_max = row_max_bytes;
    r->cap = BLOCK_BYTES;
    r->p = weir_xmalloc(r->cap);
    r->at = offset;
    r->line = line;
    return r;
}

void lake_reader_free(lake_reader *r)
{
    if (r) {
        free(r->p);
        free(r);
    }
}

uint64_t lake_reader_offset(const lake_reader *r)
{
    return r->at + r->from;
}

uint64_t lake_reader_line(const lake_reader *r)
{
    return r->line;
}

/* One more block behind what is there; the done part gives way first. */
static weir_rc fill(lake_reader *r, weir_error *err)
{
    if (r->from > 0) {
        memmove(r->p, r->p + r->from, r->n - r->from);
        r->at += r->from;
        r->n -= r->from;
        r->scan -= r->from;
        r->from = 0;
    }
    if (r->cap - r->n < BLOCK_BYTES) {
        r->cap = r->n + BLOCK_BYTES;
        r->p = weir_xrealloc(r->p, r->cap);
    }
    for (;;) {
        ssize_t k = pread(r->fd, r->p + r->n, BLOCK_BYTES, (off_t)(r->at + r->n));
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k < 0) {
            return weir_fail_errno(err, "cannot read");
        }
        r->eof = k == 0;
        r->n += (size_t)k;
        return WEIR_OK;
    }
}

/* Advances scan to the newline that ends the record; false: not in the window yet. */
static bool find_end_csv(lake_reader *r)
{
    while (r->scan < r->n) {
        char c = r->p[r->scan];
        switch (r->state) {
        case FIELD_START:
        case PLAIN:
            if (c == '\n') {
                return true;
            }
            r->state = c == '"' && r->state == FIELD_START ? QUOTED
                       : c == r->delimiter                 ? FIELD_START
                                                           : PLAIN;
            break;
        case QUOTED:
            if (c == '"') {
                r->state = QUOTE_SEEN;
            }
            break;
        case QUOTE_SEEN:
            if (c == '\n') {
                return true;
            }
            r->state = c == '"' ? QUOTED : c == r->delimiter ? FIELD_START : PLAIN;
            break;
        }
        r->scan++;
    }
    return false;
}

static bool find_end(lake_reader *r)
{
    if (r->format == LAKE_CSV) {
        return find_end_csv(r);
    }
    const char *nl = r->scan < r->n ? memchr(r->p + r->scan, '\n', r->n - r->scan) : NULL;
    r->scan = nl ? (size_t)(nl - r->p) : r->n;
    return nl != NULL;
}

static uint64_t newlines(const char *p, size_t n)
{
    uint64_t k = 0;
    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) {
        k++;
        if (p + 1 == end) {
            break;
        }
    }
    return k;
}

/* Skips the rest of a record that does not fit; what was scanned is dropped on the way. */
static weir_rc skip_long(lake_reader *r, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (;;) {
        bool found = find_end(r);
        r->line += newlines(r->p + r->from, r->scan - r->from);
        r->from = r->scan;
        if (found) {
            r->from = ++r->scan;
            r->line++;
            return WEIR_OK;
        }
        if (r->eof) {
            return WEIR_OK;
        }
        rc = fill(r, err);
        if (rc != WEIR_OK) {
            return rc;
        }
    }
}

static bool is_blank(const lake_reader *r, weir_slice raw)
{
    return r->format == LAKE_CSV ? raw.n == 0 : weir_slice_trim(raw).n == 0;
}

static void split(lake_reader *r, weir_arena *a, lake_record *rec)
{
    bool ok = r->format == LAKE_CSV ? lake_csv_split(rec->raw, r->delimiter, a, rec)
                                    : lake_json_split(rec->raw, a, rec);
    if (!ok) {
        rec->n = 0;
    }
}

/* A record lies between from and scan; the line end is at scan, or the file ends there. */
static void take(lake_reader *r, bool newline, lake_record *rec)
{
    size_t n = r->scan - r->from;
    const char *p = r->p + r->from;
    rec->line = r->line;
    r->line += newlines(p, n) + (newline ? 1 : 0);
    if (n && p[n - 1] == '\r') {
        n--;
    }
    if (r->at + r->from == 0 && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    rec->raw = weir_slice_of(p, n);
    if (newline) {
        r->scan++;
    }
    r->from = r->scan;
    r->state = FIELD_START;
}

weir_rc lake_reader_next(lake_reader *r, weir_arena *a, lake_record *rec, weir_error *err)
{
    for (;;) {
        *rec = (lake_record){.line = r->line};
        if (r->format == LAKE_CSV && r->at + r->from == 0 && r->scan == 0 && r->n >= 3 &&
            memcmp(r->p, "\xef\xbb\xbf", 3) == 0) {
            r->scan = 3; /* a quote behind the mark begins a field */
        }
        bool found = find_end(r);
        if (!found && r->n - r->from > r->row_max) {
            weir_rc rc = skip_long(r, err);
            r->state = FIELD_START;
            rec->bad = "the record is longer than row_max_bytes";
            return rc;
        }
        if (!found && !r->eof) {
            weir_rc rc = fill(r, err);
            if (rc != WEIR_OK) {
                return rc;
            }
            continue;
        }
        if (!found && r->from == r->n) {
            return WEIR_E_EOF;
        }
        take(r, found, rec);
        if (!is_blank(r, rec->raw)) {
            split(r, a, rec);
            return WEIR_OK;
        }
    }
}
