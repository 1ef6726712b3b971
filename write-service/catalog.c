/* catalog.c - the commands that exist, loaded and looked up. */
#include "write-service/catalog.h"

#include <stdlib.h>

#include "libweir/base/str.h"
#include "libweir/base/xalloc.h"

enum { ARENA_MAX_BYTES = 256 << 20 };

weir_rc wsvc_catalog_revision(weir_pg *pg, int64_t *revision, weir_error *err)
{
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, "SELECT value::bigint FROM weir.setting WHERE key = 'revision'",
                               0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        bool absent = strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
        return absent ? weir_fail(err, WEIR_E_NOTFOUND, WEIR_EF_RETRY,
                                  "the schema weir is not there; run `weir deploy`")
                      : rc;
    }
    if (weir_pg_nrows(rows) == 1) {
        *revision = weir_pg_i64(rows, 0, 0);
    } else {
        rc = weir_fail(err, WEIR_E_NOTFOUND, WEIR_EF_RETRY,
                       "nothing has been deployed; run `weir deploy`");
    }
    weir_pg_rows_free(rows);
    return rc;
}

static weir_slice text_at(weir_arena *a, const weir_pg_rows *rows, int row, int col, bool *ok)
{
    weir_slice v = weir_pg_value(rows, row, col);
    char *z = weir_arena_dupz(a, v);
    *ok = *ok && z;
    return z ? weir_slice_of(z, v.n) : (weir_slice){"", 0};
}

static weir_rc fill(wsvc_catalog *c, const weir_pg_rows *rows, weir_error *err)
{
    size_t n = (size_t)weir_pg_nrows(rows);
    if (n > WSVC_COMMANDS_MAX) {
        return weir_fail(err, WEIR_E_LIMIT, 0, "more than %d commands", WSVC_COMMANDS_MAX);
    }
    c->entries = WEIR_ARENA_ARRAY(c->arena, wsvc_entry, n);
    bool ok = c->entries != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        wsvc_entry *e = &c->entries[i];
        int r = (int)i;
        e->name = text_at(c->arena, rows, r, 1, &ok);
        e->signature = text_at(c->arena, rows, r, 2, &ok);
        e->args = text_at(c->arena, rows, r, 3, &ok);
        e->result_type = text_at(c->arena, rows, r, 4, &ok);
        e->isolated = weir_slice_eqz(weir_pg_value(rows, r, 5), "t");
        e->serializable = weir_slice_eqz(weir_pg_value(rows, r, 6), "t");
        e->description = text_at(c->arena, rows, r, 7, &ok);
        e->openapi = text_at(c->arena, rows, r, 8, &ok);
        e->serialize_by = text_at(c->arena, rows, r, 9, &ok);
        c->revision = weir_pg_i64(rows, r, 0);
        c->n++;
    }
    return ok ? WEIR_OK : weir_fail(err, WEIR_E_LIMIT, 0, "the command catalog is too large");
}

weir_rc wsvc_catalog_load(wsvc_catalog **out, weir_pg *pg, weir_error *err)
{
    /* One statement, one snapshot: revision and commands belong together. Through JSON, because an
     * older control schema has no serialize_by. */
    static const char sql[] = "SELECT s.value::bigint, c.name, c.signature, c.args, c.result_type, "
                              "c.isolated, c.serializable, c.description, c.openapi, "
                              "to_jsonb(c) ->> 'serialize_by'"
                              "  FROM weir.setting s LEFT JOIN weir.command_catalog c ON true"
                              " WHERE s.key = 'revision' ORDER BY c.name COLLATE \"C\"";
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, sql, 0, NULL, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    wsvc_catalog *c = weir_xcalloc(1, sizeof *c);
    c->arena = weir_arena_new(ARENA_MAX_BYTES);
    if (weir_pg_nrows(rows) == 1 && weir_pg_isnull(rows, 0, 1)) {
        c->revision = weir_pg_i64(rows, 0, 0); /* deployed, without commands */
    } else {
        rc = fill(c, rows, err);
    }
    weir_pg_rows_free(rows);
    if (rc != WEIR_OK) {
        wsvc_catalog_free(c);
        return rc;
    }
    *out = c;
    return WEIR_OK;
}

void wsvc_catalog_free(wsvc_catalog *c)
{
    if (c) {
        weir_arena_free(c->arena);
        free(c);
    }
}

static int by_name(const void *key, const void *entry)
{
    return weir_slice_cmp(*(const weir_slice *)key, ((const wsvc_entry *)entry)->name);
}

const wsvc_entry *wsvc_catalog_find(const wsvc_catalog *c, weir_slice name)
{
    return c && c->n > 0 ? bsearch(&name, c->entries, c->n, sizeof c->entries[0], by_name) : NULL;
}

const char *wsvc_catalog_nearest(const wsvc_catalog *c, const char *name)
{
    if (!c || c->n == 0) {
        return NULL;
    }
    const char **words = weir_xcalloc(c->n, sizeof *words);
    for (size_t i = 0; i < c->n; i++) {
        words[i] = c->entries[i].name.p;
    }
    const char *near = weir_nearest(name, words, c->n);
    free(words);
    return near;
}
