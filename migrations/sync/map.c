/* map.c - a relation against the target's catalog. */
#include "migrations/sync/map.h"

#include <string.h>

#include "libweir/base/buf.h"

enum { SQL_MAX_BYTES = 4 << 20, KEYS_MAX = 32 };

extern const char weir_sql_target_columns[];
extern const char weir_sql_target_unique[];

/* The target's row of the catalog for a column name, -1 none. */
static int find_row(const weir_pg_rows *rows, const char *name)
{
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        if (weir_slice_eqz(weir_pg_value(rows, i, 0), name)) {
            return i;
        }
    }
    return -1;
}

static bool is_true(const weir_pg_rows *rows, int row, int col)
{
    return weir_pg_valuez(rows, row, col)[0] == 't';
}

static const char *target_name(const sync_route *route, const weir_relation *rel, uint16_t i,
                               weir_arena *a)
{
    return route->columns ? route->columns[i] : weir_arena_dupz(a, rel->cols[i].name);
}

static weir_rc add_column(sync_map *m, const weir_pg_rows *rows, const char *name, uint16_t from,
                          weir_arena *a, weir_error *err)
{
    int r = find_row(rows, name);
    if (r < 0) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "the target's table %s has no column %s: add it there", m->plain, name);
    }
    if (is_true(rows, r, 4)) {
        return WEIR_OK; /* generated: the target computes it */
    }
    m->col[m->n++] = (sync_column){
        .name = weir_arena_dupz(a, weir_pg_value(rows, r, 0)),
        .ident = weir_arena_dupz(a, weir_pg_value(rows, r, 1)),
        .type = weir_arena_dupz(a, weir_pg_value(rows, r, 2)),
        .from = from,
        .as_text = is_true(rows, r, 3),
        .always = is_true(rows, r, 5),
        .key = m->rel->identity == 'f' ? is_true(rows, r, 6) : m->rel->cols[from].key,
    };
    return WEIR_OK;
}

static weir_rc check_unique(weir_pg *pg, const sync_map *m, const sync_route *route,
                            weir_error *err)
{
    weir_buf b;
    weir_pg_rows *rows = NULL;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_u8(&b, '{');
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_putz(&b, i ? ",\"" : "\"");
        for (const char *p = m->col[m->key[i]].name; *p; p++) {
            if (*p == '"' || *p == '\\') {
                weir_buf_u8(&b, '\\');
            }
            weir_buf_u8(&b, (uint8_t)*p);
        }
        weir_buf_u8(&b, '"');
    }
    weir_buf_put(&b, "}", 2); /* with the NUL */
    const char *params[] = {route->schema, route->name, b.p};
    weir_rc rc = weir_pg_query(pg, weir_sql_target_unique, 3, params, &rows, err);
    if (rc == WEIR_OK && !is_true(rows, 0, 0)) {
        rc =
            weir_fail(err, WEIR_E_STATE, 0,
                      "the target's table %s has no unique index on the source's key %s: create it "
                      "there",
                      m->plain, b.p);
    }
    weir_pg_rows_free(rows);
    weir_buf_fini(&b);
    return rc;
}

static weir_rc fill(weir_pg *pg, const weir_pg_rows *rows, const sync_route *route, weir_arena *a,
                    sync_map *m, weir_error *err)
{
    const weir_relation *rel = m->rel;
    m->table = weir_arena_dupz(a, weir_pg_value(rows, 0, 7));
    m->plain = m->table;
    m->from = is_true(rows, 0, 8) ? m->table : weir_arena_printf(a, "ONLY %s", m->table);
    m->schema = weir_arena_strdup(a, route->schema);
    m->name = weir_arena_strdup(a, route->name);
    m->unquoted = weir_arena_printf(a, "%s.%s", m->schema, m->name);
    m->col = WEIR_ARENA_ARRAY(a, sync_column, rel->n);
    uint16_t wanted = 0;
    for (uint16_t i = 0; i < rel->n; i++) {
        const char *name = target_name(route, rel, i, a);
        wanted = (uint16_t)(wanted + (rel->identity != 'f' && rel->cols[i].key));
        weir_rc rc = name ? add_column(m, rows, name, i, a, err) : WEIR_OK;
        if (rc != WEIR_OK) {
            return rc;
        }
    }
    for (uint16_t i = 0; i < m->n && m->nkey < KEYS_MAX; i++) {
        if (m->col[i].key) {
            m->key[m->nkey++] = i;
        }
    }
    if (rel->identity != 'f' && (m->nkey == 0 || m->nkey < wanted)) {
        return weir_fail(err, WEIR_E_STATE, 0,
                         "table %s: a column of the source's key does not arrive in the target",
                         m->plain);
    }
    return m->nkey ? check_unique(pg, m, route, err) : WEIR_OK;
}

