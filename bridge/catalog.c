/* catalog.c - published tables and the statements that read them. */
#include "bridge/catalog.h"

#include <stdlib.h>

#include "libweir/base/buf.h"

enum { SQL_MAX_BYTES = 16 * 1024 * 1024 };

extern const char weir_sql_published_tables[];

static const char *text_in(weir_arena *a, weir_buf *b)
{
    const char *z = b->failed ? NULL : weir_arena_dupz(a, weir_buf_slice(b));
    weir_buf_fini(b);
    return z;
}

static void put_columns(weir_buf *b, weir_arena *a, const brg_table *t, bool keys_only)
{
    uint16_t n = keys_only ? t->nkey : t->rel.n;
    for (uint16_t i = 0; i < n; i++) {
        const weir_column *c = &t->rel.cols[keys_only ? t->key[i] : i];
        weir_buf_printf(b, "%s%s", i ? ", " : "", weir_pg_ident(a, c->name));
    }
}

/* The rows r0…r1 of the result belong to one table. */
static void fill_table(const weir_pg_rows *rows, int r0, int r1, weir_arena *a, brg_table *t)
{
    memset(t, 0, sizeof *t);
    t->rel.oid = (uint32_t)weir_pg_i64(rows, r0, 0);
    t->rel.schema = weir_arena_dup(a, weir_pg_value(rows, r0, 1));
    t->rel.name = weir_arena_dup(a, weir_pg_value(rows, r0, 2));
    t->rel.identity = weir_pg_valuez(rows, r0, 3)[0];
    t->rel.n = (uint16_t)(r1 - r0);
    t->rel.cols = WEIR_ARENA_ARRAY(a, weir_column, t->rel.n);
    uint16_t nkey = 0;
    int64_t highest = -1;
    for (int r = r0; r < r1; r++) {
        weir_column *c = &t->rel.cols[r - r0];
        c->name = weir_arena_dup(a, weir_pg_value(rows, r, 6));
        c->type_oid = (uint32_t)weir_pg_i64(rows, r, 7);
        c->typmod = (int32_t)weir_pg_i64(rows, r, 8);
        c->key = strcmp(weir_pg_valuez(rows, r, 9), "t") == 0;
        int64_t at = weir_pg_i64(
            rows, r,
            11); /* -1 for none is not possible: NULL reads as 0, but then in_key is false */
        if (strcmp(weir_pg_valuez(rows, r, 10), "t") == 0 && at >= 0 && at < BRG_KEYS_MAX) {
            t->key[at] = (uint16_t)(r - r0);
            highest = at > highest ? at : highest;
            nkey++;
        }
    }
    t->nkey = highest + 1 == nkey
                  ? nkey
                  : 0; /* a key column that is not published makes the key useless here */
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    /* A partitioned table has rows only in its children; any other table's children are published
     * by their own names. */
    weir_buf_printf(&b, "%s%s.%s", weir_pg_valuez(rows, r0, 4)[0] == 'p' ? "" : "ONLY ",
                    weir_pg_ident(a, t->rel.schema), weir_pg_ident(a, t->rel.name));
    t->source = text_in(a, &b);
    weir_buf_init(&b, SQL_MAX_BYTES);
    put_columns(&b, a, t, false);
    t->columns = text_in(a, &b);
    t->filter = weir_pg_isnull(rows, r0, 5) ? NULL : weir_arena_dupz(a, weir_pg_value(rows, r0, 5));
}

