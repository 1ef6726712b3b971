/* cut.c - where a chunk begins and ends: bounds are made, compared and ordered by the source. */
#include "libweir/base/xalloc.h"
#include "migrations/crawler/job.h"

enum { WHERE_MAX_BYTES = 64 << 20 };

/* "(a, b) > (('{…}'::text[])[1]::int4, …)" */
static void put_bound(weir_buf *b, weir_arena *a, const crw_tab *t, const char *op, const char *key)
{
    const char *literal = weir_pg_literal(a, weir_slice_z(key));
    weir_buf_printf(b, "(%s) %s (", t->keys, op);
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(b, "%s(%s::text[])[%d]::%s", i ? ", " : "", literal, i + 1,
                        t->key_types[i]);
    }
    weir_buf_putz(b, ")");
}

const char *crw_where(weir_arena *a, const crw_tab *t, const char *lo, const char *hi, bool filter)
{
    weir_buf b;
    weir_buf_init(&b, WHERE_MAX_BYTES);
    if (lo) {
        weir_buf_putz(&b, " WHERE ");
        put_bound(&b, a, t, ">", lo);
    }
    if (hi) {
        weir_buf_putz(&b, lo ? " AND " : " WHERE ");
        put_bound(&b, a, t, "<=", hi);
    }
    if (filter && t->conf->filter) {
        weir_buf_printf(&b, "%s(%s)", lo || hi ? " AND " : " WHERE ", t->conf->filter);
    }
    const char *text = weir_arena_dupz(a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return text ? text : "";
}

weir_rc crw_cut(crw_pair *p, const crw_tab *t, const char *lo, int64_t rows, char **hi,
                weir_error *err)
{
    *hi = NULL;
    if (t->nkey == 0) {
        return WEIR_OK;
    }
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        p->source,
        weir_arena_printf(a, "SELECT %s FROM %s%s ORDER BY %s OFFSET %lld LIMIT 1", t->key_array,
                          t->from, crw_where(a, t, lo, NULL, false), t->keys, (long long)rows - 1),
        0, NULL, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) > 0) {
        *hi = weir_xstrdup(weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    weir_arena_free(a);
    return rc;
}
