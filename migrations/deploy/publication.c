/* publication.c - every table with a usable replica identity that the role may publish and read is
 * published, and no other: a published table without an identity would refuse the application's own
 * UPDATE and DELETE. A table that became unreadable since is warned of. */
#include "migrations/deploy/run.h"

extern const char weir_sql_publication_tables[];

static const char wanted_options[] =
    "publish = 'insert, update, delete, truncate', publish_via_partition_root = true";

/* Creates or corrects the publication itself. *all: it is FOR ALL TABLES, and its table list cannot
 * be ours. */
static weir_rc ensure(dep_run *d, const char *name, bool *all, weir_error *err)
{
    const char *params[] = {d->s->bridge_publication};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        d->pg,
        "SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate AND pubviaroot "
        "FROM pg_publication WHERE pubname = $1",
        1, params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    bool there = weir_pg_nrows(r) > 0;
    bool right = there && weir_slice_eqz(weir_pg_value(r, 0, 1), "t");
    *all = there && weir_slice_eqz(weir_pg_value(r, 0, 0), "t");
    weir_pg_rows_free(r);
    if (right) {
        return WEIR_OK;
    }
    d->changed = true;
    return dep_exec(d, err,
                    weir_arena_printf(d->a,
                                      there ? "ALTER PUBLICATION %s SET (%s)"
                                            : "CREATE PUBLICATION %s WITH (%s)",
                                      name, wanted_options));
}

static weir_rc alter(dep_run *d, const char *publication, const char *verb, const weir_pg_rows *r,
                     int i, weir_error *err)
{
    const char *table = weir_pg_valuez(r, i, 0);
    weir_rc rc = dep_exec(
        d, err,
        weir_arena_printf(d->a, "ALTER PUBLICATION %s %s TABLE ONLY %s", publication, verb, table));
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "publication, table %s", table);
        return rc;
    }
    bool added = strcmp(verb, "ADD") == 0;
    dep_add(d->r, added ? DEP_PUBLISHED : DEP_UNPUBLISHED, table, NULL, added ? NULL : "%s",
            weir_pg_valuez(r, i, 3));
    d->changed = true;
    return WEIR_OK;
}

static weir_rc one_table(dep_run *d, const char *publication, bool all, const weir_pg_rows *r,
                         int i, weir_error *err)
{
    bool published = weir_slice_eqz(weir_pg_value(r, i, 1), "t");
    bool usable = weir_slice_eqz(weir_pg_value(r, i, 2), "t");
    weir_rc rc = WEIR_OK;
    d->r->tables += usable;
    if (!all && published != usable) {
        rc = alter(d, publication, usable ? "ADD" : "DROP", r, i, err);
    }
    if (rc == WEIR_OK && !weir_pg_isnull(r, i, 3)) {
        dep_add(d->r, usable ? DEP_WARNING : DEP_LEFT_OUT, weir_pg_valuez(r, i, 0),
                weir_pg_isnull(r, i, 4) ? NULL : weir_pg_valuez(r, i, 4), "%s",
                weir_pg_valuez(r, i, 3));
    }
    return rc;
}

weir_rc dep_publication_apply(dep_run *d, weir_error *err)
{
    const char *params[] = {d->s->bridge_publication};
    const char *name = weir_pg_ident(d->a, weir_slice_z(d->s->bridge_publication));
    weir_pg_rows *r = NULL;
    bool all = false;
    weir_rc rc = ensure(d, name, &all, err);
    rc = rc == WEIR_OK ? weir_pg_query(d->pg, weir_sql_publication_tables, 1, params, &r, err) : rc;
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        rc = one_table(d, name, all, r, i, err);
    }
    weir_pg_rows_free(r);
    if (rc == WEIR_OK && all) {
        dep_add(d->r, DEP_WARNING, d->s->bridge_publication,
                "DROP PUBLICATION and deploy again, or name another one in weir.ini.",
                "is FOR ALL TABLES: tables without a replica identity refuse UPDATE and DELETE");
    }
    rc = rc == WEIR_OK
             ? weir_pg_query(d->pg,
                             "INSERT INTO weir.setting (key, value) VALUES ('publication', $1) "
                             "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                             1, params, NULL, err)
             : rc;
    return rc;
}
