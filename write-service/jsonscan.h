/* jsonscan.h - a strict, allocation-free look at a JSON object: the common case of a command's body
 * in one pass. Pure.
 *
 * Says yes only to what is certainly good; everything unusual (escapes in keys, many keys in one
 * object, a lone surrogate, any error) is left to the real parser, which also knows what to say
 * about it.
 */
#ifndef WEIR_WRITE_JSONSCAN_H
#define WEIR_WRITE_JSONSCAN_H

#include <stdbool.h>

#include "libweir/base/slice.h"

/* true: s is one JSON object (RFC 8259, UTF-8), nested at most depth_max deep, no key twice in an
 * object, no NUL. */
bool wsvc_json_surely_object(weir_slice s, int depth_max);

#endif
