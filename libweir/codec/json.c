/* json.c - flat access to JSON, over jansson. */
#include "libweir/codec/json.h"

#include <jansson.h>
#include <stdlib.h>

/* weir_json is jansson's own value; the type only keeps jansson out of the callers. */
static const json_t *in(const weir_json *j)
{
    return (const json_t *)j;
}

weir_rc weir_json_parse(weir_json **out, weir_slice text, weir_error *err)
{
    json_error_t je;
    *out = NULL;
    json_t *j =
        json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!j) {
        return weir_fail(err, WEIR_E_INPUT, WEIR_EF_CLIENT, "JSON, line %d, column %d: %s", je.line,
                         je.column, je.text);
    }
    *out = (weir_json *)j;
    return WEIR_OK;
}

void weir_json_free(weir_json *j)
{
    json_decref((json_t *)j);
}

const weir_json *weir_json_get(const weir_json *j, const char *key)
{
    return (const weir_json *)json_object_get(in(j), key);
}

const weir_json *weir_json_at(const weir_json *j, size_t i)
{
    if (json_is_array(in(j))) {
        return (const weir_json *)json_array_get(in(j), i);
    }
    return NULL;
}

size_t weir_json_len(const weir_json *j)
{
    return json_is_array(in(j)) ? json_array_size(in(j)) : json_object_size(in(j));
}

bool weir_json_text(const weir_json *j, weir_slice *out)
{
    if (!json_is_string(in(j))) {
        return false;
    }
    *out = weir_slice_of(json_string_value(in(j)), json_string_length(in(j)));
    return true;
}

bool weir_json_str(const weir_json *j, const char *key, weir_slice *out)
{
    return weir_json_text(weir_json_get(j, key), out);
}

bool weir_json_i64(const weir_json *j, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(in(j), key);
    if (!json_is_integer(v)) {
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

bool weir_json_double(const weir_json *j, const char *key, double *out)
{
    const json_t *v = json_object_get(in(j), key);
    if (!json_is_number(v)) {
        return false;
    }
    *out = json_number_value(v);
    return true;
}

bool weir_json_bool(const weir_json *j, const char *key, bool *out)
{
    const json_t *v = json_object_get(in(j), key);
    if (!json_is_boolean(v)) {
        return false;
    }
    *out = json_is_true(v);
    return true;
}

bool weir_json_next(const weir_json *j, void **iter, const char **key, const weir_json **value)
{
    json_t *obj = (json_t *)j; /* jansson's iterators take no const, and change nothing */
    *iter = *iter ? json_object_iter_next(obj, *iter) : json_object_iter(obj);
    if (!*iter) {
        return false;
    }
    *key = json_object_iter_key(*iter);
    *value = (const weir_json *)json_object_iter_value(*iter);
    return true;
}

weir_slice weir_json_dump(const weir_json *j, bool pretty, weir_arena *a)
{
    size_t flags = JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT);
    char *text = json_dumps(in(j), flags);
    if (!text) {
        return (weir_slice){NULL, 0};
    }
    weir_slice out = weir_arena_dup(a, weir_slice_z(text));
    free(text);
    return out;
}
