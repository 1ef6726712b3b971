/* ddl.c - CREATE TABLE before the copy, everything else after it. */
#include "migrations/migrate/ddl.h"

#include <stdio.h>

#include "libweir/base/log.h"
#include "migrations/crawler/crawler.h"
#include "migrations/migrate/apply.h"
#include "migrations/migrate/state.h"

static weir_rc note_table(mig_session *s, const mig_ptable *t, weir_error *err)
{
    const char *params[] = {s->m->name.z, t->label, t->dst.found ? "f" : "t"};
    return weir_pg_query(
        s->target,
        "INSERT INTO weir_sync.migrate_table (name, tab, made) VALUES ($1, $2, $3) "
        "ON CONFLICT DO NOTHING",
        3, params, NULL, err);
}

static weir_rc make_table(mig_session *s, const mig_ptable *t, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_buf b;
    weir_buf_init(&b, 4 << 20);
    weir_buf_printf(&b, "CREATE SCHEMA IF NOT EXISTS %s; CREATE TABLE %s (",
                    mig_ident(a, t->map->schema.z), t->dst_sql);
    for (int i = 0; i < t->ncols; i++) {
        weir_buf_printf(&b, "%s%s %s%s%s", i ? ", " : "", t->cols[i].quoted, t->cols[i].type,
                        t->cols[i].collate, t->cols[i].not_null ? " NOT NULL" : "");
    }
    weir_buf_putz(&b, ")");
    weir_buf_u8(&b, '\0');
    weir_rc rc = weir_pg_script(s->target, b.p, err);
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "%s", t->label);
    }
    weir_buf_fini(&b);
    weir_arena_free(a);
    return rc;
}

weir_rc mig_ddl_tables(mig_session *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        rc = note_table(s, t, err);
        if (rc == WEIR_OK && !t->dst.found) {
            rc = make_table(s, t, err);
        }
    }
    return rc;
}

/* DDL and the note that it is done, in one transaction. */
static weir_rc build(mig_session *s, const mig_ptable *t, const char *sql, const char *note,
                     weir_error *err)
{
    const char *params[] = {s->m->name.z, t->label};
    weir_rc rc = weir_pg_script(s->target, "BEGIN; SET LOCAL maintenance_work_mem = '512MB'", err);
    rc = rc == WEIR_OK ? weir_pg_script(s->target, sql, err) : rc;
    if (rc != WEIR_OK) {
        const char *detail = weir_pg_error_field(s->target, 'D');
        if (detail[0] && strlen(err->msg) + strlen(detail) + 3 < sizeof err->msg) {
            size_t n = strlen(err->msg);
            (void)snprintf(err->msg + n, sizeof err->msg - n, " (%s)", detail);
        }
        weir_error_wrap(err, "%s", t->label);
    }
    rc = rc == WEIR_OK ? weir_pg_query(s->target, note, 2, params, NULL, err) : rc;
    weir_error late;
    weir_rc end = weir_pg_script(s->target, rc == WEIR_OK ? "COMMIT" : "ROLLBACK",
                                 rc == WEIR_OK ? err : &late);
    return rc == WEIR_OK ? end : rc;
}

/* keyed and built of one table. */
static weir_rc noted(mig_session *s, const mig_ptable *t, bool *made, bool *keyed, int *built,
                     weir_error *err)
{
    const char *params[] = {s->m->name.z, t->label};
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(s->target,
                      "SELECT made, keyed, built FROM weir_sync.migrate_table WHERE name = "
                      "$1 AND tab = $2",
                      2, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 1) {
        *made = weir_pg_valuez(r, 0, 0)[0] == 't';
        *keyed = weir_pg_valuez(r, 0, 1)[0] == 't';
        *built = (int)weir_pg_i64(r, 0, 2);
    }
    weir_pg_rows_free(r);
    return rc;
}

weir_rc mig_ddl_made(mig_session *s, const mig_ptable *t, bool *made, weir_error *err)
{
    bool keyed = false;
    int built = 0;
    *made = false;
    return noted(s, t, made, &keyed, &built, err);
}

weir_rc mig_ddl_keys(mig_session *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        bool made = false, keyed = false;
        int built = 0;
        rc = noted(s, t, &made, &keyed, &built, err);
        if (rc != WEIR_OK || !made || keyed) {
            continue;
        }
        weir_arena *a = weir_arena_new(0);
        rc = build(s, t,
                   weir_arena_printf(a, "ALTER TABLE %s ADD PRIMARY KEY (%s)", t->dst_sql,
                                     mig_target_key(t, "", a)),
                   "UPDATE weir_sync.migrate_table SET keyed = true WHERE name = $1 AND tab = $2",
                   err);
        if (rc != WEIR_OK && strcmp(err->sqlstate, "23505") == 0) {
            weir_error_wrap(err, "two rows of the source have the same key in the target");
            err->code = WEIR_E_STATE;
            rc = WEIR_E_STATE;
        }
        weir_arena_free(a);
    }
    return rc;
}

