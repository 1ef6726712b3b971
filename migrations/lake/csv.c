/* csv.c - one CSV record into its fields. */
#include "libweir/base/str.h"
#include "migrations/lake/record.h"

static bool bad(lake_record *rec, const char *why)
{
    rec->bad = why;
    return false;
}

/* p is behind the opening quote. The field's text with doubled quotes undone; NULL at its end when
 * it is never closed. */
static const char *quoted(const char *p, const char *end, char *to, lake_field *f)
{
    char *at = to;
    for (; p < end; p++) {
        if (*p == '"') {
            if (p + 1 == end || p[1] != '"') {
                f->kind = LAKE_QUOTED;
                f->text = weir_slice_of(to, (size_t)(at - to));
                return p + 1;
            }
            p++;
        }
        *at++ = *p;
    }
    return NULL;
}

static size_t count_fields(weir_slice raw, char delimiter)
{
    size_t n = 1;
    for (size_t i = 0; i < raw.n; i++) {
        n += raw.p[i] == delimiter;
    }
    return n < LAKE_FIELDS_MAX ? n : LAKE_FIELDS_MAX;
}

bool lake_csv_split(weir_slice raw, char delimiter, weir_arena *a, lake_record *rec)
{
    size_t max = count_fields(raw, delimiter);
    rec->n = 0;
    rec->fields = WEIR_ARENA_ARRAY(a, lake_field, max);
    char *copy = weir_arena_alloc(a, raw.n + 1);
    if (!rec->fields || !copy) {
        return bad(rec, "the record needs too much memory");
    }
    if (!weir_utf8_ok(raw)) {
        return bad(rec, "not UTF-8, or a byte 0");
    }
    const char *p = raw.p, *end = raw.p + raw.n;
    for (;;) {
        if (rec->n == max) {
            return bad(rec, "more fields than a table can have columns");
        }
        lake_field *f = &rec->fields[rec->n++];
        if (p < end && *p == '"') {
            p = quoted(p + 1, end, copy, f);
            if (!p) {
                return bad(rec, "a quote is never closed");
            }
            copy += f->text.n;
            if (p < end && *p != delimiter) {
                return bad(rec, "something follows a closing quote");
            }
        } else {
            const char *stop = p < end ? memchr(p, delimiter, (size_t)(end - p)) : NULL;
            stop = stop ? stop : end;
            f->text = weir_slice_of(p, (size_t)(stop - p));
            f->kind = f->text.n ? LAKE_TEXT : LAKE_NULL;
            if (f->text.n && memchr(p, '"', f->text.n)) {
                return bad(rec, "a quote inside of a field that is not quoted");
            }
            p = stop;
        }
        if (p >= end) {
            return true;
        }
        p++; /* the delimiter; at the end an empty field follows it */
    }
}
