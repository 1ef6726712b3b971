/* catalog.c - reads pg_class, pg_attribute and the key of one table. */
#include "migrations/migrate/catalog.h"

#include "libweir/base/str.h"

extern const char weir_sql_migrate_relation[];
extern const char weir_sql_migrate_columns[];

enum { NEAR_MAX = 2000 };

const char *mig_ident(weir_arena *a, const char *name)
{
    return weir_pg_ident(a, weir_slice_z(name));
}

const char *mig_qualified(weir_arena *a, const char *schema, const char *name)
{
    return weir_arena_printf(a, "%s.%s", mig_ident(a, schema), mig_ident(a, name));
}

weir_rc mig_value(weir_pg *pg, weir_arena *a, const char *sql, const char *param, const char **out,
                  weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, sql, param ? 1 : 0, &param, &r, err);
    *out = "";
    if (rc == WEIR_OK && weir_pg_nrows(r) > 0) {
        *out = weir_arena_strdup(a, weir_pg_valuez(r, 0, 0));
    }
    weir_pg_rows_free(r);
    return rc;
}

static bool yes(const weir_pg_rows *r, int row, int col)
{
    return weir_pg_valuez(r, row, col)[0] == 't';
}

static const char *text(weir_arena *a, const weir_pg_rows *r, int row, int col)
{
    return weir_arena_strdup(a, weir_pg_valuez(r, row, col));
}

static void read_head(weir_arena *a, const weir_pg_rows *r, mig_rel *out)
{
    out->found = true;
    out->oid = (uint32_t)weir_pg_i64(r, 0, 0);
    out->schema = text(a, r, 0, 1);
    out->name = text(a, r, 0, 2);
    out->quoted = mig_qualified(a, out->schema, out->name);
    out->kind = weir_pg_valuez(r, 0, 3)[0];
    out->identity = weir_pg_valuez(r, 0, 4)[0];
    out->persistence = weir_pg_valuez(r, 0, 5)[0];
    out->can_select = yes(r, 0, 6);
    out->can_write = yes(r, 0, 7);
    out->owned = yes(r, 0, 8);
    out->row_security = yes(r, 0, 9);
    out->has_triggers = yes(r, 0, 10);
    out->rows = weir_pg_i64(r, 0, 11);
    out->partition = yes(r, 0, 12);
    out->odd_partition = text(a, r, 0, 13);
}

static void read_columns(weir_arena *a, const weir_pg_rows *r, mig_rel *out)
{
    out->n = weir_pg_nrows(r);
    out->cols = WEIR_ARENA_ARRAY(a, mig_attr, (size_t)out->n + 1);
    int at[32] = {0};
    for (int i = 0; i < out->n; i++) {
        mig_attr *c = &out->cols[i];
        c->name = text(a, r, i, 0);
        c->type = text(a, r, i, 1);
        c->type_oid = (uint32_t)weir_pg_i64(r, i, 2);
        c->typmod = (int32_t)weir_pg_i64(r, i, 3);
        c->base = text(a, r, i, 4);
        c->not_null = yes(r, i, 5);
        c->has_default = yes(r, i, 6);
        c->generated = yes(r, i, 7);
        c->identity = yes(r, i, 8);
        c->builtin = yes(r, i, 9);
        c->collation = text(a, r, i, 11);
        c->declared = text(a, r, i, 12);
        int64_t place = weir_pg_i64(r, i, 10); /* from 1; 0: not part of the key */
        c->in_key = place > 0;
        if (place > 0 && place <= 32) {
            at[place - 1] = i + 1;
        }
    }
    while (out->nkey < 32 && at[out->nkey]) {
        out->key[out->nkey] = at[out->nkey] - 1;
        out->nkey++;
    }
}

weir_rc mig_rel_read(weir_pg *pg, weir_arena *a, const char *schema, const char *name, bool source,
                     mig_rel *out, weir_error *err)
{
    memset(out, 0, sizeof *out);
    const char *reg = schema ? mig_qualified(a, schema, name) : mig_ident(a, name);
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(pg, weir_sql_migrate_relation, 1, &reg, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) == 1) {
        read_head(a, r, out);
    }
    weir_pg_rows_free(r);
    if (rc != WEIR_OK || !out->found) {
        return rc;
    }
    const char *params[] = {weir_arena_printf(a, "%u", out->oid), source ? "t" : "f"};
    r = NULL;
    rc = weir_pg_query(pg, weir_sql_migrate_columns, 2, params, &r, err);
    if (rc == WEIR_OK) {
        read_columns(a, r, out);
    }
    weir_pg_rows_free(r);
    out->empty = true;
    if (rc == WEIR_OK && !source && out->can_select) {
        const char *any = "";
        rc = mig_value(pg, a,
                       weir_arena_printf(a, "SELECT 1 FROM %s%s LIMIT 1",
                                         out->kind == 'p' ? "" : "ONLY ", out->quoted),
                       NULL, &any, err);
        out->empty = !any[0];
    }
    return rc;
}

const char *mig_rel_near(weir_pg *pg, weir_arena *a, const char *schema, const char *name)
{
    const char *sql = "SELECT relname, nspname FROM pg_class c JOIN pg_namespace n ON n.oid = "
                      "relnamespace WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema)' "
                      "LIMIT 2000";
    weir_pg_rows *r = NULL;
    weir_error err;
    const char *found = NULL;
    if (weir_pg_query(pg, sql, 0, NULL, &r, &err) == WEIR_OK) {
        const char **names = WEIR_ARENA_ARRAY(a, const char *, NEAR_MAX);
        int n = weir_pg_nrows(r);
        for (int i = 0; i < n; i++) {
            names[i] = weir_pg_valuez(r, i, 0);
        }
        const char *near = weir_nearest(name, names, (size_t)n);
        for (int i = 0; near && !found && i < n; i++) {
            if (names[i] == near) {
                found = schema ? weir_arena_printf(a, "%s.%s", weir_pg_valuez(r, i, 1), near)
                               : weir_arena_strdup(a, near);
            }
        }
    }
    weir_pg_rows_free(r);
    return found;
}

int mig_attr_find(const mig_rel *r, const char *name)
{
    for (int i = 0; i < r->n; i++) {
        if (strcmp(r->cols[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *mig_attr_near(const mig_rel *r, const char *name)
{
    const char *names[1700];
    int n = r->n < 1700 ? r->n : 1700;
    for (int i = 0; i < n; i++) {
        names[i] = r->cols[i].name;
    }
    return weir_nearest(name, names, (size_t)n);
}
