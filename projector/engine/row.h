/* row.h - a stored row: the kept columns of its table as the texts PostgreSQL sent.
 *
 *   row = count:varint, then count × ( 0 NULL | 1 absent | n+2, n bytes )        varint: LEB128
 * Columns are only ever added to a table's layout, at its end; a row stored before has fewer and
 * its missing ones are absent, like a TOASTed column that never came. Pure; any thread.
 */
#ifndef WEIR_PROJECTOR_ENGINE_ROW_H
#define WEIR_PROJECTOR_ENGINE_ROW_H

#include "libweir/base/buf.h"
#include "libweir/codec/tuple.h"

/* WEIR_VAL_UNCHANGED is stored as absent. Appends to out. */
void weir_row_encode(weir_buf *out, const weir_val *vals, size_t n);
/* Fills vals[0…n); missing ones are absent (WEIR_VAL_UNCHANGED). Texts borrow from row. false: the
 * bytes are no row. */
WEIR_MUST_CHECK bool weir_row_decode(weir_slice row, weir_val *vals, size_t n);
/* Picks columns: slot i goes to vals[to[i]] unless to[i] < 0; the others of vals[0…nvals) become
 * absent. */
WEIR_MUST_CHECK bool weir_row_pick(weir_slice row, const int *to, size_t nto, weir_val *vals,
                                   size_t nvals);

#endif
