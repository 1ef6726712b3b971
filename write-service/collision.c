/* collision.c - the row that a command could not get. */
#include "write-service/collision.h"

#include "libweir/base/xalloc.h"

wsvc_collision *wsvc_collision_new(const char *text)
{
    json_t *doc = text ? json_loads(text, 0, NULL) : NULL;
    const char *table = json_string_value(json_object_get(doc, "table"));
    if (!table) {
        json_decref(doc);
        return NULL;
    }
    wsvc_collision *c = weir_xcalloc(1, sizeof *c);
    c->doc = doc;
    c->table = table;
    c->row = json_object_get(doc, "row");
    c->ncolumns = json_array_size(c->row);
    return c;
}

void wsvc_collision_free(wsvc_collision *c)
{
    if (c) {
        json_decref(c->doc);
        free(c);
    }
}

static weir_slice text_at(const wsvc_collision *c, size_t i, size_t which)
{
    const json_t *v = json_array_get(json_array_get(c->row, i), which);
    return weir_slice_of(json_string_value(v), json_string_length(v));
}

weir_slice wsvc_collision_column(const wsvc_collision *c, size_t i)
{
    return text_at(c, i, 0);
}

weir_slice wsvc_collision_value(const wsvc_collision *c, size_t i)
{
    return text_at(c, i, 1);
}
