/* literal.h - values as PostgreSQL reads them: array literals and COPY text. Pure. */
#ifndef WEIR_MIGRATIONS_SYNC_LITERAL_H
#define WEIR_MIGRATIONS_SYNC_LITERAL_H

#include "libweir/base/buf.h"
#include "libweir/codec/tuple.h"

/* One element of an array literal, without the comma; NULL and unchanged become NULL. */
void sync_put_element(weir_buf *b, const weir_val *v);
/* One field of COPY text, without the tab; NULL and unchanged become \N. */
void sync_put_copy(weir_buf *b, const weir_val *v);

#endif
