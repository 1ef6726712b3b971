/* conf_word.h - what is said of words a SYNC.ini may not have. */
#ifndef WEIR_MIGRATIONS_SYNC_CONF_WORD_H
#define WEIR_MIGRATIONS_SYNC_CONF_WORD_H

#include <stddef.h>

#include "libweir/base/err.h"

/* WEIR_E_INPUT: [section] has no option key; names the nearest of the n words when one is near. */
weir_rc sync_conf_no_option(const char *section, const char *key, const char *const *words,
                            size_t n, weir_error *err);

#endif