weir_rc sync_map_make(weir_pg *pg, const weir_relation *rel, const sync_route *route, int id,
                      weir_arena *a, sync_map *out, weir_error *err)
{
    *out = (sync_map){.kind = route->kind, .rules = route->rules, .rel = rel, .id = id};
    if (route->kind != SYNC_ROUTE_DIRECT) {
        return WEIR_OK;
    }
    weir_pg_rows *rows = NULL;
    const char *params[] = {route->schema, route->name};
    weir_rc rc = weir_pg_query(pg, weir_sql_target_columns, 2, params, &rows, err);
    if (rc == WEIR_OK && weir_pg_nrows(rows) == 0) {
        rc = weir_fail(err, WEIR_E_STATE, 0, "the target has no table %s.%s: create it",
                       route->schema, route->name);
    }
    if (rc == WEIR_OK) {
        rc = fill(pg, rows, route, a, out, err);
    }
    weir_pg_rows_free(rows);
    return rc;
}

const char *sync_text_in(weir_arena *a, weir_buf *b)
{
    const char *z = b->failed ? NULL : weir_arena_dupz(a, weir_buf_slice(b));
    weir_buf_fini(b);
    return z;
}

/* FROM unnest($1::t1[], …) AS s(c0, c1, …) over the columns of `present`. */
static void put_unnest(weir_buf *b, const sync_map *m, const sync_mask *present)
{
    weir_buf_putz(b, " FROM unnest(");
    int p = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            weir_buf_printf(b, "%s$%d::%s[]", p ? ", " : "", p + 1,
                            m->col[i].as_text ? "text" : m->col[i].type);
            p++;
        }
    }
    weir_buf_putz(b, ") AS s(");
    p = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            weir_buf_printf(b, "%sc%u", p++ ? ", " : "", i);
        }
    }
    weir_buf_putz(b, ")");
}

static void put_value(weir_buf *b, const sync_column *c, uint16_t i)
{
    if (c->as_text) {
        weir_buf_printf(b, "s.c%u::%s", i, c->type);
    } else {
        weir_buf_printf(b, "s.c%u", i);
    }
}

static void put_names(weir_buf *b, const sync_map *m, const sync_mask *present)
{
    int p = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            weir_buf_printf(b, "%s%s", p++ ? ", " : "", m->col[i].ident);
        }
    }
}

static sync_mask all_columns(const sync_map *m)
{
    sync_mask all = {{0}};
    for (uint16_t i = 0; i < m->n; i++) {
        sync_mask_set(&all, i);
    }
    return all;
}

static sync_mask key_columns(const sync_map *m)
{
    sync_mask keys = {{0}};
    for (uint16_t i = 0; i < m->nkey; i++) {
        sync_mask_set(&keys, m->key[i]);
    }
    return keys;
}

static void put_key_names(weir_buf *b, const sync_map *m)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(b, "%s%s", i ? ", " : "", m->col[m->key[i]].ident);
    }
}

/* t.k = s.k AND … */
static void put_join(weir_buf *b, const sync_map *m)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        uint16_t k = m->key[i];
        weir_buf_printf(b, "%st.%s = ", i ? " AND " : "", m->col[k].ident);
        put_value(b, &m->col[k], k);
    }
}

static bool settable(const sync_map *m, uint16_t i)
{
    return !m->col[i].key && !m->col[i].always;
}

