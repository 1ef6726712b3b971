/* json_pretty.h - indents JSON text for people without touching a token: numbers stay as they were
 * written. */
#ifndef WEIR_CODEC_JSON_PRETTY_H
#define WEIR_CODEC_JSON_PRETTY_H

#include "libweir/base/buf.h"

/* Appends text with two blanks per level. Only well-formed JSON gives something sensible; anything
 * else is copied somehow, within bounds. Pure. */
void weir_json_pretty(weir_buf *out, weir_slice text);

#endif
