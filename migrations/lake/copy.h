/* copy.h - rows of a part into their table by COPY, around those that do not fit. */
#ifndef WEIR_LAKE_COPY_H
#define WEIR_LAKE_COPY_H

#include "libweir/io/pg.h"
#include "migrations/lake/part_rows.h"

/* Inside a transaction. Rows the database refuses are marked rejected in p with its reason; a
 * failed row is tried alone, behind the good ones before it, before it counts as one. At most
 * `rejects` may be (-1: any number), else WEIR_E_LIMIT. */
WEIR_MUST_CHECK weir_rc lake_copy_rows(weir_pg *pg, lake_part_rows *p, int64_t rejects,
                                       weir_error *err);

#endif