static weir_rc build_extra(mig_session *s, const mig_ptable *t, const mig_extra *x, weir_error *err)
{
    static const char *const sql[] = {[MIG_INDEX] = "CREATE INDEX ON %s %s",
                                      [MIG_UNIQUE] = "ALTER TABLE %s ADD UNIQUE %s",
                                      [MIG_FOREIGN_KEY] =
                                          "ALTER TABLE %s ADD FOREIGN KEY %s NOT VALID"};
    weir_arena *a = weir_arena_new(0);
    weir_rc rc = build(s, t, weir_arena_printf(a, sql[x->kind], t->dst_sql, x->text.z),
                       "UPDATE weir_sync.migrate_table SET built = built + 1 WHERE name = $1 AND "
                       "tab = $2",
                       err);
    if (rc != WEIR_OK && strcmp(err->sqlstate, "23505") == 0) {
        rc = WEIR_E_AGAIN;
    }
    weir_arena_free(a);
    return rc;
}

/* One table's lines of a kind class; they are counted in the order unique, index, foreign_key. */
static weir_rc extras_of(mig_session *s, const mig_ptable *t, bool foreign, weir_error *err)
{
    static const int ORDER[] = {MIG_UNIQUE, MIG_INDEX, MIG_FOREIGN_KEY};
    bool made = false, keyed = false;
    int built = 0, at = 0;
    weir_rc rc = noted(s, t, &made, &keyed, &built, err);
    for (int k = 0; k < 3; k++) {
        for (const mig_extra *x = t->map->extras; rc == WEIR_OK && x; x = x->next) {
            if ((int)x->kind != ORDER[k]) {
                continue;
            }
            at++;
            if (at > built && (x->kind == MIG_FOREIGN_KEY) == foreign) {
                rc = build_extra(s, t, x, err);
                built += rc == WEIR_OK;
            }
        }
    }
    return rc;
}

weir_rc mig_ddl_extras(mig_session *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
            rc = extras_of(s, &s->plan->tables[i], pass == 1, err);
        }
    }
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        weir_arena *a = weir_arena_new(0);
        rc = weir_pg_script(s->target,
                            weir_arena_printf(a, "ANALYZE %s", s->plan->tables[i].dst_sql), err);
        weir_arena_free(a);
    }
    return rc;
}

extern const char weir_sql_migrate_foreign[];

/* Runs as a plain session: under the replica role a validation would look at nothing. */
weir_rc mig_ddl_foreign_keys(mig_session *s, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (int i = 0; rc == WEIR_OK && i < s->plan->ntables; i++) {
        const mig_ptable *t = &s->plan->tables[i];
        const char *params[] = {t->dst_sql};
        weir_pg_rows *r = NULL;
        weir_arena *a = weir_arena_new(0);
        rc = weir_pg_query(s->target, weir_sql_migrate_foreign, 1, params, &r, err);
        for (int row = 0; rc == WEIR_OK && row < weir_pg_nrows(r); row++) {
            const char *dangling = "";
            rc = mig_value(s->target, a, weir_pg_valuez(r, row, 2), NULL, &dangling, err);
            if (rc == WEIR_OK && strcmp(dangling, "0") != 0) {
                rc = weir_fail(err, WEIR_E_CONFLICT, 0,
                               "%s: the foreign key %s does not hold: %s rows have no parent",
                               t->label, weir_pg_valuez(r, row, 0), dangling);
            } else if (rc == WEIR_OK && weir_pg_valuez(r, row, 1)[0] != 't') {
                rc = weir_pg_script(s->target,
                                    weir_arena_printf(a, "ALTER TABLE %s VALIDATE CONSTRAINT %s",
                                                      t->dst_sql,
                                                      weir_pg_ident(a, weir_pg_value(r, row, 0))),
                                    err);
            }
        }
        weir_pg_rows_free(r);
        weir_arena_free(a);
    }
    return rc;
}

weir_rc mig_ddl_drop(mig_session *s, int *tables, weir_error *err)
{
    weir_arena *a = weir_arena_new(0);
    weir_pg_rows *r = NULL;
    weir_rc rc =
        weir_pg_query(s->target, "SELECT tab FROM weir_sync.migrate_table WHERE name = $1 AND made",
                      1, &s->m->name.z, &r, err);
    *tables = rc == WEIR_OK ? weir_pg_nrows(r) : 0;
    weir_buf b;
    weir_buf_init(&b, 4 << 20);
    for (int i = 0; i < *tables; i++) {
        for (int k = 0; k < s->m->ntables; k++) {
            const mig_table *t = &s->m->tables[k];
            const char *label = weir_arena_printf(a, "%s.%s", t->schema.z, t->name.z);
            if (strcmp(label, weir_pg_valuez(r, i, 0)) == 0) {
                weir_buf_printf(&b, "%s%s", b.n ? ", " : "DROP TABLE IF EXISTS ",
                                mig_qualified(a, t->schema.z, t->name.z));
            }
        }
    }
    weir_pg_rows_free(r);
    weir_buf_u8(&b, '\0');
    rc = rc == WEIR_OK ? weir_pg_script(s->target, "BEGIN", err) : rc;
    rc = rc == WEIR_OK && b.n > 1 ? weir_pg_script(s->target, b.p, err) : rc;
    rc = rc == WEIR_OK ? mig_state_sql(s->target, "DELETE FROM weir_sync.migrate WHERE name = $1",
                                       s->m->name.z, NULL, err)
                       : rc;
    weir_error late;
    weir_rc end = weir_pg_ok(s->target)
                      ? weir_pg_script(s->target, rc == WEIR_OK ? "COMMIT" : "ROLLBACK",
                                       rc == WEIR_OK ? err : &late)
                      : rc;
    weir_buf_fini(&b);
    weir_arena_free(a);
    return rc == WEIR_OK ? end : rc;
}
