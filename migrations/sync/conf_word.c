/* conf_word.c - words a SYNC.ini may not have. */
#include "migrations/sync/conf_word.h"

#include "libweir/base/str.h"

weir_rc sync_conf_no_option(const char *section, const char *key, const char *const *words,
                            size_t n, weir_error *err)
{
    const char *near = weir_nearest(key, words, n);
    return weir_fail(err, WEIR_E_INPUT, 0, "[%s] has no option %s%s%s%s", section, key,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}
