/* plan.c - what a table's chunks are made of: key, SELECT list, columns, from the catalogs. */
#include <stdio.h>
#include <stdlib.h>

#include "libweir/base/hash.h"
#include "migrations/crawler/job.h"

extern const char weir_sql_plan_source[];
extern const char weir_sql_plan_columns[];
extern const char weir_sql_shape[];

enum { LIST_MAX_BYTES = 1 << 20 };

typedef struct column {
    const char *name, *quoted, *type;
    bool generated, plain_binary;
} column;

static const char *keep(crw *c, const weir_pg_rows *r, int row, int col)
{
    return weir_arena_dupz(c->a, weir_pg_value(r, row, col));
}

static const char *keep_buf(crw *c, weir_buf *b)
{
    const char *z = weir_arena_dupz(c->a, weir_buf_slice(b));
    weir_buf_fini(b);
    return z;
}

static bool is_true(const weir_pg_rows *r, int row, int col)
{
    return weir_pg_valuez(r, row, col)[0] == 't';
}

static weir_rc columns_of(crw *c, weir_pg *pg, const char *table, column **out, size_t *n,
                          weir_error *err)
{
    const char *params[] = {table};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, weir_sql_plan_columns, 1, params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    *n = (size_t)weir_pg_nrows(r);
    *out = WEIR_ARENA_ARRAY(c->a, column, *n + 1);
    for (size_t i = 0; i < *n; i++) {
        int row = (int)i;
        (*out)[i] = (column){.name = keep(c, r, row, 0),
                             .quoted = keep(c, r, row, 1),
                             .type = keep(c, r, row, 2),
                             .generated = is_true(r, row, 3),
                             .plain_binary = is_true(r, row, 4)};
    }
    weir_pg_rows_free(r);
    return WEIR_OK;
}

static const column *find(const column *all, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    return NULL;
}

static void take_key(crw *c, crw_tab *t, const weir_pg_rows *r)
{
    if (weir_pg_isnull(r, 0, 2)) {
        return;
    }
    t->keys = keep(c, r, 0, 2);
    t->key_array = keep(c, r, 0, 3);
    char *types = weir_arena_dupz(c->a, weir_pg_value(r, 0, 4));
    for (char *save = NULL, *p = strtok_r(types, "\n", &save); p && t->nkey < CRW_KEYS_MAX;
         p = strtok_r(NULL, "\n", &save)) {
        t->key_types[t->nkey++] = p;
    }
}

/* Everything that decides what a recorded range means. */
static const char *plan_hash(crw *c, const crw_tab *t)
{
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    weir_buf_printf(&b, "%s|%s", t->keys ? t->keys : "", t->conf->filter ? t->conf->filter : "");
    for (int i = 0; i < t->nkey; i++) {
        weir_buf_printf(&b, "|%s", t->key_types[i]);
    }
    for (size_t i = 0; i < t->conf->ncolumns; i++) {
        const crw_column *col = &t->conf->columns[i];
        const char *plain = col->from ? col->from : "";
        weir_buf_printf(&b, "|%s=%s", col->name, col->expr ? col->expr : plain);
    }
    weir_hash128 h = weir_hash128_of(weir_buf_slice(&b));
    weir_buf_reset(&b);
    for (size_t i = 0; i < sizeof h.b; i++) {
        weir_buf_printf(&b, "%02x", h.b[i]);
    }
    return keep_buf(c, &b);
}

static weir_rc take_shape(crw *c, crw_tab *t, weir_error *err)
{
    const char *params[] = {t->source};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, weir_sql_shape, 1, params, &r, err);
    if (rc == WEIR_OK) {
        t->shape = keep(c, r, 0, 2);
        t->storage = strdup(weir_pg_valuez(r, 0, 3));
        weir_pg_rows_free(r);
    }
    return rc;
}

static weir_rc take_table(crw *c, crw_tab *t, const weir_pg_rows *r, weir_error *err)
{
    char kind = weir_pg_nrows(r) ? weir_pg_valuez(r, 0, 0)[0] : '\0';
    if (kind == '\0') {
        return weir_fail(err, WEIR_E_NOTFOUND, 0, "the source has no table %s", t->source);
    }
    if (kind != 'r' && kind != 'p') {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "%s is no table in the source: only tables can be copied", t->source);
    }
    if (!is_true(r, 0, 6)) {
        return weir_fail(err, WEIR_E_DENIED, 0,
                         "the source's role may not read %s: GRANT SELECT on it", t->source);
    }
    t->partitioned = kind == 'p';
    /* A publication sends the children of plain inheritance as tables of their own. */
    t->from = t->partitioned ? t->source : weir_arena_printf(c->a, "ONLY %s", t->source);
    t->est_rows = weir_pg_i64(r, 0, 1);
    take_key(c, t, r);
    t->inherits = is_true(r, 0, 7);
    t->foreign_part = weir_pg_isnull(r, 0, 8) ? NULL : keep(c, r, 0, 8);
    t->plan = plan_hash(c, t);
    int64_t bytes = weir_pg_i64(r, 0, 5);
    t->est_bytes = bytes;
    if (t->nkey == 0 && c->own.keyless_max_bytes > 0 && bytes > c->own.keyless_max_bytes) {
        return weir_fail(err, WEIR_E_INPUT, 0,
                         "%s has no key and %lld MiB: such a table is copied in one piece and one "
                         "snapshot, from the start again after any interruption; give it a PRIMARY "
                         "KEY (or REPLICA IDENTITY USING INDEX a unique one), or leave it out",
                         t->source, (long long)(bytes >> 20));
    }
    return take_shape(c, t, err);
}

