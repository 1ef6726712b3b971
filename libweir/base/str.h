/* str.h - small text helpers that need no owner of their own. */
#ifndef WEIR_BASE_STR_H
#define WEIR_BASE_STR_H

#include "libweir/base/arena.h"
#include "libweir/base/buf.h"

/* The whole file into the arena, NUL-terminated beyond n; WEIR_E_LIMIT when larger than max_bytes,
 * NOTFOUND when absent. */
WEIR_MUST_CHECK weir_rc weir_file_read(const char *path, size_t max_bytes, weir_arena *a,
                                       weir_slice *out, weir_error *err);
/* Write to path.tmp, fsync, rename: readers see the old or the new file. mode like 0600. */
WEIR_MUST_CHECK weir_rc weir_file_write(const char *path, weir_slice content, unsigned mode,
                                        weir_error *err);
WEIR_MUST_CHECK weir_rc weir_mkdirs(const char *path, unsigned mode,
                                    weir_error *err); /* like mkdir -p */
/* JSON string literal with quotes, as PostgreSQL's jsonb prints it: only \" \\ \b \f \n \r \t and
 * \u00XX below 0x20 escaped. */
void weir_json_quote(weir_buf *out, weir_slice s);
/* true when s is well-formed UTF-8 without NUL. */
bool weir_utf8_ok(weir_slice s);
/* Random 16 bytes as 32 hex digits plus NUL, from getrandom(). */
void weir_random_id(char out[33]);
/* The closest of n words to `word` by edit distance when it is close enough for "did you mean",
 * else NULL. */
const char *weir_nearest(const char *word, const char *const *words, size_t n);

#endif
