/* tail_table.c - whether changes of a table can come, asked of the database. */
#include "cli/tail_table.h"

#include "cli/database.h"
#include "libweir/base/buf.h"
#include "libweir/base/str.h"

enum { SHOWN_MAX = 10, LIST_MAX_BYTES = 64 * 1024 };

static const char tables_sql[] =
    "SELECT n.nspname, c.relname, p.tablename IS NOT NULL"
    "  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  LEFT JOIN pg_publication_tables p ON p.pubname = $1 AND p.schemaname = n.nspname"
    "   AND p.tablename = c.relname"
    " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'"
    "   AND n.nspname NOT IN ('information_schema', 'weir') ORDER BY 1, 2";

bool cli_tail_matches(const char *asked, weir_slice schema, weir_slice name)
{
    const char *dot = strchr(asked, '.');
    if (!dot) {
        return weir_slice_eqz(name, asked);
    }
    return weir_slice_eq(schema, weir_slice_of(asked, (size_t)(dot - asked))) &&
           weir_slice_eqz(name, dot + 1);
}

/* The published ones, as far as one reads them: "a, b, c and 4 more". */
static void put_published(weir_buf *b, const weir_pg_rows *rows)
{
    int shown = 0, more = 0;
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        if (weir_pg_valuez(rows, i, 2)[0] != 't') {
            continue;
        }
        if (shown == SHOWN_MAX) {
            more++;
            continue;
        }
        weir_buf_printf(b, "%s%s", shown++ ? ", " : "; published are ", weir_pg_valuez(rows, i, 1));
    }
    if (more > 0) {
        weir_buf_printf(b, " and %d more", more);
    }
    if (shown == 0) {
        weir_buf_putz(b, "; no table is published yet: `weir deploy` does");
    }
}

static const char *nearest(cli_app *app, const char *asked, const weir_pg_rows *rows)
{
    int n = weir_pg_nrows(rows);
    const char **names = WEIR_ARENA_ARRAY(app->a, const char *, (size_t)n);
    for (int i = 0; i < n; i++) {
        names[i] = strchr(asked, '.')
                       ? weir_arena_printf(app->a, "%s.%s", weir_pg_valuez(rows, i, 0),
                                           weir_pg_valuez(rows, i, 1))
                       : weir_arena_strdup(app->a, weir_pg_valuez(rows, i, 1));
    }
    return weir_nearest(asked, names, (size_t)n);
}

static const char *note(cli_app *app, const char *asked, const weir_pg_rows *rows)
{
    const char *there = NULL;
    for (int i = 0; i < weir_pg_nrows(rows); i++) {
        if (!cli_tail_matches(asked, weir_pg_value(rows, i, 0), weir_pg_value(rows, i, 1))) {
            continue;
        }
        if (weir_pg_valuez(rows, i, 2)[0] == 't') {
            return NULL;
        }
        there = weir_arena_printf(app->a, "%s.%s", weir_pg_valuez(rows, i, 0),
                                  weir_pg_valuez(rows, i, 1));
    }
    if (there) {
        return weir_arena_printf(app->a,
                                 "table %s is not in the publication %s, so none of its changes "
                                 "come yet; `weir deploy` publishes tables. Waiting.",
                                 there, app->s.bridge_publication);
    }
    weir_buf b;
    weir_buf_init(&b, LIST_MAX_BYTES);
    const char *near = nearest(app, asked, rows);
    weir_buf_printf(&b, "there is no table %s (yet)", asked);
    if (near) {
        weir_buf_printf(&b, "; did you mean %s?", near);
    } else {
        put_published(&b, rows);
    }
    weir_buf_putz(&b, " Waiting for it.");
    const char *text = weir_arena_dupz(app->a, weir_buf_slice(&b));
    weir_buf_fini(&b);
    return text;
}

const char *cli_tail_table_note(cli_app *app, const char *asked)
{
    cli_database db;
    weir_error err;
    weir_pg_rows *rows = NULL;
    const char *text = NULL;
    const char *params[] = {app->s.bridge_publication};
    if (cli_database_open(&db, app, &err) != WEIR_OK) {
        return NULL; /* the feed may be another machine's */
    }
    if (weir_pg_query(db.pg, tables_sql, 1, params, &rows, &err) == WEIR_OK) {
        text = note(app, asked, rows);
        weir_pg_rows_free(rows);
    }
    cli_database_close(&db);
    return text;
}
