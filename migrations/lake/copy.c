/* copy.c - rows of a part into their table by COPY.
 *
 * A range of rows is tried under a savepoint. When the database refuses it, the line it names is
 * only a hint: what is before that line is loaded, then the line alone, then the rest. Without a
 * hint the range is halved. So every reject was refused alone, in its place in the order.
 */
#include "migrations/lake/copy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What is wrong with a row, not with the table or the server: data, constraints, a row twice in an
 * upsert, what a trigger raised, WITH CHECK OPTION, a value too long for an index. */
static bool is_row_error(const weir_error *err)
{
    static const char *const classes[] = {"22", "23", "21", "P0", "44", "54"};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(err->sqlstate, classes[i], 2) == 0) {
            return true;
        }
    }
    return false;
}

static void put_columns(weir_buf *sql, const lake_part_rows *p, const lake_set *set,
                        const char *format)
{
    weir_arena *a = weir_arena_new(0);
    for (size_t i = 0; i < set->n; i++) {
        const char *q = weir_pg_ident(a, weir_slice_z(p->table->cols[set->col[i]].name));
        weir_buf_putz(sql, i ? ", " : "");
        weir_buf_printf(sql, format, q, q);
    }
    weir_arena_free(a);
}

static void put_key(weir_buf *sql, const lake_part_rows *p)
{
    weir_arena *a = weir_arena_new(0);
    for (int k = 1, n = 0; k <= (int)p->table->n; k++) {
        for (size_t i = 0; i < p->table->n; i++) {
            if (p->table->cols[i].key == k) {
                weir_buf_printf(sql, "%s%s", n++ ? ", " : "",
                                weir_pg_ident(a, weir_slice_z(p->table->cols[i].name)));
            }
        }
    }
    weir_arena_free(a);
}

/* Columns that are not of the key and in the set: what an upsert sets. */
static bool put_assignments(weir_buf *sql, const lake_part_rows *p, const lake_set *set)
{
    weir_arena *a = weir_arena_new(0);
    bool any = false;
    for (size_t i = 0; i < set->n; i++) {
        const lake_column *c = &p->table->cols[set->col[i]];
        if (c->key == 0) {
            const char *q = weir_pg_ident(a, weir_slice_z(c->name));
            weir_buf_printf(sql, "%s%s = excluded.%s", any ? ", " : "", q, q);
            any = true;
        }
    }
    weir_arena_free(a);
    return any;
}

static weir_rc script(weir_pg *pg, weir_buf *sql, weir_error *err)
{
    weir_buf_u8(sql, '\0');
    return sql->failed ? weir_fail(err, WEIR_E_LIMIT, 0, "a statement is too long")
                       : weir_pg_query(pg, sql->p, 0, NULL, NULL, err);
}

static weir_rc begin_copy(weir_pg *pg, const lake_part_rows *p, const lake_set *set,
                          weir_error *err)
{
    weir_buf sql;
    weir_buf_init(&sql, 1 << 20);
    weir_buf_printf(&sql, "COPY %s (", p->how->upsert ? "pg_temp.weir_lake_in" : p->table->quoted);
    put_columns(&sql, p, set, "%s");
    weir_buf_putz(&sql, ") FROM STDIN");
    weir_buf_u8(&sql, '\0');
    weir_rc rc = sql.failed ? weir_fail(err, WEIR_E_LIMIT, 0, "a statement is too long")
                            : weir_pg_copy_in_start(pg, sql.p, err);
    weir_buf_fini(&sql);
    return rc;
}

/* From the temporary table into the target. */
static weir_rc merge(weir_pg *pg, const lake_part_rows *p, const lake_set *set, weir_error *err)
{
    weir_buf sql;
    weir_buf_init(&sql, 1 << 20);
    weir_buf_printf(&sql, "INSERT INTO %s (", p->table->quoted);
    put_columns(&sql, p, set, "%s");
    weir_buf_putz(&sql, ") SELECT ");
    put_columns(&sql, p, set, "%s");
    weir_buf_putz(&sql, " FROM pg_temp.weir_lake_in ON CONFLICT (");
    put_key(&sql, p);
    weir_buf_putz(&sql, ") DO ");
    size_t at = sql.n;
    weir_buf_putz(&sql, "UPDATE SET ");
    if (!put_assignments(&sql, p, set)) {
        sql.n = at;
        weir_buf_putz(&sql, "NOTHING");
    }
    weir_rc rc = script(pg, &sql, err);
    weir_buf_fini(&sql);
    return rc == WEIR_OK ? weir_pg_query(pg, "TRUNCATE pg_temp.weir_lake_in", 0, NULL, NULL, err)
                         : rc;
}