weir_rc brg_catalog_tables(weir_pg *pg, const char *publication, const char *schema,
                           const char *name, weir_arena *a, brg_table **out, size_t *n,
                           weir_error *err)
{
    *n = 0;
    weir_pg_rows *rows = NULL;
    const char *params[] = {publication, schema, name};
    weir_rc rc = weir_pg_query(pg, weir_sql_published_tables, 3, params, &rows, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    int total = weir_pg_nrows(rows);
    *out = WEIR_ARENA_ARRAY(a, brg_table, (size_t)total);
    for (int r = 0; r < total;) {
        int end = r + 1;
        while (end < total && weir_pg_i64(rows, end, 0) == weir_pg_i64(rows, r, 0)) {
            end++;
        }
        fill_table(rows, r, end, a, &(*out)[(*n)++]);
        r = end;
    }
    weir_pg_rows_free(rows);
    return WEIR_OK;
}

static void put_from(weir_buf *b, const brg_table *t, const char *where, const char **glue)
{
    weir_buf_printf(b, "SELECT %s", t->columns);
    if (where) {
        /* on a line of its own, so that it may end in a comment */
        weir_buf_printf(b, ", (%s\n) IS TRUE AS \"weir wants\"", where);
    }
    weir_buf_printf(b, " FROM %s", t->source);
    *glue = " WHERE ";
    if (t->filter) {
        weir_buf_printf(b, " WHERE (%s)", t->filter);
        *glue = " AND ";
    }
}

static bool is_key(const brg_table *t, uint16_t col)
{
    for (uint16_t i = 0; i < t->nkey; i++) {
        if (t->key[i] == col) {
            return true;
        }
    }
    return false;
}

static void put_wanted(weir_buf *b, weir_arena *a, const brg_table *t)
{
    weir_buf_putz(b, "SELECT ");
    for (uint16_t i = 0; i < t->rel.n; i++) {
        const char *name = weir_pg_ident(a, t->rel.cols[i].name);
        weir_buf_printf(b, is_key(t, i) ? "%s, " : "CASE WHEN \"weir wants\" THEN %s END, ", name);
    }
    weir_buf_putz(b, "\"weir wants\" FROM (");
}

static void put_chunk(weir_buf *b, const brg_table *t, weir_arena *a, bool after, int64_t limit,
                      const char *where)
{
    const char *glue;
    put_from(b, t, where, &glue);
    if (after) {
        weir_buf_printf(b, "%s(", glue);
        put_columns(b, a, t, true);
        weir_buf_putz(b, ") > (");
        for (uint16_t i = 0; i < t->nkey; i++) {
            weir_buf_printf(b, "%s$%u", i ? ", " : "", i + 1u);
        }
        weir_buf_putz(b, ")");
    }
    if (t->nkey) {
        weir_buf_putz(b, " ORDER BY ");
        put_columns(b, a, t, true);
    }
    if (limit) {
        weir_buf_printf(b, " LIMIT %lld", (long long)limit);
    }
}

const char *brg_catalog_chunk_sql(const brg_table *t, weir_arena *a, bool after, int64_t limit,
                                  const char *where)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    if (where) {
        put_wanted(&b, a, t);
    }
    put_chunk(&b, t, a, after, limit, where);
    weir_buf_putz(&b, where ? ") weir" : "");
    return text_in(a, &b);
}

const char *brg_catalog_keys_sql(const brg_table *t, weir_arena *a, const weir_tuple *keys,
                                 size_t n)
{
    weir_buf b;
    const char *glue;
    weir_buf_init(&b, SQL_MAX_BYTES);
    put_from(&b, t, NULL, &glue);
    weir_buf_printf(&b, "%s(", glue);
    put_columns(&b, a, t, true);
    weir_buf_putz(&b, ") IN (");
    for (size_t k = 0; k < n; k++) {
        weir_buf_putz(&b, k ? ", (" : "(");
        for (uint16_t i = 0; i < keys[k].n; i++) {
            weir_buf_printf(&b, "%s%s", i ? ", " : "", weir_pg_literal(a, keys[k].v[i].text));
        }
        weir_buf_putz(&b, ")");
    }
    weir_buf_putz(&b, ")");
    return text_in(a, &b);
}

const char *brg_catalog_copy_sql(const brg_table *t, weir_arena *a)
{
    weir_buf b;
    const char *glue;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_putz(&b, "COPY (");
    put_from(&b, t, NULL, &glue);
    weir_buf_putz(&b, ") TO STDOUT");
    return text_in(a, &b);
}