static void put_conflict_update(weir_buf *b, const sync_map *m)
{
    int p = 0;
    weir_buf_putz(b, " ON CONFLICT (");
    put_key_names(b, m);
    weir_buf_putz(b, ") DO ");
    for (uint16_t i = 0; i < m->n; i++) {
        if (settable(m, i)) {
            weir_buf_printf(b, "%s%s = excluded.%s", p++ ? ", " : "UPDATE SET ", m->col[i].ident,
                            m->col[i].ident);
        }
    }
    if (p == 0) {
        weir_buf_putz(b, "NOTHING");
    }
}

const char *sync_sql_insert(const sync_map *m, weir_arena *a, bool upsert)
{
    weir_buf b;
    sync_mask all = all_columns(m);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "INSERT INTO %s AS t (", m->table);
    put_names(&b, m, &all);
    weir_buf_putz(&b, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_putz(&b, i ? ", " : "");
        put_value(&b, &m->col[i], i);
    }
    put_unnest(&b, m, &all);
    if (upsert) {
        put_conflict_update(&b, m);
    }
    return sync_text_in(a, &b);
}

/* Not last changed here after a time, as far as is remembered. */
void sync_sql_put_guard(weir_buf *b, const char *xid, int origin, int time)
{
    weir_buf_printf(b,
                    "(SELECT o.timestamp IS NULL OR o.roident = $%d::oid OR o.timestamp <= (SELECT "
                    "'2000-01-01 00:00:00+00'::timestamptz + $%d::bigint * interval '1 "
                    "microsecond') FROM pg_xact_commit_timestamp_origin(%s) o)",
                    origin, time, xid);
}

static int count_bits(const sync_map *m, const sync_mask *mask)
{
    int n = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        n += sync_mask_has(mask, i);
    }
    return n;
}

/* Nothing to set, but the count must tell whether the row is there: a column is set to what it is.
 * Not one that is GENERATED ALWAYS, which takes only DEFAULT, and that is another value. NULL when
 * there is no other. */
static const sync_column *touchable(const sync_map *m)
{
    for (uint16_t i = 0; i < m->n; i++) {
        if (!m->col[i].always) {
            return &m->col[i];
        }
    }
    return NULL;
}

const char *sync_sql_update(const sync_map *m, weir_arena *a, const sync_mask *present,
                            bool guarded)
{
    weir_buf b;
    int p = 0;
    int n = count_bits(m, present);
    weir_buf_init(&b, SQL_MAX_BYTES);
    for (uint16_t i = 0; i < m->n; i++) {
        if (settable(m, i) && sync_mask_has(present, i)) {
            if (p++ == 0) {
                weir_buf_printf(&b, "UPDATE %s AS t SET ", m->from);
            } else {
                weir_buf_putz(&b, ", ");
            }
            weir_buf_printf(&b, "%s = ", m->col[i].ident);
            put_value(&b, &m->col[i], i);
        }
    }
    const sync_column *touch = p == 0 ? touchable(m) : NULL;
    if (touch) {
        weir_buf_printf(&b, "UPDATE %s AS t SET %s = t.%s", m->from, touch->ident, touch->ident);
    } else if (p == 0) {
        weir_buf_putz(&b, "SELECT 1");
    }
    put_unnest(&b, m, present);
    if (p == 0 && !touch) {
        weir_buf_printf(&b, ", %s AS t", m->from);
    }
    weir_buf_putz(&b, " WHERE ");
    put_join(&b, m);
    if (guarded) {
        weir_buf_putz(&b, " AND ");
        sync_sql_put_guard(&b, "t.xmin", n + 1, n + 2);
    }
    return sync_text_in(a, &b);
}

const char *sync_sql_delete(const sync_map *m, weir_arena *a, bool guarded)
{
    weir_buf b;
    sync_mask keys = key_columns(m);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "DELETE FROM %s AS t USING (SELECT *", m->from);
    put_unnest(&b, m, &keys);
    weir_buf_putz(&b, ") s WHERE ");
    put_join(&b, m);
    if (guarded) {
        weir_buf_putz(&b, " AND ");
        sync_sql_put_guard(&b, "t.xmin", m->nkey + 1, m->nkey + 2);
    }
    return sync_text_in(a, &b);
}