weir_rc crw_plan_source(crw *c, crw_tab *t, weir_error *err)
{
    const crw_table *f = t->conf;
    const char *ts = f->target_schema ? f->target_schema : f->source_schema;
    const char *tn = f->target_name ? f->target_name : f->source_name;
    t->source =
        weir_arena_printf(c->a, "%s.%s", weir_pg_ident(c->a, weir_slice_z(f->source_schema)),
                          weir_pg_ident(c->a, weir_slice_z(f->source_name)));
    t->target = weir_arena_printf(c->a, "%s.%s", weir_pg_ident(c->a, weir_slice_z(ts)),
                                  weir_pg_ident(c->a, weir_slice_z(tn)));
    t->id = weir_arena_printf(c->a, "%s.%s > %s.%s", f->source_schema, f->source_name, ts, tn);
    const char *params[] = {f->source_schema, f->source_name};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(c->source, weir_sql_plan_source, 2, params, &r, err);
    if (rc == WEIR_OK) {
        rc = take_table(c, t, r, err);
    }
    weir_pg_rows_free(r);
    return rc;
}

/* One column of the COPY; false when the target makes its value itself. */
static weir_rc add_column(crw_tab *t, weir_buf *list, weir_buf *into, const char *expr,
                          const column *from, const column *to, const char *name, weir_error *err)
{
    if (!to) {
        return weir_fail(err, WEIR_E_NOTFOUND, 0, "%s has no column \"%s\" in the target: add it",
                         t->target, name);
    }
    if (to->generated) {
        if (t->conf->ncolumns) {
            return weir_fail(err, WEIR_E_INPUT, 0,
                             "column \"%s\" of %s is generated: it cannot be filled", name,
                             t->target);
        }
        return WEIR_OK;
    }
    if (expr) {
        weir_buf_printf(list, "%s(%s)", list->n ? ", " : "", expr);
    } else {
        weir_buf_printf(list, "%s%s", list->n ? ", " : "", from->quoted);
    }
    weir_buf_printf(into, "%s%s", into->n ? ", " : "", to->quoted);
    if (expr || !from->plain_binary || strcmp(from->type, to->type) != 0) {
        t->binary = false;
    }
    return WEIR_OK;
}

static weir_rc match_columns(crw_tab *t, const column *src, size_t nsrc, const column *dst,
                             size_t ndst, weir_buf *list, weir_buf *into, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    t->binary = true;
    for (size_t i = 0; rc == WEIR_OK && !t->conf->ncolumns && i < nsrc; i++) {
        if (!src[i].generated) {
            rc = add_column(t, list, into, NULL, &src[i], find(dst, ndst, src[i].name), src[i].name,
                            err);
        }
    }
    for (size_t i = 0; rc == WEIR_OK && i < t->conf->ncolumns; i++) {
        const crw_column *col = &t->conf->columns[i];
        const char *name = col->from ? col->from : col->name;
        const column *from = find(src, nsrc, name);
        if (!col->expr && !from) {
            return weir_fail(err, WEIR_E_NOTFOUND, 0, "%s has no column \"%s\" in the source",
                             t->source, name);
        }
        rc = add_column(t, list, into, col->expr, from, find(dst, ndst, col->name), col->name, err);
    }
    if (rc == WEIR_OK && list->n == 0) {
        rc = weir_fail(err, WEIR_E_INPUT, 0, "%s has no column to copy", t->source);
    }
    return rc;
}

weir_rc crw_plan_target(crw *c, crw_tab *t, weir_error *err)
{
    const char *params[] = {t->target};
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(c->target,
                      "SELECT count(*) > 0, bool_or(relkind = 'p') FROM pg_class WHERE oid "
                      "= to_regclass($1)",
                      1, params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    t->there = is_true(r, 0, 0);
    t->target_whole = is_true(r, 0, 1);
    weir_pg_rows_free(r);
    if (!t->there) {
        return WEIR_OK;
    }
    column *src = NULL;
    column *dst = NULL;
    size_t nsrc = 0;
    size_t ndst = 0;
    weir_buf list;
    weir_buf into;
    weir_buf_init(&list, LIST_MAX_BYTES);
    weir_buf_init(&into, LIST_MAX_BYTES);
    rc = columns_of(c, c->source, t->source, &src, &nsrc, err);
    if (rc == WEIR_OK) {
        rc = columns_of(c, c->target, t->target, &dst, &ndst, err);
    }
    if (rc == WEIR_OK) {
        rc = match_columns(t, src, nsrc, dst, ndst, &list, &into, err);
    }
    if (rc == WEIR_OK && (list.failed || into.failed)) {
        rc = weir_fail(err, WEIR_E_LIMIT, 0, "the columns of %s are too long", t->source);
    }
    t->list = keep_buf(c, &list);
    t->into = keep_buf(c, &into);
    return rc;
}
