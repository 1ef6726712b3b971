/* manifest_priv.h - between manifest.c and manifest_line.c: the checksum at the end of a line. */
#ifndef WEIR_LAKE_MANIFEST_PRIV_H
#define WEIR_LAKE_MANIFEST_PRIV_H

#include "migrations/lake/manifest.h"

/* Closes the object that begins at `from`: its check, brace and newline. */
void lake_check_put(weir_buf *out, size_t from);
/* line: without its newline. */
bool lake_check_ok(weir_slice line);

#endif