/* The key's columns by name: so the trigger that notes deletes spells them. */
static void key_order(const sync_map *m, uint16_t order[KEYS_MAX])
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        uint16_t k = i;
        for (; k > 0 && strcmp(m->col[m->key[order[k - 1]]].name, m->col[m->key[i]].name) > 0;
             k--) {
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
}

const char *sync_sql_deleted(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    uint16_t order[KEYS_MAX];
    sync_mask keys = key_columns(m);
    key_order(m, order);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "SELECT 1 FROM (SELECT *");
    put_unnest(&b, m, &keys);
    weir_buf_printf(&b,
                    ") s JOIN weir_sync.tombstone d ON d.tab = %s AND d.key = jsonb_build_array(",
                    weir_pg_literal(a, weir_slice_z(m->table)));
    for (uint16_t i = 0; i < m->nkey; i++) {
        uint16_t k = m->key[order[i]];
        weir_buf_putz(&b, i ? ", " : "");
        put_value(&b, &m->col[k], k);
    }
    weir_buf_putz(&b, ")::text WHERE NOT ");
    sync_sql_put_guard(&b, "d.xid::xid", m->nkey + 1, m->nkey + 2);
    return sync_text_in(a, &b);
}

const char *sync_sql_not_named(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    sync_mask keys = key_columns(m);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "DELETE FROM %s AS t WHERE NOT EXISTS (SELECT 1", m->from);
    put_unnest(&b, m, &keys);
    weir_buf_putz(&b, " WHERE ");
    put_join(&b, m);
    weir_buf_putz(&b, ")");
    return sync_text_in(a, &b);
}

const char *sync_sql_row_deleted(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    uint16_t order[KEYS_MAX];
    key_order(m, order);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b,
                    "SELECT (extract(epoch FROM o.timestamp) * 1000000)::bigint - 946684800000000, "
                    "o.roident FROM weir_sync.tombstone d, LATERAL "
                    "pg_xact_commit_timestamp_origin(d.xid::xid) o WHERE d.tab = %s AND d.key = "
                    "jsonb_build_array(",
                    weir_pg_literal(a, weir_slice_z(m->table)));
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(&b, "%s$%d::%s", i ? ", " : "", order[i] + 1,
                        m->col[m->key[order[i]]].type);
    }
    weir_buf_putz(&b, ")::text");
    return sync_text_in(a, &b);
}

const char *sync_sql_copy(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    sync_mask all = all_columns(m);
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "COPY %s (", m->table);
    put_names(&b, m, &all);
    weir_buf_putz(&b, ") FROM STDIN");
    return sync_text_in(a, &b);
}

const char *sync_sql_row_insert(const sync_map *m, weir_arena *a, const sync_mask *present)
{
    weir_buf b;
    int p = 0;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "INSERT INTO %s AS t (", m->table);
    put_names(&b, m, present);
    weir_buf_putz(&b, ") OVERRIDING SYSTEM VALUE VALUES (");
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            p++;
            weir_buf_printf(&b, "%s$%d", p > 1 ? ", " : "", p);
        }
    }
    weir_buf_putz(&b, ")");
    return sync_text_in(a, &b);
}

/* k1 = $n AND …, first parameter `from` */
static void put_key_is(weir_buf *b, const sync_map *m, int from)
{
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(b, "%st.%s = $%d", i ? " AND " : "", m->col[m->key[i]].ident, from + i);
    }
}

