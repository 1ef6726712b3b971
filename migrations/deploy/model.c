/* model.c - read models: compiled against the database as it is now inside the transaction, then
 * recorded. */
#include <stdio.h>

#include "libweir/base/map.h"
#include "migrations/deploy/run.h"
#include "projector/sql/compile.h"

typedef struct models {
    dep_run *d;
    const dep_appdir *app;
    weir_catalog cat;
    weir_map *seen; /* name -> file */
} models;

static weir_rc record(models *m, const dep_file *f, const weir_model_src *src,
                      const weir_plan *plan, weir_error *err)
{
    dep_run *d = m->d;
    char fingerprint[20], revision[24];
    (void)snprintf(fingerprint, sizeof fingerprint, "%016llx",
                   (unsigned long long)weir_plan_fingerprint(plan));
    (void)snprintf(revision, sizeof revision, "%lld", (long long)d->revision);
    const char *params[] = {weir_arena_dupz(d->a, src->name), f->path, f->text.p, fingerprint,
                            revision};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(d->pg,
                               "INSERT INTO weir.read_model AS m (name, file, source, fingerprint, "
                               "revision) VALUES ($1, $2, $3, $4, $5::bigint)"
                               " ON CONFLICT (name) DO UPDATE SET file = excluded.file, source = "
                               "excluded.source, fingerprint = excluded.fingerprint,"
                               " revision = excluded.revision, deployed_at = now()"
                               " WHERE (m.file, m.source, m.fingerprint) IS DISTINCT FROM "
                               "(excluded.file, excluded.source, excluded.fingerprint)"
                               " RETURNING xmax = 0",
                               5, params, &r, err);
    if (rc == WEIR_OK && weir_pg_nrows(r) > 0) {
        dep_add(d->r, DEP_MODEL, params[0], NULL,
                weir_slice_eqz(weir_pg_value(r, 0, 0), "t") ? "new" : "changed");
        d->changed = true;
    }
    weir_pg_rows_free(r);
    d->r->models++;
    return rc;
}

/* Refusals of one file go into ds; rc is for everything else. */
static weir_rc compile_one(models *m, const dep_file *f, weir_diags *ds, weir_error *err)
{
    dep_run *d = m->d;
    weir_model_src src;
    weir_plan *plan = NULL;
    weir_rc rc = weir_model_parse(f->text, f->stem, d->a, &src, ds);
    if (rc != WEIR_OK) {
        return ds->errors ? WEIR_OK : weir_fail(err, rc, 0, "%s cannot be read", f->path);
    }
    const dep_file **slot = (const dep_file **)weir_map_slot(m->seen, src.name, NULL);
    if (*slot) {
        weir_diag_add(ds, false, -1, "Give one of them another name with -- @model.",
                      "the read model \"%.*s\" is also in %s", WEIR_SLICE_ARG(src.name),
                      (*slot)->path);
        return WEIR_OK;
    }
    *slot = f;
    rc = weir_plan_compile(&src, &m->cat, d->a, &plan, ds, err);
    if (rc == WEIR_OK) {
        rc = weir_plan_crosscheck(d->pg, &src, plan, ds, err);
    }
    if (ds->errors) {
        return weir_pg_ok(d->pg) ? WEIR_OK : rc;
    }
    return rc == WEIR_OK ? record(m, f, &src, plan, err) : rc;
}

static weir_rc each_file(models *m, weir_error *err)
{
    weir_rc rc = WEIR_OK;
    for (size_t i = 0; rc == WEIR_OK && i < m->app->models.n; i++) {
        const dep_file *f = &m->app->models.f[i];
        weir_diags ds;
        weir_diags_init(&ds, m->d->a);
        rc = compile_one(m, f, &ds, err);
        if (ds.n) {
            const char *path = weir_arena_printf(m->d->a, "%s/%s", m->app->dir, f->path);
            weir_diags_print(&ds, path, f->text, m->d->r->colour, &m->d->r->diagnostics);
        }
        m->d->refused_models += ds.errors > 0;
    }
    return rc;
}

static weir_rc remove_gone(models *m, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(m->d->pg, "SELECT name, file FROM weir.read_model ORDER BY name", 0,
                               NULL, &r, err);
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        const char *name = weir_pg_valuez(r, i, 0);
        if (weir_map_has(m->seen, weir_pg_value(r, i, 0))) {
            continue;
        }
        rc = weir_pg_query(m->d->pg, "DELETE FROM weir.read_model WHERE name = $1", 1, &name, NULL,
                           err);
        dep_add(m->d->r, DEP_MODEL_GONE, name, NULL, "no longer in %s", weir_pg_valuez(r, i, 1));
        m->d->changed = true;
    }
    weir_pg_rows_free(r);
    return rc;
}

weir_rc dep_models_apply(dep_run *d, const dep_appdir *app, weir_error *err)
{
    models m = {.d = d, .app = app, .seen = weir_map_new()};
    weir_catalog_pg_init(&m.cat, d->pg, d->s->bridge_publication, d->a);
    weir_rc rc = each_file(&m, err);
    rc = rc == WEIR_OK && d->refused_models == 0 ? remove_gone(&m, err) : rc;
    weir_map_free(m.seen);
    return rc;
}

weir_rc dep_files_check(const char *app_dir, dep_report *r, weir_error *err)
{
    dep_appdir app;
    int refused = 0;
    weir_rc rc = dep_appdir_read(app_dir, r->a, &app, err);
    for (size_t i = 0; rc == WEIR_OK && i < app.models.n; i++) {
        const dep_file *f = &app.models.f[i];
        weir_diags ds;
        weir_model_src src;
        weir_diags_init(&ds, r->a);
        if (weir_model_parse(f->text, f->stem, r->a, &src, &ds) != WEIR_OK) {
            refused++;
        }
        weir_diags_print(&ds, weir_arena_printf(r->a, "%s/%s", app_dir, f->path), f->text,
                         r->colour, &r->diagnostics);
    }
    if (rc == WEIR_OK && refused) {
        return weir_fail(err, WEIR_E_INPUT, 0, "%d read model%s refused", refused,
                         refused == 1 ? " was" : "s were");
    }
    return rc;
}