static weir_rc put_rows(weir_pg *pg, const lake_part_rows *p, size_t from, size_t to,
                        weir_error *err)
{
    const lake_set *set = &p->sets[p->rows[from].set];
    weir_rc rc = begin_copy(pg, p, set, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    for (size_t i = from; i < to && rc == WEIR_OK;) {
        size_t k = i; /* lines that lie together go together */
        while (k + 1 < to && p->rows[k + 1].text == p->rows[k].text + p->rows[k].text_n) {
            k++;
        }
        size_t at = p->rows[i].text;
        rc = weir_pg_copy_in_put(
            pg, weir_slice_of(p->text.p + at, p->rows[k].text + p->rows[k].text_n - at), err);
        i = k + 1;
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = weir_pg_copy_in_end(pg, NULL, err);
    return rc == WEIR_OK && p->how->upsert ? merge(pg, p, set, err) : rc;
}

/* *line: the line of this COPY the database named, or 0. The outcome is put_rows'. */
static weir_rc try_rows(weir_pg *pg, const lake_part_rows *p, size_t from, size_t to, size_t *line,
                        weir_error *err)
{
    *line = 0;
    weir_rc rc = weir_pg_query(pg, "SAVEPOINT w", 0, NULL, NULL, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    rc = put_rows(pg, p, from, to, err);
    if (rc == WEIR_OK) {
        return weir_pg_query(pg, "RELEASE SAVEPOINT w", 0, NULL, NULL, err);
    }
    if (!weir_pg_ok(pg) || !is_row_error(err)) {
        return rc;
    }
    const char *where = strstr(weir_pg_error_field(pg, 'W'), ", line ");
    unsigned long n = where ? strtoul(where + 7, NULL, 10) : 0;
    *line = n <= to - from ? (size_t)n : 0;
    weir_error lost;
    weir_rc back = weir_pg_query(pg, "ROLLBACK TO SAVEPOINT w", 0, NULL, NULL, &lost);
    if (back != WEIR_OK) {
        *err = lost;
        return back;
    }
    return rc;
}

/* The end of the run of rows with the same columns, passing over rejected ones only at its ends. */
static size_t run_end(const lake_part_rows *p, size_t from)
{
    size_t to = from + 1;
    while (to < p->n && !p->rows[to].rejected && p->rows[to].set == p->rows[from].set) {
        to++;
    }
    return to;
}

static size_t smaller(size_t from, size_t to, size_t line)
{
    if (line > 1) {
        return from + line - 1;
    }
    return line == 1 ? from + 1 : from + (to - from) / 2;
}

static int64_t count_rejected(const lake_part_rows *p)
{
    int64_t n = 0;
    for (size_t i = 0; i < p->n; i++) {
        n += p->rows[i].rejected;
    }
    return n;
}

/* Without the target's constraints: they are for the rows that arrive there. */
static weir_rc make_temporary(weir_pg *pg, const lake_part_rows *p, weir_error *err)
{
    weir_buf sql;
    weir_buf_init(&sql, 4096);
    weir_buf_printf(
        &sql, "CREATE TEMP TABLE weir_lake_in ON COMMIT DROP AS SELECT * FROM %s WITH NO DATA",
        p->table->quoted);
    weir_rc rc = script(pg, &sql, err);
    weir_buf_fini(&sql);
    return rc;
}

static weir_rc too_many(const lake_part_rows *p, size_t at, weir_error *err)
{
    const lake_row *r = &p->rows[at];
    return weir_fail(err, WEIR_E_LIMIT, 0,
                     "more rows are rejected than rejects_max allows, the last in line %" PRIu64
                     ": %.150s; raise it or repair the file",
                     r->line, r->why);
}

weir_rc lake_copy_rows(weir_pg *pg, lake_part_rows *p, int64_t rejects, weir_error *err)
{
    int64_t refused = count_rejected(p);
    size_t end = 0;
    weir_rc made = p->how->upsert ? make_temporary(pg, p, err) : WEIR_OK;
    if (made != WEIR_OK) {
        return made;
    }
    for (size_t at = 0; at < p->n;) {
        lake_row *r = &p->rows[at];
        if (r->rejected) {
            if (rejects >= 0 && refused > rejects) {
                return too_many(p, at, err);
            }
            at++;
            continue;
        }
        if (end <= at) {
            end = run_end(p, at);
        }
        size_t line = 0;
        weir_rc rc = try_rows(pg, p, at, end, &line, err);
        if (rc == WEIR_OK) {
            at = end;
        } else if (!weir_pg_ok(pg) || !is_row_error(err)) {
            return rc;
        } else if (end - at > 1) {
            end = smaller(at, end, line);
        } else {
            lake_part_rows_reject(p, at, err->sqlstate, err->msg);
            if (rejects >= 0 && ++refused > rejects) {
                return too_many(p, at, err);
            }
            at++;
        }
    }
    return WEIR_OK;
}
