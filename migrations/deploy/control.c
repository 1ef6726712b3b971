/* control.c - installs the control schema `weir` and brings it to this program's version. */
#include <stdio.h>

#include "libweir/base/hash.h"
#include "migrations/deploy/run.h"

extern const char weir_sql_control_0001[];
extern const char weir_sql_control_0002[];
extern const char weir_sql_control_0003[];
extern const char weir_sql_control_0004[];
extern const char weir_sql_control_0005[];
extern const char weir_sql_control_0006[];
extern const char weir_sql_functions[];
extern const char weir_sql_wrappers[];
extern const char weir_sql_collision[];
extern const char weir_sql_options[];
extern const char weir_sql_async[];
extern const char weir_sql_batch[];
extern const char weir_sql_roles[];
extern const char weir_sql_keys[];

static const char *const migrations[] = {weir_sql_control_0001, weir_sql_control_0002,
                                         weir_sql_control_0003, weir_sql_control_0004,
                                         weir_sql_control_0005, weir_sql_control_0006};
static const char *const functions[] = {weir_sql_functions, weir_sql_collision, weir_sql_options,
                                        weir_sql_wrappers,  weir_sql_async,     weir_sql_batch,
                                        weir_sql_roles,     weir_sql_keys};
enum {
    CONTROL_VERSION = sizeof migrations / sizeof migrations[0],
    FUNCTION_FILES = sizeof functions / sizeof functions[0]
};

static weir_rc current_version(dep_run *d, int64_t *out, weir_error *err)
{
    weir_pg_rows *r = NULL;
    *out = 0;
    weir_rc rc = weir_pg_query(d->pg, "SELECT to_regclass('weir.control_migration') IS NOT NULL", 0,
                               NULL, &r, err);
    bool there = rc == WEIR_OK && weir_slice_eqz(weir_pg_value(r, 0, 0), "t");
    weir_pg_rows_free(r);
    if (!there) {
        return rc;
    }
    rc = weir_pg_query(d->pg, "SELECT coalesce(max(version), 0) FROM weir.control_migration", 0,
                       NULL, &r, err);
    if (rc == WEIR_OK) {
        *out = weir_pg_i64(r, 0, 0);
        weir_pg_rows_free(r);
    }
    return rc;
}

static weir_rc apply_versions(dep_run *d, int64_t from, weir_error *err)
{
    for (int64_t v = from; v < CONTROL_VERSION; v++) {
        char number[24];
        const char *params[] = {number};
        (void)snprintf(number, sizeof number, "%lld", (long long)v + 1);
        weir_rc rc = weir_pg_script(d->pg, migrations[v], err);
        if (rc == WEIR_OK) {
            rc = weir_pg_query(d->pg, "INSERT INTO weir.control_migration (version) VALUES ($1)", 1,
                               params, NULL, err);
        }
        if (rc != WEIR_OK) {
            weir_error_wrap(err, "control schema, version %lld", (long long)v + 1);
            return rc;
        }
        dep_add(d->r, DEP_CONTROL, "schema weir", NULL, "version %lld", (long long)v + 1);
        d->changed = true;
    }
    return WEIR_OK;
}

/* The functions are replaced as a whole whenever their text changed. */
static weir_rc apply_functions(dep_run *d, weir_error *err)
{
    char sum[FUNCTION_FILES * 16 + 1];
    const char *params[] = {sum};
    weir_pg_rows *r = NULL;
    for (size_t i = 0; i < FUNCTION_FILES; i++) {
        (void)snprintf(sum + i * 16, sizeof sum - i * 16, "%016llx",
                       (unsigned long long)weir_hash64(weir_slice_z(functions[i])));
    }
    weir_rc rc =
        weir_pg_query(d->pg, "SELECT FROM weir.setting WHERE key = 'functions' AND value = $1", 1,
                      params, &r, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    bool same = weir_pg_nrows(r) == 1;
    weir_pg_rows_free(r);
    if (same) {
        return WEIR_OK;
    }
    for (size_t i = 0; rc == WEIR_OK && i < FUNCTION_FILES; i++) {
        rc = weir_pg_script(d->pg, functions[i], err);
    }
    if (rc == WEIR_OK) {
        rc = weir_pg_query(d->pg,
                           "INSERT INTO weir.setting (key, value) VALUES ('functions', $1) "
                           "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                           1, params, NULL, err);
    }
    if (rc != WEIR_OK) {
        weir_error_wrap(err, "control schema, functions");
    }
    return rc;
}

weir_rc dep_control_install(dep_run *d, weir_error *err)
{
    int64_t version;
    weir_rc rc = current_version(d, &version, err);
    if (rc != WEIR_OK) {
        return rc;
    }
    if (version > CONTROL_VERSION) {
        return weir_fail(
            err, WEIR_E_STATE, 0,
            "the control schema has version %lld, this program knows %d: use a newer weir",
            (long long)version, CONTROL_VERSION);
    }
    rc = apply_versions(d, version, err);
    return rc == WEIR_OK ? apply_functions(d, err) : rc;
}
