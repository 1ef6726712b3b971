/* copytext.h - one line of COPY's text format into values: tab separated, \N for NULL, backslash
 * escapes. Pure. */
#ifndef WEIR_BRIDGE_COPYTEXT_H
#define WEIR_BRIDGE_COPYTEXT_H

#include "libweir/base/err.h"
#include "libweir/codec/tuple.h"

/* line is decoded in place (it shrinks); out->v has room for n values and gets exactly n, else
 * WEIR_E_PROTO. */
WEIR_MUST_CHECK weir_rc brg_copytext(char *line, size_t len, uint16_t n, weir_tuple *out,
                                     weir_error *err);

#endif
