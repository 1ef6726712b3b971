/* merge.c - what a function is told of a conflict, and how its answer is written. */
#include "migrations/sync/merge.h"

#include "libweir/base/str.h"

enum { SQL_MAX_BYTES = 4 << 20 };

weir_rc sync_function_check(weir_pg *pg, const sync_map *m, weir_error *err)
{
    static const char sql[] =
        "SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
        "WHERE format('\"%s\".\"%s\"', replace(n.nspname, '\"', '\"\"'), replace(p.proname, '\"', "
        "'\"\"')) = $1 AND 6 BETWEEN p.pronargs - p.pronargdefaults AND p.pronargs";
    weir_pg_rows *rows = NULL;
    weir_rc rc = weir_pg_query(pg, sql, 1, &m->rules.function, &rows, err);
    if (rc == WEIR_OK && weir_pg_nrows(rows) == 0) {
        rc = weir_fail(err, WEIR_E_STATE, 0,
                       "table %s: its conflicts are for a function that is not there: create "
                       "%s(text, text, jsonb, jsonb, timestamptz, timestamptz) RETURNS jsonb",
                       m->plain, m->rules.function);
    }
    weir_pg_rows_free(rows);
    return rc;
}

const char *sync_sql_ask(const sync_map *m, weir_arena *a)
{
    static const char epoch[] = "'2000-01-01 00:00:00+00'::timestamptz + ";
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b,
                    "SELECT %s($1, $2, $3::jsonb, (SELECT jsonb_object_agg(e.key, e.value) "
                    "FROM (SELECT ",
                    m->rules.function);
    for (uint16_t i = 0; i < m->n; i++) {
        weir_buf_printf(&b, "%s($4::jsonb ->> %s)::%s AS %s", i ? ", " : "",
                        weir_pg_literal(a, weir_slice_z(m->col[i].name)), m->col[i].type,
                        m->col[i].ident);
    }
    /* A column that was not sent is not in it, rather than null. */
    weir_buf_printf(&b,
                    ") r, jsonb_each(to_jsonb(r)) e WHERE $4::jsonb ? e.key), "
                    "%s$5::bigint * interval '1 microsecond', %s$6::bigint * interval "
                    "'1 microsecond')",
                    epoch, epoch);
    return sync_text_in(a, &b);
}

const char *sync_sql_merged(const sync_map *m, weir_arena *a, bool there, int row)
{
    weir_buf b;
    weir_buf_init(&b, SQL_MAX_BYTES);
    weir_buf_printf(&b, there ? "UPDATE %s AS t SET (" : "INSERT INTO %s AS t (",
                    there ? m->from : m->table);
    for (int pass = 0; pass < 2; pass++) {
        int shown = 0;
        for (uint16_t i = 0; i < m->n; i++) {
            if (!m->col[i].always || !there) {
                weir_buf_printf(&b, "%s%s%s", shown++ ? ", " : "", pass ? "r." : "",
                                m->col[i].ident);
            }
        }
        if (pass == 0) {
            weir_buf_putz(&b, there ? ") = (SELECT " : ") OVERRIDING SYSTEM VALUE SELECT ");
        }
    }
    if (!there) {
        weir_buf_printf(&b, " FROM jsonb_populate_record(NULL::%s, $%d::jsonb) r", m->table, row);
        return sync_text_in(a, &b);
    }
    weir_buf_printf(&b, " FROM jsonb_populate_record(t, $%d::jsonb) r) WHERE ", row);
    for (uint16_t i = 0; i < m->nkey; i++) {
        weir_buf_printf(&b, "%st.%s = $%d", i ? " AND " : "", m->col[m->key[i]].ident, i + 1);
    }
    return sync_text_in(a, &b);
}
