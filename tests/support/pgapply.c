/* pgapply.c - pgoutput messages to idempotent statements, one by one. */
#include "tests/support/pgapply.h"

#include "libweir/base/buf.h"
#include "libweir/base/map.h"
#include "libweir/codec/pgoutput.h"

enum { BATCH_BYTES = 256 * 1024, BATCH_MAX_BYTES = 1 << 28 };

typedef struct play {
    pgapply *p;
    weir_arena *a;  /* relations, for the whole run */
    weir_arena *ea; /* one event */
    weir_map *rels; /* oid -> weir_relation * */
    weir_buf sql;
} play;

static weir_rc flush(play *y, weir_error *err)
{
    weir_buf_u8(&y->sql, 0);
    weir_rc rc = weir_pg_script(y->p->target, y->sql.p, err);
    weir_buf_reset(&y->sql);
    return rc;
}

static const char *name_of(play *y, const weir_relation *r)
{
    return weir_arena_printf(y->ea, "%s.%s", weir_pg_ident(y->ea, r->schema),
                             weir_pg_ident(y->ea, r->name));
}

static const char *literal(play *y, const weir_val *v)
{
    return v->kind == WEIR_VAL_NULL ? "NULL" : weir_pg_literal(y->ea, v->text);
}

/* "a = 1 AND b = 'x'" of the key columns. */
static void put_key(play *y, const weir_relation *r, const weir_tuple *t)
{
    const char *sep = "";
    for (int i = 0; i < r->n; i++) {
        if (r->cols[i].key) {
            weir_buf_printf(&y->sql, "%s%s = %s", sep, weir_pg_ident(y->ea, r->cols[i].name),
                            literal(y, &t->v[i]));
            sep = " AND ";
        }
    }
}

/* "a = 1, b = 'x'" of what was sent. */
static bool put_set(play *y, const weir_relation *r, const weir_tuple *t, bool keys)
{
    const char *sep = "";
    for (int i = 0; i < r->n; i++) {
        if (t->v[i].kind != WEIR_VAL_UNCHANGED && (keys || !r->cols[i].key)) {
            weir_buf_printf(&y->sql, "%s%s = %s", sep, weir_pg_ident(y->ea, r->cols[i].name),
                            literal(y, &t->v[i]));
            sep = ", ";
        }
    }
    return sep[0] != '\0';
}

static void put_names(play *y, const weir_relation *r, bool keys_only, const char *format)
{
    const char *sep = "";
    for (int i = 0; i < r->n; i++) {
        if (!keys_only || r->cols[i].key) {
            const char *name = weir_pg_ident(y->ea, r->cols[i].name);
            weir_buf_putz(&y->sql, sep);
            weir_buf_printf(&y->sql, format, name, name);
            sep = ", ";
        }
    }
}

static void upsert(play *y, const weir_relation *r, const weir_tuple *t)
{
    weir_buf_printf(&y->sql, "INSERT INTO %s (", name_of(y, r));
    put_names(y, r, false, "%s");
    weir_buf_putz(&y->sql, ") VALUES (");
    for (int i = 0; i < r->n; i++) {
        weir_buf_printf(&y->sql, "%s%s", i ? ", " : "", literal(y, &t->v[i]));
    }
    weir_buf_putz(&y->sql, ") ON CONFLICT (");
    put_names(y, r, true, "%s");
    weir_buf_putz(&y->sql, ") DO UPDATE SET ");
    put_names(y, r, false, "%s = excluded.%s");
    weir_buf_putz(&y->sql, ";\n");
}

static void erase(play *y, const weir_relation *r, const weir_tuple *t)
{
    weir_buf_printf(&y->sql, "DELETE FROM %s WHERE ", name_of(y, r));
    put_key(y, r, t);
    weir_buf_putz(&y->sql, ";\n");
}

static bool complete(const weir_tuple *t)
{
    for (int i = 0; i < t->n; i++) {
        if (t->v[i].kind == WEIR_VAL_UNCHANGED) {
            return false;
        }
    }
    return true;
}