const char *sync_sql_row_update(const sync_map *m, weir_arena *a, const sync_mask *present,
                                bool or_new_key)
{
    weir_buf b;
    int p = 0;
    int set = 0;
    weir_buf_init(&b, SQL_MAX_BYTES);
    const sync_column *touch = touchable(m);
    weir_buf_printf(&b, touch ? "UPDATE %s AS t SET " : "SELECT 1 FROM %s AS t", m->from);
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            p++;
            if (!m->col[i].always) {
                weir_buf_printf(&b, "%s%s = $%d", set++ ? ", " : "", m->col[i].ident, p);
            }
        }
    }
    if (set == 0 && touch) {
        weir_buf_printf(&b, "%s = t.%s", touch->ident, touch->ident);
    }
    weir_buf_putz(&b, " WHERE (");
    put_key_is(&b, m, p + 1);
    if (or_new_key) {
        weir_buf_putz(&b, " OR ");
        int q = 0;
        int shown = 0;
        for (uint16_t i = 0; i < m->n; i++) {
            if (sync_mask_has(present, i)) {
                q++;
                if (m->col[i].key) {
                    weir_buf_printf(&b, "%st.%s = $%d", shown++ ? " AND " : "(", m->col[i].ident,
                                    q);
                }
            }
        }
        weir_buf_putz(&b, ")");
    }
    weir_buf_putz(&b, ")");
    p = 0;
    for (uint16_t i = 0; i < m->n; i++) {
        p += sync_mask_has(present, i);
        if (sync_mask_has(present, i) && m->col[i].always) {
            /* a parameter nobody uses would have no type */
            weir_buf_printf(&b, " AND ($%d::%s IS NULL OR true)", p, m->col[i].type);
        }
    }
    return sync_text_in(a, &b);
}

const char *sync_sql_row_delete(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "DELETE FROM %s AS t WHERE ", m->from);
    put_key_is(&b, m, 1);
    return sync_text_in(a, &b);
}

const char *sync_sql_row_look(const sync_map *m, weir_arena *a, bool tracked)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(
        &b,
        tracked ? "SELECT (extract(epoch FROM o.timestamp) * 1000000)::bigint - 946684800000000, "
                  "o.roident FROM %s AS t, LATERAL pg_xact_commit_timestamp_origin(t.xmin) o WHERE "
                : "SELECT NULL::bigint, 0 FROM %s AS t WHERE ",
        m->from);
    put_key_is(&b, m, 1);
    weir_buf_putz(&b, " FOR UPDATE OF t");
    return sync_text_in(a, &b);
}

const char *sync_sql_row_json(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, "SELECT to_jsonb(t.*) FROM %s AS t WHERE ", m->from);
    put_key_is(&b, m, 1);
    return sync_text_in(a, &b);
}

/* Where one row is that equals the parameters from `from` on, compared as text: partitions use the
 * same ctids. */
static void put_one(weir_buf *b, const sync_map *m, int from)
{
    weir_buf_printf(
        b, "WITH one AS (SELECT t.tableoid AS part, t.ctid AS place FROM %s AS t WHERE ", m->from);
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(b, "%st.%s::text IS NOT DISTINCT FROM ($%d::%s)::text", i ? " AND " : "",
                        m->col[i].ident, from + i, m->col[i].type);
    }
    weir_buf_putz(b, " LIMIT 1 FOR UPDATE) ");
}

const char *sync_sql_whole_delete(const sync_map *m, weir_arena *a)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    put_one(&b, m, 1);
    weir_buf_printf(&b,
                    "DELETE FROM %s AS t USING one WHERE t.tableoid = one.part AND t.ctid = "
                    "one.place",
                    m->from);
    return sync_text_in(a, &b);
}

const char *sync_sql_whole_update(const sync_map *m, weir_arena *a, const sync_mask *present)
{
    weir_buf b;
    int p = 0;
    int set = 0;
    weir_buf_init(&b, SQL_MAX_BYTES);
    put_one(&b, m, count_bits(m, present) + 1);
    weir_buf_printf(&b, "UPDATE %s AS t SET ", m->from);
    for (uint16_t i = 0; i < m->n; i++) {
        if (sync_mask_has(present, i)) {
            p++;
            weir_buf_printf(&b, "%s%s = $%d", set++ ? ", " : "", m->col[i].ident, p);
        }
    }
    weir_buf_putz(&b, " FROM one WHERE t.tableoid = one.part AND t.ctid = one.place");
    return sync_text_in(a, &b);
}
