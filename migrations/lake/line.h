/* line.h - one change as one JSON object on one line. Pure.
 *
 * docs/lake.md describes the members and the mapping of types. Numbers are copied digit by digit
 * from PostgreSQL's text, never converted.
 */
#ifndef WEIR_LAKE_LINE_H
#define WEIR_LAKE_LINE_H

#include "libweir/codec/frame.h"

/* What all lines of a transaction (or of a command in it) share, and the line's own number. */
typedef struct lake_stamp {
    uint64_t lsn;
    bool copied; /* rows copied into the stream, not a transaction: sub tells chunks apart */
    uint32_t sub;
    uint32_t xid;
    int64_t at_us;                                          /* since 2000-01-01 */
    uint64_t seq;                                           /* from 1 within (lsn, sub) */
    weir_slice command, command_id, correlation_id, origin; /* empty: no such member */
} lake_stamp;

/* Appends the line with its newline. ev: INSERT, UPDATE, DELETE, READ, RANGE, COPIED, or TRUNCATE
 * (then rel is the one table of it that is meant). Values beyond rel's columns are not written. */
void lake_line(weir_buf *out, const lake_stamp *st, const weir_relation *rel, const weir_ev *ev);

/* One value as JSON, by the type's oid. */
void lake_value(weir_buf *out, uint32_t type_oid, weir_slice text);

#endif
