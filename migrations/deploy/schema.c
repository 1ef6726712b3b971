/* schema.c - forward-only migrations of the write model, with checksums. */
#include <stdio.h>

#include "libweir/base/hash.h"
#include "libweir/base/map.h"
#include "migrations/deploy/run.h"

static void checksum_of(weir_slice text, char out[33])
{
    weir_hash128 h = weir_hash128_of(text);
    for (size_t i = 0; i < sizeof h.b; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", h.b[i]);
    }
}

static const dep_file *file_of(const dep_appdir *app, int64_t version)
{
    for (size_t i = 0; i < app->schema.n; i++) {
        if (app->schema.f[i].version == version) {
            return &app->schema.f[i];
        }
    }
    return NULL;
}

/* Everything applied must still be there, unchanged. *last: the highest applied version. */
static weir_rc compare(dep_run *d, const dep_appdir *app, int64_t *last, weir_error *err)
{
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(
        d->pg, "SELECT version, name, checksum FROM weir.schema_migration ORDER BY version", 0,
        NULL, &r, err);
    *last = -1;
    for (int i = 0; rc == WEIR_OK && i < weir_pg_nrows(r); i++) {
        char sum[33];
        *last = weir_pg_i64(r, i, 0);
        const dep_file *f = file_of(app, *last);
        if (!f) {
            rc = weir_fail(
                err, WEIR_E_CONFLICT, 0,
                "schema/%s.sql is applied, but its file is gone: put it back, or check that "
                "this is the right database",
                weir_pg_valuez(r, i, 1));
            break;
        }
        checksum_of(f->text, sum);
        if (!weir_slice_eqz(weir_pg_value(r, i, 2), sum)) {
            rc = weir_fail(
                err, WEIR_E_CONFLICT, 0,
                "%s was changed after it was applied: put it back, and write the change as a "
                "new migration",
                f->path);
        }
    }
    weir_pg_rows_free(r);
    return rc;
}

static weir_rc apply_one(dep_run *d, const dep_file *f, weir_error *err)
{
    char version[24], sum[33];
    const char *params[] = {version, f->stem, sum};
    dep_fault fault;
    weir_rc rc = dep_run_file(d, f, &fault, err);
    if (rc != WEIR_OK && fault.text) {
        dep_refuse(d, f, &fault);
        return weir_fail(
            err, WEIR_E_INPUT, 0,
            "a migration was refused and nothing was changed; commands and read models "
            "were not looked at. Mend it, then try again");
    }
    if (rc != WEIR_OK) {
        return rc;
    }
    (void)snprintf(version, sizeof version, "%lld", (long long)f->version);
    checksum_of(f->text, sum);
    rc = weir_pg_query(
        d->pg, "INSERT INTO weir.schema_migration (version, name, checksum) VALUES ($1, $2, $3)", 3,
        params, NULL, err);
    if (rc == WEIR_OK) {
        dep_add(d->r, DEP_MIGRATION, f->path, NULL, NULL);
        d->changed = true;
    }
    return rc;
}

weir_rc dep_schema_apply(dep_run *d, const dep_appdir *app, weir_error *err)
{
    int64_t last;
    weir_rc rc = compare(d, app, &last, err);
    for (size_t i = 0; rc == WEIR_OK && i < app->schema.n; i++) {
        const dep_file *f = &app->schema.f[i];
        char version[24];
        const char *params[] = {version};
        weir_pg_rows *r = NULL;
        (void)snprintf(version, sizeof version, "%lld", (long long)f->version);
        rc = weir_pg_query(d->pg, "SELECT FROM weir.schema_migration WHERE version = $1", 1, params,
                           &r, err);
        bool applied = rc == WEIR_OK && weir_pg_nrows(r) > 0;
        weir_pg_rows_free(r);
        if (rc != WEIR_OK || applied) {
            continue;
        }
        if (f->version < last) {
            return weir_fail(
                err, WEIR_E_CONFLICT, 0,
                "%s comes before version %lld, which is applied already: give it a higher number",
                f->path, (long long)last);
        }
        rc = apply_one(d, f, err);
    }
    return rc;
}
