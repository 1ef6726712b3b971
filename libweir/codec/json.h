/* json.h - the little JSON that programs other than the write-service read: flat access by path,
 * over jansson. */
#ifndef WEIR_CODEC_JSON_H
#define WEIR_CODEC_JSON_H

#include "libweir/base/arena.h"

typedef struct weir_json weir_json; /* opaque; a parsed document */

/* WEIR_E_INPUT names line and column. Depth is bounded; duplicate keys are refused; NUL in strings
 * is refused. */
WEIR_MUST_CHECK weir_rc weir_json_parse(weir_json **out, weir_slice text, weir_error *err);
void weir_json_free(weir_json *j);
/* Borrowed child; NULL when absent or not an object/array. */
const weir_json *weir_json_get(const weir_json *j, const char *key);
const weir_json *weir_json_at(const weir_json *j, size_t i);
size_t weir_json_len(const weir_json *j); /* array or object; else 0 */
/* false when absent or of another type. Strings are borrowed from the document. */
bool weir_json_str(const weir_json *j, const char *key, weir_slice *out);
bool weir_json_i64(const weir_json *j, const char *key, int64_t *out);
bool weir_json_double(const weir_json *j, const char *key, double *out);
bool weir_json_bool(const weir_json *j, const char *key, bool *out);
/* j itself as a string. */
bool weir_json_text(const weir_json *j, weir_slice *out);
/* Object iteration: start with *iter NULL; false at the end. */
bool weir_json_next(const weir_json *j, void **iter, const char **key, const weir_json **value);
/* Pretty (indent 2) or compact text in the arena. */
weir_slice weir_json_dump(const weir_json *j, bool pretty, weir_arena *a);

#endif
