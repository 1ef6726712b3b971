/* settings_ini.h - any ini file: sections, keys and values in the order they stand, each with its
 * line.
 *
 * Our own line reader under inih: it would continue an option on an indented next line and cut long
 * lines without a word.
 */
#ifndef WEIR_BASE_SETTINGS_INI_H
#define WEIR_BASE_SETTINGS_INI_H

#include "libweir/base/arena.h"
#include "libweir/base/err.h"

enum { WEIR_INI_FILE_MAX_BYTES = 1 << 20, WEIR_INI_LINE_MAX_BYTES = 8192 };

/* One option. Strings are valid during the call. A failure ends the reading; err is the reader's:
 * "FILE:LINE: " is put in front of its text. */
typedef weir_rc weir_ini_fn(void *arg, const char *section, const char *key, const char *value,
                            weir_error *err);

/* WEIR_E_NOTFOUND when there is no such file, WEIR_E_INPUT with file and line for what cannot be
 * read. a holds the text while it is read. */
WEIR_MUST_CHECK weir_rc weir_ini_read(const char *path, weir_arena *a, weir_ini_fn *fn, void *arg,
                                      weir_error *err);

#endif
