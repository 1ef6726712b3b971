/* state.c - weir_sync.migrate and its tables. */
#include "migrations/migrate/state.h"

#include <string.h>

#include "libweir/io/pg_lock.h"
#include "migrations/crawler/crawler.h"

enum { LOCK_WAIT_MS = 10000 };
#define LOCK_KIND "weir_migrate"

extern const char weir_sql_migrate_schema[];

static const char *const NAMES[] = {"none",        "prepare", "copy",     "key index", "catch-up",
                                    "constraints", "live",    "verified", "cut over"};

const char *mig_phase_name(mig_phase p)
{
    return NAMES[p];
}

weir_rc mig_state_schema(weir_pg *target, weir_error *err)
{
    weir_rc rc = crw_schema(target, err);
    return rc == WEIR_OK ? crw_schema_part(target, weir_sql_migrate_schema, err) : rc;
}

weir_rc mig_state_sql(weir_pg *target, const char *sql, const char *name, const char *value,
                      weir_error *err)
{
    const char *params[] = {name, value};
    return weir_pg_query(target, sql, value ? 2 : 1, params, NULL, err);
}

static mig_phase phase_of(const char *name)
{
    for (int i = 0; i <= MIG_CUT_OVER; i++) {
        if (strcmp(NAMES[i], name) == 0) {
            return (mig_phase)i;
        }
    }
    return MIG_NONE;
}

weir_rc mig_state_read(weir_pg *target, weir_arena *a, const char *name, mig_state *out,
                       weir_error *err)
{
    static const char sql[] =
        "SELECT phase, paused, lsn, sub, passed, changes, truncates, mapping, waits, CASE WHEN "
        /* one that is at a long step says nothing meanwhile, but has its lock */
        WEIR_PG_LOCK_HELD(LOCK_KIND, "name") " THEN 0 ELSE (extract(epoch FROM clock_timestamp() "
                                             "- seen_at) * 1000)::bigint END, (SELECT count(*) "
                                             "FROM weir_sync.reject WHERE job = name), "
                                             "system_id FROM weir_sync.migrate WHERE name = $1";
    const mig_state none = {.mapping = "", .waits = "", .system_id = ""};
    weir_pg_rows *r = NULL;
    weir_rc rc = weir_pg_query(target, sql, 1, &name, &r, err);
    if (rc != WEIR_OK) {
        bool absent = strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0;
        *out = absent ? none : *out;
        return absent ? WEIR_OK : rc;
    }
    *out = none;
    if (weir_pg_nrows(r) == 1) {
        out->phase = phase_of(weir_pg_valuez(r, 0, 0));
        out->paused = weir_pg_valuez(r, 0, 1)[0] == 't';
        (void)weir_lsn_parse(weir_pg_value(r, 0, 2), &out->at.lsn);
        out->at.sub = (uint32_t)weir_pg_i64(r, 0, 3);
        (void)weir_lsn_parse(weir_pg_value(r, 0, 4), &out->passed);
        out->changes = weir_pg_i64(r, 0, 5);
        out->truncates = weir_pg_i64(r, 0, 6);
        out->mapping = weir_arena_strdup(a, weir_pg_valuez(r, 0, 7));
        out->waits = weir_arena_strdup(a, weir_pg_valuez(r, 0, 8));
        out->silent_ms = weir_pg_i64(r, 0, 9);
        out->rejects = weir_pg_i64(r, 0, 10);
        out->system_id = weir_arena_strdup(a, weir_pg_valuez(r, 0, 11));
    }
    weir_pg_rows_free(r);
    return WEIR_OK;
}

weir_rc mig_state_phase(weir_pg *target, const char *name, mig_phase p, weir_error *err)
{
    return mig_state_sql(target, "UPDATE weir_sync.migrate SET phase = $2 WHERE name = $1", name,
                         NAMES[p], err);
}

weir_rc mig_state_seen(weir_pg *target, const char *name, const char *waits, weir_error *err)
{
    return mig_state_sql(target,
                         "UPDATE weir_sync.migrate SET seen_at = clock_timestamp(), waits = $2 "
                         "WHERE name = $1",
                         name, waits, err);
}

weir_rc mig_state_lock(weir_pg *target, const char *name, weir_error *err)
{
    const weir_pg_lock_conf conf = {LOCK_KIND, name, LOCK_WAIT_MS, NULL, NULL};
    weir_rc rc = weir_pg_lock(target, &conf, err);
    return rc == WEIR_E_CONFLICT
               ? weir_fail(err, rc, 0,
                           "the migration %s is run by another process already; see weir migrate … "
                           "status",
                           name)
               : rc;
}
