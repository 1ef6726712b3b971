/* record.h - a file of CSV (RFC 4180) or JSON Lines as records, one at a time, each with its line.
 *
 * The reader holds one window of the file: at most row_max_bytes and a block. A longer record is
 * skipped and told as bad. One thread.
 *
 * CSV: UTF-8, a byte order mark is skipped; fields are separated by one byte, may be quoted with ",
 * a quote within is doubled; quoted fields may hold line breaks; records end in LF or CRLF; empty
 * lines are skipped. Bad records: a quote inside of an unquoted field, something behind a closing
 * quote, a quote that is never closed. JSON Lines: one object per line; empty lines are skipped.
 */
#ifndef WEIR_LAKE_RECORD_H
#define WEIR_LAKE_RECORD_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

typedef enum lake_format { LAKE_FORMAT_AUTO, LAKE_CSV, LAKE_JSONL } lake_format;

typedef enum lake_kind {
    LAKE_NULL,   /* CSV: empty and not quoted; JSON: null */
    LAKE_TEXT,   /* CSV: not quoted; JSON: string, number, true or false */
    LAKE_QUOTED, /* CSV only */
    LAKE_ARRAY,  /* JSON text of an array */
    LAKE_OBJECT  /* JSON text of an object */
} lake_kind;

typedef struct lake_field {
    weir_slice name; /* JSON only */
    lake_kind kind;
    weir_slice text;
    weir_slice raw; /* JSON only: the value as it stands there */
} lake_field;

typedef struct lake_record {
    uint64_t line;   /* of its first byte, from 1 */
    weir_slice raw;  /* without the line end; empty when it was too long */
    const char *bad; /* why it is none, or NULL */
    size_t n;
    lake_field *fields; /* in the arena given to next */
} lake_record;

typedef struct lake_reader lake_reader;

enum { LAKE_FIELDS_MAX = 1700 };

/* fd stays the caller's; it is read by offset. offset and line: where a record begins (0, 1 at the
 * start). */
lake_reader *lake_reader_new(int fd, lake_format format, char delimiter, size_t row_max_bytes,
                             uint64_t offset, uint64_t line);
void lake_reader_free(lake_reader *r); /* NULL is fine */
/* WEIR_E_EOF at the end. rec is valid until the next call, its fields as long as a. */
WEIR_MUST_CHECK weir_rc lake_reader_next(lake_reader *r, weir_arena *a, lake_record *rec,
                                         weir_error *err);
/* Behind the last record. */
uint64_t lake_reader_offset(const lake_reader *r);
uint64_t lake_reader_line(const lake_reader *r);

/* The parts that are pure, over one whole record without its line end. false: *bad says why. */
WEIR_MUST_CHECK bool lake_csv_split(weir_slice raw, char delimiter, weir_arena *a,
                                    lake_record *rec);
WEIR_MUST_CHECK bool lake_json_split(weir_slice raw, weir_arena *a, lake_record *rec);
/* A JSON array of scalars and arrays as PostgreSQL's array text; false when it is not one. */
WEIR_MUST_CHECK bool lake_json_array(weir_slice json, weir_buf *out);

#endif