/* The row as the source has it now: later than the event, which later events make good. */
static weir_rc read_again(play *y, const weir_relation *r, const weir_tuple *t, weir_error *err)
{
    weir_rc rc = flush(y, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    weir_buf_putz(&y->sql, "SELECT ");
    put_names(y, r, false, "%s");
    weir_buf_printf(&y->sql, " FROM %s WHERE ", name_of(y, r));
    put_key(y, r, t);
    weir_buf_u8(&y->sql, 0);
    weir_pg_rows *rows = NULL;
    rc = weir_pg_query(y->p->source, y->sql.p, 0, NULL, &rows, err);
    weir_buf_reset(&y->sql);
    if (rc == WEIR_OK && weir_pg_nrows(rows) > 0) {
        weir_val v[WEIR_COLUMNS_MAX];
        weir_tuple now = {r->n, v};
        for (int i = 0; i < r->n; i++) {
            bool null = weir_pg_isnull(rows, 0, i);
            v[i] = (weir_val){null ? WEIR_VAL_NULL : WEIR_VAL_TEXT, weir_pg_value(rows, 0, i)};
        }
        upsert(y, r, &now);
    }
    weir_pg_rows_free(rows);
    y->p->reread++;
    return rc;
}

/* The key changed: what stands at the new one already becomes this row; a column that was not sent
 * may belong to another row by now, so the row is read again. */
static weir_rc move(play *y, const weir_relation *r, const weir_tuple *old, const weir_tuple *t,
                    weir_error *err)
{
    if (complete(t)) {
        erase(y, r, old);
        upsert(y, r, t);
        return WEIR_OK;
    }
    const char *table = name_of(y, r);
    weir_buf_printf(&y->sql, "UPDATE %s SET ", table);
    (void)put_set(y, r, t, true);
    weir_buf_putz(&y->sql, " WHERE ");
    put_key(y, r, t);
    weir_buf_printf(&y->sql, ";\nDELETE FROM %s WHERE ", table);
    put_key(y, r, old);
    weir_buf_printf(&y->sql, " AND EXISTS (SELECT FROM %s WHERE ", table);
    put_key(y, r, t);
    weir_buf_printf(&y->sql, ");\nUPDATE %s SET ", table);
    (void)put_set(y, r, t, true);
    weir_buf_putz(&y->sql, " WHERE ");
    put_key(y, r, old);
    weir_buf_putz(&y->sql, ";\n");
    return read_again(y, r, t, err);
}

static weir_rc update(play *y, const weir_relation *r, const weir_pgo *m, weir_error *err)
{
    if (m->u.row.old_kind == 'K') {
        return move(y, r, &m->u.row.old_row, &m->u.row.new_row, err);
    }
    if (complete(&m->u.row.new_row)) {
        upsert(y, r, &m->u.row.new_row);
        return WEIR_OK;
    }
    weir_buf_printf(&y->sql, "UPDATE %s SET ", name_of(y, r));
    (void)put_set(y, r, &m->u.row.new_row, true);
    weir_buf_putz(&y->sql, " WHERE ");
    put_key(y, r, &m->u.row.new_row);
    weir_buf_putz(&y->sql, ";\n");
    return WEIR_OK;
}

static weir_relation *find(play *y, uint32_t oid)
{
    return weir_map_get(y->rels, weir_slice_of((const char *)&oid, sizeof oid));
}

static void keep_relation(play *y, const weir_relation *from)
{
    weir_relation *r = weir_arena_zalloc(y->a, sizeof *r);
    *r = *from;
    r->schema = weir_arena_dup(y->a, from->schema);
    r->name = weir_arena_dup(y->a, from->name);
    r->cols = WEIR_ARENA_ARRAY(y->a, weir_column, from->n);
    for (int i = 0; i < from->n; i++) {
        r->cols[i] = from->cols[i];
        r->cols[i].name = weir_arena_dup(y->a, from->cols[i].name);
    }
    *weir_map_slot(y->rels, weir_slice_of((const char *)&r->oid, sizeof r->oid), NULL) = r;
}

static weir_rc event(play *y, const weir_pgo *m, weir_error *err)
{
    if (m->kind == WEIR_PGO_RELATION) {
        keep_relation(y, &m->u.relation);
        return WEIR_OK;
    }
    if (m->kind == WEIR_PGO_TRUNCATE) {
        for (uint32_t i = 0; i < m->u.truncate.n; i++) {
            weir_buf_printf(&y->sql, "TRUNCATE %s;\n", name_of(y, find(y, m->u.truncate.oids[i])));
        }
        y->p->events++;
        return WEIR_OK;
    }
    if (m->kind != WEIR_PGO_INSERT && m->kind != WEIR_PGO_UPDATE && m->kind != WEIR_PGO_DELETE) {
        return WEIR_OK;
    }
    const weir_relation *r = find(y, m->u.row.oid);
    y->p->events++;
    if (m->kind == WEIR_PGO_INSERT) {
        upsert(y, r, &m->u.row.new_row);
    } else if (m->kind == WEIR_PGO_DELETE) {
        erase(y, r, &m->u.row.old_row);
    } else {
        return update(y, r, m, err);
    }
    return WEIR_OK;
}

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static weir_rc message(play *y, weir_slice hex, weir_error *err)
{
    weir_arena_reset(y->ea);
    size_t n = (hex.n - 2) / 2;
    char *bytes = weir_arena_alloc(y->ea, n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(nibble(hex.p[2 + 2 * i]) << 4 | nibble(hex.p[3 + 2 * i]));
    }
    weir_pgo m;
    weir_rc rc = weir_pgo_decode(weir_slice_of(bytes, n), y->ea, &m, err);
    if (rc == WEIR_OK) {
        rc = event(y, &m, err);
    }
    return rc == WEIR_OK && y->sql.n > BATCH_BYTES ? flush(y, err) : rc;
}

weir_rc pgapply_run(pgapply *p, bool discard, weir_error *err)
{
    const char *params[] = {p->slot, p->publication};
    weir_pg_rows *rows = NULL;
    weir_rc rc =
        weir_pg_query(p->source,
                      "SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, "
                      "'proto_version', '1', 'publication_names', $2)",
                      2, params, &rows, err);
    if (rc != WEIR_OK || discard) {
        weir_pg_rows_free(rows);
        return rc;
    }
    play y = {.p = p, .a = weir_arena_new(0), .ea = weir_arena_new(0), .rels = weir_map_new()};
    weir_buf_init(&y.sql, BATCH_MAX_BYTES);
    weir_buf_putz(&y.sql, "BEGIN;\n");
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(rows); i++) {
        rc = message(&y, weir_pg_value(rows, i, 0), err);
    }
    weir_buf_putz(&y.sql, "COMMIT;\n");
    rc = rc == WEIR_OK ? flush(&y, err) : rc;
    weir_pg_rows_free(rows);
    weir_buf_fini(&y.sql);
    weir_map_free(y.rels);
    weir_arena_free(y.a);
    weir_arena_free(y.ea);
    return rc;
}
